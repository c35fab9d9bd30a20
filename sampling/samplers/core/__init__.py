"""The base of every sampler: an epoch is a table of draws behind a keyed permutation.

_epoch_sampler  the base class: what a method provides, and the order, ranks and length of an epoch
_options        the options of every sampler
_plan           the plan of an epoch: a draw table (_tables) behind a shuffle (_permutation)
_passes         a pass over a plan, as Python ints or batches (_cuts), and its position
_objective      loss weights, and what is recorded
_state          the light state that loaders save, and its checks
_groups         samples in groups, drawn by quota (_quotas)
_indexed        the dataset that returns the index of each sample
"""

from ._indexed import Indexed

__all__ = ["Indexed"]
