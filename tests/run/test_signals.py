"""What asks a process to end ends it as Ctrl-C does."""

import signal

import pytest

from mfsweep.run.signals import ENDINGS, as_interrupts


@pytest.mark.parametrize("one", ENDINGS)
def test_it_arrives_as_an_interrupt_and_later_as_before(one):
    before = signal.signal(one, signal.SIG_DFL)  # it may be ignored here, as under nohup
    try:
        with pytest.raises(KeyboardInterrupt), as_interrupts():
            signal.raise_signal(one)
        assert signal.getsignal(one) is signal.SIG_DFL
    finally:
        signal.signal(one, before)


@pytest.mark.parametrize("one", ENDINGS)
def test_what_was_ignored_stays_ignored(one):
    before = signal.signal(one, signal.SIG_IGN)  # as nohup does
    try:
        with as_interrupts():
            signal.raise_signal(one)
    finally:
        signal.signal(one, before)
