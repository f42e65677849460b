"""How mace-torch and e3nn are imported: without their words, and without what only their own trainings need."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping

from mfsweep.imports import deferred

_TENSORS = "mace.tools.torch_tools"
_UNUSED: Mapping[str, Mapping[str, str]] = {
    "mace.tools": {"TensorDict": _TENSORS, "to_numpy": _TENSORS},  # torchmetrics, and with it Matplotlib
    "scipy.signal": {},
    "torch._dynamo": {},
}
"""What takes 3 s of CPU to import, of which mace-torch's blocks need two names."""


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Let mace-torch 0.3 and e3nn 0.4 be imported within.

    They use torch.jit.script and a bare torch.load, and print that cuequivariance is not installed: nothing that a user
    should act on.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), deferred(_UNUSED):
        warnings.simplefilter("ignore")
        yield
