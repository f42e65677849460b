"""Other users of this machine, for tests of what several share: processes of theirs, when the tests run as root."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GROUP, FIRST = 64000, 64001
STRANGERS = 64100
"""Group of those who do not share it."""
Ended = subprocess.CompletedProcess[str]


def can_be_others() -> bool:
    """Return whether processes of other users can be started."""
    return os.geteuid() == 0 and shutil.which("setpriv") is not None


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Give a folder that the group may write, with its group for all that is made in it."""
    with tempfile.TemporaryDirectory(prefix="mfsweep-shared-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shared = folder / "shared"
        shared.mkdir()
        os.chown(shared, 0, GROUP)
        shared.chmod(0o2775)
        for user in (FIRST, FIRST + 1):
            (folder / f"home-{user}").mkdir(mode=0o700)
            os.chown(folder / f"home-{user}", user, user)
        yield shared


def home_of(shared: Path, user: int) -> Path:
    """Return the home of one of the two users of a shared folder."""
    return shared.parent / f"home-{user}"


def python(code: str, *args: object, home: Path, user: int = FIRST, group: int = GROUP) -> Ended:
    """Run Python code as another user, with the umask of those who share."""
    command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", *_privileges()]
    environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "MPLCONFIGDIR")}
    environment |= {"HOME": str(home), "TMPDIR": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), *sys.path]))
    code = "import os; os.umask(0o002)\n" + code
    arguments = [*command, sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(
        arguments, env=environment, cwd=home, capture_output=True, text=True, timeout=600, check=False
    )


@functools.cache
def _privileges() -> tuple[str, ...]:
    """Return what lets other users reach the interpreter, which may lie in a folder of root's own.

    It lets them read all else, too: that files may be read is for their mode to show. What may be written it leaves.
    """
    as_other = ["setpriv", f"--reuid={FIRST}", f"--regid={GROUP}", "--clear-groups", "test", "-x", sys.executable]
    reached = subprocess.run(as_other, check=False).returncode == 0
    return () if reached else ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
