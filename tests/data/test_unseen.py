from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.check import check
from mfsweep.data.derived import donors
from mfsweep.data.unseen import require_unseen
from mfsweep.data.view import DataView, open_view
from mfsweep.data.view_source import ViewSource
from mfsweep.errors import DataError
from mfsweep.spec.data import Difference, Shuffled, Splits, Subset
from mfsweep.spec.stage import Evaluation, LabelledSet

TEST = Evaluation(labels="cc", subset="t")
DERIVED = {
    own.name: own
    for own in (Difference(target="cc", minus="xtb"), Difference(target="dft", minus="xtb"), Shuffled(shuffled="cc"))
}
SPLITS = Splits(
    a=Subset(size=120, validation=40, needs=("cc", "dft", "xtb")),
    b=Subset(size=100, validation=20, needs=("cc", "dft", "xtb")),
    t=Subset(size="rest", validation=20, needs=("cc", "dft", "xtb")),
)
ON_A = LabelledSet(labels="cc", subset="a", probability=1.0)


def _set(labels, subset="t", **fields) -> LabelledSet:
    return LabelledSet(labels=labels, subset=subset, probability=1.0, **fields)


@pytest.fixture(scope="module")
def derived(mini, resolved):
    return open_view({"": mini}, resolved(SPLITS, derived=DERIVED))


@pytest.fixture
def refused(make_training):
    def go(view, message, *sets, evaluation=TEST):
        trainings = [make_training(view, _set("dft", "b")), make_training(view, *sets)]
        with pytest.raises(DataError, match=message):
            check(view, trainings, [(trainings[0], evaluation)])

    return go


@pytest.mark.parametrize("labels", ["cc", "cc-xtb", "cc-shuffled"])
@pytest.mark.parametrize("cut", [{}, {"size": 3}, {"range": (10, 13)}])
def test_target_labels_of_test_structures_are_refused_in_any_set_of_any_stage(derived, refused, labels, cut):
    message = rf"the set \({labels}; t; .*\) brings {labels} labels of \d+ structures of 't' into a training, and cc is"
    refused(derived, message, _set(labels, **cut))


@pytest.mark.parametrize("labels", ["dft", "xtb", "dft-xtb"])
def test_auxiliary_labels_of_test_structures_are_not(derived, make_training, labels):
    training = make_training(derived, _set(labels))
    require_unseen(derived, [training], [(training, TEST.but(head=labels))])


@pytest.mark.parametrize(("labels", "allowed"), [("xtb", True), ("cc", False), ("cc-shuffled", False)])
def test_test_of_a_difference_holds_out_its_target(derived, refused, make_training, labels, allowed):
    evaluation = TEST.but(labels="cc-xtb")
    if allowed:
        training = make_training(derived, _set(labels))
        require_unseen(derived, [training], [(training, evaluation)])
    else:
        refused(derived, "and cc-xtb is tested on them", _set(labels), evaluation=evaluation)


def test_test_on_the_fit_set_of_its_own_offsets_is_refused(derived, make_training):
    on_b, on_a = make_training(derived, _set("cc", "b")), Evaluation(labels="cc", subset="a")
    message = "the training part of a, on which energy offsets are fitted, brings cc labels of 120 structures"
    with pytest.raises(DataError, match=message):
        check(derived, [on_b], [(on_b, on_a)])
    # zero-shot: no stage trains on the target, its offsets alone are taken
    zero = make_training(derived, _set("dft", "b"))
    with pytest.raises(DataError, match=message):
        check(derived, [zero], [(zero, on_a.but(head="dft", offsets="cc"))])


def test_leak_through_a_faulty_partition_is_refused(derived, refused, mini):
    faulty = DataView(ViewSource({"": mini}, derived.data.labels), derived.data)
    faulty.partition.validation["a"][-1] = faulty.partition.train["t"][0]
    refused(faulty, "the validation set of a brings cc labels of 1 structures", ON_A)


def test_leak_between_two_sources_is_refused(mini, resolved, make_training, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(mini.read_bytes())
    splits = SPLITS.but(t=Subset(size=50, validation=10, source="copy", needs=("cc",)))
    view = open_view({"mini": mini, "copy": copy}, resolved(splits))
    good, bad = make_training(view, ON_A), make_training(view, _set("cc", range=(49, 50)))
    require_unseen(view, [good], [(good, TEST)])
    with pytest.raises(DataError, match=r"brings cc labels of 1 structures of 't'.* of copy "):
        require_unseen(view, [good, bad], [(good, TEST)])
    assert set(view.structures.source[view.partition.train["t"]].tolist()) == {0}


def test_validation_and_training_errors_hold_nothing_out(derived, make_training):
    training = make_training(derived, ON_A)
    scores = [Evaluation(labels="cc", subset="a", part=part) for part in ("train", "validation")]
    require_unseen(derived, [training], [(training, score) for score in scores])
    assert len(np.intersect1d(derived.part(scores[0]), derived.training(ON_A)))


def test_leak_by_the_donor_of_a_shuffled_label_is_refused(mini, derived, refused):
    """The taker is no test structure, and the label that it gets is one's: a shuffle across parts."""
    faulty = DataView(ViewSource({"": mini}, derived.data.labels), derived.data)
    shuffled = faulty.derived["cc-shuffled"]
    takers, givers = donors(faulty.structures, shuffled)
    place = int(np.flatnonzero(np.isin(takers, faulty.partition.train["t"]) & (takers != givers))[0])
    # Give the taker to the training set, and leave its donor in the test.
    faulty.partition.train["b"] = np.append(faulty.partition.train["b"], takers[place])
    test = faulty.partition.train["t"]
    faulty.partition.train["t"] = test[test != takers[place]]
    refused(faulty, "brings cc-shuffled labels of 1 structures of 't'", _set("cc-shuffled", "b"))
