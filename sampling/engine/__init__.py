"""Map a function over parts of the rows: the out-of-core engine of selection and clustering.

Callers provide the function for a part, and combine the results in the order of the parts. Where
the parts are processed, and how many at once, is decided by `use`.
"""

from ._local import Local
from ._over import Part as Part
from ._over import blocks, current, each, gathered, over, use

__all__ = ["Local", "blocks", "current", "each", "gathered", "over", "use"]
