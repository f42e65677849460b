"""What an architecture must give. Nothing here imports torch: a plan asks an architecture for its size and its cost.

An architecture is a subclass of `Architecture` in a module of its own: a file, or a folder where it is larger. Its
fields are what a spec's `model:` says. `potential` is called by who trains or predicts, and imports the half that
computes. The registry names the subclass; nothing outside of this package names any.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, Self

from pydantic import AfterValidator, model_validator

from mfsweep.spec.base import Frozen, MisplacedError, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    import torch

    from mfsweep.models.base import Potential


class Shape(NamedTuple):
    """What a model's parameters depend on, beside its spec."""

    heads: tuple[str, ...]
    """One readout each, or one vector each (`conditioning: embedding`); most are named after the label method that they
    learn."""
    elements: tuple[int, ...]
    """Atomic numbers, ascending."""
    avg_num_neighbors: float
    """Mean number of neighbours of an atom, by which messages are divided."""
    hidden: Mapping[str, tuple[int, ...]] = {}
    """Head -> hidden widths of its MLP, where they are not the spec's `readout_hidden`."""

    def widths(self, spec: Architecture, head: str) -> tuple[int, ...]:
        """Return the hidden widths of a head's MLP in a model of that spec."""
        return tuple(self.hidden.get(head, (spec.readout_hidden,)))

    def readouts(self, spec: Architecture) -> tuple[str, ...]:
        """Return the heads under whose names a model of that spec has readouts; one that all share is the first's."""
        return self.heads if spec.conditioning is None else self.heads[:1]


class MakesPotential(Protocol):
    """Makes a model on the CPU, its weights drawn from `seed` alone."""

    def __call__(
        self,
        spec: Any,
        shape: Shape,
        offsets: Mapping[str, Mapping[int, float]],
        *,
        seed: int,
        dtype: torch.dtype,
    ) -> Potential:
        """Make it.

        Args:
            spec: the `Architecture`, of the subclass.
            shape: heads, elements, mean number of neighbours.
            offsets: head -> atomic number -> E0 in eV.
            seed: of the initial weights; torch's global generator is left as it was.
            dtype: of the weights; torch's global default is left as it was.
        """
        ...


class PackageFiles(Protocol):
    """What makes of a trained model the files of the architecture's own package and of LAMMPS."""

    def module(
        self,
        spec: Any,
        shape: Shape,
        state: Mapping[str, Any],
        offsets: Mapping[str, Mapping[int, float]],
        heads: Sequence[str],
        elements: Sequence[int],
        dtype: torch.dtype,
    ) -> torch.nn.Module:
        """Return the package's own module, on the CPU, that gives the total energies of some heads.

        Args:
            spec: the `Architecture`, of the subclass.
            shape: of the trained model.
            state: its `state_dict()`.
            offsets: head -> atomic number -> E0, eV.
            heads: those of the model to keep, in this order.
            elements: atomic numbers to keep, ascending; each of these heads has an E0 of each.
            dtype: of the weights.

        Raises:
            TrainingError: the package has no block for a head's readout.
        """
        ...

    def lammps(self, network: Any, head: str) -> Any:
        """Return the TorchScript of the package's own pair style, for one head of `module`."""
        ...

    def mliap(self, network: Any, head: str) -> Any:
        """Return what `pair_style mliap unified` loads, for one head of `module`."""
        ...


class Timed(NamedTuple):
    """Seconds of a batch of at most 256 atoms: forward, loss and backward of one size, measured."""

    model: Architecture
    with_forces: float
    energies_only: float
    device: str = "CPU, 2 cores"
    """As a cost table names it; that of a CPU begins with `CPU`."""


def _told_once(conditioning: str | None) -> str | None:
    """Return None for the default: a model has one identity, whether or not a spec says the default."""
    return None if conditioning == "heads" else conditioning


class Architecture(Frozen, ABC):
    """`model:` of a spec: an architecture, by its name, and its size.

    A subclass says `architecture: Literal["..."]` and adds its fields, each with a default and a line on what it means.
    They are identity: a field that is added later must be None by default, or the stages that are trained lose their
    keys.
    """

    architecture: Any
    """Its name in specs: a literal of the subclass, to which no wider type could be narrowed."""
    r_max: PositiveFloat
    """Cutoff radius in angstrom."""
    readout_hidden: PositiveInt
    """Hidden width of the MLP of each readout head that no spec makes wider."""
    conditioning: Annotated[Literal["heads", "embedding"] | None, AfterValidator(_told_once)] = None
    """What tells label methods apart. `heads`: each has a readout of its own over the shared backbone, the default.
    `embedding`: each has a vector, which is learned and added to every atom's features before the first layer; backbone
    and readout are shared. Vectors start as zeros: before training all methods are equal."""

    PACKAGES: ClassVar[tuple[str, ...]]
    """Distributions beside torch whose versions make its numbers."""
    PINS: ClassVar[tuple[str, ...]] = ()
    """`package==version` of its overlay (overlay.py), where its packages cannot stand beside those of the others."""
    SHOWN: ClassVar[tuple[str, ...]] = ()
    """Fields that tables show even where they are the default's."""
    FIRST_FEATURES: ClassVar[str | None] = None
    """Field with the width of an atom's features before the first layer, if its models can take `conditioning:
    embedding`; None: they cannot."""

    @model_validator(mode="after")
    def _refuse_no_place_for_methods(self) -> Self:
        if self.conditioning and self.FIRST_FEATURES is None:
            from mfsweep.models.registry import ARCHITECTURES  # which imports this module

            able = " or ".join(name for name, own in ARCHITECTURES.items() if own.FIRST_FEATURES)
            expected = f"`heads`: {self.architecture} takes no vectors of methods ({able} does)"
            raise MisplacedError(("conditioning",), self.conditioning, expected)
        return self

    @property
    def method_width(self) -> int:
        """Return the width of a method's vector; 0 where methods have none."""
        return getattr(self, self.FIRST_FEATURES) if self.conditioning and self.FIRST_FEATURES else 0

    def parameters(self, elements: int, heads: Sequence[Sequence[int]]) -> int:
        """Return how many parameters its models have.

        Args:
            elements: Z, how many it knows.
            heads: hidden widths of each readout head's MLP; one that all share is the first's.
        """
        if not self.conditioning:
            return self.weights(elements, heads)
        return self.weights(elements, heads[:1]) + len(heads) * self.method_width

    @abstractmethod
    def weights(self, elements: int, readouts: Sequence[Sequence[int]]) -> int:
        """Return how many parameters a backbone and its readouts have.

        Args:
            elements: Z, how many it knows.
            readouts: hidden widths of each readout's MLP.
        """

    @abstractmethod
    def effort(self) -> float:
        """Return what the seconds of a batch are taken to be proportional to, for each of its atoms.

        It compares sizes of one architecture: a size that was not measured is scaled from one that was.
        """

    @classmethod
    @abstractmethod
    def potential(cls) -> MakesPotential:
        """Import what computes, and return what makes a model.

        Raises:
            ResourceError: its packages cannot be imported by this process.
        """

    @classmethod
    def files(cls) -> PackageFiles | None:
        """Import what makes the files of its own package; None: it has none."""
        return None

    @classmethod
    def measured(cls) -> tuple[Timed, ...]:
        """Return sizes that were timed by us; without any, a plan has no cost until `mfsweep bench` is run."""
        return ()


def dense(*widths: int, bias: bool = False) -> int:
    """Return how many parameters dense layers have that lead from each width to the next."""
    return sum((into + bias) * out for into, out in itertools.pairwise(widths))


class Starter(NamedTuple):
    """A model that a first spec begins with."""

    model: str
    """What `model:` says, as one line of YAML."""
    why: str
    """A comment on it."""


class Lora(Frozen):
    """Low-rank adapters on the backbone's linear maps, merged into the weights that are kept."""

    rank: PositiveInt = 8
    """Width between the two factors of each adapter."""
    scale: PositiveFloat = 1.0
    """What the product of the two factors is multiplied by."""
