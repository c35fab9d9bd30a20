"""How many rows a fit needs: pivotal draws that are spread, against independent ones.

    python benchmarks/pivotal.py [--seeds 200]      every method and level, printed
    python benchmarks/selection.py pivotal          one row for each fit, kept

A polynomial in two variables is fitted by weighted least squares to M of N rows, drawn in
proportion to leverage by each method. The error is the mean square over all N rows, divided by that
of the fit to all; of each method the smallest M at which its median error reaches a level is read
off (log-linear between budgets), and the ratio to independent draws. The interval is the 2.5 and
97.5 % quantile over 1,000 resamplings of the seeds.
"""

import argparse
from collections.abc import Callable

import numpy as np
from harness import Row, shrunk

from sampling import Selection
from sampling.selection import leverage, leverage_scores, pivotal, poisson

Target = Callable[[np.ndarray], np.ndarray]
BUDGETS = (1.2, 1.4, 1.7, 2.0, 2.4, 2.8, 3.4, 4.0, 4.8, 5.7, 6.8, 8.0)  # times D
LEVELS = (1.5, 2.0, 3.0)
TARGETS: dict[str, Target] = {
    "smooth": lambda z: np.exp(-3 * ((z[:, 0] - 0.3) ** 2 + z[:, 1] ** 2)) * np.sin(6 * z[:, 0]),
    "kink": lambda z: np.abs(z[:, 0] + 0.3 * z[:, 1]) + 0.5 * np.sin(3 * z[:, 1]),
}


def designs() -> dict[str, tuple[np.ndarray, int]]:
    """Return places in the plane and the total degree fitted over them."""
    generator = np.random.default_rng(1)
    side = np.linspace(-1, 1, 60)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    clouds = generator.normal(size=(4000, 2)) * 0.25 + generator.choice([-0.5, 0.5], (4000, 2))
    return {"grid, degree 10": (grid, 10), "four clouds, degree 7": (clouds, 7)}


def monomials(places: np.ndarray, degree: int) -> np.ndarray:
    """Return Legendre products of total degree at most `degree`."""
    one = [np.polynomial.legendre.legvander(each, degree) for each in places.T]
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.column_stack([one[0][:, i] * one[1][:, j] for i, j in powers])


def errors(
    rows: np.ndarray, target: np.ndarray, draw: Callable[[int, int], Selection], seeds: int
) -> np.ndarray:
    """Return the error of each budget and seed, over that of the fit to all."""
    fitted = rows @ np.linalg.lstsq(rows, target, rcond=None)[0]
    best = ((fitted - target) ** 2).mean()
    out = np.empty((len(BUDGETS), seeds))
    for line, times in zip(out, BUDGETS, strict=True):
        for seed in range(seeds):
            found = draw(round(times * rows.shape[1]), seed)
            scales = np.sqrt(found.weights)
            own = rows[found.indices] * scales[:, None]
            solved = np.linalg.lstsq(own, target[found.indices] * scales, rcond=None)[0]
            line[seed] = ((rows @ solved - target) ** 2).mean() / best
    return out


def needed(found: np.ndarray, level: float) -> float:
    """Return the budget, in D, at which the median error falls to a level."""
    medians = np.minimum.accumulate(np.median(found, axis=1))
    if medians[0] <= level or medians[-1] > level:
        return np.nan
    place = int(np.argmax(medians <= level))
    high, low = np.log(medians[place - 1 : place + 1])
    part = (high - np.log(level)) / (high - low)
    one, two = np.log(BUDGETS[place - 1 : place + 1])
    return float(np.exp(one + part * (two - one)))


def draws_of(
    rows: np.ndarray, places: np.ndarray
) -> tuple[Callable[[int, int], Selection], dict[str, Callable[[int, int], Selection]]]:
    """Return independent draws, and the others by name."""
    chances = leverage_scores(rows)
    return lambda m, s: poisson(chances, m, seed=s), {
        "pivotal, random order": lambda m, s: pivotal(chances, m, seed=s),
        "pivotal, pca": lambda m, s: pivotal(chances, m, embeddings=places, spread="pca", seed=s),
        "pivotal, kd": lambda m, s: pivotal(chances, m, embeddings=places, seed=s),
        "leverage(), kd over the features": lambda m, s: leverage(rows, m, seed=s),
    }


def interval(
    own: np.ndarray, alone: np.ndarray, level: float, generator: np.random.Generator
) -> tuple[float, float, float]:
    """Return rows needed over those of independent draws, and the ends of its interval."""
    ratios, seeds = [], own.shape[1]
    for _ in range(1000):
        picked = [generator.integers(0, seeds, seeds) for _ in range(2)]
        ratios.append(needed(own[:, picked[0]], level) / needed(alone[:, picked[1]], level))
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return needed(own, level) / needed(alone, level), float(low), float(high)


def compared(name: str, places: np.ndarray, degree: int, seeds: int) -> None:
    """Print the rows needed by each method for each target."""
    rows = monomials(places, degree)
    independent, draws = draws_of(rows, places)
    generator = np.random.default_rng(0)
    for title, target in TARGETS.items():
        found = {label: errors(rows, target(places), draw, seeds) for label, draw in draws.items()}
        alone = errors(rows, target(places), independent, seeds)
        for level in LEVELS:
            print(f"{name} (D = {rows.shape[1]}), {title}, error {level} times the best:")
            print(f"  independent needs {needed(alone, level):.2f} D")
            for label, own in found.items():
                ratio, low, high = interval(own, alone, level, generator)
                print(f"  {label}: {ratio:.2f} of them [{low:.2f}, {high:.2f}]", flush=True)


def row_of(design: str, title: str) -> Callable[[float, int], Row]:
    """Return what compares pivotal draws along a k-d order with independent ones, 40 seeds."""

    def made(rate: float, runs: int) -> Row:
        (places, degree), seeds = designs()[design], shrunk(40)
        rows, target = monomials(places, degree), TARGETS[title](places)
        independent, draws = draws_of(rows, places)
        alone = errors(rows, target, independent, seeds)
        own = errors(rows, target, draws["pivotal, kd"], seeds)
        ratio, low, high = interval(own, alone, 2.0, np.random.default_rng(0))
        notes = {"rows needed, of independent": ratio, "at least": low, "at most": high}
        name = f"rows for twice the least error, {design} (D = {rows.shape[1]}), {title}: pivotal"
        return Row(
            name, [needed(own, 2.0)], [needed(alone, 2.0)], "independent", "–", notes=notes,
            unit="D",
        )  # fmt: skip

    return made


ROWS: dict[str, Callable[[float, int], Row]] = {
    f"pivotal {design} {title}": row_of(design, title) for design in designs() for title in TARGETS
}


def main() -> None:
    """Run every design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    for name, (places, degree) in designs().items():
        compared(name, places, degree, seeds)


if __name__ == "__main__":
    main()
