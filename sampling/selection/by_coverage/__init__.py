"""Selectors that cover the space of the embeddings; greedy, each pick depends on those before.

k_center            the largest distance to a kept row is small; sensitive to outliers
facility_location   the sum of similarities to kept rows is large; robust, and dearer
herding             the mean of the kept rows is the mean of all
d2                  difficulty passed on a neighbour graph: hard rows that differ
"""
