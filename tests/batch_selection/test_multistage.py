"""Filtering by loss, then by features, with audits."""

import copy

import numpy as np
import pytest
import torch
from helpers import assert_mean
from scipy import sparse
from torch import nn

from sampling.batch_selection import MultistageFilter, SelectionCost, SelectiveForward

SIZE = 16


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return self.w * x


def line_loss(model, batch):
    return model(batch)


def batch_of(step, hard_kind=1, size=SIZE):
    """Samples of two kinds, told apart by their features: one has losses about 3, the other 1."""
    draw = np.random.default_rng(step)
    kind = draw.integers(0, 2, size)
    losses = np.where(kind == hard_kind, 3.0, 1.0) + draw.normal(scale=0.1, size=size)
    features = np.stack([kind == 0, kind == 1, np.ones(size)], axis=1).astype(np.float64)
    return kind, torch.from_numpy(losses).float(), features


def run(step_of, first, last, hard_kind=1):
    """Indices hold the kind: what was trained on, and what was scored, of each step."""
    for number in range(first, last):
        kind, losses, features = batch_of(number, hard_kind)
        yield step_of(losses, kind, features=features)


class ByKind:
    """A predictor that knows, and has nothing to learn."""

    def fit(self, features, hard, weights):
        pass

    def probability(self, features):
        return features[:, 1]

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        assert state == {}


def trusting(**options):
    """A filter that has come to stage 2: kind 0 is skipped."""
    selector = MultistageFilter(4, window=64, **options)
    step_of = SelectiveForward(Scale(), line_loss, selector)
    list(run(step_of, 0, 25))
    assert selector.stage == 2
    return step_of, selector


def test_the_first_batches_are_trained_on_whole_and_not_scored():
    selector = MultistageFilter(3, window=8)
    step_of = SelectiveForward(Scale(), line_loss, selector)
    seen = [batch_of(number)[1] for number in range(3)]
    steps = list(run(step_of, 0, 3))
    assert all(len(step.losses) == SIZE and step.ready for step in steps)
    assert selector.cost == SelectionCost(3 * SIZE, 0, 3 * SIZE)
    assert selector.stage == 1
    assert selector.threshold_value == pytest.approx(float(torch.cat(seen)[-8:].mean()))


def test_stage_one_trains_on_losses_above_the_threshold():
    selector = MultistageFilter(1, threshold="frozen")
    selector.observe(torch.tensor([1.0, 2.0, 3.0]))
    losses = torch.tensor([2.0, 2.1, float("nan"), 9.0, float("inf"), 0.0])
    assert selector.select(losses).rows.tolist() == [1, 3]  # strictly above, and finite
    assert selector.threshold_value == 2.0


@pytest.mark.parametrize(
    ("threshold", "expected"), [("mean", 2.5), ("frozen", 1.5), (0.5, 2.0), (0.9, 4.0)]
)
def test_thresholds(threshold, expected):
    selector = MultistageFilter(1, threshold=threshold, window=4)
    selector.observe(torch.tensor([1.0, 2.0]))
    selector.select(torch.tensor([3.0, 4.0]))
    assert selector.threshold_value == expected


def test_a_threshold_that_moves_goes_on_passing_rows_as_the_model_improves():
    """The defect: frozen at the end of warmup, ever fewer rows pass."""
    passed = {}
    for threshold in ("mean", "frozen"):
        selector = MultistageFilter(2, threshold=threshold, window=64)
        for step in range(60):
            _, losses, _ = batch_of(step)
            losses = losses * 0.95**step
            if selector.scores_first:
                chosen = selector.select(losses)
                passed[threshold] = int((chosen.weights > 0).sum())
            else:
                selector.observe(losses)
    assert passed["frozen"] == 0
    assert passed["mean"] > SIZE / 4


def test_a_good_predictor_saves_the_forward_pass():
    step_of, selector = trusting(epsilon=0.1)
    before, skipped = copy.copy(selector.cost), selector.num_skipped
    steps = list(run(step_of, 40, 90))
    offered = selector.cost.candidates - before.candidates
    scored = selector.cost.scored - before.scored
    assert offered == 50 * SIZE
    assert scored == offered - (selector.num_skipped - skipped)
    assert 0.45 * offered < scored < 0.65 * offered  # half are hard, a tenth of the rest audited
    assert all((step.indices == 1).all() for step in steps if step.weights.any())
    assert selector.cost.saved() > 0


def test_without_features_it_stays_a_threshold():
    selector = MultistageFilter(1)
    step_of = SelectiveForward(Scale(), line_loss, selector)
    for number in range(60):
        step_of(batch_of(number)[1])
    assert selector.stage == 1


def test_audits_unlearn_a_wrong_skip():
    """What was easy becomes hard; without audits nothing would ever show it."""
    step_of, selector = trusting(epsilon=0.2)
    steps = list(run(step_of, 40, 160, hard_kind=0))
    late = torch.cat([step.indices[step.weights > 0] for step in steps[-20:]])
    assert (late == 0).float().mean() > 0.9
    assert len(late) > 20 * SIZE / 4


def test_without_audits_a_wrong_skip_stays():
    step_of, selector = trusting(epsilon=1e-9)
    steps = list(run(step_of, 40, 160, hard_kind=0))
    assert selector.num_audited == 0
    assert not any(((step.indices == 0) & (step.weights > 0)).any() for step in steps)


def test_audits_stand_for_the_rows_that_were_skipped():
    """The window's mean stays that of all rows, though hard ones are scored far more often."""
    step_of, selector = trusting(epsilon=0.25)
    means = [selector.threshold_value for _ in run(step_of, 40, 240)]
    assert abs(np.mean(means) - 2.0) < 0.1  # unweighted it would be 2.6


@pytest.mark.parametrize("stage", [1, 2])
def test_unbiased_weights_restore_the_mean_of_the_batch(stage):
    if stage == 2:
        step_of, selector = trusting(epsilon=0.3, unbiased=True, predictor=ByKind())
    else:
        selector = MultistageFilter(1, epsilon=0.3, unbiased=True)
        selector.observe(torch.tensor([2.0]))
        step_of = SelectiveForward(Scale(), line_loss, selector)
    _, losses, features = batch_of(1000)
    state, estimates = selector.state_dict(), []
    for step in range(600):
        selector.load_state_dict(state)
        selector.step = 10_000 + step
        found = step_of(losses, features=features if stage == 2 else None)
        estimates.append(float(found.loss.detach()))
    assert selector.stage == stage
    assert_mean(estimates, float(losses.mean()))


def test_collected_batches_are_full():
    step_of, selector = trusting(epsilon=0.1, collect=SIZE)
    steps = [step for step in run(step_of, 40, 80) if step.ready]
    assert steps
    assert all(len(step.losses) == SIZE for step in steps)


def test_a_batch_of_skips_makes_an_empty_step():
    _, _, features = batch_of(0)
    easy = np.repeat(features[features[:, 0] == 1][:1], 4, axis=0)
    step_of, selector = trusting(epsilon=1e-9)
    taught = selector.state_dict()
    step = step_of(torch.full((4,), 50.0), [0, 0, 0, 0], features=easy)
    assert step.weights.tolist() == [0.0]  # it goes through the motions, and learns nothing
    after = selector.state_dict()
    np.testing.assert_array_equal(after["arrays"]["losses"], taught["arrays"]["losses"])
    step_of, selector = trusting(epsilon=1e-9, collect=SIZE)
    scored = selector.cost.scored
    step = step_of(torch.full((4,), 50.0), [0, 0, 0, 0], features=easy)
    assert not step.ready
    assert selector.cost.scored == scored


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_matrix, torch.from_numpy])
def test_features_of_other_kinds(kind):
    selector = MultistageFilter(4, window=64)
    step_of = SelectiveForward(Scale(), line_loss, selector)
    for number in range(30):
        labels, losses, features = batch_of(number)
        step_of(losses, labels, features=kind(features))
    assert selector.stage == 2
    assert selector.num_skipped > 0


@pytest.mark.parametrize("stop", [2, 12, 26])
def test_saved_and_resumed_in_each_stage(stop):
    whole = SelectiveForward(Scale(), line_loss, MultistageFilter(4, window=64))
    list(run(whole, 0, stop))
    state = copy.deepcopy(whole.selector.state_dict())
    resumed = SelectiveForward(Scale(), line_loss, MultistageFilter(4, window=64))
    resumed.selector.load_state_dict(state)
    pairs = zip(run(whole, stop, stop + 20), run(resumed, stop, stop + 20), strict=True)
    for one, two in pairs:
        assert torch.equal(one.losses, two.losses)
        assert torch.equal(one.scores, two.scores)
    assert whole.selector.cost == resumed.selector.cost
    assert whole.selector.stage == resumed.selector.stage


def test_bad_arguments():
    with pytest.raises(ValueError, match="warmup must be >= 1, got 0"):
        MultistageFilter(0)
    with pytest.raises(ValueError, match="threshold must be one of 'mean', 'frozen', got 'ema'"):
        MultistageFilter(1, threshold="ema")
    with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\), got 1.5"):
        MultistageFilter(1, threshold=1.5)
    with pytest.raises(ValueError, match=r"epsilon must be in \(0, 1\], got 0"):
        MultistageFilter(1, epsilon=0)
    with pytest.raises(ValueError, match="the batch must be given to observe in stage 0"):
        MultistageFilter(1).select(torch.ones(2))
    step_of, selector = trusting()
    _, losses, features = batch_of(0)
    with pytest.raises(ValueError, match="features must be given to screen in stage 2"):
        step_of(losses)
    selector.screen(features)
    with pytest.raises(ValueError, match="select must get the .* rows that screen returned"):
        selector.select(losses, features=features)
    with pytest.raises(ValueError, match="scores and groups must be None if features are screen"):
        step_of(losses, features=features, scores=losses)
