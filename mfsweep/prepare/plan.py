"""What a spec comes to on its data and in a store; of a search, what it comes to at further points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mfsweep.data.view import DataView, open_view
from mfsweep.plan.expand import expand
from mfsweep.plan.graph import ModelFile, Node, StageGraph, build
from mfsweep.prepare.checking import check_stages, with_all_labels
from mfsweep.prepare.inventory import Inventory, identities, is_done, take
from mfsweep.prepare.points import SearchPoint
from mfsweep.records import CellRecord, SetRecord
from mfsweep.spec.data import Content, ResolvedData
from mfsweep.spec.figures import Figure
from mfsweep.spec.gathered import Gathered
from mfsweep.spec.load import Spec
from mfsweep.spec.stage import LabelledSet
from mfsweep.store import StoreFolder


@dataclass(frozen=True)
class Plan:
    """What a spec comes to on this data and in this store."""

    spec: Spec
    store: StoreFolder
    sources: dict[str, Path]
    """The data files by name, absolute; a single one is named by the empty text. Empty where one is not at hand."""
    content: Content
    """What is in the data files."""
    files: dict[str, Path]
    """sha256 -> path, absolute, of the model files that stages start from."""
    graph: StageGraph
    inventory: Inventory
    """What the store has of it."""
    warnings: tuple[str, ...]
    """What there is to say of the spec and its data."""
    points: tuple[SearchPoint, ...] = ()
    """What a search has asked for so far."""
    tried: StageGraph = field(default_factory=lambda: StageGraph({}, []))
    """The stages at the points where a search was checked before it asked."""
    figures: dict[str, Figure] = field(default_factory=dict)
    """The spec's, with measured costs filled in where the data are at hand."""
    heads: dict[str, ModelFile] = field(default_factory=dict)
    """What is known of the model files, by their paths in the spec."""

    @property
    def name(self) -> str:
        """Return the spec's name."""
        return self.spec.experiment.name

    @property
    def done(self) -> frozenset[str]:
        """Return the keys of the stages that the store has already."""
        return self.inventory.done

    @property
    def in_groups(self) -> bool:
        """Return whether a stage has several workers; of a search also where it was checked before it asked."""
        return any(node.resources.workers > 1 for graph in (self.graph, self.tried) for node in graph.nodes.values())

    def is_done(self, key: str) -> bool:
        """Return whether the store has a stage by now, with its weights where a stage to be run starts from them."""
        return is_done(self.store, self.graph.nodes[key], with_weights=key in self.inventory.needed)

    def damage(self) -> list[str]:
        """Return what is damaged in the store, a sentence for each file."""
        found = [*self.inventory.damaged, *self.store.sweep(self.name).damaged()]
        again = ": `mfsweep run` sets it aside and makes it again"
        return [f"{one}" if one.whole else f"{one}{again}" for one in found]

    def summary(self) -> dict[str, int | None]:
        """Return the counts that `plan --json` prints."""
        return {
            "cells": len(self.graph.cells),
            "stages": len(self.graph.nodes),
            "stages_without_sharing": self.graph.stages_without_sharing,
            "done": len(self.done),
            "steps_at_most": self.graph.steps(),
            "steps_at_most_without_sharing": self.graph.steps(shared=False),
        }

    def data(self, node: Node) -> ResolvedData:
        """Return the data of a stage with the keys of all methods, so that any of them can be evaluated."""
        return with_all_labels(self.spec, node)

    def view(self, node: Node) -> DataView:
        """Return the opened data of a stage."""
        return open_view(self.sources, self.data(node))

    def extended(self, points: Sequence[SearchPoint]) -> Plan:
        """Return the plan of a search with further points.

        Raises:
            SpecError: what the spec comes to there breaks a rule.
            DataError: what it asks of the data.
        """
        points = (*self.points, *points)
        graph = build(self.spec, expand(self.spec.at(points)), self.content, self.heads)
        new = StageGraph({key: node for key, node in graph.nodes.items() if key not in self.graph.nodes}, [])
        found = Gathered()
        warnings = dict.fromkeys([*self.warnings, *check_stages(self.spec, self.sources, new, found)])
        found.tell()
        inventory = take(self.store, graph)
        return replace(self, graph=graph, inventory=inventory, warnings=tuple(warnings), points=points)

    def again(self) -> Plan:
        """Return the plan with what the store has by now, after the run of another spec."""
        return replace(self, inventory=take(self.store, self.graph))

    def cells(self) -> list[CellRecord]:
        """Return the cells as the analysis and the store know them."""
        sizes = {key: self._sizes(node) for key, node in self.graph.nodes.items()}
        sets = {key: self._sets(node) for key, node in self.graph.nodes.items()}
        evaluations = {key: identities(node) for key, node in self.graph.nodes.items()}
        return [
            CellRecord(
                values=planned.cell.values,
                stages=planned.keys,
                result=planned.cell.result,
                sizes={name: sizes[key] for name, key in planned.keys.items()},
                sets={name: sets[key] for name, key in planned.keys.items()},
                evaluations={name: evaluations[key] for name, key in planned.keys.items()},
                axes={name: list(self.graph.nodes[key].values) for name, key in planned.keys.items()},
            )
            for planned in self.graph.cells
        ]

    def _sizes(self, node: Node) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for labelled in node.training.sets:
            sizes[labelled.labels] = sizes.get(labelled.labels, 0) + self._count(node, labelled)
        return sizes

    def _sets(self, node: Node) -> list[SetRecord]:
        derived = node.training.data.derived or {}
        found = []
        for own in node.training.sets:
            methods = derived[own.labels].methods if own.labels in derived else (own.labels,)
            start = own.range[0] if own.range else 0
            end = start + self._count(node, own)
            found.append(SetRecord(labels=own.labels, methods=list(methods), subset=own.subset, start=start, end=end))
        return found

    def _count(self, node: Node, labelled: LabelledSet) -> int:
        if labelled.end is not None:
            return labelled.end - (labelled.range[0] if labelled.range else 0)
        return len(self.view(node).training(labelled))
