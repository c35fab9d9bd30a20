"""Draw tables, from which `table(epoch)` of a sampler chooses: the sample of each slot of an epoch.

Tables
    ShuffledTable       all samples, each once; or the first M of a sequence of shuffles
    ListTable           a list of samples, shuffled, or ordered as it is
    WeightedTable       in proportion to weights, evenly or independently
    KeptTable           a subset of the data, by one code for each sample

For draws that none of them describes
    DrawTable           the base class of all
    Cumulative          the sample at any point of a running sum of weights
"""

from __future__ import annotations

from .core._cumulative import Cumulative
from .core._tables import (
    DrawTable,
    KeptTable,
    ListTable,
    ShuffledTable,
    WeightedTable,
)

__all__ = [
    "Cumulative",
    "DrawTable",
    "KeptTable",
    "ListTable",
    "ShuffledTable",
    "WeightedTable",
]
