"""One function over many parts of the rows: what selection and clustering do out of core.

Callers say what is done to a part, and put the results together in the order of the parts. They do
not know where a part is worked on, nor how many at once: `use` decides.
"""

from ._local import Local
from ._over import Part as Part
from ._over import blocks, current, each, gathered, over, use

__all__ = ["Local", "blocks", "current", "each", "gathered", "over", "use"]
