"""The files that start a run on Slurm, KubeRay and AWS: what they say, in the terms of those who read them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from command_line import calls, problem

from mfsweep.cli.main import main
from mfsweep.sweep.launching import INSTANCES, Launch, written

ROOT = Path(__file__).parents[2]
SPECS = ("/shared/specs/first.yaml",)
STORE = "/shared/mfsweep-store"
SHOWN = {
    "docs/snippets/slurm.sh": ("slurm", Launch("mfsweep", SPECS, STORE, nodes=2, gpus=4, cpus=32)),
    "docs/snippets/rayjob.yaml": (
        "kuberay", Launch("mfsweep", SPECS, STORE, nodes=4, gpus=4, cpus=48, options=("--gpus-per-worker", "1")),
    ),
    "cluster.yaml": ("aws", Launch("mfsweep", (), STORE, nodes=4, gpus=4, cpus=48)),
}  # fmt: skip
ODD = ("/shared/my specs/it's $HOME.yaml",)
SHAPES = [(2, 0, 32, False), (1, 1, 16, True), (3, 8, 192, True)]


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Give a function that calls the command line in a folder of its own; it returns the exit code and the output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MFSWEEP_STORE", raising=False)

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            main(["launch", *map(str, words)])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return call


@pytest.mark.parametrize("path", SHOWN)
def test_what_the_docs_show_is_what_the_command_writes(path):
    where, launch = SHOWN[path]
    assert (ROOT / path).read_text() == written(where, launch)


def launches(**more):
    return [
        Launch("odd_name.2", ODD, "/shared/a store", nodes, gpus, cpus, spot=spot, **more)
        for nodes, gpus, cpus, spot in SHAPES
    ]


@pytest.mark.parametrize("launch", launches(), ids=str)
def test_a_batch_script_is_bash_and_runs_the_spec_of_any_name(launch, tmp_path):
    """The commands of Slurm and Ray are played: each writes its words into a file."""
    home = tmp_path / "env with spaces"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "activate").write_text("")
    played = tmp_path / "played"
    played.mkdir()
    for name in ("srun", "scontrol"):
        tool = played / name
        tool.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" "store=$MFSWEEP_STORE" >> "{tmp_path}/{name}"\necho node1\n')
        tool.chmod(0o755)
    script = tmp_path / "job.sh"
    script.write_text(
        written(
            "slurm",
            launches(environment=str(home))[SHAPES.index((launch.nodes, launch.gpus, launch.cpus, launch.spot))],
        )
    )
    environment = {
        "PATH": f"{played}:/usr/bin:/bin", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "32", "SLURM_JOB_ID": "7", "HOME": "/nowhere",
    }  # fmt: skip
    done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    words = (tmp_path / "srun").read_text().splitlines()
    assert words[:5] == ["ray", "symmetric-run", "--address", "node1:6379", "--min-nodes"]
    assert words[-5:] == ["RAY_ADDRESS=auto", "mfsweep", "run", ODD[0], "store=/shared/a store"]
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", script.read_text(), re.MULTILINE))
    assert asked.get("gpus-per-node") == (str(launch.gpus) if launch.gpus else None)
    assert (asked["nodes"], asked["cpus-per-task"], asked["time"]) == (
        str(launch.nodes),
        str(launch.cpus),
        "1-00:00:00",
    )
    assert "requeue" in asked


def test_a_batch_job_queues_itself_again_at_its_time_limit(tmp_path):
    """Slurm's signal before the end: the job asks to be queued again while its step still runs."""
    for name, text in (("srun", "exec sleep 60"), ("scontrol", f'echo "$@" >> "{tmp_path}/asked"; echo node1')):
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "activate").write_text("")
    script = tmp_path / "job.sh"
    script.write_text(written("slurm", Launch("x", SPECS, STORE, 1, 0, 4, environment=str(tmp_path))))
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_NODELIST": "n", "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_PER_TASK": "4", "SLURM_JOB_ID": "7",
    }  # fmt: skip
    # As a batch step's shell would be told, once its step is under way.
    tell = f'bash "{script}" & job=$!; while ! pgrep -P $job sleep > /dev/null; do sleep 0.1; done; kill -USR1 $job; wait $job'
    done = subprocess.run(["bash", "-c", f"{tell}; code=$?; exit $code"], env=environment, timeout=60, check=False)
    assert done.returncode > 128
    assert (tmp_path / "asked").read_text().splitlines()[-1] == "requeue 7"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("slurm", "export MFSWEEP_CACHE=/shared/mfsweep/mfsweep-cache "),
        ("kuberay", "MFSWEEP_CACHE: /shared/mfsweep-cache}"),
        ("aws", "--env MFSWEEP_CACHE=/shared/mfsweep-cache\n"),
    ],
)
def test_of_a_store_in_object_storage_all_nodes_see_the_working_copy(where, said):
    launch = Launch("x", SPECS, "s3://lab/stores/methane", nodes=2, gpus=4, cpus=48)
    assert said in written(where, launch)
    assert "MFSWEEP_CACHE" not in written(where, replace(launch, store=STORE))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck on this machine")
def test_shellcheck_has_nothing_to_say(tmp_path):
    for number, launch in enumerate([SHOWN["docs/snippets/slurm.sh"][1], *launches()]):
        script = tmp_path / f"{number}.sh"
        script.write_text(written("slurm", launch))
        found = subprocess.run(
            ["shellcheck", "--severity=warning", script], capture_output=True, text=True, check=False
        )
        assert found.stdout == ""


@pytest.mark.parametrize("launch", [SHOWN["docs/snippets/rayjob.yaml"][1], *launches()], ids=str)
def test_a_job_of_kuberay_fits_its_published_schema(launch):
    job = yaml.safe_load(written("kuberay", launch))
    schema = json.loads((Path(__file__).parent / "rayjob_schema.json").read_text())
    jsonschema.validate(job, schema)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", job["metadata"]["name"]), "a name of Kubernetes"
    assert shlex.split(job["spec"]["entrypoint"])[:3] == ["mfsweep", "run", launch.specs[0]]
    (words,) = calls(job["spec"]["entrypoint"])
    assert problem(words) is None
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert group["maxReplicas"] == launch.nodes
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits.get("nvidia.com/gpu") == (launch.gpus or None)


def test_the_schema_would_see_a_wrong_name():
    job = yaml.safe_load(written("kuberay", SHOWN["docs/snippets/rayjob.yaml"][1]))
    schema = json.loads((Path(__file__).parent / "rayjob_schema.json").read_text())
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(job, schema)


@pytest.mark.parametrize("launch", launches(), ids=str)
def test_a_cluster_on_aws_fits_rays_schema(launch):
    import ray.autoscaler
    from ray.autoscaler._private import util

    config = yaml.safe_load(written("aws", launch))
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    util.validate_config(util.prepare_config(config))
    (worker,) = [kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]]
    assert worker["resources"] == {"CPU": launch.cpus, "GPU": launch.gpus}
    assert worker["max_workers"] == config["max_workers"] == launch.nodes
    assert worker["node_config"]["InstanceType"] == INSTANCES[launch.gpus][0]
    assert ("InstanceMarketOptions" in worker["node_config"]) is launch.spot


def test_nodes_are_as_large_and_as_many_as_the_stages_need(command, write_spec, tmp_path):
    spec = write_spec()  # four stages without a parent: two pre-trainings, two direct trainings
    code, said = command("--on", "slurm", spec, "--store", STORE, "--workers", "4", "--gpus-per-worker", "1")
    assert code == 0, said
    assert said.splitlines() == [
        "Written: mfsweep-small.sh. Look at it, and start it with",
        "  sbatch mfsweep-small.sh",
    ]
    text = (tmp_path / "mfsweep-small.sh").read_text()
    assert "#SBATCH --nodes=4\n" in text
    assert "#SBATCH --gpus-per-node=4\n" in text
    assert f"mfsweep run {spec} --workers 4 --gpus-per-worker 1.0 &" in text
    code, text = command("--on", "kuberay", spec, "--store", STORE, "--out", "-")
    assert code == 0
    assert yaml.safe_load(text)["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"] == 1
    code, said = command("--on", "aws", spec, "--store", STORE, "--workers", "2", "--gpus-per-worker", "1", "--spot")
    assert code == 0
    assert "--detach --address http://localhost:8265" in said


def test_nodes_hold_the_largest_stage(command, write_spec):
    own = ("    start_from: pretrain\n", "    start_from: pretrain\n    resources: {workers: 4, gpus_per_worker: 1}\n")
    code, text = command("--on", "slurm", write_spec(own), "--store", STORE, "--out", "-", "--gpus-per-node", "2")
    assert code == 0, text
    assert "#SBATCH --nodes=4\n" in text, "two direct trainings, of four GPUs each, go at once beside two pre-trainings"
    code, said = command("--on", "slurm", write_spec(own), "--store", STORE, "--out", "-", "--gpus-per-node", "0")
    assert code == 2
    assert "a worker needs 1 GPU and 1 CPUs (resources), and a node has 0 GPUs" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--on", "slurm", "--store", "store"],
            "--store store: expected an absolute path on the cluster's shared storage",
        ),
        (
            ["--on", "aws", "--store", STORE, "--gpus-per-node", "3"],
            "--gpus-per-node 3: on AWS expected one of 0, 1, 4, 8",
        ),
        (
            ["--on", "slurm", "--store", STORE, "--gpus-per-node", "0", "--gpus-per-worker", "1"],
            "a worker needs 1 GPU and 1 CPUs (resources), and a node has 0 GPUs",
        ),
        (["--on", "lsf", "--store", STORE], "'lsf' is not one of"),
    ],
)
def test_what_cannot_be_served_is_said(command, write_spec, words, said):
    code, printed = command(write_spec(), *words)
    assert code == 2
    assert said in printed
