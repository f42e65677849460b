from __future__ import annotations

import pytest
import torch
from train.conftest import ranks, tiny, view  # noqa: F401 (fixtures; tests/ is on the path)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "gpu":
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def full_precision():
    """Leave no test's TF32 to the next."""
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)
