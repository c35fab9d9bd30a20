"""Near copies: `semdedup` against semhash, on planted ones and on real text."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import peers
from harness import HERE, LeftOut, Row, in_child, race, shrunk

if TYPE_CHECKING:
    from sampling import Selection

TEXT = HERE.parent.parent / "shared" / "data" / "debian_minilm.npy"
THRESHOLD = 0.95


def planted() -> np.ndarray:
    """Return 100,000 x 256, half of them copies of the others at a cosine of about 0.995."""
    random, half = np.random.default_rng(0), shrunk(50_000)
    rows = random.standard_normal((half, 256), dtype=np.float32)
    copies = rows + 0.1 * random.standard_normal((half, 256), dtype=np.float32)
    return np.concatenate([rows, copies])[random.permutation(2 * half)]


def text() -> np.ndarray:
    """Return the embeddings of the texts."""
    if not TEXT.exists():
        raise LeftOut(f"there is no {TEXT.name} (--text FILE)")
    rows = np.load(TEXT)
    return rows[: shrunk(len(rows))].astype(np.float32)


def ours(
    rows: np.ndarray, threshold: float, assignments: int = 2, clusters: int | None = None
) -> np.ndarray:
    """Return the rows kept, by the rule that semhash has too."""
    return deduplicated(rows, threshold, assignments, clusters).indices


def deduplicated(
    rows: np.ndarray, threshold: float, assignments: int = 2, clusters: int | None = None
) -> "Selection":
    """Return what `semdedup` gives, with its own estimate of what part of the copies it found."""
    from sampling.selection import semdedup

    return semdedup(
        rows,
        threshold=threshold,
        rule="greedy",
        num_assignments=assignments,
        clusters=clusters,
    )


def all_pairs(rows: np.ndarray, threshold: float) -> np.ndarray:
    """Return the rows kept where all are compared with all."""
    return ours(rows, threshold, 1, 1)


def missed(rows: np.ndarray, kept: np.ndarray) -> float:
    """Return which part of (at most 5,000) kept rows has a copy among the kept."""
    unit = rows[kept] / np.linalg.norm(rows[kept], axis=1, keepdims=True)
    asked = np.random.default_rng(1).permutation(len(unit))[:5_000]
    found = 0
    for part in np.array_split(asked, 16):
        cosines = unit[part] @ unit.T
        cosines[np.arange(len(part)), part] = -1
        found += int((cosines.max(axis=1) > THRESHOLD + 1e-5).sum())
    return found / len(asked)


def row_of(name: str, rows: np.ndarray, runs: int) -> Row:
    """Time both; compare how many rows each drops and how many copies it leaves."""
    theirs = peers.semhash()
    made = race(ours, theirs, (rows, THRESHOLD), (rows[:500], THRESHOLD), (runs, 1))
    start = time.perf_counter()
    one = ours(rows, THRESHOLD, assignments=1)
    seconds = time.perf_counter() - start
    left, theirs_left = missed(rows, made.found), missed(rows, made.peer_found)
    search = deduplicated(rows, THRESHOLD).info["search"]
    notes = {
        "dropped": len(rows) - len(made.found),
        "dropped by the peer": len(rows) - len(made.peer_found),
        "missed": left,
        "missed by the peer": theirs_left,
        "missed beyond the peer": left - theirs_left,
        "recall, estimated by it": search.get("recall", 1.0),
        "lower end of its interval": search.get("interval", [1.0])[0],
        "seconds with one assignment": seconds,
        "missed with one assignment": missed(rows, one),
    }
    aim = "faster >= 3; missed beyond the peer <= 0"
    return Row(name, made.ours, made.peer, "semhash", aim, notes=notes)


def of_planted(rate: float, runs: int) -> Row:
    """Half near copies."""
    row = row_of("semdedup, 100,000 x 256, half near copies", planted(), runs)
    setup = "from copies import THRESHOLD, ours, planted; rows = planted()"
    row.notes["peak MiB"] = in_child(setup, "ours(rows[:500], 0.9)", "ours(rows, THRESHOLD)")[2]
    return row


def of_text(rate: float, runs: int) -> Row:
    """Real text: variants of one source."""
    return row_of("semdedup, text embeddings, 63,666 x 384", text(), runs)


def of_all_pairs(rate: float, runs: int) -> Row:
    """Compare all pairs of the same text: nothing is missed."""
    rows = text()
    made = race(all_pairs, peers.semhash(), (rows, THRESHOLD), (rows[:500], THRESHOLD), (runs, 1))
    left, theirs_left = missed(rows, made.found), missed(rows, made.peer_found)
    notes = {
        "dropped": len(rows) - len(made.found),
        "missed": left,
        "missed by the peer": theirs_left,
        "missed beyond the peer": left - theirs_left,
    }
    name = "semdedup, text embeddings, one cluster: all pairs"
    aim = "faster >= 3; missed beyond the peer <= 0"
    return Row(name, made.ours, made.peer, "semhash", aim, notes=notes)


ROWS: dict[str, Callable[[float, int], Row]] = {
    "semdedup planted": of_planted,
    "semdedup text": of_text,
    "semdedup all pairs of text": of_all_pairs,
}
