"""Which readout head of a stage starts from which of its parent's, and how wide it is (docs/fairness.md#rule-9)."""

from __future__ import annotations

from collections.abc import Mapping

from mfsweep.errors import nearest
from mfsweep.models.architecture import Architecture
from mfsweep.plan.expand import LiveStage
from mfsweep.spec.load import Spec
from mfsweep.spec.stage import FRESH, PARENT, Head, inherited

Widths = Mapping[str, tuple[int, ...] | None]
"""Readout head -> hidden widths; None: the model's own."""


def resolve_heads(spec: Spec, live: LiveStage, model: Architecture, parent: Widths | None) -> dict[str, Head] | None:
    """Return what the training has to be told of its heads: those that leave the rule or the model's width.

    Args:
        spec: for errors.
        live: the stage.
        model: the cell's.
        parent: the heads that it can start from; None without a parent.

    Raises:
        SpecError: a head that no labelled set trains, or that the parent does not determine, or a width of its own
            where all heads share a readout.
    """
    own = (model.readout_hidden,)
    names = set(live.mixture.heads.values())
    planned = names | {labelled.head or labelled.method for labelled in live.stage.train}
    for name, head in live.stage.heads.items():
        if name not in planned:
            expected = (
                f"a readout head that a labelled set trains: {', '.join(sorted(planned))}.{nearest(name, planned)}"
            )
            raise spec.document.error(("stages", live.name, "heads", name), name, expected)
        if head.hidden is not None and model.conditioning:
            expected = "none: with `conditioning: embedding` all heads share a readout as wide as model.readout_hidden"
            raise spec.document.error(("stages", live.name, "heads", name, "hidden"), list(head.hidden), expected)
    resolved = {name: _resolved(spec, live, name, own, parent) for name in sorted(names)}
    told = {name: head for name, head in resolved.items() if head != Head()}
    return told or None


def widths(names: tuple[str, ...], heads: Mapping[str, Head] | None) -> Widths:
    """Return the hidden widths of a training's readout heads."""
    return {name: (heads or {}).get(name, Head()).hidden for name in names}


def _resolved(spec: Spec, live: LiveStage, name: str, own: tuple[int, ...], parent: Widths | None) -> Head:
    asked = live.stage.heads.get(name, Head())
    wide = asked.hidden if asked.hidden != own else None
    place = ("stages", live.name, "heads", name, "from")
    if parent is None:
        if asked.source not in (None, FRESH):
            expected = "a stage with a parent: where there is none, heads are fresh; write it under `continued:`"
            raise spec.document.error(place, asked.source, expected)
        return Head(hidden=wide)
    default = inherited(name, tuple(parent))
    if asked.source == FRESH:
        return Head(source=FRESH, hidden=wide)
    source = default if asked.source in (None, PARENT) else asked.source
    if source is None:
        expected = (
            f"a parent with a head {name!r}, or with one head only: it has {', '.join(parent)}; "
            f"name one: heads: {{{name}: {{from: {next(iter(parent))}}}}}"
        )
        raise spec.document.error(("stages", live.name, "start_from"), live.parent or live.file, expected)
    if source not in parent:
        expected = f"`parent`, `fresh`, or a head of the parent: {', '.join(parent)}.{nearest(source, parent)}"
        raise spec.document.error(place, source, expected)
    width = parent[source]
    if asked.hidden is not None and wide != width:
        expected = f"the parent's width {list(width or own)}, or `from: fresh`: a head cannot be copied into another"
        raise spec.document.error((*place[:-1], "hidden"), list(asked.hidden), expected)
    return Head(source=source if source != default else None, hidden=width)
