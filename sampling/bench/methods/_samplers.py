"""The samplers of the package as methods: their help, and those without a builder of their own.

A sampler of `sampling.samplers` that no entry of the table runs becomes a method by itself, if its
constructor requires only what a run knows: see `INPUTS`. Batch samplers are none: a plan draws with
an `EpochSampler`, whose draws the training loop cuts into batches.
"""

from __future__ import annotations

import re

from ... import samplers
from ...samplers import EpochSampler
from ...samplers._registry import SAMPLERS
from ._method import TRAINED, Method
from ._own import call_of
from ._selectors import selectors

_BUDGET = {"keep", "budget", "num_samples"}  # parameters that limit the draws of an epoch


def help_of(sampler: str) -> str:
    """Return the line of help of a sampler by the name of its class: that of the registry."""
    entry = SAMPLERS[sampler]
    weight = "" if entry.weight == "1" else f"; loss weight {entry.weight}"
    return f"{entry.draws[:1].upper()}{entry.draws[1:]}{weight}"


def sampler_methods(methods: dict[str, Method]) -> dict[str, Method]:
    """Return name -> method of the samplers that none of `methods` runs, if a run can make them."""
    used = {method.sampler for method in methods.values()}
    found: dict[str, Method] = {}
    for sampler in SAMPLERS:
        if sampler in used:
            continue
        method = _method_of(sampler)
        if method is not None:
            name = _name_of(sampler)
            taken = name in methods or name in selectors()
            found[f"{name}-sampler" if taken else name] = method
    return found


def _method_of(sampler: str) -> Method | None:
    made = getattr(samplers, sampler)
    if not issubclass(made, EpochSampler):
        return None
    try:
        call = call_of(f"sampling.samplers.{sampler}", made)
    except ValueError:  # it requires what only a user knows, such as weights
        return None
    filled, needs = set(call.filled()), call.needs()
    return Method(
        help_of(sampler),
        call.plan,
        swept=bool(_BUDGET & filled),
        needs=needs,
        level=call.level(),
        scores=TRAINED in needs or "losses" in filled,
        sampler=sampler,
    )


def _name_of(sampler: str) -> str:
    """Return the name of a class as a method: "TwoWordsSampler" -> "two-words"."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", sampler.removesuffix("Sampler"))
    return "-".join(words).lower()
