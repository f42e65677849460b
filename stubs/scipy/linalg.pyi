import numpy as np
from numpy.typing import NDArray

def solve_triangular(a: NDArray[np.float64], b: NDArray[np.float64], *, lower: bool = False) -> NDArray[np.float64]: ...
