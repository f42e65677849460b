"""mace-torch's network as `mace_run_train` builds it: its blocks compiled by TorchScript, its products in their best order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import mfsweep.models.mace.network


@contextlib.contextmanager
def as_mace_builds() -> Iterator[None]:
    """Build models meanwhile without our shortcuts (models/mace/building.py)."""
    with mock.patch.object(mfsweep.models.mace.network, "quickly", return_value=contextlib.nullcontext()):
        yield
