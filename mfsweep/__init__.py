"""Multi-fidelity training sweeps for machine-learned force fields, from a spec to a transfer law.

    sweep = mfsweep.Sweep("search_spaces/quickstart.yaml", "mfsweep-store")
    sweep.run()
    sweep.frame()

What stands in `__all__` is public. Each name is imported when it is first asked for, so that `import mfsweep` costs
nothing: no torch, no Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfsweep.analysis.fit_transfer import fit_transfer
    from mfsweep.spec.load import load as load_spec
    from mfsweep.sweep.store import Store
    from mfsweep.sweep.sweep import Sweep
    from mfsweep.train.predictor import load_model

__version__ = "0.1.0"
__all__ = ["Store", "Sweep", "__version__", "fit_transfer", "load_model", "load_spec"]

_PLACES = {
    "Store": ("mfsweep.sweep.store", "Store"),
    "Sweep": ("mfsweep.sweep.sweep", "Sweep"),
    "fit_transfer": ("mfsweep.analysis.fit_transfer", "fit_transfer"),
    "load_model": ("mfsweep.train.predictor", "load_model"),
    "load_spec": ("mfsweep.spec.load", "load"),
}
"""Public name -> module and name in it."""


def __getattr__(name: str) -> Any:
    """Import a public name (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
