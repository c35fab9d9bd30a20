"""Mixtures of several sources.

_mixture_sampler  the sampler; with an updater, its weights follow the losses of the sources
_allocation       from weights, temperatures and phases to the draws of each source
_table            the sources, and the draws of an epoch over them
_domain_losses    the mean loss of each source
_updater          the base of updaters: _odm, _doremi
"""
