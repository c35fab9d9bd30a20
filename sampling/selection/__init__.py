"""Coreset selection and data pruning: one function per method, with one signature.

    picked = ccs(scores, budget=0.3, seed=0)      # a Selection: indices, weights, rules
    picked.save("subset.parquet")

`methods()` lists them with their inputs and costs. `Options` are the keywords of every method.
Embeddings, scores and labels are array-likes, also lists of tensors. Tensors and arrays on a GPU
are copied to the host once, at the call, without gradients; bfloat16 and float8 become float32.
"""

from __future__ import annotations

from ..record import at_threshold
from ._bags import Bag, Bags, bags
from .by_cluster._cluster_sensitivity import cluster_sensitivity
from .by_cluster._cluster_uniform import cluster_uniform
from .by_cluster._d4 import d4
from .by_cluster._kmq import kmq, reweight_clusters
from .by_cluster._moderate import moderate
from .by_cluster._prototypes import prototypes
from .by_cluster._samplemix import samplemix
from .by_cluster._semdedup import semdedup
from .by_cluster._twins import Twin, nearest_kept, twins_of
from .by_coverage._d2 import d2
from .by_coverage._dpp import dpp
from .by_coverage._facility_location import facility_location
from .by_coverage._herding import herding
from .by_coverage._k_center import k_center
from .by_coverage._k_dpp import k_dpp
from .by_leverage._leverage import leverage
from .by_leverage._leverage_scores import leverage_scores
from .by_leverage._lewis import lewis
from .by_leverage._lewis_weights import lewis_weights
from .by_leverage._root_leverage import root_leverage
from .by_leverage._sensitivity_lp import sensitivity_lp
from .by_score._beta import beta
from .by_score._bottom import bottom
from .by_score._ccs import ccs
from .by_score._gumbel import gumbel
from .by_score._match_histogram import match_histogram
from .by_score._perplexity import perplexity
from .by_score._pivotal import pivotal
from .by_score._poisson import poisson
from .by_score._preference_gap import preference_gap
from .by_score._quota import quota
from .by_score._stratified import stratified
from .by_score._surrogate import surrogate
from .by_score._systematic import systematic
from .by_score._top import top
from .by_score._window import window
from .by_text._dedup_text import dedup_text
from .by_text._dsir import dsir_scores, kl_reduction
from .by_text._ngrams import NgramCounts
from .core._before import check_call, reads_embeddings
from .core._budget import count_of, share_out, water_fill
from .core._cost import Cost, Sizes
from .core._estimate import Estimate, estimate
from .core._inclusion import inclusion_probabilities
from .core._inputs import embeddings_of, scores_of
from .core._method import method
from .core._options import Options as Options
from .core._propagate import propagate
from .core._recall_quotas import quotas_from_recall
from .core._registry import METHODS as METHODS
from .core._registry import Method, methods
from .core._repeats import UniMax, repeat_counts, unimax
from .core._select import select
from .core._spatial_order import spatial_order
from .core._task import Picks, Task
from .pipeline._from_table import estimate_from, select_from
from .pipeline._notes import notes_of
from .pipeline._plan import SelectionPlan
from .pipeline._stage import Stage
from .pipeline._where_text import parse_where
from .pipeline._within import filter_from, rows_within

__all__ = [
    "Bag",
    "Bags",
    "Cost",
    "Estimate",
    "Method",
    "NgramCounts",
    "Picks",
    "SelectionPlan",
    "Sizes",
    "Stage",
    "Task",
    "Twin",
    "UniMax",
    "at_threshold",
    "bags",
    "beta",
    "bottom",
    "ccs",
    "check_call",
    "cluster_sensitivity",
    "cluster_uniform",
    "count_of",
    "d2",
    "d4",
    "dedup_text",
    "dpp",
    "dsir_scores",
    "embeddings_of",
    "estimate",
    "estimate_from",
    "facility_location",
    "filter_from",
    "gumbel",
    "herding",
    "inclusion_probabilities",
    "k_center",
    "k_dpp",
    "kl_reduction",
    "kmq",
    "leverage",
    "leverage_scores",
    "lewis",
    "lewis_weights",
    "match_histogram",
    "method",
    "methods",
    "moderate",
    "nearest_kept",
    "notes_of",
    "parse_where",
    "perplexity",
    "pivotal",
    "poisson",
    "preference_gap",
    "propagate",
    "prototypes",
    "quota",
    "quotas_from_recall",
    "reads_embeddings",
    "repeat_counts",
    "reweight_clusters",
    "root_leverage",
    "rows_within",
    "samplemix",
    "scores_of",
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
