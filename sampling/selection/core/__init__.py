"""What every selector is made of.

_task         the common parts: budget, bad rows, groups, ties, the returned record
_budget       budgets in rows, exact apportionment        _spend       budgets in tokens or bytes
_quotas       rows to keep of each group                  _directions  directions of scores
_inputs       checks of scores and embeddings             _options     keywords of every selector
_registry     all selectors                               _cost        their time and memory
_clusters     clusters, given or computed                 _copies      near copies, and _recall
_inclusion    draws with given probabilities              _geometry    rows for geometric methods
"""
