"""Stages of several shapes in one sweep: none waits for ever, and what one cannot use is used."""

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.run import dispatch
from mfsweep.run.dispatch import Dispatch
from mfsweep.run.shapes import StageShape, fit

LARGE = StageShape(4, (("CPU", 1.0), ("GPU", 1.0)))
WHOLE = StageShape(1, (("CPU", 1.0), ("GPU", 1.0)))
QUARTER = StageShape(1, (("CPU", 1.0), ("GPU", 0.25)))
ON_CPUS = StageShape(1, (("CPU", 1.0),))


class Nodes:
    """Room on some nodes."""

    patience = 60.0

    def __init__(self, *nodes):
        self.nodes = nodes

    def admits(self, shape, out, _):
        return fit(self.nodes, {**out, shape: out.get(shape, 0) + 1})

    def serves(self, shape):
        return fit(self.nodes, {shape: 1})

    def has_turn(self, *_):
        return True

    def tell(self, *_):
        pass


def gpus(number, cpus=64.0):
    return {"CPU": cpus, "GPU": float(number)}


def made(stages, room, seconds=lambda _: 1.0):
    """Return the dispatch of stages (key -> shape), all of them ready."""
    found = Dispatch(stages.__getitem__, room)
    found.rank(stages, {key: [] for key in stages}, seconds)
    for key in stages:
        found.put(key)
    return found


def taken(found):
    """Return what goes now."""
    keys = []
    while (key := found.take()) is not None:
        keys.append(key)
    return keys


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([LARGE, WHOLE, WHOLE, QUARTER, ON_CPUS]), min_size=12, max_size=40),
    st.lists(st.integers(1, 6).map(gpus), min_size=1, max_size=2),
    st.randoms(),
)
def test_none_waits_for_what_came_after_its_turn(shapes, nodes, random):
    room = Nodes(*nodes)
    stages = {str(number): shape for number, shape in enumerate(shapes)}
    later = random.sample(sorted(stages), len(stages) // 2)
    found = Dispatch(stages.__getitem__, room)
    found.rank(stages, {key: [] for key in stages}, lambda _: 1.0)
    ready = {key for key in stages if key not in later}
    for key in ready:
        found.put(key)
    out, ended, turn = [], 0, None
    while ready or out or later:
        while (key := found.take()) is not None:
            assert key in ready, "each goes once, and when it can"
            if turn is not None:
                shape, before = turn
                assert stages[key] == shape or before & set(out), "what was out at its turn has ended: it goes"
                turn = None if stages[key] == shape else turn
            ready.discard(key)
            out.append(key)
            held = {shape: sum(stages[own] == shape for own in out) for shape in set(map(stages.get, out))}
            assert len(out) == 1 or fit(nodes, held), "what is out fits side by side"
            first = min(ready, key=int, default=None)
            if turn is None and first is not None and not room.admits(stages[first], held, 0):
                turn = (stages[first], set(out)) if room.serves(stages[first]) else None
        assert out or later, "where nothing is out, something goes"
        if later and (not out or random.random() < 0.3):
            ready.add(later[-1])
            found.put(later.pop())
        else:
            key = out.pop(random.randrange(len(out)) if random.random() < 0.2 else 0)  # mostly the oldest
            found.end(key)
            ended += 1
    assert ended == len(stages)


def test_a_large_stage_gets_its_place_between_small_ones_that_use_what_it_leaves():
    stages = {str(number): WHOLE for number in range(20)} | {"large": LARGE}
    found = made(stages, Nodes(gpus(8)), lambda key: 2.0 if key in set("012345") | {"large"} else 1.0)
    early = taken(found)
    assert early == ["0", "1", "2", "3", "4", "5", "6", "7"], "it comes after six that are as long, and does not fit"
    gone = []
    while "large" not in gone:
        found.end(early.pop())
        gone += taken(found)
    assert gone == ["8", "9", "10", "11", "large"], "the four GPUs that it leaves are kept busy meanwhile"


def test_what_a_large_stage_cannot_use_goes_on():
    stages = {"0": WHOLE, "large": LARGE, "1": WHOLE, "2": ON_CPUS, "3": ON_CPUS}
    assert taken(made(stages, Nodes(gpus(4)))) == ["0", "2", "3"]
    assert taken(made({"big": StageShape(1, (("CPU", 8.0),)), "1": ON_CPUS}, Nodes({"CPU": 4.0}, {"CPU": 4.0}))) == [
        "1"
    ]


def test_with_nothing_out_a_stage_waits_for_the_nodes_that_it_lacks():
    assert taken(made({"0": LARGE, "1": LARGE}, Nodes(gpus(2)))) == ["0"]


class Uncounted(Nodes):
    """Room of which only the number of stages is known."""

    def admits(self, _, out, begun):
        return sum(out.values()) < begun + 2

    def serves(self, _):
        return True


def test_a_stage_that_others_overtake_is_waited_for(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(dispatch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    found = made({"large": LARGE} | dict.fromkeys("abcdef", WHOLE), Uncounted())
    assert taken(found) == ["large", "a"]
    found.begin("a")
    assert taken(found) == ["b"]
    now[0] = 59.0
    found.begin("b")
    assert taken(found) == ["c"], "it may still be starting"
    now[0] = 61.0
    found.begin("c")
    assert taken(found) == []
    found.end("a")
    assert taken(found) == []
    found.begin("large")
    assert taken(found) != []


def test_a_stage_that_waits_in_vain_does_not_hold_the_others_for_ever(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(dispatch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    found = made({"large": LARGE} | dict.fromkeys("abcd", WHOLE), Uncounted())
    assert taken(found) == ["large", "a"]
    found.begin("a")
    now[0] = 61.0
    assert taken(found) == ["b"], "nothing that came later has its workers"
    found.begin("b")
    now[0] = 62.0
    assert taken(found) == []
    found.end("a")
    found.end("b")
    assert taken(found) == ["c"]
