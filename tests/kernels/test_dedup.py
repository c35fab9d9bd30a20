"""Which near copies are kept, against comparing all pairs."""

import numpy as np
import oracles
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._dedup import keep_greedily


@settings(deadline=None, derandomize=True)
@given(st.data(), st.integers(1, 12))
def test_keep_greedily(data, n):
    pairs = [
        data.draw(st.lists(st.integers(0, row - 1), max_size=4)) if row else [] for row in range(n)
    ]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in pairs])])
    earlier = np.array([e for each in pairs for e in each], np.int64)
    values = st.lists(st.floats(-1, 1, width=32), min_size=earlier.size, max_size=earlier.size)
    similar = np.array(data.draw(values), np.float32)
    kept = np.zeros(n, np.bool_)
    count = keep_greedily(starts, earlier, similar, 0.5, kept)
    assert kept.tolist() == oracles.keep_by_comparing(starts, earlier, similar, 0.5)
    assert count == kept.sum()
