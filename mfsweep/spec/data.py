"""`data:` of a spec: where the structures are, which labels they carry, how they are split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from mfsweep.spec.base import Frozen, Name, Seed

SubsetName = Literal["a", "b", "c", "t"]
"""`a` fine-tuning, `b` pre-training, `c` second auxiliary, `t` test."""
SUBSETS: tuple[SubsetName, ...] = ("a", "b", "c", "t")
TEST_SUBSET: SubsetName = "t"


class LabelKeys(Frozen):
    """The keys under which one label method's values lie in the file's groups (hartree, hartree/angstrom)."""

    energy: str
    """Key of the total energies, shape (structures,)."""
    forces: str | None = None
    """Key of the forces (not gradients), shape (structures, atoms, 3); without it the method is energy-only."""


class Subset(Frozen):
    """One part of the structures, made of whole chemical formulae."""

    size: PositiveInt | Literal["rest"]
    """Training structures to hold (test structures, for `t`); `rest` takes every formula the others leave."""
    validation: NonNegativeInt = 0
    """Structures of the fixed validation set, drawn before the training structures from formulae of its own."""
    needs: tuple[Name, ...] | None = None
    """Label methods that every structure counted here carries. Default: those that the spec uses on this subset."""


class Splits(Frozen):
    """The partition by chemical formula: each lands in one subset; the surplus of a straddling one in none."""

    seed: Seed = 0
    """Seed of the partition and of the nested prefixes; an axis named `split_seed` replaces it."""
    a: Subset | None = None
    b: Subset | None = None
    c: Subset | None = None
    t: Subset | None = None

    def subsets(self) -> dict[SubsetName, Subset]:
        """Return the declared subsets by name, in alphabetical order."""
        return {name: subset for name in SUBSETS if (subset := getattr(self, name)) is not None}


class Data(Frozen):
    """The structures and labels of an experiment."""

    source: Annotated[str, Field(min_length=1)]
    """`bundled:mini-ccx`, or the path of an HDF5 file of the ANI-1x layout (relative to the spec's folder)."""
    labels: Annotated[dict[Name, LabelKeys], Field(min_length=1)]
    """Label method -> its keys."""
    splits: Splits
    """How formulae are shared out."""
    offsets: Literal["fixed", "paid"] = "fixed"
    """`fixed`: a method's energy offsets are fitted once on the training part of `a` (README rule 5).
    `paid`: on the stage's own training structures only, so that no label is used that the cell did not pay for."""
    allow_auxiliary_on_test: tuple[Name, ...] = ()
    """Label methods that may be trained on the test structures themselves; never the target."""


class ResolvedData(Frozen):
    """What of the data determines a training: content, keys, partition. Where the file lies does not."""

    digest: str
    """sha256 of the source file's content."""
    labels: dict[Name, LabelKeys]
    """The methods that the partition or this training refers to."""
    splits: Splits
    """With the cell's split seed and every subset's `needs` filled in."""
    offsets: Literal["fixed", "paid"] = "fixed"
