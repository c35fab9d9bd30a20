"""Selection by row: leverage exact and sketched, Lewis weights, orders, propagation.

Rows of `selection.py`: ours and the reference run in turn.
"""

from collections.abc import Callable

import numpy as np
from harness import Row, in_child, in_turn, race, shrunk


def normal(rows: int, width: int) -> np.ndarray:
    """Return float32 rows, some of them long."""
    generator, rows = np.random.default_rng(0), shrunk(rows)
    found = generator.standard_normal((rows, width), dtype=np.float32)
    found[: rows // 1000] *= 20
    return found


def by_hand(rows: np.ndarray) -> np.ndarray:
    """Gram matrix, Cholesky, one triangular solve: the reference of the exact rows."""
    from scipy.linalg import solve_triangular

    lower = np.linalg.cholesky(rows.T @ rows)
    moved = solve_triangular(lower, rows.T, lower=True)
    return np.einsum("dn,dn->n", moved, moved)


def peak(rows: str, more: str = "") -> float:
    """Return the peak memory of a process that has the rows and scores them, in MiB."""
    setup = "from rows import normal; from sampling.selection import leverage_scores"
    warm, call = (f"leverage_scores({each}{more})" for each in ("rows[:5000]", "rows"))
    return in_child(f"{setup}; rows = {rows}", warm, call)[2]


def leverage_exact(rate: float, runs: int) -> Row:
    """10^6 x 64, float32, against the same by hand in float32."""
    from sampling.selection import leverage_scores

    rows = normal(10**6, 64)
    ours, peer = in_turn(lambda: leverage_scores(rows), lambda: by_hand(rows), runs)
    true = by_hand(rows.astype(np.float64))
    notes = {
        "largest relative error": float(np.abs(leverage_scores(rows) / true - 1).max()),
        "of the reference": float(np.abs(by_hand(rows) / true - 1).max()),
        "peak MiB": peak("normal(10**6, 64)"),
    }
    name = "leverage, 10^6 x 64, exact"
    aim = "slower <= 1.3"
    limit = 2 * rows.nbytes / rate
    return Row(name, ours, peer, "Gram + Cholesky in float32", aim, limit, "two reads", notes)


def leverage_exact_double(rate: float, runs: int) -> Row:
    """10^6 x 64, float64 on both sides."""
    from sampling.selection import leverage_scores

    rows = normal(10**6, 64).astype(np.float64)
    ours, peer = in_turn(lambda: leverage_scores(rows), lambda: by_hand(rows), runs)
    name = "leverage, 10^6 x 64 float64, exact"
    aim = "slower <= 1.3"
    limit = 2 * rows.nbytes / rate
    return Row(name, ours, peer, "Gram + Cholesky in float64", aim, limit, "two reads")


def leverage_sketch(rate: float, runs: int) -> Row:
    """2 * 10^5 x 1,024 sketched, against exact ones of ours."""
    from sampling.selection import leverage_scores

    rows = normal(2 * 10**5, 1024)
    made = race(
        lambda given: leverage_scores(given, method="sketch"),
        leverage_scores, (rows,), (rows[:2000],), (runs, 1),
    )  # fmt: skip
    ratio = made.found / made.peer_found
    notes = {
        "part of rows at ratio 0.6 to 1.5": float(((ratio > 0.6) & (ratio < 1.5)).mean()),
        "ratio at 1 %": float(np.quantile(ratio, 0.01)),
        "ratio at 99 %": float(np.quantile(ratio, 0.99)),
        "peak MiB": peak("normal(2 * 10**5, 1024)", ", method='sketch'"),
    }
    name = "leverage, 2 * 10^5 x 1,024, sketched"
    limit = 2 * rows.nbytes / rate
    aim = "faster >= 3; part of rows at ratio 0.6 to 1.5 >= 0.98"
    return Row(name, made.ours, made.peer, "exact, ours", aim, limit, "two reads", notes)


def leverage_selected(rate: float, runs: int) -> Row:
    """Time the selector: scores, k-d order and a pivotal draw of 10,000."""
    from sampling.selection import leverage, leverage_scores

    rows = normal(10**6, 64)
    ours, peer = in_turn(
        lambda: leverage(rows, shrunk(10_000)), lambda: leverage_scores(rows), runs
    )
    name = "leverage, 10^6 x 64, 10,000 drawn along a k-d order"
    return Row(name, ours, peer, "the scores alone", "–", 2 * rows.nbytes / rate, "two reads")


def lewis_one(rate: float, runs: int) -> Row:
    """Lewis weights for p = 1."""
    from sampling.selection import lewis_weights

    rows = normal(10**5, 64)
    ours, _ = in_turn(lambda: lewis_weights(rows, 1.0), None, runs)
    name = "Lewis weights, p = 1, 10^5 x 64"
    return Row(name, ours, [], "–", "–", 2 * rows.nbytes / rate, "two reads")


def order_kd(rate: float, runs: int) -> Row:
    """Time the order that spreads, of 10^6 rows."""
    from sampling.selection import spatial_order

    rows = normal(10**6, 64)
    ours, peer = in_turn(lambda: spatial_order(rows), lambda: spatial_order(rows, "pca"), runs)
    name = "k-d order, 10^6 x 64"
    return Row(name, ours, peer, "by one principal component", "–", rows.nbytes / rate, "one read")


def propagated(rate: float, runs: int) -> Row:
    """Weights of 1,000 rows to 10^5, against scikit-learn's neighbours."""
    from sklearn.neighbors import NearestNeighbors

    from sampling.selection import propagate

    rows = normal(10**5, 64)
    core = np.arange(0, len(rows), 100)
    weights = np.ones(len(core))

    def peer_work() -> object:
        return NearestNeighbors(n_neighbors=5, algorithm="brute").fit(rows[core]).kneighbors(rows)

    ours, peer = in_turn(lambda: propagate(core, weights, rows), peer_work, runs)
    name = "propagate, 10^5 x 64, core set of 1,000"
    return Row(name, ours, peer, "scikit-learn: neighbours alone", "–", rows.nbytes / rate)


ROWS: dict[str, Callable[[float, int], Row]] = {
    "leverage exact": leverage_exact,
    "leverage exact double": leverage_exact_double,
    "leverage sketch": leverage_sketch,
    "leverage selected": leverage_selected,
    "lewis": lewis_one,
    "order kd": order_kd,
    "propagate": propagated,
}
