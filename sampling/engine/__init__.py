"""Map a function over parts of the rows: the out-of-core engine of selection and clustering.

    with engine.use(engine.Ray("auto")):
        found = kmeans(embeddings, 1000, seed=0)

Where the parts are processed, and how many at once, is decided by `use`; results are equal with
every engine. Callers provide the function for a part, and combine the results in the order of the
parts.

Engines
    use                 another engine, inside a block
    Local               threads of this process, the default
    Ray                 tasks of a Ray cluster
    Engine              an engine of your own: any object with a method `run`
    current, named      the engine in use; the engine of a name, as commands give it
    facts               CPU type and library versions, which a result depends on

Functions over rows
    over                a function over parts of the rows
    each                a function over items of any kind
    blocks              rows in blocks of about as many numbers each
    gathered            some of the rows
    finite, bad_rows    refuse rows that are not finite; find them
    steady              rows that the caller promises not to modify
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
