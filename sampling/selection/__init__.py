"""Coreset selection and data pruning: one function per method, with one signature.

    picked = ccs(scores, budget=0.3, seed=0)      # a Selection: indices, weights, rules
    picked.save("subset.parquet")

`methods()` lists them with their inputs and costs. `Options` are the keywords of every method.
Embeddings, scores and labels are array-likes, also lists of tensors. Tensors and arrays on a GPU
are copied to the host once, at the call, without gradients; bfloat16 and float8 become float32.

By a score
    top, bottom                 the highest scores, the lowest scores
    window                      the highest, after the very highest are dropped
    best_window                 the window on which a linear model learns best
    ccs                         evenly over strata, without the hardest
    stratified                  the same number from each stratum
    quota                       the highest of each group, with floors, caps and shares
    beta                        by score and mean confidence, with a Beta density
    gumbel                      at random, in proportion to exp(score / temperature)
    pivotal, systematic         exactly M at random, in proportion to the score
    poisson                     about M at random, each row independently
    match_histogram             at random, with the distribution of a target
    perplexity                  documents of medium perplexity
    preference_gap              preference pairs with the largest gap
    surrogate                   by the uncertainty of a small model

By clusters of embeddings
    semdedup                    without near-duplicates
    d4                          without near-duplicates, then far from the centers
    prototypes                  least, or most, similar to the center
    moderate                    at medium distance from the center of the class
    cluster_uniform             the same number from each cluster
    cluster_hierarchy           the same number from each branch of a tree of clusters
    cluster_sensitivity         by a bound on the loss, from one loss for each cluster
    kmq, reweight_clusters      by quality within clusters, whose shares follow their gains
    samplemix                   repeats by quality, and by diversity of the cluster

By coverage of embeddings
    k_center                    the smallest distance of any row to a kept one
    facility_location           the kept rows represent all rows
    graph_cut                   similar to all rows, and not to one another
    herding                     the mean of the kept rows is that of all
    d2                          hard rows that are not redundant, by a neighbour graph
    dpp, k_dpp                  diverse rows: greedily, or at random

By gradients of the losses
    grad_match                  a weighted sum of few is the sum of all
    glister                     a step on them reduces the loss of validation data

By leverage, for linear models
    leverage, leverage_scores   in proportion to the leverage
    lewis, lewis_weights        for losses |a x - b|^p
    root_leverage               in rounds, for p < 2
    sensitivity_lp              for losses |a x|^p

Of texts
    dedup_text                  without texts that share most of their n-grams
    dsir_scores                 importance of each text for a target corpus
    kl_reduction                how much nearer to the target a selection is
    NgramCounts                 counts of n-grams, to begin with

Repeats and weights
    repeat_counts               repeats in proportion to weights, with a limit
    unimax, UniMax              passes over sources, evenly, with a limit
    propagate                   weights of all rows from those of a core set
    quotas_from_recall          more of the classes that are recognised badly
    inclusion_probabilities     proportional to scores, at most 1, with a given sum
    bags, Bags, Bag             bootstrap samples, with the rows out of each

Copies, thresholds, order
    twins_of, Twin              dropped rows, each with its nearest kept row
    nearest_kept                kept rows that are most similar to a row
    at_threshold                the same selection at another threshold
    spatial_order               an order of the rows that keeps neighbours together

Tables on disk, plans
    select_from                 any method, on a table, or on rows that were kept before
    filter_from, parse_where    the rows that satisfy conditions
    rows_within                 the rows that a selection kept
    SelectionPlan, Stage        several stages, as a file
    check_call                  refuses wrong arguments before a row is read
    notes_of                    what was skipped, and why, for a report

Costs
    estimate, estimate_from     operations and memory of a method, before it runs
    Estimate, Cost, Sizes       the result, and what a cost function returns and is given
    methods, Method             all methods, and what is known of one
    reads_embeddings            whether a method does

A method of your own
    method                      registers it, for all of the above, plans and commands
    select                      runs its core with the `Options` of every method
    Task, Picks                 what a core is given, and returns
    embeddings_of, scores_of    arguments as arrays, with the rows that are bad
    count_of                    a budget as a number of rows
    share_out, water_fill       a budget over groups, in proportion or evenly
"""

# One algorithm per file, in a folder by what it reads; `core/` has what they share, `pipeline/` the
# stages, plans and tables.

from __future__ import annotations

from ..record import at_threshold
from ._bags import Bag, Bags, bags
from .by_cluster._cluster_hierarchy import cluster_hierarchy
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
from .by_coverage._graph_cut import graph_cut
from .by_coverage._herding import herding
from .by_coverage._k_center import k_center
from .by_coverage._k_dpp import k_dpp
from .by_gradient._glister import glister
from .by_gradient._grad_match import grad_match
from .by_leverage._leverage import leverage
from .by_leverage._leverage_scores import leverage_scores
from .by_leverage._lewis import lewis
from .by_leverage._lewis_weights import lewis_weights
from .by_leverage._root_leverage import root_leverage
from .by_leverage._sensitivity_lp import sensitivity_lp
from .by_score._best_window import best_window
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
    "best_window",
    "beta",
    "bottom",
    "ccs",
    "check_call",
    "cluster_hierarchy",
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
    "glister",
    "grad_match",
    "graph_cut",
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
