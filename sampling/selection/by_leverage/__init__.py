"""Selectors by the influence of a row on a linear fit: draws with weights 1 / probability.

leverage        for squared losses; two passes
lewis           for losses |a x - b|^p: fewest rows, some tens of passes
root_leverage   for p < 2: nearly as few rows as lewis, in three cheap rounds
sensitivity_lp  for any p, one round, and more rows

For p = 2 all four draw by leverage. `leverage_scores` and `lewis_weights` are the scores alone.
"""
