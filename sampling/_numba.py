"""Every compile setting of the package.

Cache       On. A fresh process reaches its first cached kernel in tens of milliseconds and pays
            seconds for a compile. numba writes each cache file under another name and renames it,
            so processes that start together find a whole file or none; where the package folder
            cannot be written it uses the user's cache folder. `NUMBA_CACHE_DIR` moves it. The
            crashes reported for shared caches (numba issues 4807 and 10128) are of `guvectorize`,
            which keeps two files for one function; nothing here uses it.
            A cache notices edits of its own file only: after editing a kernel that others call,
            delete `__pycache__`.
Parallel    Off. A parallel kernel in the parent makes numba's OpenMP layer kill any DataLoader
            worker that is forked later and calls another one.
fastmath    Off: it would let the compiler assume that there is no NaN, and NaN means "unseen".
Division    By numpy's rules (no exception branch in inner loops); no kernel divides by zero.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a serial kernel: arrays and scalars in, an `out` array filled, nothing checked."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(F, compiled)


def summing_kernel(function: F) -> F:
    """Compile a serial kernel whose float sums may be taken in any order, as those of BLAS are.

    NaN, infinity and the sign of zero are kept. The last digit may differ between processors.
    """
    flags = {"reassoc", "contract"}
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=flags)(
        function
    )
    return cast(F, compiled)
