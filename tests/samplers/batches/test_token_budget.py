import numpy as np
import pytest
import torch
from batch_helpers import check_fingerprints, check_loader, each_check, of_epoch
from helpers import assert_hits
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.samplers import TokenBudgetBatchSampler

N = 103
RANDOM = np.random.default_rng(0)
LENGTHS = np.clip(RANDOM.lognormal(3, 0.8, N).astype(int), 1, 120)
MANY = np.clip(RANDOM.lognormal(5, 0.8, 20_000).astype(int), 1, 4096)  # mean 205, median 148
BUDGET = 16_384
some = settings(deadline=None, derandomize=True, max_examples=100)

FACTORIES = {
    "padded": lambda **o: TokenBudgetBatchSampler(LENGTHS, 200, round_size=4, **o),
    "multiples": lambda **o: TokenBudgetBatchSampler(
        LENGTHS, 240, max_batch_size=12, batch_size_multiple=4, noise=0.5, **o
    ),
    "sums": lambda **o: TokenBudgetBatchSampler(LENGTHS, 200, padded=False, noise=0.3, **o),
}
each_factory = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


@each_factory
@each_check
def test_contract(factory, check):
    check(factory)


@pytest.mark.slow
def test_loader():
    check_loader(FACTORIES["padded"], N)


def test_other_arguments_are_another_sampler():
    check_fingerprints(
        lambda: TokenBudgetBatchSampler(LENGTHS, 200),
        lambda: TokenBudgetBatchSampler(LENGTHS, 201),
        lambda: TokenBudgetBatchSampler(LENGTHS, 200, max_batch_size=50),
        lambda: TokenBudgetBatchSampler(LENGTHS, 200, batch_size_multiple=2),
        lambda: TokenBudgetBatchSampler(LENGTHS, 200, padded=False),
        lambda: TokenBudgetBatchSampler(LENGTHS, 200, noise=0.2),
        lambda: TokenBudgetBatchSampler(LENGTHS, 200, noise=0.2, padded=False),
        lambda: TokenBudgetBatchSampler(LENGTHS, 200, round_size=4),
        lambda: TokenBudgetBatchSampler(LENGTHS, 200, seed=1),
        lambda: TokenBudgetBatchSampler(LENGTHS[::-1], 200),
    )


def costs_of(drawn, lengths, padded=True):
    if padded:
        return np.array([len(batch) * lengths[batch].max() for batch in drawn])
    return np.array([lengths[batch].sum() for batch in drawn])


# ---- what a batch holds --------------------------------------------------------------------------

number = st.one_of(st.integers(0, 50), st.floats(0, 50))


@some
@given(
    st.lists(number, min_size=1, max_size=60),
    st.one_of(st.integers(50, 400), st.floats(50, 400)),
    st.one_of(st.none(), st.integers(1, 9)),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from([0, 0.1, 1.0, 1e9]),
)
@example([0, 0, 0, 0, 0], 50, 2, 1, False, 0)
@example([0, 0, 0, 0, 0], 50, None, 4, True, 0.1)
@example([50] * 7, 50, None, 4, True, 0)  # one a batch
@example([50] * 7, 99, None, 1, False, 0)
@example([0.1] * 40, 0.3 + 50, 3, 1, True, 0)
@example([50] + [1] * 50, 50, None, 1, False, 0)
@example([5e-324, 1e-310, 1, 1], 50, None, 1, True, 0.1)  # 50 / 5e-324 overflows
@example([5e-324, 1e-310, 1, 1], 50, 2, 1, False, 0)
def test_every_sample_once_and_no_batch_too_dear(lengths, budget, most, multiple, padded, noise):
    lengths = np.array(lengths)
    multiple = multiple if padded else 1
    batches = TokenBudgetBatchSampler(
        lengths,
        budget,
        max_batch_size=most,
        batch_size_multiple=multiple,
        padded=padded,
        noise=noise,
        round_size=3,
    )
    for epoch in range(3):
        drawn = of_epoch(lambda: batches, epoch)
        assert sorted(sum(drawn, [])) == list(range(lengths.size))
        assert all(drawn)
        slack = 0 if padded else 1e-9  # sums of floats depend on their order
        assert costs_of(drawn, lengths, padded).max() <= budget + slack
        sizes = np.array([len(batch) for batch in drawn])
        assert sizes.max() <= (most or lengths.size)
        assert np.count_nonzero((sizes >= multiple) & (sizes % multiple > 0)) <= 1
        assert len(drawn) == len(batches) == batches.length(10**9)  # in every epoch


def test_batches_hold_like_lengths():
    for noise in (0.0, 0.1, 0.5):
        batches = TokenBudgetBatchSampler(MANY, BUDGET, noise=noise)
        ratios = [MANY[batch].max() / MANY[batch].min() for batch in batches]
        assert max(ratios) < 10
        bands = 1 + np.log(MANY.max() / MANY.min()) / np.log1p(noise or 1e-3)
        assert np.count_nonzero(np.array(ratios) > 1 + noise) <= bands  # where two bands meet


@pytest.mark.parametrize(
    ("lengths", "budget", "sizes"),
    [
        ([7, 7, 7, 7, 7], 21, [3, 2]),
        ([9, 4, 4, 4, 4], 18, [2, 3]),  # 9 and 4, then three of 4
        ([1] * 10, 4, [4, 4, 2]),
        ([2.5] * 4, 7.5, [3, 1]),
        ([0.1] * 4, 0.3, [2, 2]),  # 3 times 0.1 is more than 0.3 in binary
        ([0.099] * 400, 29.7, [299, 101]),  # and 29.7 / 0.099 is 300, which times 0.099 is more
    ],
)
def test_sizes_by_hand(lengths, budget, sizes):
    batches = TokenBudgetBatchSampler(lengths, budget, noise=0)
    assert sorted(map(len, batches)) == sorted(sizes)


def test_lengths_are_sorted_to_their_last_digit():
    lengths = RANDOM.permutation(10 + np.arange(40) / 100)
    batches = TokenBudgetBatchSampler(lengths, 52, noise=0)
    ranks = np.argsort(np.argsort(-lengths))
    assert sorted(sorted(ranks[batch]) for batch in batches) == [
        list(range(start, start + 5)) for start in range(0, 40, 5)
    ]


def test_no_batch_is_empty_where_lengths_are_0():
    lengths = np.repeat([10, 0], [2000, 50])
    drawn = list(TokenBudgetBatchSampler(lengths, 10, padded=False))
    assert all(drawn)
    assert sorted(sum(drawn, [])) == list(range(2050))


def test_multiples():
    lengths = np.full(37, 10)
    batches = TokenBudgetBatchSampler(lengths, 150, batch_size_multiple=4)  # 15 would fit
    assert sorted(map(len, batches)) == [1, 12, 12, 12]
    batches = TokenBudgetBatchSampler(lengths, 30, batch_size_multiple=4)  # 3 is the most
    assert sorted(map(len, batches)) == [1] + [3] * 12
    batches = TokenBudgetBatchSampler(lengths, 150, max_batch_size=10, batch_size_multiple=4)
    assert sorted(map(len, batches)) == [5, 8, 8, 8, 8]


def test_sums_are_level_and_batches_few():
    batches = TokenBudgetBatchSampler(MANY, BUDGET, padded=False, noise=0.02)
    least = -(-MANY.sum() // BUDGET)
    assert least <= len(batches) <= 1.03 * least
    for epoch in range(3):
        sums = costs_of(of_epoch(lambda: batches, epoch), MANY, padded=False)
        assert sums.max() / sums.min() < 1.01
    one_long = np.array([1000] + [1] * 4000)  # a batch of long samples has few of them
    batches = TokenBudgetBatchSampler(one_long, 1000, padded=False)
    assert sorted(map(len, batches)) == [1, 1000, 1000, 1000, 1000]


# ---- what it is for: padding and balance ---------------------------------------------------------


def padding_of(drawn, lengths):
    return 1 - lengths.sum() / costs_of(drawn, lengths).sum()


def random_batches(lengths, budget):
    """Samples in random order, as many to a batch as the budget allows."""
    drawn, batch, longest = [], [], 0
    for index in np.random.default_rng(1).permutation(lengths.size):
        longest = max(longest, lengths[index])
        if (len(batch) + 1) * longest > budget:
            drawn.append(batch)
            batch, longest = [], lengths[index]
        batch.append(index)
    return [*drawn, batch]


@pytest.mark.parametrize(("noise", "most"), [(0, 0.01), (0.1, 0.06), (0.5, 0.2)])
def test_little_is_padded(noise, most):
    """Random batches of the same budget pad 70 %."""
    drawn = list(TokenBudgetBatchSampler(MANY, BUDGET, noise=noise))
    assert padding_of(drawn, MANY) < most
    shuffled = random_batches(MANY, BUDGET)
    assert padding_of(shuffled, MANY) > 0.6
    assert len(drawn) < 0.4 * len(shuffled)


def unevenness(costs, ranks):
    """How much longer the dearest rank takes than the mean one, mean over whole steps."""
    steps = costs[: costs.size // ranks * ranks].reshape(-1, ranks)
    return (steps.max(1) / steps.mean(1)).mean() - 1


@pytest.mark.parametrize(("ranks", "most", "otherwise"), [(2, 0.05, 0.2), (8, 0.1, 0.6)])
def test_ranks_of_a_step_have_like_costs(ranks, most, otherwise):
    """Where cost grows with the square of length; in proportion to it any order is level."""

    def cost_of(batches, power):
        drawn = of_epoch(lambda: batches, 1)
        return np.array([len(batch) * float(MANY[batch].max()) ** power for batch in drawn])

    rounds = TokenBudgetBatchSampler(MANY, BUDGET)
    mixed = TokenBudgetBatchSampler(MANY, BUDGET, round_size=1)
    assert unevenness(cost_of(rounds, 1), ranks) < 0.02
    assert unevenness(cost_of(rounds, 2), ranks) < most
    assert unevenness(cost_of(mixed, 2), ranks) > otherwise


def test_sums_leave_nothing_to_balance():
    sums = costs_of(TokenBudgetBatchSampler(MANY, BUDGET, padded=False), MANY, padded=False)
    assert unevenness(sums, 8) < 0.01


# ---- chance --------------------------------------------------------------------------------------


def test_samples_of_like_length_meet_by_chance():
    """A band of 9 samples in batches of 3: any two meet with chance 2 / 8, in any batch."""
    lengths = np.array([100, 99, 98, 97, 96, 95, 94, 93, 92, *[10] * 30])
    batches = TokenBudgetBatchSampler(lengths, 300)
    trials = 4000
    met = np.zeros((9, 9), int)
    for epoch in range(trials):
        for batch in of_epoch(lambda: batches, epoch):
            band = [index for index in batch if index < 9]
            assert len(band) in (0, 3)
            met[np.ix_(band, band)] += 1
    assert_hits(met[np.triu_indices(9, 1)], trials, 2 / 8)


@pytest.mark.parametrize("padded", [True, False])
def test_any_batch_may_come_first(padded):
    lengths = np.repeat(np.arange(12) * 10 + 300, 2)  # two of each length: 12 batches if padded
    batches = TokenBudgetBatchSampler(lengths, 860, noise=0, round_size=4, padded=padded)
    assert len(batches) == 12 or not padded
    trials = 4000
    first = np.zeros(24, int)
    for epoch in range(trials):
        first[of_epoch(lambda: batches, epoch)[0]] += 1
    assert_hits(first, trials, 1 / len(batches))


def test_rounds_are_of_neighbours_and_the_short_one_is_last():
    lengths = np.repeat(np.arange(14) * 10 + 300, 2)  # 14 batches of 2, by length
    batches = TokenBudgetBatchSampler(lengths, 900, noise=0, round_size=4)
    short = set()
    for epoch in range(200):
        rank = np.array(
            [lengths[batch[0]] // 10 - 30 for batch in of_epoch(lambda: batches, epoch)]
        )
        assert sorted(rank) == list(range(14))
        for start in (0, 4, 8):
            assert np.ptp(rank[start : start + 4]) == 3
        assert np.ptp(rank[12:]) == 1
        short.add(rank[12:].min())
    assert short == {0, 4, 8, 12}


def test_equal_lengths_are_a_shuffle():
    batches = TokenBudgetBatchSampler(np.full(6, 5), 10)
    trials = 6000
    first = np.array([batches.indices(epoch)[:2] for epoch in range(trials)])
    pairs, hits = np.unique(first, axis=0, return_counts=True)
    assert len(pairs) == 30
    assert_hits(hits, trials, 1 / 30)


# ---- weights and state ---------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["sampled", "original"])
def test_all_weights_are_1(objective):
    batches = FACTORIES["padded"](objective=objective)
    drawn = batches.indices(0)
    np.testing.assert_array_equal(batches.weights_for(drawn), 1)
    np.testing.assert_array_equal(batches.importance_weights(drawn), 1)
    losses = torch.rand(N)
    assert torch.equal(batches.reduce(losses, drawn), losses.mean())


def test_lengths_are_not_kept_nor_changed():
    lengths = LENGTHS.astype(np.float64)
    batches = TokenBudgetBatchSampler(lengths, 200, round_size=4)
    np.testing.assert_array_equal(lengths, LENGTHS)
    lengths[:] = 1
    assert of_epoch(lambda: batches, 1) == of_epoch(FACTORIES["padded"], 1)


@pytest.mark.parametrize("convert", [list, torch.from_numpy, np.float32, np.uint16])
def test_lengths_of_any_kind(convert):
    batches = TokenBudgetBatchSampler(convert(LENGTHS), 200, round_size=4)
    assert of_epoch(lambda: batches, 1) == of_epoch(FACTORIES["padded"], 1)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([3, 9, 8], 8), {}, ValueError, "at most max_tokens, 8, got 9 in row 1: exclude"),
        (([], 8), {}, ValueError, "lengths must not be empty"),
        (([1, -1], 8), {}, ValueError, "lengths must be finite and >= 0, got -1.0 in row 1"),
        (([1, np.nan], 8), {}, ValueError, "lengths must be finite .* got nan in row 1"),
        ((["a"], 8), {}, TypeError, "lengths must hold numbers"),
        (([1], 0), {}, ValueError, r"max_tokens must be in \(0, inf\), got 0"),
        (([1], "8"), {}, TypeError, "max_tokens must be a number"),
        (([1], 8), {"max_batch_size": 0}, ValueError, "max_batch_size must be >= 1, got 0"),
        (([1], 8), {"batch_size_multiple": 0}, ValueError, "batch_size_multiple must be >= 1"),
        (([1], 8), {"noise": -0.1}, ValueError, r"noise must be in \[0, inf\), got -0.1"),
        (([1], 8), {"noise": np.inf}, ValueError, r"noise must be in \[0, inf\), got inf"),
        (([1], 8), {"round_size": 0}, ValueError, "round_size must be >= 1, got 0"),
        (
            ([1], 8),
            {"batch_size_multiple": 8, "padded": False},
            ValueError,
            "batch_size_multiple must be 1 with padded=False, .* got 8",
        ),
    ],
)
def test_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        TokenBudgetBatchSampler(*arguments, **options)


def test_attributes():
    batches = FACTORIES["padded"](seed=5, drop_last=True)
    assert batches.batch_size is None
    assert list(batches) == of_epoch(FACTORIES["padded"], 0, seed=5)  # drop_last changes nothing
    assert batches.max_tokens == 200
