from __future__ import annotations

import pytest

from mfsweep.analysis.balance import Balanced, balanced


def left(**have):
    kept = balanced({(int(seed.removeprefix("seed")), 0): set(settings) for seed, settings in have.items()})
    assert isinstance(kept, Balanced)
    return [seed for seed, _ in kept.replicates], "".join(sorted(kept.settings))


@pytest.mark.parametrize(
    ("have", "kept"),
    [
        ({"seed0": "abc", "seed1": "abc"}, ([0, 1], "abc")),
        ({"seed0": "ab", "seed1": "b", "seed2": "b"}, ([0, 1, 2], "b")),
        ({"seed0": "abcde", "seed1": "abcde", "seed2": "a"}, ([0, 1, 2], "a")),
        ({"seed0": "abcde", "seed1": "a", "seed2": "a", "seed3": "abcde", "seed4": "abcde"}, ([0, 1, 2, 3, 4], "a")),
        ({**{f"seed{n}": "abcde" for n in range(6)}, "seed6": "a"}, ([0, 1, 2, 3, 4, 5], "abcde")),
        ({"seed0": "a", "seed1": "bc", "seed2": "bcd"}, ([1, 2], "bc")),
        ({"seed0": "abcde", "seed1": "a"}, ([0, 1], "a")),
        ({"seed0": "a", "seed1": "bc"}, ([1], "bc")),
    ],
    ids=[
        "all",
        "a setting goes",
        "settings go, for a third replicate",
        "settings go, for two more",
        "a replicate of many goes",
        "else nothing is left",
        "two replicates",
        "one is left",
    ],
)
def test_the_part_with_the_narrowest_interval_to_be_expected_is_kept(have, kept):
    assert left(**have) == kept
