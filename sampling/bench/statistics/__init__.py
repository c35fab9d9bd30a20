"""Statistics of the benchmark: verdicts about many paired comparisons, evaluated more than once.

Everything here is a function of numbers, and imports nothing else of the benchmark. Differences are
positive where a method is better than its reference.
"""

from __future__ import annotations

from ._examples import Components, NewExamples, components, new_examples, pseudo_values
from ._holm import adjusted, holm
from ._limit import Limit, LimitSearch, NextRun, find_limit, next_run
from ._margin import Margin, default_margin
from ._moderated import Moderated, all_equal, moderate, pool, prior
from ._seeds import SeedPlan, plan_seeds, seeds_needed
from ._spending import level_at, level_for_seeds
from ._verdicts import Evaluation, Row, Verdict, evaluate

__all__ = [
    "Components",
    "Evaluation",
    "Limit",
    "LimitSearch",
    "Margin",
    "Moderated",
    "NewExamples",
    "NextRun",
    "Row",
    "SeedPlan",
    "Verdict",
    "adjusted",
    "all_equal",
    "components",
    "default_margin",
    "evaluate",
    "find_limit",
    "holm",
    "level_at",
    "level_for_seeds",
    "moderate",
    "new_examples",
    "next_run",
    "plan_seeds",
    "pool",
    "prior",
    "pseudo_values",
    "seeds_needed",
]
