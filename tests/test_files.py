"""Where files may be written, what they may replace, and what is left of killed processes."""

import ctypes
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling import Selection
from sampling._files import _paths as _files
from sampling.clustering import kmeans, neighbours, save_clustering, save_neighbours
from sampling.io import (
    check_outputs,
    export_rows,
    load_selection,
    open_table,
    paths_read,
    save_scores,
    save_selection,
    selection_outputs,
    written_whole,
)
from sampling.record import Score
from sampling.samplers import InfoBatchSampler, ShuffleSampler, load_state, save_state
from sampling.scores import TrainingDynamics
from sampling.selection import ccs, top
from sampling.testing import write_matrix

SCORES = np.random.default_rng(0).gamma(2.0, size=50)
ROWS = np.random.default_rng(1).normal(size=(20, 2))


def dynamics(path):
    TrainingDynamics(4, 2).save(path)


WRITERS = {  # what writes a file, its suffix, and the name of another file it writes
    "selection": (lambda path: top(SCORES, 9).save(path), ".parquet", None),
    "dropped": (
        lambda path: save_selection(top(SCORES, 9), path, dropped=True),
        ".parquet",
        "x.dropped.parquet",
    ),
    "scores": (lambda path: save_scores({"a": Score(SCORES, "keep")}, path), ".parquet", None),
    "clustering": (
        lambda path: save_clustering(kmeans(ROWS, 2), path), ".parquet", "x.centers.parquet",
    ),
    "neighbours": (lambda path: save_neighbours(neighbours(ROWS, 2), path), ".parquet", None),
    "state": (lambda path: save_state(ShuffleSampler(9), path), ".safetensors", None),
    "dynamics": (dynamics, ".safetensors", None),
    "matrix": (lambda path: write_matrix({}, path), ".json", None),
}  # fmt: skip
every_writer = pytest.mark.parametrize("name", WRITERS)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------------- what may be replaced


@every_writer
def test_only_a_file_of_the_same_kind_is_replaced(name, tmp_path):
    write, suffix, other = WRITERS[name]
    path = tmp_path / f"x{suffix}"
    write(path)
    written = names(tmp_path)
    write(path)
    assert names(tmp_path) == written
    for each in filter(None, (path.name, other)):
        ours = (tmp_path / each).read_bytes()
        (tmp_path / each).write_bytes(b"mine")
        with pytest.raises(ValueError, match=f"{each} must be free or hold .*got a file of an"):
            write(path)
        assert (tmp_path / each).read_bytes() == b"mine"
        (tmp_path / each).write_bytes(ours)
    path.write_bytes(b"")  # as from mkstemp: nothing is lost
    write(path)
    assert path.stat().st_size


@every_writer
def test_no_kind_is_taken_for_another(name, tmp_path):
    """A clustering is not replaced by a subset of the same name, though both are ours."""
    write, suffix, _ = WRITERS[name]
    write(tmp_path / f"x{suffix}")
    before = (tmp_path / f"x{suffix}").read_bytes()
    for other, (again, own, _) in WRITERS.items():
        if own == suffix and {name, other} != {"selection", "dropped"} and name != other:
            with pytest.raises(ValueError, match="must be free or hold"):
                again(tmp_path / f"x{suffix}")
    assert (tmp_path / f"x{suffix}").read_bytes() == before


def test_a_table_made_from_a_subset_file_is_not_one(tmp_path):
    """pyarrow keeps metadata: a user's own file can carry our key."""
    top(SCORES, 9).save(tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    pq.write_table(table.append_column("text", pa.array(["a"] * 9)), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="must be free or hold a subset file"):
        top(SCORES, 9).save(tmp_path / "x.parquet")


def test_a_foreign_file_at_the_name_of_the_dropped_rows_stays(tmp_path):
    path, other = tmp_path / "mine.parquet", tmp_path / "mine.dropped.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    before = other.read_bytes()
    top(SCORES, 9).save(path)
    assert other.read_bytes() == before
    assert load_selection(path).indices.tolist() == top(SCORES, 9).indices.tolist()
    with pytest.raises(ValueError, match=r"mine\.dropped\.parquet must be free"):
        save_selection(top(SCORES, 3), path, dropped=True)
    assert len(load_selection(path)) == 9  # not the first of two files
    other.unlink()
    top(SCORES, 5).save(other)  # a selection that happens to have such a name
    top(SCORES, 9).save(path)
    assert len(load_selection(other)) == 5


def test_clusters_are_written_both_or_neither(tmp_path):
    save_clustering(kmeans(ROWS, 2), tmp_path / "x.parquet")
    (tmp_path / "x.centers.parquet").unlink()
    (tmp_path / "x.centers.parquet").mkdir()
    with pytest.raises(ValueError, match=r"x\.centers\.parquet must be a file, got a folder"):
        save_clustering(kmeans(ROWS, 3), tmp_path / "x.parquet")
    assert load_two(tmp_path / "x.parquet") == 2


def load_two(path):
    return 1 + max(pq.read_table(path)["label"].to_pylist())


def test_exports_replace_nothing_and_stay_out_of_their_source(tmp_path):
    (tmp_path / "corpus").mkdir()
    pq.write_table(pa.table({"x": np.arange(50)}), tmp_path / "corpus" / "a.parquet")
    Path(tmp_path / "link").symlink_to(tmp_path / "corpus")
    picked = top(SCORES, 9)
    for source, folder in (
        ("corpus", "corpus"),
        ("corpus", "corpus/chosen"),
        ("corpus", "link/chosen"),
        ("link", "corpus/../corpus/chosen"),
        ("corpus/a.parquet", "corpus"),
    ):
        with pytest.raises(ValueError, match="must (not|be empty)"):
            export_rows(picked, tmp_path / source, tmp_path / folder)
    assert names(tmp_path / "corpus") == ["a.parquet"]
    (tmp_path / "nothing").symlink_to(tmp_path / "absent")
    with pytest.raises(ValueError, match="must be a folder, got a broken link"):
        export_rows(picked, tmp_path / "corpus", tmp_path / "nothing")
    with pytest.raises(ValueError, match="rows_per_shard must be >= 1, got 0"):
        export_rows(picked, tmp_path / "corpus", tmp_path / "new", rows_per_shard=0)
    assert not (tmp_path / "new").exists()


# ---------------------------------------------------------------------- what is read


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A folder of shards, one of them a link, and a subset file that is read as a table."""
    (tmp_path / "corpus" / "deep").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    for path in ("corpus/a.parquet", "far/b.parquet", "one.parquet"):
        top(SCORES, 9).save(tmp_path / path)
    (tmp_path / "corpus" / "b.parquet").symlink_to(tmp_path / "far" / "b.parquet")
    (tmp_path / "hard.parquet").hardlink_to(tmp_path / "one.parquet")
    (tmp_path / "soft.parquet").symlink_to("one.parquet")
    (tmp_path / "round.parquet").symlink_to("soft.parquet")
    (tmp_path / "new.parquet").symlink_to(tmp_path / "corpus" / "new.parquet")
    (tmp_path / "door").symlink_to("corpus")
    monkeypatch.chdir(tmp_path)
    return paths_read(["corpus", "one.parquet"])


@pytest.mark.parametrize(
    "out",
    ["one.parquet", "./far/../one.parquet", "hard.parquet", "soft.parquet", "round.parquet",
     "far/b.parquet", "corpus/a.parquet", "corpus/c.parquet", "corpus/deep/c.parquet",
     "door/c.parquet", "far/../door/deep/c.parquet", "new.parquet"],
)  # fmt: skip
def test_nothing_is_written_over_what_is_read(tables, out):
    for path in (out, str(Path(out).absolute())):
        with pytest.raises(ValueError, match="must not be (written over|in a folder that is read)"):
            check_outputs(selection_outputs(path), tables)
    check_outputs(selection_outputs("far/c.parquet"), tables)  # next to a shard, in no folder


def test_derived_names_count(tables):
    save_selection(top(SCORES, 9), "x.parquet", dropped=True)
    for dropped in (True, False):  # written, or removed
        with pytest.raises(ValueError, match=r"over, got what is read: x\.dropped\.parquet"):
            check_outputs(selection_outputs("x.parquet", dropped=dropped), ["x.dropped.parquet"])
    with pytest.raises(ValueError, match="scratch.* in a folder that is read"):
        open_table("corpus", scratch="corpus/scratch")


# ---------------------------------------------------------------------- what a name says


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".JSON", ".parquet.gz", ".safetensors", ".pt"])
def test_the_suffix_of_another_format(tmp_path, suffix):
    with pytest.raises(ValueError, match="must have a suffix of Parquet, such as .parquet"):
        top(SCORES, 9).save(tmp_path / f"x{suffix}")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["x", "x.PARQUET", "x.pq", "x-0.5", "x.parquet.tmp", "ä b.v2"])
def test_other_suffixes_say_nothing(tmp_path, name):
    top(SCORES, 9).save(tmp_path / name)
    assert names(tmp_path) == [name]
    with pytest.raises(ValueError, match="must have a suffix of safetensors"):
        save_state(ShuffleSampler(9), tmp_path / "x.pt")


def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real.parquet", tmp_path / "link.parquet"
    link.symlink_to("there/real.parquet")
    for count in (9, 5):  # of a file that is not there yet, and of one that is
        top(SCORES, count).save(link)
        assert link.is_symlink()
        assert not real.is_symlink()
        assert len(load_selection(real)) == count
    real.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"link\.parquet must be free or hold"):
        top(SCORES, 9).save(link)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ValueError, match="links in a circle"):
        top(SCORES, 9).save(tmp_path / "a")


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, got in (
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "a pipe"),
        ("/dev/null", "a device"),
        ("/dev/stdout", "a stream"),
        ("/dev/fd/1", "a stream"),
    ):
        with pytest.raises(ValueError, match=f"must be (the path of )?a file, got {got}"):
            top(SCORES, 9).save(path)
        with pytest.raises(ValueError, match=f"file, got {got}"), written_whole(path):
            pass
    assert names(tmp_path) == ["pipe"]


# ---------------------------------------------------------------------- permissions and disks


@every_writer
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_mode_follows_the_umask(name, mask, tmp_path):
    write, suffix, other = WRITERS[name]
    before = os.umask(mask)
    try:
        write(tmp_path / f"x{suffix}")
    finally:
        os.umask(before)
    for each in filter(None, (f"x{suffix}", other)):
        assert stat.S_IMODE((tmp_path / each).stat().st_mode) == 0o666 & ~mask


def test_a_full_disk_names_the_path_and_keeps_the_old_file(tmp_path):
    import resource

    path = tmp_path / "x.safetensors"
    save_state(InfoBatchSampler(40_000, num_epochs=2), path)
    (tmp_path / "y.safetensors").write_bytes(path.read_bytes())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*x\.safetensors'"):
            save_state(InfoBatchSampler(80_000, num_epochs=2), path)
        with (
            pytest.raises(OSError, match=r"File too large: '.*y\.bin'"),
            written_whole(tmp_path / "y.bin") as beside,
        ):
            beside.write_bytes(bytes(2**17))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    load_state(InfoBatchSampler(40_000, num_epochs=2), path)
    assert names(tmp_path) == ["x.safetensors", "y.safetensors"]


def test_what_cannot_be_opened_is_not_called_missing(tmp_path):
    """A link to itself: unlike a mode, it holds for root as well."""
    (tmp_path / "x.safetensors").symlink_to("x.safetensors")
    for read in (
        lambda path: load_state(ShuffleSampler(9), path),
        TrainingDynamics.from_file,
    ):
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            read(tmp_path / "x.safetensors")


LIKE_A_USER = """
import sys
from pathlib import Path
from sampling._files._paths import check_outputs, json_kind, tensors_of, written_whole
folder, kind = Path(sys.argv[1]), json_kind("it", "a")
def attempt(work):
    try:
        work()
    except OSError as error:
        print(error)
def unread():
    with tensors_of(folder / "secret.safetensors"):
        pass
attempt(lambda: check_outputs([(folder / "closed" / "x.json", kind)]))
attempt(lambda: check_outputs([(folder / "kept.json", kind)]))
attempt(unread)
"""


def without_rights():
    """Root may read and write anything; without these capabilities (1, 2) it is held to modes."""
    if os.geteuid() == 0:
        for right in (1, 2):
            ctypes.CDLL(None).prctl(24, right)


def test_permissions_are_named_before_the_work(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    (tmp_path / "kept.json").write_text('{"a": 1}')
    (tmp_path / "secret.safetensors").write_bytes(b"x")
    (tmp_path / "kept.json").chmod(0o444)
    (tmp_path / "secret.safetensors").chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", LIKE_A_USER, str(tmp_path)],
        capture_output=True,
        text=True,
        preexec_fn=without_rights,
    )
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["[Errno 13] Permission denied"] * 3
    for line, path in zip(lines, ("closed/x.json", "kept.json", "secret.safe"), strict=True):
        assert str(tmp_path / path) in line


# ---------------------------------------------------------------------- killed processes

HANGS = """
import sys, time
from sampling._files._paths import written_whole
with written_whole(sys.argv[1]) as path:
    path.write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def start(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def stop(process, how):
    process.send_signal(how)
    process.wait()
    process.stdout.close()


def test_left_overs_of_killed_processes_are_removed(tmp_path):
    dead, living = start(tmp_path / "x.parquet"), start(tmp_path / "other.parquet")
    stop(dead, signal.SIGKILL)
    own = tmp_path / f".x.parquet.{dead.pid}"
    assert own.is_dir()
    foreign = [tmp_path / f".y.parquet.{dead.pid}", tmp_path / ".x.parquet.20240229"]
    foreign[0].write_bytes(b"mine")
    foreign[1].mkdir()
    (foreign[1] / "owner").write_bytes(b"mine")
    top(SCORES, 9).save(tmp_path / "x.parquet")
    kept = [f".other.parquet.{living.pid}", "x.parquet", *(each.name for each in foreign)]
    assert names(tmp_path) == sorted(kept)  # of a process that lives, and what is not ours
    stop(living, signal.SIGINT)
    assert names(tmp_path) == sorted(kept[1:])


def test_a_lock_is_believed_more_than_a_number(tmp_path, monkeypatch):
    """In another container a process that lives can have a number that nobody has here."""
    living = start(tmp_path / "x.parquet")
    monkeypatch.setattr(_files, "_lives", lambda process: False)
    top(SCORES, 9).save(tmp_path / "y.parquet")
    assert names(tmp_path) == [f".x.parquet.{living.pid}", "y.parquet"]
    stop(living, signal.SIGKILL)
    top(SCORES, 9).save(tmp_path / "y.parquet")
    assert names(tmp_path) == ["y.parquet"]


def test_two_threads_may_write_to_one_place(tmp_path):
    with written_whole(tmp_path / "x") as one, written_whole(tmp_path / "x") as other:
        assert one.parent != other.parent
        one.write_bytes(b"1")
        other.write_bytes(b"2")
    assert (tmp_path / "x").read_bytes() == b"1"
    assert names(tmp_path) == ["x"]


def test_json_that_is_no_object_is_not_ours(tmp_path):
    kind = _files.json_kind("it", "a")
    for text, ours in (("[1]", False), ('"a"', False), ("{", False), ('{"a": 1, "b": 2}', True)):
        (tmp_path / "x.json").write_text(text)
        assert kind.holds(tmp_path / "x.json") is ours
    assert json.loads((tmp_path / "x.json").read_text())["b"] == 2


def test_dropped_rows_come_back_with_their_rules(tmp_path):
    found = ccs(SCORES, 10, cut=0.2)
    save_selection(found, tmp_path / "x.parquet", dropped=True)
    assert load_selection(tmp_path / "x.parquet").summary() == found.summary()
    assert isinstance(Selection.load(tmp_path / "x.parquet").verdicts, np.ndarray)
