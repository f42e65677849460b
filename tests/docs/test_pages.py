"""What pages show beside commands: specs, error messages, links, and README's size."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from blocks import ROOT, Block, blocks
from command_line import calls, problem

from mfsweep import __version__
from mfsweep.cli.main import main
from mfsweep.prepare import prepare
from mfsweep.spec.load import load
from mfsweep.spec.yaml12 import parse

YAML = [block for block in blocks() if block.language in ("yaml", "yml")]
SPECS = {str(block): block.text for block in YAML if block.text.startswith("name:") and "\nstages:" in block.text}
SPECS |= {path.name: path.read_text() for path in ROOT.glob("docs/snippets/*.yaml") if path.name != "rayjob.yaml"}
RAY_JOBS = [block for block in YAML if block.text.startswith("apiVersion:")]
WRONG = (
    ("needs: [dft, xtb]", "nedes: [dft, xtb]"),
    ('size: "${pretrain_size}"', 'size: "${pretrain_sise}"'),
    ("finetune_size: [60, 240]", "finetune_size: [60, 2400]"),
)
"""What docs/snippets/mistakes.txt has changed in the quickstart."""


@pytest.mark.parametrize("block", YAML, ids=map(str, YAML))
def test_a_block_of_yaml_is_read(block: Block):
    assert yaml.safe_load(block.text) if block in RAY_JOBS else parse(block.text).tree


@pytest.mark.parametrize("text", SPECS.values(), ids=SPECS)
def test_a_whole_spec_is_right(text: str, tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    if "file:" in text:  # the model file is made for the group that runs it
        assert load(path).experiment.stages
    else:
        assert prepare(path, tmp_path / "store").graph.nodes


def test_the_mistakes_are_told_as_the_page_shows(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "search_spaces"
    folder.mkdir()
    text = (ROOT / "search_spaces" / "quickstart.yaml").read_text()
    for right, wrong in WRONG:
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    (folder / "quickstart.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["plan", "search_spaces/quickstart.yaml"])
    assert ended.value.code == 2
    shown = (ROOT / "docs" / "snippets" / "mistakes.txt").read_text().partition("\n")[2]
    assert capsys.readouterr().err == shown


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_what_a_page_links_to_is_there(name):
    text = (ROOT / name).read_text()
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_every_part_of_the_package_is_named_to_contributors():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    parts = {path.parent.name for path in ROOT.glob("mfsweep/*/__init__.py")}
    assert not {part for part in parts if f"`{part}/`" not in text}


def test_the_version_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert citation["version"] == newest[1] == __version__


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 1500


def test_the_job_of_kuberay_calls_the_command_line():
    (job,) = RAY_JOBS
    (words,) = calls(yaml.safe_load(job.text)["spec"]["entrypoint"])
    assert problem(words) is None


def test_scripts_of_the_pages_are_bash():
    for script in sorted((ROOT / "docs" / "snippets").glob("*.sh")):
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
