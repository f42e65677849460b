"""Errors that are told together: a user corrects a spec once, not once for each thing that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from mfsweep.errors import DataError, MissingDataError, SpecError


class Gathered:
    """Errors of a spec and of its data, each once, in the order of the spec's lines."""

    def __init__(self) -> None:
        self._found: dict[str, SpecError | DataError] = {}

    def __len__(self) -> int:
        return len(self._found)

    def errors(self) -> _Keeping:
        """Keep the error in which the body ends, if it does; what stands behind goes on."""
        return _Keeping(self)

    def add(self, error: SpecError | DataError) -> None:
        """Keep an error."""
        for one in error.several or (error,):
            assert isinstance(one, SpecError | DataError)
            self._found.setdefault(one.stem if isinstance(one, SpecError) else str(one), one)

    def tell(self) -> None:
        """Raise what there is, if there is anything.

        Raises:
            SpecError: the one error, or all of them.
            DataError: in its place, where all are of the data.
        """
        if self:
            raise self.together()

    def together(self) -> SpecError | DataError:
        """Return the one error, or one that stands for all of them, with a line for each."""
        found = sorted(self._found.values(), key=lambda error: error.line)
        if len(found) == 1:
            return found[0]
        text = "\n".join(map(str, found))
        together = (DataError if all(isinstance(one, DataError) for one in found) else SpecError)(text)
        together.line, together.several = found[0].line, tuple(found)
        return together


@contextmanager
def gathering(found: Gathered | None) -> Iterator[Gathered]:
    """Give `found` to the body; where there is none a new one, whose errors are raised behind the body."""
    own = Gathered() if found is None else found
    yield own
    if found is None:
        own.tell()


class _Keeping:
    """A context manager; a class, as there are several for each cell."""

    def __init__(self, found: Gathered) -> None:
        self._found = found

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        if isinstance(error, SpecError | DataError) and not isinstance(error, MissingDataError):
            self._found.add(error)
            return True
        return False
