"""Modules that are loaded when something asks them for anything, in a small package made for it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import subprocess
import sys
import threading

import pytest

from mfsweep.imports import deferred, uncollected

PACKAGE = {
    "__init__": "VERSION = 3\nfrom .heavy import Heavy\nfrom .light import name\nfrom .heavy import train\nfrom .circular import heavy\n",
    "heavy": "loads = globals().get('loads', 0) + 1\nclass Heavy: pass\ndef train(): return 'trained'\n",
    "light": "name = 'light'\n",
    "train": "",
    "circular": "from . import heavy\nfrom . import VERSION\n",
    "plain": "import threading, time\ntime.sleep(0.05)\nthread = threading.get_ident()\nvalue = [1]\n",
}
NAME = "a_package_of_others"


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / NAME
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield NAME
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


@pytest.fixture
def whole(package):
    """Import the package, and a module in it, without loading it."""
    with deferred({package: {"name": f"{package}.light"}}):
        importlib.import_module(f"{package}.plain")
        return importlib.import_module(package)


def heavy_is_loaded():
    return f"{NAME}.heavy" in sys.modules


def test_what_is_known_and_what_lies_within_is_had_without_the_package(whole):
    assert importlib.import_module(NAME) is whole
    assert importlib.import_module(f"{NAME}.plain").value == [1]
    assert not heavy_is_loaded()
    assert whole.name == "light"


def test_a_module_that_asks_its_package_can_be_imported_first_later(whole):
    """As `mace.tools.train` asks `mace.tools` for what itself defines."""
    module = importlib.import_module(f"{NAME}.circular")
    assert (module.VERSION, whole.VERSION) == (3, 3)
    assert heavy_is_loaded()


def test_what_lies_within_a_package_of_which_nothing_is_known_comes_after_it(package):
    with deferred({package: {}}):
        whole = importlib.import_module(package)
    importlib.import_module(f"{package}.plain")
    assert heavy_is_loaded()
    assert whole.VERSION == 3


def test_who_looks_for_the_source_of_a_function_loads_nothing(whole):
    inspect.modulesbyfile.clear()
    inspect.getmodule(sys._getframe(), "no such file")  # looks at all modules; PyTorch does so in the middle of imports
    assert inspect.ismodule(whole)
    assert not inspect.isclass(whole)
    assert not heavy_is_loaded()


def test_a_load_that_fails_is_tried_again(package, tmp_path):
    path = tmp_path / package / "broken.py"
    path.write_text("raise ImportError('not yet')")
    with deferred({f"{package}.broken": {}}):
        module = importlib.import_module(f"{package}.broken")
    with pytest.raises(ImportError, match="not yet"):
        _ = module.value
    path.write_text("value = 'there'\n")
    assert module.value == "there"


def test_a_module_that_is_asked_of_its_package_is_not_loaded_either(package, tmp_path):
    (tmp_path / package / "broken.py").write_text("raise ImportError")
    found = {}
    with deferred({f"{package}.broken": {}}):
        exec(f"from {package} import broken", found)
    assert found["broken"] is sys.modules[f"{package}.broken"]
    with pytest.raises(ImportError):
        _ = found["broken"].value


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda package: package.VERSION, 3),
        (lambda package: package.Heavy.__name__, "Heavy"),
        (lambda package: package.plain.value, [1]),
        (lambda package: "Heavy" in dir(package), True),
        (lambda package: "VERSION" in vars(package), True),
        (lambda package: hasattr(package, "nothing"), False),
    ],
)
def test_whatever_else_is_asked_loads_it(whole, ask, answer):
    assert ask(whole) == answer
    assert heavy_is_loaded()
    assert type(whole) is type(sys)


def test_a_name_of_a_module_and_of_what_replaces_it_means_what_it_would(package):
    with deferred({package: {"name": f"{package}.light"}}):
        module = importlib.import_module(f"{package}.train")
        whole = importlib.import_module(package)
    assert sys.modules[f"{package}.train"] is module
    assert whole.train() == "trained"


def test_it_is_loaded_once_by_however_many_threads(package):
    with deferred({f"{package}.plain": {}}):
        module = importlib.import_module(f"{package}.plain")
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append((module.value, module.thread))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(value is module.value and ident == module.thread for value, ident in found)


def test_what_is_loaded_already_stays(package):
    module = importlib.import_module(package)
    with deferred({package: {}}):
        assert importlib.import_module(package) is module
    assert type(module) is type(sys)


def test_what_is_not_there_is_missing_as_ever():
    with deferred({"no_module_of_this_name": {}}), pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_module_of_this_name")


def test_a_training_loads_no_compiler_and_no_plots():
    program = """
import sys
import mfsweep.train.loop
from mfsweep.models.mace import Mace
Mace.potential()
print(*sorted(sys.modules))
import mfsweep.train.compiled  # what was left out can still be had
from mace.tools.train import take_step
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"torch", "mace.modules"} <= loaded
    assert not loaded & {"torchmetrics", "matplotlib", "scipy.stats", "torch._dynamo.eval_frame"}


@pytest.mark.parametrize("enabled", [True, False])
def test_no_garbage_is_collected_within_and_all_is_as_it_was_after(enabled):
    (gc.enable if enabled else gc.disable)()
    try:
        with contextlib.suppress(KeyError), uncollected():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
