"""Samplers whose epochs follow from their arguments, seed and epoch alone.

Each draw of an epoch can be computed at any time, in any order:

_shuffle          every sample once            _class_balanced   classes in chosen shares
_subset           a fixed subset               _repeat_factor    rare labels repeated
_repeated_subset  a new subset in each round   _cluster_clip     clusters evenly, repeats limited
_weighted         in proportion to a weight    _sensitivity      by a bound on the loss
_curriculum       easy before hard
"""
