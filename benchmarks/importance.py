"""Importance sampling and the variance budget: what new probabilities cost; rows of `speed.py`.

Probabilities change in `set_epoch` only, so a plan is the price of fresher ones: shorter epochs pay
it more often. The aim is half a second for 10^7 samples.
"""

from collections.abc import Callable

from harness import Row, in_turn, seconds, shrunk


def exponential(size: int):  # noqa: ANN201  # an array, without importing numpy up here
    """Return losses of all samples, float32 (N,)."""
    import numpy as np

    return np.random.default_rng(0).exponential(size=size).astype(np.float32)


def replanned(sampler: object, size: int) -> Callable[[], object]:
    """Return what plans the next epoch of a sampler that has seen every loss."""
    import numpy as np

    sampler.record(np.arange(size), exponential(size))  # type: ignore[attr-defined]
    epochs = iter(range(1, 800))
    return lambda: sampler.set_epoch(next(epochs))  # type: ignore[attr-defined]


def importance_plan(rate: float, runs: int) -> Row:
    """Turn the scores of 10^7 samples into probabilities, ready to draw from."""
    import numpy as np
    import torch

    from sampling.kernels import _draw, _probabilities
    from sampling.samplers import ImportanceSampler

    size = shrunk(10**7)
    scores = exponential(size)
    sampler = ImportanceSampler(size)

    def drawn_at_once() -> list[int]:
        shares = 0.8 * scores / scores.sum(dtype=np.float64) + 0.2 / size
        draws: list[int] = torch.multinomial(torch.from_numpy(shares), size, True).tolist()
        return draws

    ours, peer = in_turn(replanned(sampler, size), drawn_at_once, runs)
    shares, guide = np.empty(size), np.empty(size // 2 + 1, np.int32)
    sums = np.cumsum(scores, dtype=np.float64)
    parts: dict[str, Callable[[], object]] = {
        "extremes": lambda: _probabilities.extremes(scores),
        "powers": lambda: _probabilities.powers(scores, 0.0, 1.0, shares),
        "shares": lambda: _probabilities.relative(shares, 0.8, 0.2),
        "sum": lambda: np.cumsum(sums, out=shares),
        "guide": lambda: _draw.build_guide(sums, guide),
        "gain()": sampler.gain,
    }
    return Row(
        "importance plan, N = 10^7",
        ours,
        peer,
        "torch.multinomial and a list, at each epoch",
        "seconds <= 0.5",
        58 * size / rate,
        "58 bytes a sample: scores read twice, shares written, changed, summed; sums read; guide",
        {f"{name} ms": 1e3 * min(seconds(work) for _ in range(3)) for name, work in parts.items()},
    )


def importance_roots(rate: float, runs: int) -> Row:
    """Do the same by the square roots of the scores, which must be taken."""
    from sampling.samplers import ImportanceSampler

    size = shrunk(10**7)
    ours, _ = in_turn(replanned(ImportanceSampler(size, power=0.5), size), None, runs)
    return Row(
        "importance plan, power 0.5, N = 10^7",
        ours,
        [],
        "–",
        "seconds <= 0.5",
        58 * size / rate,
        "as with power 1",
    )


def importance_distinct(rate: float, runs: int) -> Row:
    """Choose half of 10^7 samples without replacement: those are drawn in the plan."""
    from sampling.samplers import ImportanceSampler

    size = shrunk(10**7)
    sampler = ImportanceSampler(size, num_samples=size // 2, replacement=False)
    ours, _ = in_turn(replanned(sampler, size), None, runs)
    return Row(
        "importance plan without replacement, N = 10^7",
        ours,
        [],
        "–",
        "seconds",
        66 * size / rate,
        "a cache line for each weight in random order, and the list",
    )


def budget_plan(rate: float, runs: int) -> Row:
    """Choose the keep rate of 10^7 samples by their scores, and thin them."""
    import numpy as np

    from sampling.samplers import VarianceBudgetSampler

    size = shrunk(10**7)
    losses = exponential(size)
    random = np.random.default_rng(0)

    def sorted_out() -> object:
        """Solve for c over all samples sorted, and draw each for itself."""
        ascending = np.sort(losses).astype(np.float64)
        squares = np.cumsum(ascending**2)
        levels = np.cumsum(ascending) / (0.025 * squares[-1] + squares)
        c = levels[np.argmax(ascending * levels >= 1.0) - 1]
        kept = np.flatnonzero(random.random(size) < np.clip(c * losses, 0.25, 1.0))
        return random.permutation(kept)

    sampler = VarianceBudgetSampler(size, 1000)
    ours, peer = in_turn(replanned(sampler, size), sorted_out, runs)
    kept = len(sampler) / size
    return Row(
        "variance budget plan, N = 10^7",
        ours,
        peer,
        "numpy sort, cumsum, mask, permutation",
        "seconds <= 0.5",
        18 * size / rate,
        "18 bytes a sample: scores read 3 times, codes written twice, read 4 times",
        {"kept": kept, "added variance": sampler.added_variance},
    )


ROWS = (importance_plan, importance_roots, importance_distinct, budget_plan)
