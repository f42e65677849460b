from __future__ import annotations

import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from mfsweep.cli.main import main
from mfsweep.errors import ResourceError
from mfsweep.models import overlay
from mfsweep.models.overlay import PINS, build, overlay_path, require


@pytest.fixture
def overlays(tmp_path, monkeypatch):
    monkeypatch.setenv(overlay.VARIABLE, str(tmp_path / "overlays"))
    return tmp_path / "overlays"


@pytest.fixture
def pip(monkeypatch):
    """Put a pip in place that writes one file; give what it was called with, and what it is to end with."""
    fake = SimpleNamespace(calls=[], code=0, said="", begun=lambda: None)

    def run(command, **_):
        fake.calls.append(command)
        fake.begun()
        target = Path(command[command.index("--target") + 1])
        target.mkdir()
        (target / "package.py").write_text(f"call = {len(fake.calls)}")
        return subprocess.CompletedProcess(command, fake.code, "", fake.said)

    monkeypatch.setattr(overlay.subprocess, "run", run)
    return fake


def test_it_is_built_once_from_the_pins_alone(overlays, pip):
    assert overlay_path("allegro") is None
    built = build("allegro")
    assert built == build("allegro") == require("allegro") == overlay_path("allegro") == overlays / "allegro"
    (command,) = pip.calls
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert "--no-deps" in command
    assert tuple(command[-len(PINS["allegro"]) :]) == PINS["allegro"]
    assert [path.name for path in overlays.iterdir() if not path.name.endswith(".lock")] == ["allegro"]


def test_other_pins_make_it_outdated_and_are_built_anew(overlays, pip, monkeypatch):
    build("allegro")
    monkeypatch.setitem(PINS, "allegro", ("nequip==99.0",))
    assert overlay_path("allegro") is None
    with pytest.raises(ResourceError, match=r"expected nequip==99.0 in .*, found nequip==0.*Run `mfsweep env allegro`"):
        require("allegro")
    assert (build("allegro") / "package.py").read_text() == "call = 2"
    assert require("allegro") == overlays / "allegro"


def test_a_missing_one_is_told_with_the_command_that_builds_it(overlays):
    with pytest.raises(
        ResourceError, match=r"found none\. Run `mfsweep env allegro` \(in a checkout: `make allegro`\)"
    ):
        require("allegro")


def test_an_architecture_of_the_environment_needs_none(overlays):
    assert require("mace") is None
    assert overlay_path("mace") is None


def test_a_failed_pip_is_one_line_and_leaves_nothing(overlays, pip, capsys):
    pip.code, pip.said = 1, "one\ntwo\nNo matching distribution found\n"
    with pytest.raises(SystemExit) as ended:
        main(["env", "allegro"])
    assert ended.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("mfsweep: pip could not install nequip==")
    assert said.endswith("(is a package index within reach?): one; two; No matching distribution found")
    assert overlay_path("allegro") is None
    assert not (overlays / "allegro").exists()


def test_a_failed_rebuild_keeps_the_old_one(overlays, pip, monkeypatch):
    build("allegro")
    monkeypatch.setitem(PINS, "allegro", ("nequip==99.0",))
    pip.code = 1
    with pytest.raises(ResourceError):
        build("allegro")
    assert (overlays / "allegro" / "package.py").read_text() == "call = 1"


def test_a_folder_that_cannot_be_written_is_told(overlays):
    overlays.write_text("a file")
    with pytest.raises(ResourceError, match="cannot be written"):
        build("allegro")


def test_the_second_of_two_builders_waits_and_finds_it_built(overlays, pip):
    second = threading.Thread(target=build, args=("allegro",))

    def begin_the_second():
        pip.begun = lambda: None
        second.start()
        second.join(0.2)
        assert second.is_alive()

    pip.begun = begin_the_second
    build("allegro")
    second.join()
    assert len(pip.calls) == 1


def test_no_overlay_shadows_what_the_environment_is_pinned_to():
    """All of an overlay but e3nn, which is why there is one, is absent from the environment."""
    root = Path(__file__).parents[2]
    pinned = {line.partition("==")[0] for line in (root / "constraints.txt").read_text().splitlines() if "==" in line}
    asked = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {pin.partition("==")[0] for pin in PINS["allegro"]}
    assert names & pinned == {"e3nn"}
    assert not any(dependency.startswith(tuple(names)) for dependency in asked)


def test_the_command_prints_where_it_is(overlays, pip, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["env", "allegro"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == [str(overlays / "allegro")]
