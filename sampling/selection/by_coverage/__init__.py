"""Selectors that cover the space of the embeddings, greedily: each pick depends on those before.

k_center           minimizes the largest distance to a kept row: rare regions and outliers first
facility_location  maximizes the sum of similarities to kept rows: dense regions first, outliers
                   last; compares all pairs, so it costs more
graph_cut          similarity to all rows minus that among the kept rows; compares no pairs
herding            approximates the mean of all rows, and not their spread
dpp                maximizes the determinant of similarities: diversity weighed against quality
k_dpp              draws a set with probability proportional to the determinant
d2                 keeps hard rows, by a score, that are not redundant on a neighbour graph
"""
