"""Samplers that plan each epoch from the losses recorded before it.

The pruning engine, `_pruning`, turns scores into groups, and groups into kept samples and their
weights; a method on it defines thresholds (`_thresholds`, `_natural_breaks`) and fractions. Methods
whose excluded samples need a forward pass build on `_hidden`. `_importance` prunes nothing: it
draws by the scores (`_signal`).
"""
