"""Selectors that read one score for each row, and no embeddings.

top, bottom      the extremes; at low rates of pruning       window     a range of the ranking
ccs, stratified  cover the range of the score; keep accuracy at high rates
beta             draws that favour mean confidence           gumbel     draws by score
perplexity       BERTIN's rules for text                     quota      the best of each group
surrogate        draws by uncertainty, with weights          preference_gap  pairs by their gap
"""
