"""What this machine does in a second: a probe of about a second, for estimates of time.

Three kinds of work take almost all the time of the selectors: matrix products, steps over rows in
memory as a sort makes them, and passes over rows that are multiplied by one vector. The libraries'
settings, the cores and the load of the machine change each by its own factor, so each is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ... import _rng
from ...engine import Local, current

__all__ = ["TYPICAL", "Speeds", "measured", "speeds"]

_LONG = 20.0  # seconds of work from which on the probe takes less than a twentieth of them
_SHARE = 0.3  # seconds of each of the three


@dataclass(frozen=True)
class Speeds:
    """Operations per second.

    Attributes
    ----------
    products : float
        Multiplications (and additions) of float32 matrix products, on all cores of the engine.
    steps : float
        n log2(n) of a sort of n numbers with their positions, on one core.
    reads : float
        Bytes of float32 rows that are multiplied by a vector, on one core.
    """

    products: float
    steps: float
    reads: float


TYPICAL = Speeds(4e10, 3.3e8, 1.2e10)  # of two cores of a server
_FOUND: dict[int | None, Speeds] = {}


def speeds(seconds: float = 0.0, *, probe: bool = False) -> Speeds:
    """Return the speeds of this machine as far as known, else `TYPICAL`.

    seconds : of the work on a typical machine; work that takes long is worth the probe
    probe   : whether to measure in any case; once a process
    """
    engine = current()
    key = engine.num_threads if isinstance(engine, Local) else None
    if key not in _FOUND and (probe or seconds > _LONG):
        _FOUND[key] = measured()
    return _FOUND.get(key, TYPICAL)


def measured(clock: Callable[[], float] = time.perf_counter) -> Speeds:
    """Measure the speeds, in about a second.

    clock : seconds, of the wall or of this process

    The mean of a third of a second each, not the best: what else runs on the machine slows the work
    down as well.
    """
    words = _rng.values(np.uint64(0), np.arange(2**21, dtype=np.uint64))
    rows = (words.astype(np.float32) * np.float32(2.0**-64)).reshape(-1, 64)
    centers = np.ascontiguousarray(rows[:512].T)
    values, vector = rows.ravel()[: 2**17].astype(np.float64), centers[:, 0].copy()

    def products(some: object) -> None:
        np.matmul(rows[: 2**13], centers)

    def sort() -> None:
        values[np.argsort(values)]

    local = current() if isinstance(current(), Local) else Local()
    return Speeds(
        _rate(lambda: list(local.run(products, range(16))), 16 * 2**13 * 512 * 64, clock),
        _rate(sort, values.size * np.log2(values.size), clock),
        _rate(lambda: rows @ vector, rows.nbytes, clock),
    )


def _rate(work: Callable[[], object], size: float, clock: Callable[[], float]) -> float:
    """Return how much of `size` a second the work does; the first run is not counted."""
    work()
    began = clock()
    until, runs = began + _SHARE, 0
    while runs < 2 or clock() < until:
        work()
        runs += 1
    return size * runs / max(clock() - began, 1e-9)
