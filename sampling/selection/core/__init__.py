"""What every selector is made of.

_method       the decorator that registers a selector    _registry     all selectors
_select       the common parts: bad rows, groups, ties   _task         what a core gets and returns
_options      keywords of every selector                 _before       checks before the data exist
_inputs       checks of scores and embeddings            _order        orders of rows by their keys
_budget       budgets in rows, exact apportionment       _spend        budgets in tokens or bytes
_quotas       rows to keep of each group                 _directions   directions of scores
_cost         the cost of a method, a function           _estimate     time and memory from it
_clusters     clusters, given or computed                _inclusion    draws with probabilities
_whiten       whitened rows                              _memory       "4GiB"
_exact        arguments as JSON values

Tools next to selectors: _propagate, _repeats, _spatial_order.
"""
