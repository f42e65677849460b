"""Label methods that mfsweep computes itself: xTB, PySCF, any ASE calculator.

`parse` makes a `LabellingMethod` of what a user writes, `build` the labeller that computes it, which takes `Geometries`
and gives `Computed`. A trained model is a labeller too, made where the store is known (run/labelling/model.py).
"""

from mfsweep.data.labellers.geometries import Computed, Geometries, Geometry, Label, Labeller, OneByOne
from mfsweep.data.labellers.methods import LabellingMethod, build, default_name, parse, read_options

__all__ = [
    "Computed",
    "Geometries",
    "Geometry",
    "Label",
    "Labeller",
    "LabellingMethod",
    "OneByOne",
    "build",
    "default_name",
    "parse",
    "read_options",
]
