"""Coreset selection and data pruning: one function per method, with one signature.

    picked = ccs(scores, budget=0.3, seed=0)      # a Selection: indices, weights, rules
    picked.save("subset.parquet")

`methods()` lists them with their inputs and costs. `Options` are the keywords of every method.
"""

from ._before import check_call, reads_embeddings
from ._beta import beta
from ._budget import count_of, share_out, water_fill
from ._cluster_sensitivity import cluster_sensitivity
from ._cost import Estimate, estimate
from ._d2 import d2
from ._d4 import d4
from ._directions import notes_of
from ._facility_location import facility_location
from ._from_table import select_from
from ._gumbel import gumbel
from ._herding import herding
from ._inclusion import inclusion_probabilities, pivotal, poisson, systematic
from ._k_center import k_center
from ._kmq import cluster_uniform, kmq, reweight_clusters
from ._leverage import leverage, leverage_scores
from ._lewis import lewis, lewis_weights, root_leverage, sensitivity_lp
from ._moderate import moderate
from ._options import Options as Options
from ._order import spatial_order
from ._perplexity import perplexity
from ._plan import Plan
from ._preference_gap import preference_gap
from ._propagate import propagate
from ._prototypes import prototypes
from ._quota import quota
from ._rank import bottom, top, window
from ._registry import METHODS as METHODS
from ._registry import Method, method, methods
from ._repeats import UniMax, repeat_counts, unimax
from ._rethreshold import at_threshold
from ._samplemix import samplemix
from ._semdedup import semdedup
from ._stage import Stage
from ._strata import ccs, stratified
from ._surrogate import surrogate
from ._task import Picks, Task, select
from ._twins import Twin, twins_of

__all__ = [
    "Estimate",
    "Method",
    "Picks",
    "Plan",
    "Stage",
    "Task",
    "Twin",
    "UniMax",
    "at_threshold",
    "beta",
    "bottom",
    "ccs",
    "check_call",
    "cluster_sensitivity",
    "cluster_uniform",
    "count_of",
    "d2",
    "d4",
    "estimate",
    "facility_location",
    "gumbel",
    "herding",
    "inclusion_probabilities",
    "k_center",
    "kmq",
    "leverage",
    "leverage_scores",
    "lewis",
    "lewis_weights",
    "method",
    "methods",
    "moderate",
    "notes_of",
    "perplexity",
    "pivotal",
    "poisson",
    "preference_gap",
    "propagate",
    "prototypes",
    "quota",
    "reads_embeddings",
    "repeat_counts",
    "reweight_clusters",
    "root_leverage",
    "samplemix",
    "select",
    "select_from",
    "semdedup",
    "sensitivity_lp",
    "share_out",
    "spatial_order",
    "stratified",
    "surrogate",
    "systematic",
    "top",
    "twins_of",
    "unimax",
    "water_fill",
    "window",
]
