"""The batch script of `mfsweep launch --on slurm` under a real Slurm of one node; Ray alone is played."""

from __future__ import annotations

import os

import pytest
from clusters import until
from slurm import can_be_played, slurm

from mfsweep.sweep.launching import Launch, written

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not can_be_played(), reason="no Slurm here, or not root")]

RAY = """\
#!/bin/bash
printf '%s\\n' "$@" "store=$MFSWEEP_STORE" >> "{folder}/ray"
[ -e "{folder}/end" ] && exit
while [ "$1" != -- ]; do shift; done
shift
"$@"
"""
RUN = """\
#!/bin/bash
trap 'sleep 4; echo saved >> "{folder}/saved"; exit 130' TERM  # longer than Slurm's KillWait here
while :; do sleep 0.1; done
"""


def test_a_job_runs_the_spec_on_its_nodes_and_when_its_time_ends_it_saves_its_state_and_is_queued_again(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "activate").write_text(f'PATH="{tmp_path}/bin:$PATH"\n')
    for name, text in {"ray": RAY, "mfsweep": RUN}.items():
        (tmp_path / "bin" / name).write_text(text.format(folder=tmp_path))
        (tmp_path / "bin" / name).chmod(0o755)
    cpus = os.cpu_count()
    launch = Launch("x", ["/shared/my specs/a.yaml"], "/shared/store", 1, 0, cpus, environment=str(tmp_path))
    script = tmp_path / "job.sh"
    script.write_text(written("slurm", launch))
    asked = tmp_path / "ray"
    with slurm() as running:
        number = running.call("sbatch", "--parsable", f"--output={tmp_path}/out", script)
        until(asked.exists)
        words = asked.read_text().splitlines()
        assert words[:2] == ["symmetric-run", "--address"]
        assert words[2].endswith(":6379")
        assert words[3:10] == ["--min-nodes", "1", "--num-cpus", str(cpus), "--", "bash", "-c"]
        assert words[-5:] == [
            "RAY_ADDRESS=auto", "mfsweep", "run", "/shared/my specs/a.yaml", "store=/shared/store",
        ]  # fmt: skip
        assert running.job(number)["TimeLimit"] == "1-00:00:00"
        assert running.job(number)["Requeue"] == "1"
        # What Slurm sends five minutes before the end.
        running.call("scancel", "--batch", "--signal=USR1", number)
        until(lambda: running.job(number)["Restarts"] == "1")
        assert (tmp_path / "saved").read_text() == "saved\n", "before it was queued again"
        assert running.job(number)["JobState"] in ("PENDING", "COMPLETING")
        (tmp_path / "end").touch()
        # By itself it would begin in two minutes.
        until(lambda: running.job(number)["JobState"] == "PENDING")
        running.call("scontrol", "update", f"jobid={number}", "starttime=now")
        until(lambda: running.job(number)["JobState"] == "COMPLETED")
        assert asked.read_text().count("symmetric-run") == 2
