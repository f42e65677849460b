"""Tells somebody that a stage failed or a run ended: by a command or a web hook, and never at the run's expense.

A command is run by the shell, with what happened as JSON on its standard input and in short in MFSWEEP_EVENT and
MFSWEEP_TEXT. A web hook gets the same JSON by POST; its `text` is what chat services show.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import requests

from mfsweep.masking import masked

SECONDS = 30.0
"""For which a web hook or a command may take."""
LAST_SECONDS = 60.0
"""For which the end of a run waits for what is still to be told."""


class Notifier:
    """Tells each target of each event, in order, from a thread. Use as a context manager around the run.

    Args:
        targets: commands, and addresses that begin with http:// or https://.
        say: is told of a target that could not be.
    """

    def __init__(self, targets: Sequence[str], say: Callable[[str], object]) -> None:
        self._targets = targets
        self._say = say
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._tell_all, name="mfsweep-notify", daemon=True)
        self._began = time.time()

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell of the error that ends the run, if one does, and wait for a while until all is told."""
        if error is not None:
            self.tell("ended", f"the run broke off: {_first_line(str(error)) or type(error).__name__}")
        self._events.put(None)
        self._thread.join(LAST_SECONDS)

    def failed(self, sweep: str, stage: str, reason: str) -> None:
        """Tell that a stage has failed."""
        text = f"{sweep}: {stage} failed: {_first_line(reason)}"
        self.tell("failed", text, sweep=sweep, stage=stage)

    def tell(self, event: str, text: str, **more: Any) -> None:
        """Tell what happened; returns at once."""
        if self._targets:
            self._events.put({"event": event, "text": masked(text), "time": time.time(), "began": self._began, **more})

    def _tell_all(self) -> None:
        while (event := self._events.get()) is not None:
            for target in self._targets:
                try:
                    _tell(target, event)
                except Exception as error:  # noqa: BLE001 (whatever it is, the run goes on)
                    why = _first_line(str(error)) or type(error).__name__
                    self._say(masked(f"warning: --notify {target}: {why[:300]}"))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _tell(target: str, event: dict[str, Any]) -> None:
    if target.startswith(("http://", "https://")):
        requests.post(target, json=event, timeout=SECONDS).raise_for_status()
        return
    told = {"MFSWEEP_EVENT": event["event"], "MFSWEEP_TEXT": event["text"]}
    subprocess.run(  # noqa: S602 (the user's own command)
        target, shell=True, input=json.dumps(event), env=os.environ | told, text=True, timeout=SECONDS, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
