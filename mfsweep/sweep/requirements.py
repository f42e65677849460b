"""`require:` of a spec: what has to hold of the stages, or nothing is run and nothing is said of them."""

from __future__ import annotations

from mfsweep.analysis.mixed import NO_NUMBERS, mixed
from mfsweep.analysis.records import Records
from mfsweep.errors import StoreError
from mfsweep.models.versions import expected
from mfsweep.prepare import Plan


def require_same_versions(plan: Plan, *, here: bool = False) -> None:
    """Refuse stages of several versions where the spec says `require: same_versions`.

    Args:
        plan: whose finished stages are looked at.
        here: whether the stages that are left are about to be trained with what is installed here.

    Raises:
        StoreError: with what differs, and in which stages.
    """
    if plan.spec.experiment.require != "same_versions":
        return
    cells = plan.cells()
    records = Records(plan.store, cells)
    found = [one.sentence for one in mixed(records, cells) if one.is_version]
    if here and not found and len(plan.done) < len(plan.graph.nodes):
        found = _unlike_here(plan, records)
    if found:
        raise StoreError(
            f"{plan.spec.document.path}: require: same_versions: expected one version of everything, but "
            f"{'; '.join(found)}. Install one set of versions (constraints.txt) and remove the folders stages/<key> of "
            "the stages that were trained with another, or leave `require` out"
        )


def _unlike_here(plan: Plan, records: Records) -> list[str]:
    """Return how the finished stages' versions differ from those here."""
    found: dict[str, None] = {}
    for key, node in plan.graph.nodes.items():
        stage = records.stage(key)
        if stage is None:
            continue
        here = expected(node.training.model.architecture)
        for package, version in stage.record.versions.items():
            if package not in NO_NUMBERS and here.get(package, version) != version:
                found.setdefault(f"{node.name} {key} has {package} {version}, and here is {here[package]}")
    return list(found)
