from collections.abc import Callable

class RootResults:
    root: float

def root_scalar(f: Callable[[float], float], *, bracket: tuple[float, float]) -> RootResults: ...
