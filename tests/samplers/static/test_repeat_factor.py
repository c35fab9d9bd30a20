import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers import assert_hits, assert_mean, counts_of
from scipy import sparse

from sampling.samplers import RepeatFactorSampler

GOLDEN = np.zeros((10, 3), np.int64)  # six images with {0}, three with {0, 1}, one with {2}
GOLDEN[:9, 0] = 1
GOLDEN[6:9, 1] = 1
GOLDEN[9, 2] = 1
FACTORS = np.array([1.0] * 6 + [1.290994] * 3 + [2.236068])


def test_golden_factors():
    sampler = RepeatFactorSampler(GOLDEN, threshold=0.5)
    np.testing.assert_allclose(sampler.repeat_factors, FACTORS, atol=1e-6)
    assert sampler.repeat_factors.sum() == pytest.approx(12.109051, abs=1e-6)
    assert sampler.num_samples == 12


def test_without_the_root():
    sampler = RepeatFactorSampler(GOLDEN, threshold=0.5, sqrt=False)
    np.testing.assert_allclose(sampler.repeat_factors, [1] * 6 + [5 / 3] * 3 + [5])


def test_a_threshold_below_all_frequencies_repeats_nothing():
    sampler = RepeatFactorSampler(GOLDEN, threshold=0.1)
    for counts in counts_of(sampler, 5):
        np.testing.assert_array_equal(counts, 1)


def test_multiplicity_is_the_factor_rounded_at_random():
    epochs = 4000
    sampler = RepeatFactorSampler(GOLDEN, threshold=0.5, seed=1)
    counts = counts_of(sampler, epochs)
    low = np.floor(sampler.repeat_factors)
    assert (counts >= low).all()  # so none is dropped
    assert (counts <= np.ceil(sampler.repeat_factors)).all()
    assert_hits((counts - low).sum(axis=0), epochs, sampler.repeat_factors - low)
    # Each sample is rounded by itself: two of equal factor come up together as often as chance has.
    both = ((counts[:, 6] == 2) & (counts[:, 7] == 2)).sum()
    assert_hits(np.array([both]), epochs, 0.290994**2)


def test_length_is_known_and_averages_to_the_sum_of_factors():
    epochs = 2000
    sampler = RepeatFactorSampler(GOLDEN, threshold=0.5, seed=2)
    lengths = np.array([sampler.length(epoch) for epoch in range(epochs)])
    assert len(set(lengths)) > 1
    assert_mean(lengths, 12.109051)
    for epoch in (0, 3, 7):
        sampler.set_epoch(epoch)
        assert len(sampler) == len(list(sampler)) == lengths[epoch] == sampler.indices(epoch).size
    assert sampler.expected_samples(5) == lengths[:5].sum()
    shards = [
        RepeatFactorSampler(GOLDEN, 0.5, seed=2, num_replicas=2, rank=r, drop_last=True).length(7)
        for r in range(2)
    ]
    assert shards == [lengths[7] // 2] * 2


def test_order_is_shuffled():
    epochs = 3000
    sampler = RepeatFactorSampler(np.eye(5, dtype=int), threshold=0.2)
    first = np.array([sampler.indices(epoch)[0] for epoch in range(epochs)])
    assert_hits(np.bincount(first, minlength=5), epochs, 1 / 5)


def test_class_exposure_counts_co_occurrence():
    """Category 0 gains from the rare category 1 that it occurs with."""
    sampler = RepeatFactorSampler(GOLDEN, threshold=0.5, seed=3)
    np.testing.assert_allclose(sampler.class_exposure(), GOLDEN.T @ FACTORS, atol=1e-5)
    assert_mean(counts_of(sampler, 2000) @ GOLDEN, sampler.class_exposure())


@pytest.mark.parametrize(
    "kind",
    [
        lambda m: m.astype(bool).tolist(),
        lambda m: m.astype(bool),
        lambda m: m.astype(np.uint8),
        lambda m: m.astype(np.float32),
        torch.tensor,
        sparse.csr_array,
        sparse.csr_matrix,
        sparse.coo_array,
        sparse.csc_array,
        lambda m: sparse.csr_array(m.astype(bool)),
        lambda m: sparse.csr_array(m.astype(np.uint8)),
    ],
)
def test_dense_sparse_and_bool_are_alike(kind):
    plain = RepeatFactorSampler(GOLDEN, 0.5, seed=4)
    other = RepeatFactorSampler(kind(GOLDEN), 0.5, seed=4)
    np.testing.assert_array_equal(other.repeat_factors, plain.repeat_factors)
    np.testing.assert_allclose(other.class_exposure(), plain.class_exposure())
    np.testing.assert_array_equal(other.indices(3), plain.indices(3))


def test_a_stored_zero_is_no_label_and_the_callers_matrix_is_left_alone():
    matrix = sparse.csr_array(
        (np.array([1, 0, 1, 1]), np.array([1, 0, 1, 0]), np.array([0, 2, 4])), shape=(2, 2)
    )
    kept = [each.copy() for each in (matrix.data, matrix.indices, matrix.indptr)]
    sampler = RepeatFactorSampler(matrix, threshold=1.0)
    np.testing.assert_allclose(sampler.repeat_factors, [1, 2**0.5])  # f = (1/2, 1)
    for now, before in zip((matrix.data, matrix.indices, matrix.indptr), kept, strict=True):
        np.testing.assert_array_equal(now, before)


def test_rows_and_categories_without_labels():
    labels = np.zeros((4, 3), int)
    labels[0, 1] = 1
    sampler = RepeatFactorSampler(labels, threshold=1.0)
    np.testing.assert_allclose(sampler.repeat_factors, [2, 1, 1, 1])
    np.testing.assert_allclose(sampler.class_exposure(), [0, 2, 0])
    empty = RepeatFactorSampler(sparse.csr_array((5, 2), dtype=np.int64), 0.5)
    assert sorted(empty) == list(range(5))


def test_one_sample():
    assert list(RepeatFactorSampler(np.array([[1]]), 0.5)) == [0]


def test_original_restores_the_mean_over_the_data():
    losses = np.arange(10.0) ** 2
    sampler = RepeatFactorSampler(GOLDEN, 0.5, objective="original", seed=5)
    np.testing.assert_allclose(
        sampler.weights_for(np.arange(10)), FACTORS.sum() / (10 * FACTORS), rtol=1e-5
    )
    sums, sizes = [], []
    for epoch in range(1500):
        sampler.set_epoch(epoch)
        order = sampler.indices(epoch)
        sums.append(float(sampler.reduce(torch.tensor(losses[order]), order)) * order.size)
        sizes.append(order.size)
    # A ratio of means: the epoch's length varies with what is repeated.
    assert_mean(np.array(sums) - losses.mean() * np.array(sizes), 0)
    plain = RepeatFactorSampler(GOLDEN, 0.5)
    np.testing.assert_array_equal(plain.weights_for([0, 9]), [1, 1])


@pytest.mark.parametrize(
    ("labels", "threshold", "error", "message"),
    [
        ([0, 1], 0.5, ValueError, r"labels must have shape \(N, C\) with N, C >= 1, got \(2,\)"),
        (np.zeros((0, 3)), 0.5, ValueError, r"labels must have shape .*, got \(0, 3\)"),
        (np.array([[0, 1], [2, 0]]), 0.5, ValueError, "labels must be 0 or 1, got 2 in row 1"),
        (np.array([[0, 1], [1, -1]]), 0.5, ValueError, "labels must be 0 or 1, got -1 in row 1"),
        (np.array([[0, np.nan], [1, 0]]), 0.5, ValueError, "must be 0 or 1, got nan in row 0"),
        ([[0, 1], [1, 0]], 0.5, ValueError, r"could be either: .*np.array\(labels\).*set\(row\)"),
        ([[0], [1]], 0.5, ValueError, "could be either"),
        ([[1, 2], [-1]], 0.5, TypeError, "all int >= 0 or all str, got -1 in row 1"),
        ([[1], [], [2, "a"]], 0.5, TypeError, "all int >= 0 or all str, got 'a' in row 2"),
        ([[1, 2], [None]], 0.5, TypeError, "got None in row 1"),
        ([[1, 2], 3], 0.5, TypeError, "labels must be lists of category ids, got 3 in row 1"),
        ([[{"category_id": 3}]], 0.5, TypeError, r"list of samples: .*'category_id'"),
        ([[], set()], 0.5, ValueError, "must hold a category, got none in all 2 rows"),
        (GOLDEN, 0.0, ValueError, r"threshold must be in \(0, 1\], got 0.0"),
        (GOLDEN, 1.5, ValueError, r"threshold must be in \(0, 1\], got 1.5"),
        (GOLDEN, np.nan, ValueError, r"threshold must be in \(0, 1\], got nan"),
        (GOLDEN, "0.5", TypeError, "threshold must be a number, got '0.5'"),
    ],
)
def test_refuses(labels, threshold, error, message):
    with pytest.raises(error, match=message):
        RepeatFactorSampler(labels, threshold)


def test_names_the_row_of_a_bad_entry_after_empty_rows():
    labels = np.zeros((6, 4))
    labels[4, 2] = 3
    with pytest.raises(ValueError, match="labels must be 0 or 1, got 3.0 in row 4"):
        RepeatFactorSampler(sparse.csr_array(labels), 0.5)


LVIS = [[3, 3, 7], [7], [], [7, 12], [3], [7]]  # category ids of the boxes of each image


def factors_by_hand(images, threshold):
    """Twin: the largest factor of an image's categories, each counted once an image."""
    held = [set(image) for image in images]
    share = {c: sum(c in own for own in held) / len(held) for own in held for c in own}
    return [
        max((max(1.0, (threshold / share[c]) ** 0.5) for c in own), default=1.0) for own in held
    ]


@pytest.mark.parametrize(
    "kind",
    [
        list,
        lambda rows: [set(row) for row in rows],
        lambda rows: [tuple(row) or None for row in rows],
        lambda rows: [np.array(row, int) for row in rows],
        lambda rows: [torch.tensor(row) for row in rows],
        lambda rows: np.array(rows, object),
        lambda rows: [[f"{each:02}" for each in row] for row in rows],
        pa.array,
        lambda rows: pa.chunked_array([rows[:2], rows[2:]], pa.list_(pa.int64())),
        lambda rows: pytest.importorskip("pandas").Series(rows, index=range(9, 15)),
        lambda rows: pytest.importorskip("datasets").Dataset.from_dict({"ids": rows})["ids"],
    ],
)
def test_lists_of_category_ids(kind):
    sampler = RepeatFactorSampler(kind(LVIS), threshold=0.9, seed=1)
    np.testing.assert_allclose(sampler.repeat_factors, factors_by_hand(LVIS, 0.9))
    assert [int(each) for each in sampler.categories] == [3, 7, 12]
    matrix = np.array([[c in image for c in (3, 7, 12)] for image in LVIS])
    same = RepeatFactorSampler(matrix, threshold=0.9, seed=1)
    assert list(sampler) == list(same)
    np.testing.assert_allclose(sampler.class_exposure(), same.class_exposure())
    assert same.categories.tolist() == [0, 1, 2]


def test_lists_of_one_length_without_a_zero_are_ids():
    sampler = RepeatFactorSampler([[3], [5], [3]], threshold=1.0)
    np.testing.assert_allclose(sampler.repeat_factors**2, [1.5, 3, 1.5])
    same = RepeatFactorSampler([{0}, {1}, {0}], threshold=1.0)
    np.testing.assert_allclose(same.repeat_factors, sampler.repeat_factors)
