"""The one list of batch selectors and the memory of streams, for the table in the README.

A test compares its names with `sampling.batch_selection.__all__`.
"""

from __future__ import annotations

from .._entry import Entry, compared

_STATED: dict[str, Entry] = {
    "TopKLoss": Entry(
        "the rows of highest loss, of the batch or of each group",
        "Shrivastava 2016",
        "control",
    ),
    "SelectiveBackprop": Entry(
        "rows at random, more likely the higher their loss ranks",
        "Jiang 2019",
        "control",
    ),
    "RankedBatch": Entry(
        "the same, with a pressure that decreases over the run", "after Loshchilov 2016", "control"
    ),
    "RHOLoss": Entry(
        "noisy data: the highest loss minus irreducible loss", "Mindermann 2022", "recommended"
    ),
    "MultistageFilter": Entry(
        "finetuning: losses predicted from features, which saves forward passes", "Ouyang 2023"
    ),
    "EATAFilter": Entry(
        "unlabelled streams: reliable predictions that differ from those before", "Niu 2022"
    ),
    "ConfidenceFilter": Entry(
        "the same: predictions that adaptation has made no less confident", "after Lee 2023"
    ),
    "ClassBalancedMemory": Entry(
        "unlabelled streams: a few samples to adapt on, about equally many of each class",
        "Yu 2024; Yuan 2023",
    ),
}
SELECTORS = compared(_STATED)
