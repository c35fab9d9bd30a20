"""Selectors that read a clustering of the embeddings, given or computed by k-means.

Balance clusters
    cluster_uniform      the same number of random rows from each; weights restore the distribution
    kmq                  as many from each, drawn by a quality score
    samplemix            repeats of each row, by its quality and the diversity of its cluster
Rank within clusters
    prototypes           the rows far from, or near to, the center of their cluster
    moderate             the rows at a medium distance from the center of their class, not cluster
    cluster_sensitivity  draws by a bound of the loss, from the losses at the centers; weights
Drop near-duplicates
    semdedup             rows with a similar earlier row; misses copies across cluster boundaries,
                         and estimates how many; `twins_of` shows examples
    d4                   semdedup, then prototypes over the rows that remain
"""
