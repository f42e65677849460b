"""A call rounds the same whatever calls the process has made before: else no training could be resumed bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys

from pydantic import TypeAdapter

from mfsweep.models.registry import Model

CALLS = 6
"""TorchScript runs the first two by another graph."""
SCRIPT = """
import hashlib, sys
import torch
from pydantic import TypeAdapter
from mfsweep.models.architecture import Shape
from mfsweep.models.registry import build
from mfsweep.models.registry import Model
from mfsweep.spec.stage import LossWeights
from mfsweep.train.bench import ELEMENTS, molecules
from mfsweep.train.loss import summed_loss
from mfsweep.train.tensors import Sender

torch.set_num_threads(1)
spec = TypeAdapter(Model).validate_json(sys.argv[1])
offsets = {"bench": dict.fromkeys(ELEMENTS, 0.0)}
model = build(spec, Shape(("bench",), ELEMENTS, 12.0), offsets, seed=0, dtype=torch.float32).train()
batch = Sender(ELEMENTS, torch.float32, torch.device("cpu")).labelled(molecules(3, spec.r_max, forces=True))
for _ in range(int(sys.argv[2])):
    model.zero_grad()
    prediction = model(batch.graph, "bench", forces=True)
    summed_loss(prediction, batch, LossWeights()).backward()
    found = [prediction.energy, prediction.forces, *(own.grad for own in model.parameters() if own.grad is not None)]
    print(hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in found)).hexdigest())
"""


def test_the_first_calls_of_a_process_round_as_the_later_ones_do(architecture):
    """Energies, forces, and the gradient of a loss on both."""
    spec = TypeAdapter(Model).dump_json(architecture).decode()
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, spec, str(CALLS)]
    done = subprocess.run(command, env=os.environ | paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    digests = done.stdout.split()
    assert len(digests) == CALLS
    assert len(set(digests)) == 1, digests
