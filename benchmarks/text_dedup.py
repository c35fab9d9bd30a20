"""Duplicate texts: `dedup_text` on real text with planted edits, against all pairs.

    python benchmarks/text_dedup.py [--text FILE --column NAME] [--planted 6000]
                                    [--threshold 0.8] [--json FILE] [--libraries]

The time and the peak are those of a fresh process with one thread, after a call on a few texts. The
truth is every pair of distinct normalized texts at or above the threshold, by sparse products. The
recall of the planted edits is printed by kind, and has no bar: one edit of a short text may leave
it below the threshold, which is no miss. `--libraries` also times the signatures of the same sets
by the libraries that were considered.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import HERE, in_child, machine, peer
from scipy import sparse

RESULTS = HERE / "results" / "text_dedup.json"
TEXT = HERE.parent.parent / "shared" / "data" / "debian_text.parquet"
KINDS = ("character", "word", "punctuation")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def read(path: Path, column: str) -> list[str]:
    """Return the texts of a column."""
    import pyarrow.parquet as pq

    return list(pq.read_table(path, columns=[column])[column].to_pylist())


def edited(text: str, kind: str, random: np.random.Generator, words: list[str]) -> str:
    """Return a text with one edit."""
    at = int(random.integers(len(text)))
    letter = LETTERS[random.integers(len(LETTERS))]
    if kind == "character":  # replaced, inserted or removed
        how = random.integers(3)
        return text[:at] + (letter if how < 2 else "") + text[at + (how != 1) :]
    if kind == "word":
        parts = text.split()
        place = int(random.integers(len(parts)))
        parts[place : place + 1] = [words[random.integers(len(words))]]
        return " ".join(parts)
    sign = "!,.;:-"[random.integers(6)]
    return text[:at] + sign + text[at:]


def planted(texts: list[str], count: int) -> tuple[list[str], np.ndarray, list[str]]:
    """Return texts with edits at the end, the row of the source of each, and its kind."""
    random = np.random.default_rng(0)
    words = sorted({word for text in texts[:5000] for word in text.split()})
    sources = random.integers(len(texts), size=count)
    kinds = [KINDS[i % len(KINDS)] for i in range(count)]
    made = [
        edited(texts[row], kind, random, words)
        for row, kind in zip(sources.tolist(), kinds, strict=True)
    ]
    return texts + made, sources, kinds


def grams(text: str) -> set[str]:
    """Return the 3-grams of a normalized text."""
    return {text[i : i + 3] for i in range(max(1, len(text) - 2))} if text else set()


def all_pairs(words: list[str], threshold: float) -> np.ndarray:
    """Return the pairs (i < j) of distinct texts at or above the threshold, (p, 2).

    No pair is missed: of two such sets one of the rarest |x| - ceil(t |x|) + 1 members of each is
    in both (Bayardo, Ma, Srikant, 2007). All that share one are compared.
    """
    sets = [sorted(grams(word)) for word in words]
    names: dict[str, int] = {}
    columns = np.array([names.setdefault(g, len(names)) for each in sets for g in each], np.int64)
    sizes = np.array(list(map(len, sets)))
    rows = np.repeat(np.arange(len(sets)), sizes)
    order = np.lexsort((columns, np.bincount(columns)[columns], rows))  # rarest first in each row
    place = np.arange(rows.size) - (np.cumsum(sizes) - sizes)[rows]
    rare = place < (sizes - np.ceil(threshold * sizes - 1e-9) + 1)[rows]
    whole = _matrix(rows, columns, len(sets), len(names))
    some = _matrix(rows[rare], columns[order][rare], len(sets), len(names))
    other, pairs = some.T.tocsr(), []
    for start in range(0, len(sets), 1024):
        near = (some[start : start + 1024] @ other).tocoo()
        i, j = near.row + start, near.col
        low, high = np.minimum(sizes[i], sizes[j]), np.maximum(sizes[i], sizes[j])
        good = (i < j) & (low >= threshold * high - 1e-9)
        i, j = i[good], j[good]
        for part in np.array_split(np.arange(i.size), 1 + i.size // 10**6):
            a, b = i[part], j[part]
            shared = np.asarray(whole[a].multiply(whole[b]).sum(axis=1)).ravel()
            close = shared / (sizes[a] + sizes[b] - shared) >= threshold
            pairs.append(np.stack([a[close], b[close]], axis=1))
    return np.concatenate(pairs)


def _matrix(rows: np.ndarray, columns: np.ndarray, n: int, width: int) -> sparse.csr_matrix:
    ones = np.ones(rows.size, np.int32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(n, width))


def check_pairs(words: list[str], threshold: float) -> None:
    """Compare `all_pairs` with every product of rows, for the first texts."""
    sets = [grams(word) for word in words]
    whole = [
        (i, j)
        for j in range(len(sets))
        for i in range(j)
        if len(sets[i] & sets[j]) >= threshold * len(sets[i] | sets[j])
    ]
    found = sorted(map(tuple, all_pairs(words, threshold).tolist()))
    if found != sorted(whole):
        raise AssertionError(f"all_pairs found {len(found)} of {len(whole)} pairs")


def quality(texts: list[str], sources: np.ndarray, kinds: list[str], threshold: float) -> Any:
    """Compare what is found with all pairs; count planted edits by kind."""
    from sampling import _rng
    from sampling._check._texts import texts as texts_of
    from sampling.selection import dedup_text
    from sampling.selection.by_text._bands import bands_for, buckets_of, keys_of, sketcher
    from sampling.selection.by_text._grams import sets_of
    from sampling.selection.by_text._normalize import normalized

    words = [normalized(text, "casefold") for text in texts]
    first: dict[str, int] = {}
    for row, word in enumerate(words):
        first.setdefault(word, row)
    rows = np.array(list(first.values()))
    check_pairs([words[row] for row in rows[:1500].tolist()], threshold)
    pairs = rows[all_pairs([words[row] for row in rows.tolist()], threshold)]
    seed, shape = int(_rng.key(0, 0, "dedup_text")), bands_for(threshold)
    sets = sets_of(texts_of("texts", texts).take(rows), "casefold", 3)
    buckets, _ = buckets_of(keys_of(sketcher()[0], sets, None, shape, seed))
    place = np.searchsorted(rows, pairs)
    one, two = buckets[:, place[:, 0]], buckets[:, place[:, 1]]
    met = ((one == two) & (one >= 0)).any(axis=0)
    found = dedup_text(texts, threshold=threshold, rule="any_earlier", keep="first")
    true = np.zeros(len(texts), bool)
    true[pairs[:, 1]] = True
    true[np.setdiff1d(np.arange(len(texts)), rows)] = True
    dropped = ~found.mask()
    greedy = dedup_text(texts, threshold=threshold, keep="first")
    gone = np.flatnonzero(greedy.kept_rows >= 0).tolist()
    wrong = sum(_jaccard(words[row], words[int(greedy.kept_rows[row])]) < threshold for row in gone)
    base = len(texts) - len(sources)
    by_kind = {}
    for kind in KINDS:
        own = [i for i, each in enumerate(kinds) if each == kind]
        values = np.array([_jaccard(words[base + i], words[sources[i]]) for i in own])
        caught = dropped[[base + i for i in own]]
        by_kind[kind] = {
            "planted": len(own),
            "at or above the threshold": int((values >= threshold).sum()),
            "dropped": int(caught.sum()),
            "recall of those at or above": float(caught[values >= threshold].mean()),
            "recall of all": float(caught.mean()),
        }
    return {
        "texts": len(texts), "distinct": len(rows), "true pairs": len(pairs),
        "recall of true pairs": float(met.mean()),
        "rows with an earlier match": int(true.sum()),
        "recall of these rows": float(dropped[true].mean()),
        "wrong drops, any_earlier": int((dropped & ~true).sum()),
        "wrong drops, greedy": wrong, "kept by greedy": len(greedy),
        "search": greedy.info["search"], "planted": by_kind,
    }  # fmt: skip


def _jaccard(one: str, other: str) -> float:
    a, b = grams(one), grams(other)
    return len(a & b) / len(a | b) if a | b else 1.0


def cost(path: Path, column: str, count: int, threshold: float) -> dict[str, float]:
    """Return the seconds and the peak of a process with one thread."""
    os.environ |= {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    setup = f"""
from pathlib import Path
import text_dedup
from sampling import engine
from sampling.selection import dedup_text
texts, _, _ = text_dedup.planted(text_dedup.read(Path({str(path)!r}), {column!r}), {count})
def call(rows):
    with engine.use(engine.Local(1)):
        dedup_text(rows, threshold={threshold})
"""
    seconds, before, peak = in_child(setup, "call(texts[:300])", "call(texts)")
    return {"seconds": seconds, "MiB before": before, "peak MiB": peak}


def libraries(texts: list[str]) -> dict[str, Any]:
    """Time the signatures, 96 hashes, of the sets of the texts; and an index where there is one."""
    from sampling._check._texts import texts as texts_of
    from sampling.selection.by_text._grams import sets_of

    rensa, datasketch = peer("rensa"), peer("datasketch")
    sets = sets_of(texts_of("texts", texts).take(np.arange(len(texts))), "casefold", 3)
    ends, hashes = sets.starts, (sets.grams >> np.uint64(32)).astype(np.uint32)
    made: dict[str, Any] = {}

    def by_rensa() -> Any:
        found = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
            sets.grams, ends.astype(np.uint64), 96, 1
        )
        return np.array(found.to_rows(), np.uint32)

    def by_datasketch() -> Any:
        one = datasketch.MinHash(96, seed=1, hashfunc=lambda value: value)
        found = []
        for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            own = one.copy()
            own.update_batch(hashes[start:stop])
            found.append(own)
        return found

    def by_lsh() -> Any:
        index = datasketch.MinHashLSH(params=(16, 6), num_perm=96)
        for row, own in enumerate(by_datasketch()):
            index.insert(row, own, check_duplication=False)
        return index

    for name, work in (
        ("rensa, signatures", by_rensa),
        ("datasketch, signatures", by_datasketch),
        ("datasketch, signatures and index", by_lsh),
    ):
        start, wall = time.process_time(), time.perf_counter()
        work()
        made[name] = {"processor seconds": time.process_time() - start,
                      "seconds": time.perf_counter() - wall}  # fmt: skip
    return made


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--column", default="description")
    parser.add_argument("--planted", type=int, default=6_000)
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--libraries", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    texts, sources, kinds = planted(read(options.text, options.column), options.planted)
    found: dict[str, Any] = {"threshold": options.threshold, "load": os.getloadavg()[0]}
    print(f"{len(texts):,} texts", flush=True)
    found["cost"] = cost(options.text, options.column, options.planted, options.threshold)
    print(found["cost"], flush=True)
    found |= quality(texts, sources, kinds, options.threshold)
    if options.libraries:
        found["libraries"] = libraries(texts)
    found["machine"] = machine()
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{name}:", *(f"  {key}: {each}" for key, each in value.items()), sep="\n")
        else:
            print(f"{name}: {value}")
    options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
