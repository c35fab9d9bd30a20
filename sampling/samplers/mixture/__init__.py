"""Mixtures of several sources: weights, numbers of draws, and weights learned from losses."""
