"""What asks a process to end ends it as Ctrl-C does."""

import signal

import pytest

from mfsweep.run.signals import ENDINGS, as_interrupts

ALL = (*ENDINGS, signal.SIGINT)


@pytest.fixture(autouse=True)
def handlers():
    """Begin with what a fresh process has, whatever ran in this one; leave what was there."""
    fresh = {**dict.fromkeys(ENDINGS, signal.SIG_DFL), signal.SIGINT: signal.default_int_handler}
    before = {one: signal.signal(one, handler) for one, handler in fresh.items()}
    yield fresh
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize("one", ENDINGS)
def test_it_arrives_as_an_interrupt(one):
    with pytest.raises(KeyboardInterrupt), as_interrupts():
        signal.raise_signal(one)


@pytest.mark.parametrize("one", ENDINGS)
def test_what_was_ignored_stays_ignored(one):
    signal.signal(one, signal.SIG_IGN)  # as nohup does
    with as_interrupts():
        signal.raise_signal(one)


@pytest.mark.parametrize("one", ALL)
def test_a_handler_that_is_left_behind_does_not_stay(one, handlers):
    with as_interrupts():
        signal.signal(one, lambda *_: None)  # as Tune does
    assert {each: signal.getsignal(each) for each in ALL} == handlers
