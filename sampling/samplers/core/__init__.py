"""The base of every sampler: an epoch is a table of draws behind a keyed permutation.

_epoch_sampler   the base class: what a method provides, and how the parts below work together
_scored_sampler  the base of samplers that plan epochs from recorded losses
_options         the options of every sampler
_plan            the plan of an epoch: a draw table (_tables) behind a shuffle (_permutation)
_passes          a pass over a plan, as Python ints or batches (_cuts)
_position        where the run is
_batch           the samples and losses of a batch, checked once
_recorder        weighs and records them
_state           the light state that loaders save, and its checks
_groups          samples in groups, drawn by quota (_quotas)
_indexed         the dataset that returns the index of each sample (_fetch: one, or a batch)
_size            whether a sampler was made for a dataset
"""

from __future__ import annotations

from ._fetch import keeps_access, rows
from ._indexed import Collate, Indexed
from ._size import ONE_EACH, length_of, misfit, refuse_size

__all__ = [
    "ONE_EACH",
    "Collate",
    "Indexed",
    "keeps_access",
    "length_of",
    "misfit",
    "refuse_size",
    "rows",
]
