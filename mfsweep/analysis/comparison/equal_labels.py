"""Strategies with equal labels, as many of each method; those without auxiliary labels stand beside the others."""

from __future__ import annotations

from collections.abc import Sequence

from mfsweep.analysis.comparison.blocks import ComparedBlock, ComparedRow, chosen, compared, ordered
from mfsweep.analysis.comparison.settings import StrategySetting, family_names, most_alike
from mfsweep.analysis.records import Records


def at_equal_labels(settings: Sequence[StrategySetting], against: str, y: str, records: Records) -> list[ComparedBlock]:
    """Return a block for each budget of labels at which two strategies were measured.

    Args:
        settings: of all strategies.
        against: name of the strategy that the others are compared with; where a budget lacks it, its first one.
        y: path of the metric.
        records: the trained stages.
    """
    names = family_names(settings)
    places: dict[tuple[str, str], list[StrategySetting]] = {}
    for setting in settings:
        places.setdefault((setting.family, setting.target), []).append(setting)
    blocks: list[ComparedBlock] = []
    for (family, _), members in sorted(places.items(), key=lambda item: (names[item[0][0]], _size(item[1][0]))):
        for auxiliary in _budgets(members):
            equal = [setting for setting in members if setting.auxiliary in (auxiliary, {})]
            if len({setting.strategy for setting in equal}) > 1:
                blocks.append(_block(names[family], equal, against, y, records))
    return blocks


def _budgets(members: Sequence[StrategySetting]) -> list[dict[str, int]]:
    """Return the distinct auxiliary labels of some settings; where none has any, that."""
    distinct = {tuple(sorted(one.auxiliary.items())): one.auxiliary for one in members if one.auxiliary}
    return [distinct[key] for key in sorted(distinct)] or [{}]


def _size(setting: StrategySetting) -> int:
    return setting.labels.get(setting.method, 0)


def _block(family: str, members: Sequence[StrategySetting], against: str, y: str, records: Records) -> ComparedBlock:
    largest = max(members, key=lambda setting: sum(setting.labels.values()))
    budget = f"{largest.words} labels"
    rows = {setting.number: _row(setting) for setting in members}
    references = [setting for setting in members if against in (setting.base, setting.strategy)] or [members[0]]
    first = references[0]
    others: list[ComparedRow] = []
    for setting in members:
        if setting is first:
            continue
        other = first if setting in references else most_alike(setting, references)
        every = [*setting.members, *other.members]
        others.append(compared(rows[setting.number], rows[other.number], every, y, f"with {budget}", records))
    return ComparedBlock("labels", family, budget, ordered(rows[first.number], others))


def _row(setting: StrategySetting) -> ComparedRow:
    members, capped = chosen(setting.members)
    return ComparedRow(setting.strategy, setting.target_first, members, setting.work.seconds, capped)
