"""Selectors that read one number for each row; embeddings at most to spread a draw.

Keep by rank
    top, bottom      the highest or lowest scores; best at low prune rates, and by a difficulty
                     score worse than random selection at high ones
    window           the next below the hardest rows, which are often mislabelled
    quota            the highest of each group, with exact counts, or within a budget of tokens
    preference_gap   pairs by the gap between two scores
Cover the range of the score, for high prune rates
    stratified       the same number from each stratum
    ccs              as stratified, after the hardest rows are dropped
    beta             draws by score and confidence; favours easier rows at higher prune rates
Draw with probabilities
    gumbel           in proportion to exp(score), between top and random; no weights
    perplexity       medium perplexities of text; BERTIN's rules
    surrogate        by a power of the uncertainty of a surrogate model
    pivotal          given probabilities: exact size, least variance; weights
    systematic       cheaper than pivotal, without a variance estimate; weights
    poisson          each row independently, so the size varies; weights
"""
