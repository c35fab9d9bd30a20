"""Map a function over parts of the rows: the out-of-core engine of selection and clustering.

Callers provide the function for a part, and combine the results in the order of the parts. Where
the parts are processed, and how many at once, is decided by `use`: threads of this process
(`Local`), tasks of a Ray cluster (`Ray`), or any object with a method `run` (`Engine`).
"""

from __future__ import annotations

from ._engine import Engine, facts
from ._local import Local
from ._over import Part as Part
from ._over import bad_rows, blocks, current, each, finite, gathered, over, steady, use
from ._ray import Ray, named

__all__ = [
    "Engine",
    "Local",
    "Ray",
    "bad_rows",
    "blocks",
    "current",
    "each",
    "facts",
    "finite",
    "gathered",
    "named",
    "over",
    "steady",
    "use",
]
