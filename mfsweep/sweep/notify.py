"""Tells somebody that a stage failed or a run ended: by a command or a web hook, and never at the run's expense.

A command is run by the shell, with what happened as JSON on its standard input and in short in MFSWEEP_EVENT and
MFSWEEP_TEXT. A web hook gets the same JSON by POST; its `text` is what chat services show.

Any part of a target may be a secret: the path of a web hook's address, an argument of a command. So a target that could
not be told is named by its scheme and host, or its first word, and the error by its kind alone.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from mfsweep.files import finite
from mfsweep.masking import masked

SECONDS = 30.0
"""For which a web hook or a command may take."""
LAST_SECONDS = 60.0
"""For which the end of a run waits for what is still to be told."""
_SCHEMES = ("http://", "https://")
_HOST = re.compile(r"[\w.:-]+")
_WORD = re.compile(r"[\w./~+-]+(?![\w./~+-]*[=:@])")
"""The first word of a command; none where it sets a variable, or is an address of some kind."""


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
            said = {"event": event, "text": masked(text), "time": time.time(), "began": self._began, **more}
            self._events.put(finite(said))

    def _tell_all(self) -> None:
        while (event := self._events.get()) is not None:
            for target in self._targets:
                try:
                    _tell(target, event)
                except Exception as error:  # noqa: BLE001 (whatever it is, the run goes on)
                    self._say(f"warning: --notify {_named(target)}: {_kind(error)}")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _is_address(target: str) -> bool:
    return target.strip().lower().startswith(_SCHEMES)


def _named(target: str) -> str:
    """Return what a target is called where everybody may read it."""
    if not _is_address(target):
        word = _WORD.match(target.strip())
        return word[0] if word else "a command"
    try:
        scheme, _, *rest = found = urlsplit(target.strip())
        host = found.hostname or ""
    except ValueError:
        return "a web hook"
    # Behind a password with marks of an address in it stands what looks like the rest of one.
    is_sure = _HOST.fullmatch(host) and not any("@" in part for part in rest)
    return f"{scheme}://{host}" if is_sure else "a web hook"


def _kind(error: Exception) -> str:
    """Return what went wrong, without the words of the error: they quote the target."""
    match error:
        case requests.HTTPError(response=requests.Response() as response):
            return f"HTTP status {response.status_code}"
        case subprocess.CalledProcessError(returncode=code):
            return f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
        case subprocess.TimeoutExpired() | requests.Timeout():
            return f"no answer within {SECONDS:.0f} s"
        case _:
            return type(error).__name__


def _tell(target: str, event: dict[str, Any]) -> None:
    if _is_address(target):
        requests.post(target.strip(), json=event, timeout=SECONDS).raise_for_status()
        return
    told = {"MFSWEEP_EVENT": event["event"], "MFSWEEP_TEXT": event["text"]}
    subprocess.run(  # noqa: S602 (the user's own command)
        target, shell=True, input=json.dumps(event), env=os.environ | told, text=True, timeout=SECONDS, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
