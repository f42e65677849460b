from __future__ import annotations

import pytest
from architectures import SPECS

CASES = SPECS["allegro"]


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def architecture(request):
    return request.param
