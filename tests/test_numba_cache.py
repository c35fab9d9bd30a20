"""Where compiled kernels are kept, and what happens where nothing can be."""

import errno
import json
import os
import subprocess
import sys

import numba
import pytest
from numba.core import caching

from sampling import _numba
from sampling._numba import _compiled

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


def made():
    """A new kernel, as a new process would make it."""

    @_numba.kernel
    def twice(x):
        return x + x

    return twice


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The user's own folder first, then one in the place of the others."""
    monkeypatch.setattr(_compiled, "_warned", False)
    monkeypatch.setattr(_compiled, "_announced", False)
    monkeypatch.setattr(_numba, "_KERNELS", [])
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "given"))
    monkeypatch.setattr(caching.AppDirs, "user_cache_dir", str(tmp_path / "user"))
    kinds = [caching.UserProvidedCacheLocator, caching.UserWideCacheLocator]
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", kinds)
    return tmp_path


def lock(monkeypatch, *names):
    """Let folders be of a read-only file system; root may write wherever modes forbid it."""
    real = caching.tempfile.TemporaryFile

    def refuse(*args, dir=None, **kwargs):  # noqa: A002  # tempfile's word
        if any(f"{os.sep}{name}{os.sep}" in str(dir) for name in names):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), dir)
        return real(*args, dir=dir, **kwargs)

    class Tempfile:
        TemporaryFile = staticmethod(refuse)

    monkeypatch.setattr(caching, "tempfile", Tempfile)


def counts(kernel):
    return sum(kernel.dispatcher.stats.cache_hits.values()), sum(
        kernel.dispatcher.stats.cache_misses.values()
    )


def test_numbas_first_folder_that_can_be_written_is_taken(folders, monkeypatch):
    assert made()(2) == 4
    assert (folders / "given").is_dir()
    again = made()
    assert again(2) == 4
    assert counts(again) == (1, 0)
    lock(monkeypatch, "given")
    other = made()
    assert other(2.0) == 4.0
    assert str(folders / "user") in other.dispatcher.stats.cache_path
    assert counts(made()) == (0, 0)


def test_a_filled_folder_is_read_where_it_cannot_be_written(folders, monkeypatch, recwarn):
    made()(2)
    lock(monkeypatch, "given", "user")
    again = made()
    assert again(2) == 4
    assert counts(again) == (1, 0)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR to a folder that can be written"):
        assert again(2.5) == 5.0  # for other types it is not filled
    assert counts(again) == (1, 1)


def test_what_a_filled_folder_lacks_goes_to_one_that_can_be_written(folders, monkeypatch, recwarn):
    made()(2)
    lock(monkeypatch, "given")
    for hits in (1, 2):
        again = made()
        assert (again(2), again(2.5)) == (4, 5.0)
        assert counts(again) == (hits, 2 - hits)
    assert not recwarn.list


def test_without_any_folder_there_is_one_warning_and_no_cache(folders, monkeypatch):
    lock(monkeypatch, "given", "user")
    with pytest.warns(UserWarning, match="cannot be cached .*NUMBA_CACHE_DIR") as seen:
        one, two = made(), made()
        assert (one(2), one(2.5), two(2)) == (4, 5.0, 4)
    assert len(seen) == 1
    assert one.dispatcher.stats.cache_path is None
    assert not one.dispatcher._cache.kept


def test_one_line_of_the_log_says_that_kernels_are_compiled(folders, caplog):
    one, two = made(), made()
    assert (one(2), one(2.5), two(2)) == (4, 5.0, 4)
    (line,) = caplog.records
    assert line.name == "sampling"
    assert "compiling kernels" in line.message
    assert str(folders / "given") in line.message


def test_nothing_is_said_of_what_is_in_the_cache(folders, monkeypatch, caplog):
    made()(2)
    monkeypatch.setattr(_compiled, "_announced", False)
    caplog.clear()
    assert made()(2) == 4
    assert caplog.records == []


def test_where_none_is_kept_the_warning_says_it_all(folders, monkeypatch, caplog):
    lock(monkeypatch, "given", "user")
    with pytest.warns(UserWarning, match="each process compiles them again, which takes seconds"):
        assert made()(2) == 4
    assert caplog.records == []


def test_a_full_disk_costs_a_warning_and_no_result(folders, monkeypatch):
    kernel = made()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    with pytest.warns(UserWarning, match="No space left"):
        assert kernel(2) == 4
    assert not kernel.dispatcher._cache.kept


def test_a_folder_named_by_a_class_of_the_users_is_respected(folders, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "UserWideCacheLocator", False)
    kernel = made()
    assert kernel(2) == 4
    assert str(folders / "user") in kernel.dispatcher.stats.cache_path


_IMPORT = """
import json, sys, warnings
from numba.core import caching
caching.CompileResultCacheImpl._locator_classes = [caching.UserProvidedCacheLocator]
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import numpy as np
    import sampling.samplers
    from sampling._rng import mix
    with np.errstate(over="ignore"):
        same = mix(np.uint64(7)) == mix.py_func(np.uint64(7))
print(json.dumps([bool(same), [str(each.message) for each in seen]]))
"""


def test_the_package_is_imported_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    found = subprocess.run(
        [sys.executable, "-c", _IMPORT],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        check=True,
    )
    same, said = json.loads(found.stdout)
    assert same
    assert [each for each in said if "NUMBA_CACHE_DIR" in each] == said[:1] == said
