"""A real server of S3's protocol on the loopback, and stages to put into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import fsspec
import numpy as np
import requests

from mfsweep.files import sha256, write_text
from mfsweep.metrics_file import append, line, pack
from mfsweep.records import BestCheckpoint, EvaluationRecord, Record
from mfsweep.store import StageFolder
from mfsweep.store.remote import objects

BUCKET = "lab"
KEYS = {"AWS_ACCESS_KEY_ID": "not-a-real-id", "AWS_SECRET_ACCESS_KEY": "not-a-real-secret"}
EVALUATION = {"labels": "cc", "subset": "t", "part": "test"}


@contextmanager
def storage() -> Iterator[str]:
    """Start a server with a bucket, and have this process and its children use it; give its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    variables = {"AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1", **KEYS}
    try:
        with patch.dict(os.environ, variables):
            forget_clients()
            requests.put(f"{address}/{BUCKET}", timeout=30).raise_for_status()
            yield address
    finally:
        forget_clients()
        server.stop()


def forget_clients() -> None:
    """Have the next call make a client anew, with the environment of then."""
    objects.file_system.cache_clear()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def train(folder: StageFolder, said: str = "weights", *, parent: str | None = None) -> StageFolder:
    """Write what a training of a stage leaves, and an evaluation of it; what is `said` tells two of them apart."""
    write_text(folder.training, "{}")
    write_text(folder.log, f"{said}\n")
    for name in ("selected.pt", "best.cc.pt"):
        write_text(folder.checkpoints / name, f"{name} {said}")
    append(folder.metrics, [line(step, {"train.loss": 0.5}, 1.7e9 + step) for step in (2, 4)])
    pack(folder.metrics)
    best = [
        BestCheckpoint(
            metric="validation.loss", step=4, value=0.5, file=f"checkpoints/{name}",
            sha256=sha256(folder.checkpoints / name),
        )
        for name in ("selected.pt", "best.cc.pt")
    ]  # fmt: skip
    folder.write_record(
        Record(
            key=folder.key,
            training={
                "seed": 0,
                "data": {"digest": "0", "splits": {"seed": 0}},
                "model": {"architecture": "mace"},
                "sets": [],
            },
            parent=parent, started=1.7e9, seconds=1, steps=4, stop_reason="max_steps", selected=best[0],
            heads={"cc": best[1]}, metrics={}, offsets={}, shares=[], parameters=9, workers=1, host=said, versions={},
        )
    )  # fmt: skip
    evaluate(folder, EVALUATION, said)
    return folder


def evaluate(folder: StageFolder, evaluation: dict[str, str], said: str = "weights") -> None:
    """Write an evaluation of a stage."""
    _, arrays = folder.evaluation_paths(evaluation)
    arrays.parent.mkdir(exist_ok=True)
    np.savez(arrays, energy_predicted=np.arange(len(said)))
    folder.write_evaluation(
        EvaluationRecord(
            name="test.cc", evaluation=evaluation, metrics={"energy_mae": float(len(said))}, offsets_only={},
            structures=4, predictions=arrays.name,
        )
    )  # fmt: skip


def begin(folder: StageFolder, step: int, said: str = "state") -> StageFolder:
    """Write what a training leaves that is cut short after a validation."""
    write_text(folder.last, f"{said} {step}")
    write_text(folder.metrics, "".join(line(one, {"train.loss": 0.5}, 1.7e9) + "\n" for one in range(1, step + 1)))
    write_text(folder.log, f"{said} {step}\n")
    return folder


def contents(folder: StageFolder) -> dict[str, bytes]:
    """Return the files of a stage that are shared, by their paths in its folder."""
    found = {str(path.relative_to(folder.path)): path for path in folder.path.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".")}
