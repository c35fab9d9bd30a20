"""Weights that follow the losses of domains: the rules by hand, and what becomes of their state."""

import copy
import pickle

import numpy as np
import pytest
import torch

from sampling.errors import StateError
from sampling.samplers import (
    ODM,
    DoReMi,
    EpochBatchSampler,
    MixtureSampler,
    MixtureUpdater,
    full_state,
    load_full_state,
    load_state,
    save_state,
)

NAN = np.nan


def after(rule, weights, *losses):
    """The state after epochs with these mean losses."""
    state = rule.begin(np.array(weights, float))
    for each in losses:
        state = rule.step(state, np.array(each, float))
    return state


def softmax(values):
    parts = np.exp(np.array(values, float) - np.max(values))
    return parts / parts.sum()


# ---- ODM -----------------------------------------------------------------------------------------


def test_golden_exploration():
    """Card 3.1: K = 22, uniform until the 68th update."""
    found = [ODM()._explored(22, update) for update in (1, 10, 100, 1000, 10_000)]
    np.testing.assert_allclose(found, [0.045455, 0.045455, 0.037484, 0.011853, 0.003748], atol=1e-6)
    assert ODM()._explored(22, 68) == 1 / 22 > ODM()._explored(22, 69)


def test_odm_is_uniform_until_it_explores_less():
    state = after(ODM(), [0.9, 0.1], [1, 5])
    np.testing.assert_allclose(state["weights"], [0.5, 0.5])
    after_many = after(ODM(), [0.5, 0.5], *[[1, 5]] * 9)
    assert after_many["weights"][1] > 0.6


def test_odm_ema_by_hand():
    """R <- a R + (1 - a) loss / p, weights (1 - K eps) softmax(eps R) + eps."""
    rule = ODM(exploration=0.2, decay=0.5, floor=0.0)
    first = after(rule, [0.25, 0.75], [4, 3])
    np.testing.assert_allclose(first["rewards"], [0.5 * 4 / 0.25, 0.5 * 3 / 0.75])
    weights = 0.6 * softmax([0.2 * 8, 0.2 * 2]) + 0.2
    np.testing.assert_allclose(first["weights"], weights)
    second = rule.step(first, np.array([NAN, 6.0]))  # the first domain was not seen
    np.testing.assert_allclose(second["rewards"], [8, 0.5 * 2 + 0.5 * 6 / weights[1]])
    np.testing.assert_allclose(second["average"], (weights + second["weights"]) / 2)


def test_odm_exp3_by_hand():
    rule = ODM(reward="exp3", exploration=0.1, reward_scale=2.0, floor=0.0)
    state = after(rule, [0.5, 0.5], [3, 1])
    np.testing.assert_allclose(state["rewards"], [3, 1])
    np.testing.assert_allclose(state["weights"], 0.8 * softmax([0.3, 0.1]) + 0.1)
    again = rule.step(state, np.array([3.0, 1.0]))
    np.testing.assert_allclose(again["rewards"], [3, 1] + np.array([1.5, 0.5]) / state["weights"])


def test_odm_linear_by_hand():
    """The group form of the released code: a mean of exp(loss), drawn in proportion."""
    rule = ODM(link="linear", importance=False, decay=0.0, exploration=0.1, floor=0.0)
    state = after(rule, [0.5, 0.5], [np.log(3), 0])
    np.testing.assert_allclose(state["weights"], [0.8 * 0.75 + 0.1, 0.8 * 0.25 + 0.1])


def test_odm_default_uses_the_exploration_of_the_update_before():
    rule = ODM(importance=False, decay=0.0, floor=0.0)
    state = after(rule, [0.5, 0.5], *[[1, 2]] * 4)
    now, before = np.sqrt(np.log(2) / 8), np.sqrt(np.log(2) / 6)
    np.testing.assert_allclose(
        state["weights"], (1 - 2 * now) * softmax([before * 1, before * 2]) + now
    )


def test_odm_warmup_keeps_the_weights():
    state = after(ODM(warmup=2, exploration=0.1), [0.9, 0.1], [1, 9], [1, 9])
    np.testing.assert_array_equal(state["weights"], [0.9, 0.1])
    assert ODM(warmup=2, exploration=0.1).step(state, np.array([1.0, 9.0]))["weights"][1] > 0.1


@pytest.mark.parametrize("link", ["softmax", "linear"])
@pytest.mark.parametrize("losses", [[1e6, 1, 1], [3, 3, 3], [-1e6, 0, 1e30], [0, 0, 0]])
def test_odm_survives_any_losses(link, losses):
    """The released code exponentiates without a guard, and divides by max - min."""
    rule = ODM(link=link, exploration=0.05)
    state = after(rule, [0.2, 0.3, 0.5], *[losses] * 5)
    assert state["weights"].sum() == pytest.approx(1)
    assert (state["weights"] >= 0.05 * (1 - 1e-4)).all()
    if losses == [0, 0, 0] and link == "softmax":
        np.testing.assert_allclose(state["weights"], 1 / 3)


def test_odm_with_one_source():
    assert after(ODM(), [1.0], [3], [2])["weights"].tolist() == [1.0]


# ---- DoReMi --------------------------------------------------------------------------------------


def test_doremi_by_hand():
    rule = DoReMi(step_size=2.0, floor=0.01)
    state = after(rule, [0.25, 0.75], [0.5, 0.1])
    one = 0.99 * softmax(np.log([0.25, 0.75]) + [1.0, 0.2]) + 0.005
    np.testing.assert_allclose(state["weights"], one)
    state = rule.step(state, np.array([NAN, 0.4]))  # the first keeps its last excess
    two = 0.99 * softmax(np.log(one) + [1.0, 0.8]) + 0.005
    np.testing.assert_allclose(state["weights"], two)
    np.testing.assert_allclose(state["average"], (one + two) / 2)


def test_doremi_of_nothing_in_excess_only_drifts_to_the_floor():
    state = after(DoReMi(floor=0.1), [0.9, 0.1], *[[0, 0]] * 200)
    np.testing.assert_allclose(state["weights"], [0.5, 0.5], atol=1e-6)


def test_excess_is_cut_off_for_each_sample_and_then_averaged():
    """Cut off after the mean, a sample that got better hides one that got worse."""
    reference = np.array([1.0, 1, 1, 1, NAN, 2])
    sampler = MixtureSampler([4, 2], updater=DoReMi(reference, floor=0.0))
    sampler.record(range(6), np.array([3.0, 0, 1, 1, 50, 2]))
    sampler.set_epoch(1)
    np.testing.assert_allclose(
        sampler.shares(1), softmax(np.log([4, 2]) + np.array([2 / 4, 0.0])), rtol=1e-6
    )


def excess_by_token(batches, domain_of, domains):
    """The rule of DoReMi, token by token: mean over a domain's tokens of max(excess, 0)."""
    sums, counts = np.zeros(domains), np.zeros(domains)
    for rows, excess, mask in batches:
        for row, values, inside in zip(rows, excess, mask, strict=True):
            for value, counts_here in zip(values, inside, strict=True):
                if counts_here and np.isfinite(value):
                    sums[domain_of(row)] += max(float(value), 0.0)
                    counts[domain_of(row)] += 1
    return sums / counts


def test_excess_is_cut_off_for_each_token():
    """Two sources of the same mean excess: cut off by sample, neither would be told from the other.

    Source 0 has tokens 0.1 above the reference; in source 1 half of them are 10.1 above it and half
    9.9 below.
    """
    tokens = np.where(np.arange(8) % 2, 10.1, -9.9)
    excess = torch.tensor(np.stack([np.full(8, 0.1), tokens]))
    weights = {}
    for kind in ("token", "sample"):
        sampler = MixtureSampler([1, 1], updater=DoReMi(excess=kind, floor=0.0))
        if kind == "token":
            sampler.record_excess([0, 1], excess)
        else:
            sampler.record([0, 1], excess.mean(dim=1).clamp(min=0))
        sampler.set_epoch(1)
        weights[kind] = sampler.shares(1)
    np.testing.assert_allclose(weights["token"], softmax([0.1, 5.05]), rtol=1e-6)
    np.testing.assert_allclose(weights["sample"], [0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_batches_of_tokens_equal_the_rule_token_by_token(dtype):
    generator = np.random.default_rng(0)
    sampler = MixtureSampler([5, 5, 3], updater=DoReMi(excess="token", step_size=0.7, floor=0.0))
    batches = []
    for size, length in [(6, 4), (4, 9), (3, 1)]:
        rows = generator.choice(13, size, replace=False)
        excess = torch.tensor(generator.normal(size=(size, length))).to(dtype)
        mask = generator.random((size, length)) < 0.8
        mask[0], mask[-1, 0] = False, True
        if length == 9:
            excess[1, 2] = torch.nan
        batches.append((rows, excess.double().numpy(), mask))
        sampler.record_excess(rows, excess, mask=torch.tensor(mask))
        sampler.reduce(torch.full((size,), 99.0), rows)  # what it trains on teaches nothing
    assert sampler.num_nonfinite == int(batches[1][2][1, 2])
    sampler.set_epoch(1)
    means = excess_by_token(batches, lambda row: int(sampler.domain_of([row])[0]), 3)
    expected = softmax(np.log([5, 5, 3]) + 0.7 * means)
    np.testing.assert_allclose(sampler.shares(1), expected, rtol=1e-5)


def test_means_of_tokens_that_were_cut_off_are_weighted_by_their_number():
    whole, parts = (MixtureSampler([2, 1], updater=DoReMi(excess="token")) for _ in range(2))
    excess = torch.tensor([[1.0, -5.0, 3.0], [2.0, 7.0, 7.0], [0.5, 0.0, -1.0]])
    mask = torch.tensor([[True, True, True], [True, False, False], [True, True, False]])
    whole.record_excess([0, 1, 2], excess, mask=mask)
    parts.record_excess([0, 1, 2], [4 / 3, 2.0, 0.25], num_tokens=[3, 1, 2])
    for sampler in (whole, parts):
        sampler._exchange("test")
        np.testing.assert_allclose(sampler._losses.means(), [6 / 4, 0.25], rtol=1e-6)


def test_excess_comes_home_with_the_merge_and_with_the_state(monkeypatch):
    def made():
        return MixtureSampler([2, 2], updater=DoReMi(excess="token"))

    sampler, other = made(), made()
    other.record_excess([0, 3], torch.tensor([[1.0, 3.0], [4.0, -2.0]]))
    monkeypatch.setattr(
        "sampling.samplers.mixture._domain_losses.on_device", lambda array: torch.device("cpu")
    )
    sampler.record_excess([0, 3], torch.tensor([[1.0, 3.0], [4.0, -2.0]]))
    assert not sampler._losses._own.any()
    full = full_state(sampler)
    np.testing.assert_array_equal(sampler._losses.means(), [2, 2])
    resumed = made()
    load_full_state(resumed, full)
    for each in (sampler, other, resumed):
        each.set_epoch(1)
        np.testing.assert_array_equal(each.shares(1), sampler.shares(1))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0], torch.ones(2, 2)), ValueError, r"excess must have shape \(1, T\) or \(1,\), got"),
        (([0], torch.tensor(1.0)), ValueError, r"excess must have shape \(1, T\) or \(1,\), got"),
        (([7], torch.ones(1, 2)), ValueError, r"indices must be in \[0, 4\), got 7 in row 0"),
        (([0], torch.ones(1, 2), torch.ones(1, 2)), TypeError, "mask must be bool"),
        (([0], torch.ones(1, 2), torch.ones(1, 3) > 0), ValueError, "mask must have the shape of"),
        (([0], torch.ones(1), None, [-1]), ValueError, "num_tokens must be >= 0, got -1 in row 0"),
        (([0], torch.ones(1, 2), None, [2]), ValueError, "num_tokens must have the shape of exces"),
    ],
)
def test_refuses_excess(arguments, error, message):
    sampler = MixtureSampler([2, 2], updater=DoReMi(excess="token"))
    rows, excess, mask, sizes = (*arguments, None, None)[:4]
    with pytest.raises(error, match=message):
        sampler.record_excess(rows, excess, mask=mask, num_tokens=sizes)
    sampler._exchange("test")
    assert not sampler._losses.merged.any()


@pytest.mark.parametrize("updater", [None, ODM(), DoReMi(), DoReMi([0.0] * 4)])
def test_excess_needs_an_updater_that_learns_from_it(updater):
    with pytest.raises(ValueError, match="updater must be one that learns from the excess of tok"):
        MixtureSampler([2, 2], updater=updater).record_excess([0], torch.ones(1, 2))


def test_the_excess_of_tokens_is_another_run():
    per_token, per_sample = DoReMi(excess="token"), DoReMi()
    assert per_token.identity() != per_sample.identity()
    with pytest.raises(StateError, match="of the same data and arguments"):
        load_full_state(
            MixtureSampler([2, 2], updater=per_token),
            full_state(MixtureSampler([2, 2], updater=per_sample)),
        )


def test_a_zero_weight_comes_back_by_the_floor_only():
    assert after(DoReMi(floor=0.0), [0, 1], [9, 1])["weights"].tolist() == [0, 1]
    assert after(DoReMi(floor=0.02), [0, 1], [9, 1])["weights"].tolist() == [0.01, 0.99]


# ---- guards --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [ODM(exploration=1e-3, max_change=0.1),
                                  DoReMi(max_change=0.1, floor=0.01)])  # fmt: skip
def test_no_weight_changes_by_more_than_it_may(rule):
    generator = np.random.default_rng(0)
    state = rule.begin(np.array([0.7, 0.2, 0.1]))
    for _ in range(30):
        old = state["weights"]
        state = rule.step(state, generator.exponential(5, 3))
        assert np.abs(np.log(state["weights"] / old)).max() <= 0.1 + 1e-9
        assert state["weights"].sum() == pytest.approx(1, abs=1e-12)
        assert (state["weights"] >= rule.floor / 3 - 1e-12).all()


def test_a_wide_bound_changes_nothing():
    wide = after(DoReMi(max_change=50.0), [0.7, 0.3], [1, 2])
    np.testing.assert_allclose(wide["weights"], after(DoReMi(), [0.7, 0.3], [1, 2])["weights"])


def test_no_losses_change_nothing():
    rule = DoReMi()
    state = rule.begin(np.array([0.7, 0.3]))
    assert rule.step(state, np.array([NAN, NAN])) is state


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ODM(reward="sum"), ValueError, "reward must be one of 'ema', 'exp3', got 'sum'"),
        (lambda: ODM(link="log"), ValueError, "link must be one of"),
        (lambda: ODM(decay=1.0), ValueError, r"decay must be in \[0, 1\), got 1.0"),
        (lambda: ODM(exploration=0), ValueError, r"exploration must be in \(0, 1\], got 0"),
        (lambda: ODM(floor=2), ValueError, r"floor must be in \[0, 1\], got 2"),
        (lambda: ODM(max_change=0), ValueError, r"max_change must be in \(0, inf\), got 0"),
        (lambda: DoReMi(step_size=0), ValueError, "step_size must be"),
        (lambda: DoReMi([1, np.inf]), ValueError, "reference_losses must be finite, or NaN for"),
        (lambda: DoReMi(["a"]), TypeError, "reference_losses must hold numbers"),
        (lambda: DoReMi([1.0], excess="token"), ValueError, "reference_losses must be None with"),
        (lambda: DoReMi(excess="word"), ValueError, "excess must be one of 'sample', 'token', got"),
        (lambda: MixtureSampler([3, 2], updater=ODM(exploration=0.6)), ValueError,
         "exploration must be at most 1 / K = 0.5 with 2 sources, got 0.6"),
        (lambda: MixtureSampler([3, 2], updater=DoReMi([1.0])), ValueError,
         "reference_losses must have the length of the data, 5, got 1"),
        (lambda: MixtureSampler([3, 2], updater=ODM(), phases=[(0, 1.0)]), ValueError,
         "only one of phases and updater may be given"),
        (lambda: MixtureSampler([3, 2]).average_weights, ValueError, "needs an updater, got none"),
    ],
)  # fmt: skip
def test_refuses_updaters(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- in the sampler ------------------------------------------------------------------------------


def learning(**options):
    return MixtureSampler([50, 30, 20], 60, updater=DoReMi(step_size=0.5), **options)


def trained(sampler, epochs, consumed=None):
    """Run epochs as a training loop does; each domain has a loss of its own."""
    for epoch in range(sampler.epoch, epochs):
        sampler.set_epoch(epoch)
        order = sampler.indices(epoch)
        for batch in np.split(order, range(8, order.size, 8)):
            losses = torch.from_numpy(1.0 + sampler.domain_of(batch) + np.cos(batch + epoch))
            sampler.reduce(losses, torch.from_numpy(batch))
    return sampler


def test_an_epoch_later_the_weights_follow_the_mean_losses():
    sampler = learning()
    order = np.array(list(sampler))
    losses = 1.0 + np.cos(order)
    for rows in np.split(np.arange(60), 6):
        sampler.reduce(torch.from_numpy(losses[rows]), order[rows])
    np.testing.assert_allclose(sampler.shares(0), [0.5, 0.3, 0.2])  # not yet
    sampler.set_epoch(1)
    codes = sampler.domain_of(order)
    means = np.array([losses[codes == k].mean() for k in range(3)])
    expected = (1 - 1e-4) * softmax(np.log([0.5, 0.3, 0.2]) + 0.5 * means) + 1e-4 / 3
    np.testing.assert_allclose(sampler.shares(1), expected, rtol=1e-6)
    np.testing.assert_allclose(sampler.average_weights, expected, rtol=1e-6)
    assert sampler.indices(1).size == len(sampler) == 60
    assert np.abs(sampler.quotas(1) - 60 * expected).max() < 1


def test_every_draw_counts_and_bad_losses_do_not():
    """A sample drawn twice counts twice; NaN, infinity and half precision."""
    sampler = learning()
    sampler.record([0, 0, 1], torch.tensor([1.0, 2.0, 6.0], dtype=torch.bfloat16))
    sampler.record([50, 51, 52], np.array([NAN, np.inf, 4.0]))
    sampler.record([80], np.array([-np.inf]))
    assert sampler.num_nonfinite == 3
    sampler._exchange("test")
    np.testing.assert_array_equal(sampler._losses.means(), [3, 4, NAN])


def test_an_unseen_domain_and_an_epoch_without_losses():
    sampler = learning()
    before = sampler.shares(0)
    sampler.set_epoch(1)
    np.testing.assert_array_equal(sampler.shares(1), before)
    sampler.record([0], np.array([2.0]))
    sampler.set_epoch(2)
    assert sampler.shares(2)[0] > before[0]


def test_the_runs_of_domains_go_on_while_weights_change():
    sampler = learning()
    used = np.zeros(100, int)
    for epoch in range(6):
        trained(sampler, epoch + 1)
        used += np.bincount(sampler.indices(epoch), minlength=100)
        for start, stop in [(0, 50), (50, 80), (80, 100)]:
            assert np.ptp(used[start:stop]) <= 1
        sizes = np.array([50, 30, 20])
        np.testing.assert_allclose(sampler.repeats(), np.add.reduceat(used, [0, 50, 80]) / sizes)
    assert sampler.quotas(5)[2] > 12  # the last domain has the highest losses
    with pytest.raises(ValueError, match="num_epochs must be 5 or 6 with an updater"):
        sampler.repeats(9)
    with pytest.raises(ValueError, match="epoch must be 5, the one that is planned, got 6"):
        sampler.shares(6)


@pytest.mark.parametrize("rule", [ODM(exploration=0.1), DoReMi(np.arange(100) % 3 / 2)])
@pytest.mark.parametrize("consumed", [0, 24])
def test_a_file_goes_on_mid_run(rule, consumed, tmp_path):
    def made():
        return MixtureSampler([50, 30, 20], 60, updater=rule, max_repeats=9)

    sampler = trained(made(), 3)
    sampler.set_epoch(3)
    done = sampler.indices(3)[:consumed]
    if consumed:
        sampler.record(done, 1.0 + np.sin(done))
    save_state(sampler, tmp_path / "s", consumed=consumed)
    fresh = made()
    load_state(fresh, tmp_path / "s")
    assert (fresh.epoch, fresh.remaining) == (3, 60 - consumed)
    rest = sampler.indices(3)[consumed:]
    assert list(fresh) == rest.tolist()
    for each in (sampler, fresh):
        each.record(rest, 1.0 + np.sin(rest))
        trained(each, 6)
    np.testing.assert_array_equal(fresh.indices(5), sampler.indices(5))
    np.testing.assert_array_equal(fresh.average_weights, sampler.average_weights)
    np.testing.assert_array_equal(fresh.repeats(), sampler.repeats())


def test_a_full_state_is_refused_where_it_does_not_fit():
    full = full_state(trained(learning(), 2))
    other = MixtureSampler([50, 30, 20], 60, updater=DoReMi(step_size=0.6))
    with pytest.raises(StateError, match="of the same data and arguments"):
        load_full_state(other, full)
    fresh = learning()
    for name, bad in [("used", np.zeros(2, np.int64)), ("losses", np.zeros(6, np.float32)),
                      ("weights.weights", np.full(3, NAN))]:  # fmt: skip
        with pytest.raises(StateError, match=name):
            load_full_state(fresh, {**full, "arrays": {**full["arrays"], name: bad}})
    arrays = {**full["arrays"], "weights.weights": np.array([0.2, 0.2, 0.6])}
    with pytest.raises(StateError, match="the arrays must give plan"):
        load_full_state(fresh, {**full, "arrays": arrays})
    assert fresh.epoch == 0
    np.testing.assert_allclose(fresh.shares(0), [0.5, 0.3, 0.2])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_go_on_alike(copied):
    sampler = trained(learning(), 2)
    other = copied(sampler)
    for each in (sampler, other):
        trained(each, 4)
    np.testing.assert_array_equal(other.indices(3), sampler.indices(3))


def test_ranks_bring_their_losses_together(monkeypatch):
    """Two ranks, one of which saw one domain only, plan what one rank with all losses plans."""
    alone = learning()
    alone.record(range(100), np.cos(np.arange(100)) + 2)
    halves = [np.arange(60), np.arange(60, 100)]
    ranks = []
    for half in halves:
        rank = learning()
        rank.record(half, np.cos(half) + 2)
        ranks.append(rank)
    parts = [rank._losses._own.copy() for rank in ranks]
    monkeypatch.setattr("sampling.samplers.mixture._domain_losses.world_size", lambda group: 2)
    monkeypatch.setattr(
        "sampling.samplers.mixture._domain_losses.gather_rows", lambda own, group: parts
    )
    for rank in ranks:
        rank.set_epoch(1)
        np.testing.assert_allclose(rank.shares(1), ranks[0].shares(1), rtol=0)
    monkeypatch.undo()
    alone.set_epoch(1)
    np.testing.assert_allclose(ranks[0].shares(1), alone.shares(1), rtol=1e-6)
    np.testing.assert_array_equal(ranks[0].indices(1), alone.indices(1))


def test_saving_mid_epoch_changes_nothing():
    """Losses that were merged for a save are not counted twice."""
    one, other = learning(), learning()
    for sampler in (one, other):
        sampler.record(range(40), np.linspace(0, 1, 40))
        if sampler is one:
            full_state(sampler)
            full_state(sampler)
        sampler.record(range(40, 100), np.linspace(0, 3, 60))
        sampler.set_epoch(1)
    np.testing.assert_array_equal(one.shares(1), other.shares(1))


def test_batches_and_original_weights():
    batches = EpochBatchSampler(learning(objective="original"), 8)
    for epoch in range(2):
        batches.set_epoch(epoch)
        for batch in batches:
            batches.reduce(torch.ones(len(batch), requires_grad=True), batch).backward()
    shares = batches.sampler.shares(1)
    weights = batches.weights_for([0, 50, 80])
    np.testing.assert_allclose(weights, [0.5, 0.3, 0.2] / shares, rtol=1e-6)


class ToTheWorst(MixtureUpdater):
    """A rule of one's own: all to the source with the highest loss."""

    def propose(self, state, values, update):
        losses = values["losses"]
        return (losses == np.nanmax(losses)).astype(float), {}


def test_a_rule_of_ones_own():
    sampler = MixtureSampler([5, 5, 5], 30, updater=ToTheWorst(floor=0.3))
    sampler.record([0, 5, 10], np.array([1.0, 3.0, 2.0]))
    sampler.set_epoch(1)
    assert sampler.quotas(1).tolist() == [3, 24, 3]
    assert sampler.dynamic
    assert not MixtureSampler([5, 5]).dynamic


def test_losses_on_a_device_come_home_with_the_merge(monkeypatch):
    """By the path of devices; rows that are out of range are left out, and reported elsewhere."""
    sampler = learning()
    monkeypatch.setattr(
        "sampling.samplers.mixture._domain_losses.on_device", lambda array: torch.device("cpu")
    )
    losses = sampler._losses
    losses.write(torch.tensor([0, 50, 99, 100, -1]), torch.tensor([1.0, NAN, 3.0, 9.0, 9.0]))
    np.testing.assert_array_equal(losses.merged, 0)
    losses.merge()
    np.testing.assert_array_equal(losses.means(), [1, NAN, 3])
