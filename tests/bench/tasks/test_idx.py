import gzip

import numpy as np
import pytest

from sampling.bench.tasks._idx import read_idx

from ..conftest import idx_bytes

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx_bytes(IMAGES)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["images", "images.gz"])  # the content decides, not the name
def test_reads_plain_and_gzip(tmp_path, pack, name):
    (tmp_path / name).write_bytes(pack(GOOD))
    array = read_idx(tmp_path / name, 3)
    np.testing.assert_array_equal(array, IMAGES)
    array[0] = 0  # a copy of its own


PACKED = gzip.compress(GOOD)
BROKEN = {
    "empty file": (b"", "4-byte IDX header, got 0 bytes"),
    "text": (b"<html>404</html>", "must start with bytes 00 00 08 .* got 3c 68 74"),
    "floats": (bytes([0, 0, 13]) + GOOD[3:], "got 00 00 0d"),
    "labels for images": (idx_bytes(np.arange(5)), "must have 3 dimensions, got 1"),
    "header cut": (GOOD[:9], "header of 16 bytes, got 9: truncated"),
    "no images": (idx_bytes(np.zeros((0, 3, 4))), r"not be empty, got shape \(0, 3, 4\)"),
    "values cut": (GOOD[:-5], r"hold 24 values for its shape \(2, 3, 4\), got 19: truncated"),
    "values added": (GOOD + b"xy", "hold 24 values .* got 26: bytes after the end"),
    "huge shape": (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "got 24: truncated"),
    "gzip cut": (PACKED[:-10], "whole gzip file"),
    "gzip head only": (PACKED[:5], "whole gzip file"),
    "gzip checksum": (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "whole gzip file"),
    "gzip garbage inside": (PACKED[:20] + b"\xff\xff" + PACKED[22:], "whole gzip file"),
    "gzip garbage after": (PACKED + b"garbage", "whole gzip file"),
    "gzip of a short file": (gzip.compress(GOOD[:-5]), "got 19: truncated"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_refuses_a_broken_file_by_name(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path, 3)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_no_truncation_passes(tmp_path, pack):
    path = tmp_path / "file"
    whole = pack(GOOD)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="must"):
            read_idx(path, 3)
