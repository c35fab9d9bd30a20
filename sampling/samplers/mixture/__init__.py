"""Mixtures of several sources.

_mixture_sampler  the sampler; with an updater, its weights follow what is recorded of the sources
_allocation       from weights, temperatures and phases to the draws, or tokens, of each source
_table            the sources, and the draws of an epoch over them
_token_sequences  epochs counted in tokens
_domain_losses    the mean loss of each source; _evaluations: validation losses and other metrics
_updater          the base of updaters: _odm, _doremi, _skill_it, _aioli, _by_performance
_registry         the one list of updaters
_regression       mixtures fitted to small runs, before training
"""
