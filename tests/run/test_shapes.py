"""What fits side by side, against every way there is of laying it down."""

import math

from hypothesis import given
from hypothesis import strategies as st

from mfsweep.run.shapes import Limits, NodeKind, StageShape, fit, fit_within

each = st.sampled_from(
    [(("CPU", 1.0),), (("CPU", 3.0),), *((("CPU", 1.0), ("GPU", part)) for part in (0.25, 0.3, 0.5, 0.75, 1.0))]
)
shapes = st.builds(StageShape, st.integers(1, 2), each)
nodes = st.lists(
    st.fixed_dictionaries({"CPU": st.integers(0, 5).map(float), "GPU": st.integers(0, 2).map(float)}),
    min_size=1,
    max_size=2,
)


def lies_somewhere(nodes, workers):
    """Return whether there is any way to lay workers down: node by node, GPU by GPU."""
    if not workers:
        return True
    first, *rest = workers
    cpu, gpu = first.get("CPU", 0.0), first.get("GPU", 0.0)
    for place, (cpus, gpus) in enumerate(nodes):
        for index in range(len(gpus)) if gpu else [None]:
            if cpus < cpu or (index is not None and gpus[index] < gpu - 1e-9):
                continue
            left = tuple(own - gpu if at == index else own for at, own in enumerate(gpus))
            if lies_somewhere([*nodes[:place], (cpus - cpu, left), *nodes[place + 1 :]], rest):
                return True
    return False


def brute(nodes, stages):
    workers = [dict(shape.each) for shape, count in stages.items() for _ in range(count * shape.workers)]
    return lies_somewhere([(node["CPU"], (1.0,) * int(node["GPU"])) for node in nodes], workers)


@given(nodes, st.dictionaries(shapes, st.integers(1, 2), max_size=2))
def test_what_fits_can_be_laid_down(nodes, stages):
    if fit(nodes, stages):
        assert brute(nodes, stages)


@given(nodes, shapes, st.integers(0, 3))
def test_stages_of_one_shape_fit_if_there_is_any_way(nodes, shape, count):
    assert fit(nodes, {shape: count}) == brute(nodes, {shape: count})


@given(nodes, st.dictionaries(shapes, st.integers(1, 2), max_size=2), st.integers(0, 2))
def test_what_fits_on_nodes_that_may_be_started_fits_on_so_many_nodes(nodes, stages, most):
    limits = Limits(tuple(NodeKind(node, math.inf) for node in nodes), most)
    if fit_within(limits, stages):
        assert any(brute(list(chosen), stages) for chosen in ([a, b][:most] for a in nodes for b in nodes)), (
            "on some choice of nodes"
        )


def test_large_and_small_stages_share_nodes():
    large, small = StageShape(4, (("CPU", 1.0), ("GPU", 1.0))), StageShape(1, (("CPU", 1.0), ("GPU", 0.25)))
    node = {"CPU": 16.0, "GPU": 4.0}
    assert fit([node, node], {large: 1, small: 12})
    assert not fit([node, node], {large: 2, small: 1})
    assert fit([{**node, "GPU": 5.0}, node], {large: 2, small: 4}), "a part of a GPU lies beside others"
