"""Which near copies are kept, against comparing all pairs."""

import numpy as np
import oracles
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._dedup import keep_greedily, refine


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


@settings(deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32), st.sampled_from([1, 3, 64, 130]), st.sampled_from([np.inf, 0.6, -1.0])
)
def test_refine(seed, width, floor):
    """Halves and quarters have exact products, so that ties are ties."""
    random = np.random.default_rng(seed)
    later, earlier = (
        random.choice([-0.5, 0.0, 0.5], (n, 4)).astype(np.float32) for n in (5, width)
    )
    counts = np.sort(random.integers(-2, width + 1, 5))
    products = later @ earlier.T
    bounds = products + random.choice([0.0, 0.01, 0.6], products.shape).astype(np.float32)
    highest = random.choice([-1.0, 0.25, 0.5], 5).astype(np.float32)
    nearest = random.integers(-3, width + 3, 5)
    expected = oracles.nearest_by_products(later, earlier, counts, floor, highest, nearest)
    first = bounds.argmax(axis=1)
    done = refine(bounds, first, counts, later, earlier, np.float32(floor), highest, nearest)
    assert (highest.tolist(), nearest.tolist()) == expected[:2]
    eligible = np.arange(width) < counts[:, None]
    above = eligible & (bounds > np.float32(floor))
    assert set(zip(*np.nonzero(above), strict=True)) == expected[2]
    assert done <= eligible.sum() + 5
