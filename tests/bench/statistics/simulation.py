"""The whole procedure on simulated tables, many at a time, with the functions that verdicts use.

Every table has R rows at one keep fraction. A row's difference from the reference in a seed is
`mean + own noise - noise of the reference`, so that rows are correlated. Three seeds are a pilot;
they set the number of seeds; evaluations follow at fractions of it.
"""

import numpy as np

from sampling.bench.statistics._distributions import chi_square_quantile
from sampling.bench.statistics._holm import holm
from sampling.bench.statistics._moderated import moderate
from sampling.bench.statistics._seeds import FEWEST, MOST, PILOT, _decidable
from sampling.bench.statistics._spending import level_at, level_for_seeds

MARGIN = 0.3


def tables(random, count, means, deviations, reference, seeds=MOST):
    """Paired differences (count, R, seeds); `deviations` (R,) of the methods' own noise."""
    shape = (count, len(means), seeds)
    noise = random.normal(0, 1, shape) * np.asarray(deviations)[:, None]
    noise -= random.normal(0, reference, (count, 1, seeds))
    return np.asarray(means)[:, None] + noise


def seeds_from_pilot(differences, level, max_seeds=MOST):
    """Seeds of each table: as `plan_seeds`, whose thresholds are the same for all tables."""
    pilot = moderate(differences[..., :PILOT])
    upper = np.sqrt(pilot.pooled * pilot.pooled_df / chi_square_quantile(0.2, pilot.pooled_df))
    effects = [_decidable(1.0, n, level) for n in range(FEWEST, max_seeds)]  # descending
    return FEWEST + (MARGIN / upper[:, None] < np.array(effects)).sum(1)


def decided(differences, fractions=(1.0,), planned=None, level=0.025):
    """(seeds (count,), non-inferior (count, R), inferior (count, R)) after all evaluations.

    fractions : of the seeds, at which evaluations are made; above 1, undecided tables are extended
    """
    rows = differences.shape[1]
    seeds = seeds_from_pilot(differences, level_for_seeds(1, planned, level) / rows)
    good = np.zeros(differences.shape[:2], bool)
    bad = np.zeros(differences.shape[:2], bool)
    for k, fraction in enumerate(fractions, 1):
        have = np.clip(np.ceil(fraction * seeds), PILOT + 1, differences.shape[2])
        shown = np.arange(differences.shape[2]) < have[:, None]
        found = moderate(np.where(shown[:, None], differences, np.nan), pilot=PILOT)
        spent = level_at(k, planned, level)
        good = holm(found.non_inferior(MARGIN), spent, good)
        bad = holm(found.inferior(MARGIN), spent, bad)
    return seeds, good, bad
