"""Selectors that read a clustering of the embeddings.

cluster_uniform, kmq  evenly from clusters, or by quality within them
cluster_sensitivity   by a bound on the loss, from losses at the centers
prototypes, moderate  by the distance to the center of a cluster, or of a class
samplemix             repeats of each row by quality and diversity
semdedup, d4          drop near copies within clusters
"""
