"""Filters of unlabelled streams: EATA, and confidence before and after adaptation."""

import math

import numpy as np
import pytest
import torch
from oracle_weighting import EATATwin, softmax

from sampling.batch_selection import ConfidenceFilter, EATAFilter, SelectiveForward, TopKLoss

NAN = float("nan")


def stream(step, size=12, classes=4, scale=4.0):
    return torch.from_numpy(np.random.default_rng(step).normal(0, scale, (size, classes))).float()


def entropies(logits):
    return torch.special.entr(logits.softmax(1)).sum(1)


def test_against_the_twin_over_a_stream():
    selector, twin = EATAFilter(0.6), EATATwin(0.6, 0.4 * math.log(4))
    counts = [0, 0]
    for step in range(8):
        logits = stream(step)
        logits[3, 1] = NAN if step == 4 else logits[3, 1]
        rows, weights = twin.select(logits.tolist())
        chosen = selector.select(entropies(logits).nan_to_num(), logits=logits)
        if not rows:
            assert chosen.weights.tolist() == [0]
            continue
        assert chosen.rows.tolist() == rows
        np.testing.assert_allclose(chosen.weights, weights, rtol=1e-5)
        counts[step > 0] += len(rows)
    np.testing.assert_allclose(selector.mean_probabilities, twin.mean, rtol=1e-5)
    assert min(counts) > 0
    assert selector.num_unreliable > 0
    assert selector.num_redundant > 0
    assert counts[0] + counts[1] + selector.num_unreliable + selector.num_redundant == 96


@pytest.mark.parametrize(("classes", "limit"), [(10, 0.921034), (100, 1.842068), (1000, 2.763102)])
def test_the_default_limit_follows_the_number_of_classes(classes, limit):
    """The released code has log(1000) / 2 - 1 = 2.454 whatever their number is."""
    logits = torch.zeros(1, classes)
    logits[0, 0] = 50.0  # entropy 0
    weight = float(EATAFilter().select(torch.zeros(1), logits=logits).weights[0])
    assert weight == pytest.approx(math.exp(limit), rel=1e-5)


def test_a_probability_of_0_and_a_batch_without_a_reliable_row_have_a_loss():
    certain = torch.tensor([[200.0, 0.0], [0.0, 200.0]])
    chosen = EATAFilter().select(torch.zeros(2), logits=certain)
    assert torch.isfinite(chosen.weights).all()
    losses = torch.full((3,), 0.7, requires_grad=True)
    chosen = EATAFilter().select(losses, logits=torch.zeros(3, 2))
    loss = (losses[chosen.rows] * chosen.weights).mean()  # the mean of nothing would be NaN
    loss.backward()
    assert float(loss.detach()) == 0
    assert losses.grad.tolist() == [0, 0, 0]


def test_a_new_selector_and_a_loaded_state_have_the_average_of_their_own():
    """`reset` of the released code restores the model and keeps the average."""
    selector = EATAFilter(0.5)
    for step in range(3):
        selector.select(torch.ones(12), logits=stream(step))
    state = selector.state_dict()
    again = EATAFilter(0.5)
    assert again.mean_probabilities is None
    again.load_state_dict(state)
    found = [each.select(torch.ones(12), logits=stream(9)) for each in (selector, again)]
    assert torch.equal(found[0].rows, found[1].rows)
    assert again.num_redundant == selector.num_redundant
    again.load_state_dict(EATAFilter(0.5).state_dict())
    assert (again.mean_probabilities, again.num_unreliable) == (None, 0)


def test_confidence_is_compared_for_the_class_of_the_adapted_model():
    before, now = stream(0, 40), stream(1, 40)
    twin = []
    for at, (old, new) in enumerate(zip(before.tolist(), now.tolist(), strict=True)):
        label = new.index(max(new))
        if softmax(new)[label] >= softmax(old)[label]:
            twin.append(at)
    rows = np.random.default_rng(0).permutation(40)
    for selector, given in (
        (ConfidenceFilter(), {"features": before[rows]}),
        (ConfidenceFilter(before), {"indices": rows}),
    ):
        chosen = selector.select(torch.ones(40), logits=now[rows], **given)
        assert sorted(rows[chosen.rows].tolist()) == twin
        assert selector.num_refused == 40 - len(twin)
    assert 0 < len(twin) < 40


def test_one_after_the_other_is_the_intersection():
    logits, before = stream(3), stream(4)
    first = EATAFilter().select(torch.ones(12), logits=logits).rows
    second = ConfidenceFilter().select(
        torch.ones(len(first)), logits=logits[first], features=before[first]
    )
    alone = ConfidenceFilter().select(torch.ones(12), logits=logits, features=before).rows
    wanted = sorted(set(first.tolist()) & set(alone.tolist()))
    assert first[second.rows].tolist() == wanted
    assert wanted


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: EATAFilter(0.0), ValueError, r"epsilon must be in \(0, 1\], got 0.0"),
        (lambda: EATAFilter().select(torch.ones(2)), ValueError, "logits must be given to EATAF"),
        (
            lambda: EATAFilter().select(torch.ones(2), logits=torch.ones(3, 4)),
            ValueError,
            r"logits must have 2 rows, got shape \(3, 4\)",
        ),
        (
            lambda: EATAFilter().select(torch.ones(2), logits=np.ones((2, 4))),
            TypeError,
            "logits must be a tensor, got ndarray",
        ),
        (
            lambda: EATAFilter().select(torch.ones(2), logits=torch.ones(2, 1)),
            ValueError,
            r"logits must have shape \(B, C\), C >= 2",
        ),
        (
            lambda: ConfidenceFilter().select(torch.ones(2), logits=torch.ones(2, 3)),
            ValueError,
            "features must be given to ConfidenceFilter without source_logits",
        ),
        (
            lambda: ConfidenceFilter(np.ones((5, 3))).select(
                torch.ones(2), logits=torch.ones(2, 3)
            ),
            ValueError,
            "indices must be given to ConfidenceFilter",
        ),
        (
            lambda: ConfidenceFilter(np.ones((5, 3))).select(
                torch.ones(2), [4, 5], logits=torch.ones(2, 3)
            ),
            ValueError,
            r"indices must be in \[0, 5\), got 5 in row 1",
        ),
        (
            lambda: ConfidenceFilter().select(
                torch.ones(2), logits=torch.ones(2, 3), features=np.ones((2, 4))
            ),
            ValueError,
            r"must have the shape of logits, \(2, 3\), got \(2, 4\)",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nothing_is_counted_where_logits_are_missing():
    selector = EATAFilter()
    with pytest.raises(ValueError, match="logits must be given"):
        selector.select(torch.ones(2))
    assert (selector.cost.candidates, selector.step) == (0, 0)


# ---------------------------------------------------------------------- in `SelectiveForward`


def both(model, batch):
    logits = model(batch)
    return torch.special.entr(logits.softmax(1)).sum(1), logits


def test_logits_labels_and_groups_of_the_chosen_rows_come_with_the_step():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 4)
    x, labels = torch.randn(8, 3) * 9, torch.arange(8) % 4
    names = [f"g{each % 2}" for each in range(8)]
    step_of = SelectiveForward(model, both, EATAFilter(entropy_limit=0.6))
    step = step_of(x, range(10, 18), labels=labels, groups=names)
    rows = step.indices - 10
    assert 0 < len(rows) < 8
    torch.testing.assert_close(step.logits, model(x)[rows])
    assert step.logits.requires_grad
    assert torch.equal(step.labels, labels[rows])
    assert step.groups == [names[row] for row in rows]
    whole = step_of(x, range(8), labels=labels, active=False)
    assert torch.equal(whole.labels, labels)
    assert whole.logits.shape == (8, 4)
    assert whole.groups is None


def test_collected_rows_keep_their_labels():
    seen = []

    class Even(TopKLoss):
        def _choose(self, candidates):
            seen.append(candidates.labels)
            return super()._choose(candidates)

    selector = Even(2, collect=5)
    step_of = SelectiveForward(torch.nn.Identity(), lambda model, x: x, selector)
    found = []
    for step in range(5):
        x = torch.arange(4.0) + 10 * step
        found.append(step_of(x, labels=x.long() * 7))
    ready = [step for step in found if step.ready]
    assert len(ready) == 2
    for step in ready:
        assert torch.equal(step.labels, step.batch.long() * 7)
    assert len(seen) == 5


def test_a_loss_function_of_three_parts_is_refused():
    step_of = SelectiveForward(torch.nn.Identity(), lambda model, x: (x, x, x), TopKLoss(1))
    with pytest.raises(ValueError, match="loss_fn must return losses, or losses and logits, got 3"):
        step_of(torch.ones(2))
