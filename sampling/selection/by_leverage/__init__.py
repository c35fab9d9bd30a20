"""Selectors by the influence of a row on a linear fit: draws with weights, unbiased.

leverage   for squared losses            lewis   for |a x - b|^p, by iteration
"""
