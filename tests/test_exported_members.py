"""What `import mfsweep` gives, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import mfsweep

PUBLIC = ["Store", "Sweep", "__version__", "fit_transfer", "load_model", "load_spec"]
METHODS = {
    "Sweep": [
        "bench",
        "best",
        "budget",
        "compare",
        "estimate",
        "frame",
        "plan",
        "report",
        "residuals",
        "results",
        "run",
        "status",
        "validate",
    ],
    "Store": [
        "best",
        "calculator",
        "contents",
        "export",
        "frame",
        "mend",
        "passport",
        "predictions",
        "prune",
        "pull",
        "push",
        "sweep_names",
        "usage",
        "validate",
        "verify",
    ],
}


def test_exported_members():
    assert sorted(mfsweep.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(mfsweep))
    with pytest.raises(AttributeError, match="no attribute 'sweep_of'"):
        _ = mfsweep.sweep_of


@pytest.mark.parametrize("name", METHODS)
def test_public_methods_are_there_and_typed(name):
    kind = getattr(mfsweep, name)
    for method in METHODS[name]:
        assert "return" in inspect.get_annotations(getattr(kind, method)), f"{name}.{method}"


def test_importing_mfsweep_and_naming_a_sweep_loads_no_heavy_library():
    program = (
        "import mfsweep, sys; mfsweep.Sweep('spec.yaml'); mfsweep.load_spec;"
        "print(*{'torch', 'ray', 'mlflow', 'optuna', 'mace', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not done.stdout.split()
