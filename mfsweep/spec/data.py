"""`data:` of a spec: where the structures are, which labels they carry, how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mfsweep.errors import nearest
from mfsweep.fingerprint import fingerprint
from mfsweep.quantities import BEST
from mfsweep.spec.base import Bool, Float, Frozen, Int, MisplacedError, Name, NonNegativeInt, PositiveInt, Seed

SubsetName = Literal["a", "b", "c", "t"]
"""`a` fine-tuning, `b` pre-training, `c` second auxiliary, `t` test."""
SUBSETS: tuple[SubsetName, ...] = ("a", "b", "c", "t")
TEST_SUBSET: SubsetName = "t"
BY_FORMULA, BY_STRUCTURE = "formula", "structure"
INDICES = "@splits"
"""In place of a column: the structures of each part stand in a JSON file, which goes with the sources by this name."""
Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z][a-z]?$")]
Energies = dict[Symbol, Float]
"""Element -> energy offset, eV."""
FOLD = "${fold}"
"""What `splits.fold` says where an axis holds it."""
RESERVED = {
    "parent": "says where a head comes from",
    "fresh": "says where a head comes from",
    BEST: "ends the names of scores at a head's best checkpoint, as in test.cc@best",
}
"""What no label method or readout head may be called -> what it means where heads are named."""


class LabelKeys(Frozen):
    """The keys under which one label method's values lie in a source, in the units of its kind of file.

    A data set and what ASE reads have eV and eV/angstrom, the ANI-1x layout has hartree and hartree/angstrom.
    """

    energy: str
    """Key of the total energies, shape (structures,)."""
    forces: str | None = None
    """Key of the forces (not gradients), shape (structures, atoms, 3); without it the method is energy-only."""
    source: Name | None = None
    """The one of `sources` whose structures carry the method. Default: every one in which the key is."""


class Difference(Frozen):
    """Labels of delta-learning: what one method gives less what another does, on structures that carry both."""

    target: Name
    """Label method that predictions are wanted of."""
    minus: Name
    """Label method that is taken off, and whose own values are added to a prediction."""

    @property
    def name(self) -> str:
        """Return the label method's name, `<target>-<minus>`."""
        return f"{self.target}-{self.minus}"

    @property
    def methods(self) -> tuple[Name, ...]:
        """Return the label methods whose values it is made of."""
        return self.target, self.minus


class Shuffled(Frozen):
    """Labels of a negative control: each structure gets those of another one of its formula."""

    shuffled: Name
    """Label method. Forces go with their energy, atom by atom in the order of elements."""
    seed: Seed = 0
    """Seed of the permutations."""

    @property
    def name(self) -> str:
        """Return the label method's name, `<method>-shuffled`."""
        return f"{self.shuffled}-shuffled" + (f"{self.seed}" if self.seed else "")

    @property
    def methods(self) -> tuple[Name, ...]:
        """Return the label method whose values it is made of."""
        return (self.shuffled,)


Derived = Difference | Shuffled
"""A label method that is made of others."""


def parts(method: str, derived: Mapping[str, Derived]) -> tuple[str, ...]:
    """Return the file's methods whose labels a method is: its own name, or what it is made of."""
    return derived[method].methods if method in derived else (method,)


class Subset(Frozen):
    """One part of the structures, made of whole chemical formulae."""

    size: PositiveInt | Literal["rest"]
    """Training structures to hold (test structures, for `t`); `rest` takes every formula the others leave."""
    validation: NonNegativeInt = 0
    """Structures of the fixed validation set, drawn before the training structures from formulae of its own."""
    source: Name | None = None
    """The one of `sources` to which its structures belong (an external test set). Such a subset is drawn before the
    others, and what the other sources hold of its formulae goes nowhere."""
    needs: tuple[Name, ...] | None = None
    """Label methods that every structure counted here carries. Default: those that the spec uses on this subset."""
    given: Annotated[str, Field(min_length=1)] | None = None
    """What the training part is called in `splits.given`. Default: as the subset."""
    given_validation: Annotated[str, Field(min_length=1)] | None = None
    """What the validation part is called there. Default: the subset's name and ` validation`; where there is no such,
    `validation` structures are drawn from the training part."""


class Splits(Frozen):
    """The partition by chemical formula: each lands in one subset; the surplus of a straddling one in none."""

    seed: Seed = 0
    """Seed of the partition and of the nested prefixes; an axis named `split_seed` replaces it."""
    by: Annotated[str, Field(min_length=1)] | None = None
    """`formula`, the default; `structure`: each by itself, copies together; or a text column of the data set, whose
    values are the groups in place of formulae."""
    given: Annotated[str, Field(min_length=1)] | None = None
    """In place of a draw: a text column that says in which part each structure is, or a JSON file (NAME.json) with the
    numbers of the structures of each part, counted from 0 in the order of the source."""
    folds: Annotated[Int, Field(ge=2)] | None = None
    """K folds of the groups that may be test ones: no two folds have a group in common, so that their test parts are
    disjoint. Every other subset has its structures from the other folds."""
    fold: NonNegativeInt | Literal["${fold}"] | None = None
    """The fold, 0 to K - 1, that the test subset is of; `${fold}`: an axis of that name holds it."""
    a: Subset | None = None
    """For fine-tuning. Energy offsets are fitted on its training part."""
    b: Subset | None = None
    """For pre-training."""
    c: Subset | None = None
    """For a second auxiliary method."""
    t: Subset | None = None
    """For tests alone."""

    @property
    def column(self) -> str | None:
        """Return the column by which the structures are split, None where there is none."""
        if self.given is not None:
            return self.given
        return None if self.by in (BY_FORMULA, BY_STRUCTURE) else self.by

    @property
    def by_formula(self) -> bool:
        """Return whether a formula is in one part only."""
        return self.given is None and self.by in (None, BY_FORMULA)

    @property
    def groups(self) -> str:
        """Return what stays whole, in words."""
        if self.by_formula:
            return "formulae"
        return "structures" if self.by == BY_STRUCTURE else f"groups of {self.column}"

    @property
    def indices(self) -> str | None:
        """Return the JSON file of `given`, None where it is a column or nothing."""
        return self.given if self.given is not None and self.given.lower().endswith(".json") else None

    @model_validator(mode="after")
    def _require_one_way(self) -> Self:
        if self.given is not None and self.by is not None:
            raise ValueError("`by:` (what the draw keeps whole) or `given:` (no draw), and not both")
        for name, subset in self.subsets().items():
            if self.given is None and (subset.given or subset.given_validation):
                raise ValueError(
                    f"{name}.given with `splits.given:` (a column, or a JSON file), which says what it names"
                )
        return self

    def subsets(self) -> dict[SubsetName, Subset]:
        """Return the declared subsets by name, in alphabetical order."""
        return {name: subset for name in SUBSETS if (subset := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _require_folds(self) -> Self:
        if (self.folds is None) != (self.fold is None):
            raise ValueError("`folds: K` and `fold: ${fold}` (with an axis `fold`), or neither")
        if self.folds is not None and self.given is not None:
            raise ValueError("`given:` (no draw) or `folds:` of a draw, and not both")
        if self.folds is not None and (self.t is None or self.t.source is not None):
            raise ValueError("`folds` shares out the structures of a test subset `t` without a source of its own")
        if isinstance(self.fold, int) and self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold: expected one of 0 to {self.folds - 1}, got {self.fold}")
        return self


class Data(Frozen):
    """The structures and labels of an experiment."""

    source: Annotated[str, Field(min_length=1)] | None = None
    """`bundled:NAME` (`mfsweep data list`), or the path of a data set, or of any file that `mfsweep data import` takes
    without further options; relative to the spec."""
    sources: Annotated[dict[Name, Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    """In place of `source`: several such files by name, whose structures need not be paired."""
    labels: Annotated[dict[Name, LabelKeys], Field(min_length=1)]
    """Label method -> its keys."""
    splits: Splits
    """How formulae are shared out."""
    offsets: Literal["fixed", "paid", "isolated_atoms"] | dict[Name, Energies] = "fixed"
    """`fixed`: a method's energy offsets are fitted once on the training part of `a` (docs/fairness.md#rule-5).
    `paid`: on the stage's own training structures only, so that no label is used that the cell did not pay for.
    `isolated_atoms`: the energies of the isolated atoms in the data. A table: label method -> element -> eV; methods
    that are not in it are fitted as with `fixed`."""
    allow_auxiliary_on_test: tuple[Name, ...] = ()
    """Label methods that may be trained on the test structures themselves; never the target."""

    @property
    def files(self) -> dict[str, str]:
        """Return the source files by name; that of a single one is empty."""
        return {"": self.source} if self.source is not None else dict(self.sources or {})

    @model_validator(mode="after")
    def _require_one_source(self) -> Self:
        if (self.source is None) == (self.sources is None):
            got = "neither" if self.source is None else "both"
            raise MisplacedError((), got, "`source:` (one file) or `sources:` (several, by name)")
        return self

    @model_validator(mode="after")
    def _refuse_two_names(self) -> Self:
        """Refuse one key under two names: what guards the labels of the one would not guard the other."""
        names: dict[tuple[str, str | None], str] = {}
        for name, keys in self.labels.items():
            if name in RESERVED:
                raise MisplacedError(("labels", name), name, f"another name: {name!r} {RESERVED[name]}")
            other = names.setdefault((keys.energy, keys.source), name)
            if other != name:
                expected = f"a key of its own: {other} has the energies {keys.energy!r} already"
                raise MisplacedError(("labels", name, "energy"), keys.energy, expected)
        return self

    @model_validator(mode="after")
    def _require_known_tables(self) -> Self:
        if isinstance(self.offsets, dict):
            for name in self.offsets:
                if name not in self.labels:
                    known = f"one of the label methods: {', '.join(self.labels)}.{nearest(name, self.labels)}"
                    raise MisplacedError(("offsets", name), name, known)
        return self

    @model_validator(mode="after")
    def _require_known_sources(self) -> Self:
        named = {("labels", name): keys.source for name, keys in self.labels.items()}
        named |= {("splits", name): subset.source for name, subset in self.splits.subsets().items()}
        for place, source in named.items():
            if source is not None and source not in (self.sources or {}):
                known = "no source: the spec has one file only (`source:`), and no `sources:` with names"
                if self.sources:
                    known = f"one of `sources`: {', '.join(self.sources)}.{nearest(source, self.sources)}"
                raise MisplacedError((*place, "source"), source, known)
        return self


class Content(Frozen):
    """What is in the source files, as digests."""

    digest: str
    """sha256 of a file; of a data set, of its geometry alone; of several sources, of their names and digests."""
    parts: dict[str, dict[str, str]] = {}
    """Source that is a data set -> key of its labels, or `columns/` and the name of a text column -> sha256."""
    isolated_atoms: dict[str, dict[str, dict[str, Float]]] = {}
    """Source -> key of energies -> element -> eV, of the isolated atoms among its structures."""
    indices: str | None = None
    """sha256 of the JSON file of `splits.given`."""
    at_hand: Bool = True
    """Whether the files are there: else nothing is known of them."""

    def of(self, labels: Mapping[Name, LabelKeys]) -> dict[Name, str] | None:
        """Return a digest for each method that has labels in data sets, None where no source is one.

        So labels that come into a data set later concern only those who use them.
        """
        if not self.parts:
            return None
        found: dict[Name, str] = {}
        for name, keys in labels.items():
            own = {
                source: [parts[key] for key in (keys.energy, keys.forces) if key is not None and key in parts]
                for source, parts in self.parts.items()
                if keys.source in (None, source)
            }
            found[name] = fingerprint(own)
        return found

    def of_column(self, column: str | None) -> str | None:
        """Return a digest of the text column by which the structures are split; None where there is none."""
        if column is None:
            return None
        if column == INDICES:
            return self.indices
        return fingerprint({source: parts.get(f"columns/{column}") for source, parts in self.parts.items()})

    def isolated(self, keys: LabelKeys) -> dict[str, float]:
        """Return the energies of the isolated atoms of a label method: element -> eV, of several the lowest."""
        found: dict[str, float] = {}
        for source, own in sorted(self.isolated_atoms.items()):
            if keys.source in (None, source):
                for symbol, energy in own.get(keys.energy, {}).items():
                    found[symbol] = min(energy, found.get(symbol, energy))
        return dict(sorted(found.items()))


class ResolvedData(Frozen):
    """What of the data determines a training: content, keys, partition. Where the file lies does not."""

    digest: str
    """`Content.digest` of the sources."""
    contents: dict[Name, str] | None = None
    """`Content.of` the labels; None where no source is a data set."""
    labels: dict[Name, LabelKeys]
    """The methods that the partition or this training refers to."""
    derived: dict[Name, Derived] | None = None
    """Those that are made of others; None where there are none."""
    shuffled: Literal["within parts"] | None = None
    """Where labels are shuffled and the structures split by a column: not across the parts. None: split by formula a
    formula is in one part anyhow."""
    splits: Splits
    """With the cell's split seed and every subset's `needs` filled in."""
    column: str | None = None
    """`Content.of_column` of what `splits.by` or `splits.given` names; None where that is no column."""
    offsets: Literal["fixed", "paid"] | dict[Name, Energies] = "fixed"
    """Those of isolated atoms are a table like any other."""

    def has_forces(self, method: Name) -> bool:
        """Return whether a label method, derived or not, has forces."""
        return all(self.labels[part].forces is not None for part in parts(method, self.derived or {}))
