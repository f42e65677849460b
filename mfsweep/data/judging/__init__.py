"""The judge of data: what is refused and what is warned of, the same whichever way data come in.

`mfsweep data import`, the check of a spec's data before anything trains, and `mfsweep data info` ask it alike. What is
surely wrong and would spoil numbers is refused; what may be right is warned of. Structures are judged one by one, each
of them; labels by method, on a sample of LIMIT structures spread over the file. Of a spec's data the labels that a test
is scored against are left out (docs/fairness.md#rule-4).

| what | refused | warned of |
| --- | --- | --- |
| a structure: positions or cell not finite, atoms at one place (CLOSE), vectors that span no cell | always | |
| a label: infinite, forces on a part of the atoms | always | |
| forces all exactly zero | for two shapes of the same atoms | for single structures, with their number |
| energies all the same | always | |
| energies per atom | where sizes vary, or the slope tells | |
| gradients stored as forces | where the slope tells | |
| energies or forces of a size that no method has | always | |
| another unit fits clearly better; forces are not the slope | unless the unit was stated | where it was |
| total energies of one composition that would fit as hartree; small forces | | always |
| positions: nearest neighbours as far as in the other unit of length | | always |

`--trust-units` makes all of labels a warning; `--drop-bad` leaves structures out that are refused one by one. A data
set was judged when it was made: its units count as stated, and whoever trusted them there is warned only.
"""

from mfsweep.data.judging.flaws import Flaw, flaws
from mfsweep.data.judging.mends import Mend
from mfsweep.data.judging.sample import LabelFinding, StructureSample
from mfsweep.data.judging.structures import flaws_of, sample_of

__all__ = ["Flaw", "LabelFinding", "Mend", "StructureSample", "flaws", "flaws_of", "sample_of"]
