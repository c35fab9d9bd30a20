"""Work whose result no engine may change, on tables small enough to have several blocks."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sampling import selection
from sampling.clustering import _lloyd, kmeans
from sampling.engine import _over
from sampling.io import open_table
from sampling.selection.by_coverage import _greedi
from sampling.selection.core import _whiten

N, D = 3000, 8


def small_blocks(monkeypatch):
    """Blocks of 256 rows, sent even where that does not pay."""
    monkeypatch.setattr(_over, "_SMALL", 0)
    monkeypatch.setattr(_over, "_BLOCK", 2**11)
    monkeypatch.setattr(_lloyd, "BLOCK", 2**11)
    monkeypatch.setattr(_whiten, "BLOCK", 2**11)
    monkeypatch.setattr(_greedi, "_NUMBERS", 2**11)


def rows_of():
    """Clumps, and copies of some rows."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(25, D))[random.integers(0, 25, N)] + 0.3 * random.normal(size=(N, D))
    rows[-200:] = rows[:200] + 0.001 * random.normal(size=(200, D))
    return rows.astype(np.float32)


def layouts(rows, folder):
    """The same rows in memory, in one .npy file, and copied from several Parquet shards."""
    np.save(folder / "rows.npy", rows)
    (folder / "shards").mkdir()
    for number, part in enumerate(np.split(rows, [700, 701, 2500])):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), D)
        pq.write_table(pa.table({"x": lists}), folder / f"shards/{number}.parquet")
    return {
        "memory": rows,
        "npy": open_table(folder / "rows.npy").embeddings,
        "parquet": open_table(folder / "shards", scratch=folder / "scratch").embeddings,
    }


def clusterings(rows):
    """k-means: exact, on lists, by direction within groups, from a sample of the rows."""
    groups = np.arange(N) % 3
    calls = {
        "exact": {"n_clusters": 20, "n_iter": 5},
        "groups": {"n_clusters": 20, "n_iter": 4, "spherical": True, "groups": groups},
        "sampled": {"n_clusters": 20, "n_iter": 4, "max_points_per_centroid": 60},
    }
    for name, call in calls.items():
        found = kmeans(rows, seed=3, **call)
        yield name, (found.centers, found.labels, found.distances, found.nearest, found.seconds)


def selections(rows):
    calls = {
        "semdedup": {"budget": None, "threshold": 0.98, "clusters": 12, "rule": "greedy"},
        "kmq": {"budget": 300, "clusters": 12, "quality": np.arange(N) % 7.0},
        "leverage": {"budget": 300},
        "k_center": {"budget": 60, "rounds": 2},
        "facility_location": {"budget": 60, "rounds": 2},
    }
    for name, call in calls.items():
        found = selection.methods()[name].function(rows, seed=3, **call)
        yield name, (found.indices, found.weights, found.scores)


def texts():
    """Short texts, a third of which are edits of others; classes of them."""
    random = np.random.default_rng(3)
    words = [" ".join(each) for each in random.choice([f"word{i}" for i in range(60)], (4000, 9))]
    words += [text[:20] + "x" + text[20:] for text in words[::2]]
    return words, np.arange(len(words)) % 2


def of_texts():
    words, labels = texts()
    for rule in ("greedy", "any_earlier"):
        found = selection.dedup_text(words, threshold=0.7, labels=labels, rule=rule, seed=3)
        yield rule, (found.indices, found.kept_rows, found.scores)


def results(rows):
    return dict([*clusterings(rows), *selections(rows), *of_texts()])


def assert_same(found, expected):
    for name, arrays in expected.items():
        for one, other in zip(arrays, found[name], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)
