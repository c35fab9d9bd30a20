from itertools import combinations, product

import numpy as np
import pytest
import torch
from batch_helpers import check_fingerprints, check_loader, each_check, of_epoch
from helpers import assert_hits, assert_mean
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.samplers import ClassesPerBatchSampler

N = 103
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.permutation(np.arange(N) ** 2 % 7)
TAIL = RANDOM.permutation(np.repeat(np.arange(6), [40, 20, 20, 13, 7, 3]))
some = settings(deadline=None, derandomize=True, max_examples=80)

FACTORIES = {
    "two": lambda **o: ClassesPerBatchSampler(LABELS, 2, 4, **o),
    "tail": lambda **o: ClassesPerBatchSampler(TAIL, 3, 2, **o),
    "one of each": lambda **o: ClassesPerBatchSampler(TAIL, 6, 1, **o),
    "inside groups": lambda **o: ClassesPerBatchSampler(TAIL, 3, 2, outer=np.arange(N) // 35, **o),
}
each_factory = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


@each_factory
@each_check
def test_contract(factory, check):
    check(factory)


@pytest.mark.slow
def test_loader():
    check_loader(FACTORIES["tail"], N)


def test_other_arguments_are_another_sampler():
    check_fingerprints(
        lambda: ClassesPerBatchSampler(LABELS, 2, 4),
        lambda: ClassesPerBatchSampler(LABELS, 4, 2),
        lambda: ClassesPerBatchSampler(LABELS, 2, 5),
        lambda: ClassesPerBatchSampler(LABELS, 2, 4, seed=1),
        lambda: ClassesPerBatchSampler(np.roll(LABELS, 1), 2, 4),
        lambda: ClassesPerBatchSampler(TAIL, 2, 4),
    )
    even = np.repeat(np.arange(4), 4)  # 16 draws an epoch either way
    check_fingerprints(
        lambda: ClassesPerBatchSampler(even, 2, 2), lambda: ClassesPerBatchSampler(even, 4, 1)
    )


# ---- what a batch holds --------------------------------------------------------------------------


@st.composite
def problems(draw):
    labels = draw(st.lists(st.integers(-1, 8), min_size=1, max_size=60))
    labels = np.array([*labels, 3])
    classes = np.unique(labels[labels >= 0]).size
    return labels, draw(st.integers(1, classes)), draw(st.integers(1, 6))


@some
@given(problems(), st.integers(0, 2**64 - 1))
@example((np.array([0]), 1, 1), 0)
@example((np.array([0]), 1, 5), 0)  # one sample fills a block
@example((np.array([0] * 30 + [1, 2]), 2, 2), 0)  # one class sets the length
@example((np.array([0] * 30 + [1, 2]), 3, 4), 0)  # every class in every batch
def test_every_batch_and_every_sample(problem, seed):
    labels, width, block = problem
    batches = ClassesPerBatchSampler(labels, width, block, seed=seed)
    names, sizes = np.unique(labels[labels >= 0], return_counts=True)
    needed = -(-sizes // block)
    count = max(needed.max(), -(-needed.sum() // width))  # the formula of the docstring
    assert len(batches) == count
    for epoch in range(2):
        drawn = np.array(of_epoch(lambda: batches, epoch))
        assert drawn.shape == (count, width * block)
        classes = labels[drawn].reshape(count, width, block)
        assert (classes == classes[:, :, :1]).all()  # K of a class, side by side
        assert all(np.unique(each).size == width for each in classes[:, :, 0])
        counts = np.bincount(drawn.ravel(), minlength=labels.size)
        np.testing.assert_array_equal(counts > 0, labels >= 0)  # every labelled sample, no other
        for name, size, blocks_needed in zip(names, sizes, needed, strict=True):
            mine = counts[labels == name]
            assert mine.max() - mine.min() <= 1
            assert mine.sum() // block in range(blocks_needed, count + 1)
            if size >= block:
                rows = drawn.reshape(count, width, block)[classes[:, :, 0] == name]
                assert all(np.unique(row).size == block for row in rows)


def test_what_is_over_goes_to_the_classes_in_equal_parts():
    labels = np.repeat(np.arange(6), [40, 30, 9, 5, 4, 2])
    batches = ClassesPerBatchSampler(labels, 4, 1)
    assert len(batches) == 40  # 160 blocks; 90 are needed, none can go to class 0
    for epoch in range(5):
        counts = np.bincount(labels[batches.indices(epoch)])
        # 10 more make class 1 full, and the other 60 are 15 for each of four classes
        assert counts.tolist() == [40, 40, 24, 20, 19, 17]
    batches = ClassesPerBatchSampler(np.repeat(np.arange(6), 5), 4, 1)  # 32 blocks, 30 needed
    more = np.stack([np.bincount(batches.indices(epoch) // 5) - 5 for epoch in range(2000)])
    assert set(more.ravel()) == {0, 1}
    assert_hits(more.sum(0), 2000, 2 / 6)


def test_the_number_of_batches_is_the_least_that_covers_all():
    for sizes, width, block, count in [
        ([12, 12, 12, 12], 2, 4, 6),
        ([13, 12, 12, 12], 2, 4, 7),  # 13 blocks of 4 in pairs
        ([100, 4, 4], 2, 4, 25),  # the large class is in every batch
        ([100, 4, 4], 1, 4, 27),
        ([1, 1, 1], 3, 8, 1),
    ]:
        labels = np.repeat(np.arange(len(sizes)), sizes)
        batches = ClassesPerBatchSampler(labels, width, block)
        assert len(batches) == batches.length(10**9) == count
        assert batches.num_samples == count * width * block


def test_names_of_classes_are_free():
    batches = ClassesPerBatchSampler(["b", "a", "b", "c"], 3, 2)
    assert [sorted(set(batch)) for batch in batches] == [[0, 1, 2, 3]]
    assert len(ClassesPerBatchSampler(torch.tensor([5, 5, 10**12, -1]), 2, 1)) == 2


# ---- chance --------------------------------------------------------------------------------------


def test_every_table_of_classes_is_as_likely():
    """4 batches of 2 classes, 4 classes in 2 batches each: there are 90 such tables."""
    labels = np.repeat(np.arange(4), 2)
    batches = ClassesPerBatchSampler(labels, 2, 1)
    trials = 9000
    found = np.stack([labels[batches.indices(epoch)].reshape(4, 2) for epoch in range(trials)])
    found = np.sort(found, axis=2).reshape(trials, 8)
    tables = [t for t in product(combinations(range(4), 2), repeat=4)]
    tables = [np.ravel(t) for t in tables if set(np.bincount(np.ravel(t))) == {2}]
    hits = np.array([(found == table).all(1).sum() for table in tables])
    assert hits.sum() == trials
    assert_hits(hits, trials, 1 / 90)


def test_every_table_of_few_batches_is_as_likely():
    """3 batches of 2: class 0 in two of them, and four classes in one. There are 36 such tables."""
    labels = np.array([0, 0, 1, 2, 3, 4])
    batches = ClassesPerBatchSampler(labels, 2, 1)
    trials = 9000
    found = np.stack([labels[batches.indices(epoch)].reshape(3, 2) for epoch in range(trials)])
    tables, hits = np.unique(np.sort(found, axis=2).reshape(trials, 6), axis=0, return_counts=True)
    assert len(tables) == 36
    assert_hits(hits, trials, 1 / 36)


def test_any_two_classes_and_any_sample_may_be_in_a_batch():
    labels = RANDOM.permutation(np.repeat(np.arange(12), 6))
    batches = ClassesPerBatchSampler(labels, 4, 2)  # 36 blocks, 9 batches, each sample once
    trials = 4000
    met, drawn = np.zeros((12, 12), int), np.zeros(labels.size, int)
    for epoch in range(trials):
        batch = batches.indices(epoch, 8, 16)  # the second one
        classes = np.unique(labels[batch])
        met[np.ix_(classes, classes)] += 1
        drawn[batch] += 1
    pairs = met[np.triu_indices(12, 1)]
    assert_hits(pairs, trials, 4 * 3 / (12 * 11))
    assert_hits(drawn, trials, 8 / labels.size)


def met_within(drawn, labels, width, block):
    """How often each two classes met in an epoch: (C (C - 1) / 2,)."""
    classes = labels[drawn].reshape(-1, width, block)[:, :, 0]
    present = np.zeros((len(classes), labels.max() + 1))
    present[np.arange(len(classes))[:, None], classes] = 1
    return (present.T @ present)[np.triu_indices(present.shape[1], 1)]


def test_the_same_classes_do_not_keep_company_within_an_epoch():
    """Variance over mean of how often two classes met: 0.8 by chance here, 36 as first laid out."""
    labels = np.repeat(np.arange(100), 40)
    batches = ClassesPerBatchSampler(labels, 10, 1)  # 400 batches
    ratios = []
    for epoch in range(20):
        met = met_within(batches.indices(epoch), labels, 10, 1)
        assert abs(met.mean() - 400 * 10 * 9 / (100 * 99)) < 1e-9
        ratios.append(met.var() / met.mean())
    # 4,950 pairs an epoch: the ratio of one epoch scatters by 2 %, that of a random table of so
    # many batches and classes is (1 - 10 / 100)**2 = 0.81.
    assert 0.78 < np.mean(ratios) < 0.86
    assert max(ratios) < 0.95


# ---- weights -------------------------------------------------------------------------------------


@each_factory
def test_original_gives_each_class_its_part_exactly(factory):
    batches = factory(objective="original")
    labels = LABELS if batches.classes_per_batch == 2 else TAIL
    for epoch in range(3):
        batches.set_epoch(epoch)
        drawn = batches.indices(epoch)
        shares = np.bincount(labels[drawn], batches.weights_for(drawn)) / drawn.size
        known = np.bincount(labels) / N
        np.testing.assert_allclose(shares, known, rtol=1e-6)


@each_factory
def test_original_restores_the_mean_over_the_samples(factory):
    batches = factory(objective="original")
    values = torch.from_numpy(np.sin(np.arange(N)))
    means = []
    for epoch in range(400):
        batches.set_epoch(epoch)
        drawn = batches.indices(epoch)
        means.append(batches.reduce(values[drawn], drawn).item())
    assert_mean(means, values.mean().item())


def test_sampled_counts_every_draw_once_and_unlabelled_is_refused():
    batches = ClassesPerBatchSampler([0, 0, 1, -1], 2, 2)
    np.testing.assert_array_equal(batches.weights_for(batches.indices(0)), 1)
    with pytest.raises(ValueError, match="indices must be draws of epoch 0, got 3"):
        batches.reduce(torch.ones(1), [3])


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 1, 1], 3, 2), ValueError, "classes_per_batch must be at most .* classes, 2, got 3"),
        (([0, 1, 1], 0, 2), ValueError, "classes_per_batch must be >= 1, got 0"),
        (([0, 1, 1], 1, 0), ValueError, "samples_per_class must be >= 1, got 0"),
        (([0, 1, 1], 1, 1.5), TypeError, "samples_per_class must be an int, got 1.5"),
        (([-1, -1], 1, 1), ValueError, "labels must label at least one sample"),
        (([], 1, 1), ValueError, "labels must not be empty"),
        (([0, -3], 1, 1), ValueError, "labels must be >= 0, or -1 .* got -3 in row 1"),
        (([0.5], 1, 1), ValueError, "labels must be class ids, got 0.5 in row 0"),
    ],
)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ClassesPerBatchSampler(*arguments)


def test_attributes():
    batches = ClassesPerBatchSampler(LABELS, 2, 4, seed=5, drop_last=True)
    assert (batches.classes_per_batch, batches.samples_per_class, batches.batch_size) == (2, 4, 8)
    assert list(batches) == of_epoch(FACTORIES["two"], 0, seed=5)  # drop_last changes nothing
    assert not batches.dynamic


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_samples_are_seen_where_the_popular_one_leaves_a_third_out():
    samplers = pytest.importorskip("pytorch_metric_learning.samplers")
    labels = RANDOM.permutation(np.arange(200_000) % 1000)
    ours = ClassesPerBatchSampler(labels, 32, 4)
    assert np.unique(list(ours)).size == labels.size
    theirs = samplers.MPerClassSampler(labels, 4, 128, labels.size)
    assert np.unique(list(theirs)).size < 0.66 * labels.size


# ---- inside outer groups -------------------------------------------------------------------------


@some
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_every_batch_is_of_one_outer_group(seed, width, block, group):
    random = np.random.default_rng(seed)
    labels, outer = random.integers(-1, 5, 70), random.integers(-1, 4, 70)
    keep = {"unlabeled": "group"} if group else {}
    known = np.ones(70, bool) if group else (labels >= 0) & (outer >= 0)
    held = {each: np.unique(labels[known & (outer == each)]).size for each in set(outer[known])}
    able = known & np.array([held.get(each, 0) >= width for each in outer])
    if able.sum() < known.sum():
        with pytest.raises(ValueError, match=f"every outer group must have {width} classes or"):
            ClassesPerBatchSampler(labels, width, block, outer=outer, **keep)
    if not able.any():
        return
    batches = ClassesPerBatchSampler(
        labels, width, block, outer=outer, few_classes="drop", seed=seed, **keep
    )
    drawn = np.array(of_epoch(lambda: batches, 1))
    assert (outer[drawn] == outer[drawn][:, :1]).all()
    classes = labels[drawn].reshape(-1, width, block)
    assert (classes == classes[:, :, :1]).all()
    assert all(np.unique(each).size == width for each in classes[:, :, 0])
    counts = np.bincount(drawn.ravel(), minlength=70)
    np.testing.assert_array_equal(counts > 0, able)
    count = 0
    for each in np.unique(outer[able]):  # each outer group has the batches it would have alone
        count += len(ClassesPerBatchSampler(labels[able & (outer == each)] + 1, width, block))
    assert len(batches) == count
    np.testing.assert_allclose(
        np.bincount(drawn.ravel(), batches.importance_weights(drawn.ravel())).sum(), drawn.size
    )


def test_one_outer_group_is_as_none_but_for_chance():
    labels = np.repeat(np.arange(6), [40, 30, 9, 5, 4, 2])
    alone = ClassesPerBatchSampler(labels, 4, 1)
    inside = ClassesPerBatchSampler(labels, 4, 1, outer=np.zeros(90))
    assert len(alone) == len(inside)
    for epoch in range(5):
        counts = [np.bincount(labels[each.indices(epoch)]) for each in (alone, inside)]
        np.testing.assert_array_equal(*counts)


def test_batches_of_outer_groups_are_shuffled_together():
    labels, outer = np.arange(400) % 4, np.arange(400) // 100
    batches = ClassesPerBatchSampler(labels, 2, 5, outer=outer)
    groups = np.stack([outer[batches.indices(epoch)][::10] for epoch in range(500)])
    assert groups.shape == (500, 40)
    # the group of each position is any of 4
    hits = np.stack([(groups == each).sum(axis=0) for each in range(4)])
    assert_hits(hits.ravel(), 500, 1 / 4)


def test_short_epochs_of_outer_groups_are_parts_of_passes():
    labels, outer = np.arange(60) % 3, np.arange(60) // 20
    whole = ClassesPerBatchSampler(labels, 2, 2, outer=outer)
    short = ClassesPerBatchSampler(labels, 2, 2, outer=outer, num_batches=5)
    passes = sum((of_epoch(lambda: whole, epoch) for epoch in range(2)), [])
    parts = sum((of_epoch(lambda: short, epoch) for epoch in range(len(passes) // 5)), [])
    assert parts == passes[: len(parts)]


def test_wrong_outer_groups():
    labels = np.arange(12) % 3
    for outer, options, message in (
        (np.arange(11), {}, "outer must have the length of labels, 12, got 11"),
        (np.arange(12), {}, r"2 classes or more, got 1 in 0 \(12 such groups\)"),
        (["x"] * 10 + ["y", "x"], {}, r"2 classes or more, got 1 in 'y' \(1 such groups\)"),
        (np.arange(12), {"few_classes": "drop"}, "some outer group must have 2 classes or more"),
        (labels, {"few_classes": "skip"}, "few_classes must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            ClassesPerBatchSampler(labels, 2, 2, outer=outer, **options)
    check_fingerprints(
        lambda: ClassesPerBatchSampler(labels, 1, 2),
        lambda: ClassesPerBatchSampler(labels, 1, 2, outer=np.arange(12) // 6),
        lambda: ClassesPerBatchSampler(labels, 1, 2, outer=labels),
    )
