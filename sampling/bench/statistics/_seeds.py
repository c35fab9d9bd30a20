"""How many seeds a verdict needs: one number for the whole table, from the pilot's pooled variance.

A row's own three seeds estimate its variance with two degrees of freedom. Rows that look calm by
chance then get few seeds, and the tests of all rows reject at the wrong rate; the pooled variance
of a table has no such selection.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ... import _check
from ._distributions import chi_square_quantile, t_power
from ._moderated import Moderated

PILOT = 3  # seeds of each row before the number of seeds is known
FEWEST = 5
MOST = 20
POWER = 0.8
CONFIDENCE = 0.8  # of the upper limit of the pooled variance
_ENDLESS = 1_000_000


@dataclass(frozen=True)
class SeedPlan:
    """Number of seeds for all rows of a table.

    Attributes
    ----------
    seeds : int
        Seeds to run, between 5 and `max_seeds`.
    wanted : int
        Seeds that the power needs, without the limits.
    deviation : float
        Pooled standard deviation of the paired differences, of the most variable keep fraction.
    upper : float
        Its upper 80 % limit, which the number is computed for.
    level : float
        One-sided level of one row: that of the evaluation, divided by the number of rows.
    power : float
        Power at `seeds` and `upper`, at no true difference.
    reason : str
        Why the power is not reached, or empty.
    """

    seeds: int
    wanted: int
    deviation: float
    upper: float
    level: float
    power: float
    reason: str


def seeds_needed(
    deviation: float, margin: float, level: float, *, difference: float = 0.0, power: float = POWER
) -> int:
    """Return the seeds with which one row is decided with the given power.

    Parameters
    ----------
    deviation : float >= 0
        Standard deviation of the paired differences, in the unit of the margin.
    margin : float > 0
        Non-inferiority margin.
    level : float in (0, 0.5)
        One-sided level of this row.
    difference : float, default 0
        True mean difference. Above minus the margin the row is to be found non-inferior, below it
        inferior.
    power : float in (0, 1), default 0.8
        Probability of that.

    Returns
    -------
    int
        At least 5, by the noncentral t with one degree of freedom less than seeds: a row that is
        more variable than the others is tested with no more. At most 1,000,000, which stands for
        never.
    """
    deviation = _check.number("deviation", deviation, "[0, inf)")
    distance = abs(_check.number("difference", difference) + _check.number("margin", margin))
    level = _check.number("level", level, "(0, 0.5)")
    power = _check.number("power", power, "(0, 1)")
    if deviation == 0:
        return FEWEST
    return _needed(distance / deviation, level, power)


@functools.lru_cache(maxsize=4096)
def _needed(effect: float, level: float, power: float) -> int:
    low, high = FEWEST - 1, FEWEST
    while high < _ENDLESS and _power(high, effect, level) < power:
        low, high = high, 2 * high
    if high >= _ENDLESS:
        return _ENDLESS
    while high - low > 1:
        middle = (low + high) // 2
        if _power(middle, effect, level) < power:
            low = middle
        else:
            high = middle
    return high


def plan_seeds(
    pools: Sequence[Moderated], margin: float, rows: int, level: float, max_seeds: int = MOST
) -> SeedPlan:
    """Return one number of seeds for a table.

    Parameters
    ----------
    pools : sequence of Moderated
        The rows of each keep fraction. The one of the largest upper limit decides.
    margin : float > 0
        Non-inferiority margin.
    rows : int
        Rows of the table, over all keep fractions.
    level : float in (0, 0.5)
        One-sided familywise level of the evaluation at which the seeds are complete.
    max_seeds : int >= 5, default 20
        Most seeds.

    Returns
    -------
    SeedPlan
        With a reason if `max_seeds` does not reach a power of 0.8.

    Raises
    ------
    ValueError
        If no row has two seeds whose differences differ.
    """
    margin = _check.number("margin", margin, "(0, inf)")
    rows = _check.integer("rows", rows, 1)
    level = _check.number("level", level, "(0, 0.5)") / rows
    max_seeds = _check.integer("max_seeds", max_seeds, FEWEST)
    limits = [
        (_upper(float(each.pooled), float(each.pooled_df)), math.sqrt(float(each.pooled)))
        for each in pools
        if float(each.pooled_df) > 0
    ]
    if not limits:
        raise ValueError(
            "pools must hold a row with two seeds that differ, got none: the spread of the "
            "differences is unknown"
        )
    upper, deviation = max(limits)
    wanted = seeds_needed(upper, margin, level)
    seeds = min(max(wanted, FEWEST), max_seeds)
    power = _power(seeds, margin / upper, level)
    reason = ""
    if wanted > max_seeds:
        enough = _decidable(upper, seeds, level)
        count = f"{wanted:,}" if wanted < _ENDLESS else f"more than {_ENDLESS:,}"
        reason = (
            f"a power of {POWER:.2f} needs {count} seeds at a paired deviation of up to "
            f"{upper:.3g} and a margin of {margin:.3g}, more than {max_seeds}: with {seeds} seeds "
            f"the power is {power:.2f}, and a margin of {enough:.3g} could be decided"
        )
    return SeedPlan(seeds, wanted, deviation, upper, level, power, reason)


def _power(seeds: int, effect: float, level: float) -> float:
    if seeds > 2000:  # the noncentral t is normal, and its series slow
        from scipy.special import ndtr, ndtri

        return float(ndtr(effect * math.sqrt(seeds) + ndtri(level)))
    shift = effect * math.sqrt(seeds)
    if shift > 37:  # beyond the series
        return 1.0
    found = float(t_power(shift, seeds - PILOT, level))
    return found if np.isfinite(found) else 0.0


def _upper(variance: float, df: float) -> float:
    """Return the upper limit of the standard deviation, from a variance and what it is worth."""
    return math.sqrt(variance * df / float(chi_square_quantile(1 - CONFIDENCE, df)))


def _decidable(deviation: float, seeds: int, level: float) -> float:
    """Return the smallest effect, in units of the margin, that the seeds decide with the power."""
    low, high = 0.0, 64.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(seeds, middle, level) < POWER else (low, middle)
    return high * deviation
