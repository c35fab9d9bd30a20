"""The pilot run: trained once, kept, charged by the epochs of each score."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sampling.bench.methods._method import Lacking
from sampling.bench.tasks._data import data_of
from sampling.bench.training import _pilot
from sampling.bench.training._pilot import Pilot, pilot_path, read_pilot
from sampling.bench.training._train import Failed
from sampling.clustering import neighbours
from sampling.scores import contrastive

CPU = torch.device("cpu")


@pytest.fixture
def trainings(monkeypatch):
    """Return a list of (purpose, epochs) of every training of a pilot."""
    seen = []
    trained = Pilot._trained

    def spy(self, part, purpose, epochs, record=None):
        seen.append((purpose, epochs))
        return trained(self, part, purpose, epochs, record)

    monkeypatch.setattr(Pilot, "_trained", spy)
    return seen


def pilot(data, folder, epochs=20, seed=3):
    return Pilot(data, seed, folder, epochs, 16, CPU)


def test_one_run_serves_all_scores_keep_fractions_and_processes(task, tmp_path, trainings):
    data = data_of(task())
    first = pilot(data, tmp_path)
    found = {name: first.score(name) for name in ("el2n", "aum", "dual", "forgetting")}
    charges = {name: charge["pilot"] // 90 for name, (_, charge) in found.items()}
    assert charges == {"el2n": 2, "dual": 3, "aum": 20, "forgetting": 20}
    again, _ = pilot(data, tmp_path).score("el2n")  # of another process, or a later call
    assert np.array_equal(again.values, found["el2n"][0].values)
    assert trainings == [("bench pilot", 20)]
    pilot(data, tmp_path, seed=4).score("aum")
    pilot(data, tmp_path, epochs=4).score("aum")  # another run: not the one that is kept
    assert len(trainings) == 3


def test_scores_are_those_of_the_epoch_that_they_are_charged_for(task, tmp_path):
    """EL2N of a run of 20 epochs is the mean of its first two: what was seen later is not in it."""
    data = data_of(task())
    logits = []

    class Spy(Pilot):
        def _trained(self, part, purpose, epochs, record=None):
            def both(indices, outputs, targets):
                logits.append((indices.clone(), outputs.clone(), targets.clone()))
                record(indices, outputs, targets)

            return super()._trained(part, purpose, epochs, both)

    made = Spy(data, 0, None, 20, 16, CPU)
    score, _ = made.score("el2n")
    sums = np.zeros(90)
    for indices, outputs, targets in logits[:12]:  # 6 batches of an epoch
        errors = outputs.softmax(1) - nn.functional.one_hot(targets, 3)
        np.add.at(sums, indices.numpy(), errors.norm(dim=1).numpy())
    np.testing.assert_allclose(score.values, sums / 2, rtol=1e-5)
    confidence, charge = made.score("confidence@0.15")
    assert charge == {"pilot": 3 * 90}
    assert not np.allclose(confidence.values, made.score("confidence")[0].values)


def test_what_is_kept_can_be_read_for_a_data_map(task, tmp_path):
    assert read_pilot(tmp_path, 3) == {}
    pilot(data_of(task()), tmp_path).score("el2n")
    found = read_pilot(tmp_path, 3)
    assert {"confidence", "variability", "correctness"} <= set(found)
    assert found["confidence"].shape == (90,)
    assert "identity" not in found
    assert found["forgetting"].dtype == np.float64


def test_a_damaged_file_or_one_of_other_data_is_made_again(task, tmp_path, trainings):
    data = data_of(task())
    pilot(data, tmp_path).score("el2n")
    path = pilot_path(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-200])
    score, _ = pilot(data, tmp_path).score("el2n")
    assert len(trainings) == 2
    pilot(data_of(task(per_class=29)), tmp_path).score("el2n")
    assert len(trainings) == 3
    noisy, _ = pilot(data.noisy(0.3, 0), tmp_path).score("el2n")
    assert len(trainings) == 4
    assert not np.array_equal(noisy.values, score.values)


def test_gradients_are_those_of_the_model_at_that_epoch(task, trainings):
    data = data_of(task())
    made = pilot(data, None)
    whole, charge = made.score("grand")
    last, _ = made.score("grand_last_layer")
    assert charge == {"pilot": 2 * 90, "gradients": 90}
    np.testing.assert_allclose(whole.values, last.values, rtol=1e-4)  # of a linear model
    assert trainings == [("bench pilot", 2), ("bench pilot", 2)]


def test_cross_validation_predicts_every_sample_by_a_model_that_did_not_see_it(task, trainings):
    data = data_of(task(optimizer=partial(torch.optim.SGD, lr=0.5)))
    made = pilot(data, None, epochs=4)
    probabilities, charge = made.probabilities()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert charge == {"folds": 2 * 90 * 4}
    assert [epochs for _, epochs in trainings] == [4, 4, 4]
    assert (probabilities.argmax(1) == data.labels()).mean() > 0.6
    value, _ = made.score("pvi")
    own = probabilities[np.arange(90), data.labels()]
    np.testing.assert_allclose(value.values, np.log2(own) - np.log2(1 / 3), rtol=1e-4)
    value, _ = made.score("contrastive")
    graph = neighbours(data.embeddings(), 10)
    assert np.array_equal(value.values, contrastive(probabilities, graph).values)
    folds = _pilot._folds(data.labels(), 0, 3)
    assert np.bincount(folds * 3 + data.labels(), minlength=9).tolist() == [10] * 9


def test_irreducible_losses_are_those_of_a_model_of_the_other_half(task, trainings):
    """Wrong labels have higher ones; the two models together take as many samples as one run."""
    data = data_of(task(optimizer=partial(torch.optim.SGD, lr=0.5))).noisy(0.2, 0)
    made = pilot(data, None, epochs=6)
    score, charge = made.score("irreducible")
    assert charge == {"halves": 90 * 6}
    assert trainings == [("bench half 0", 6), ("bench half 1", 6)]
    assert score.higher_is == "harder"
    assert np.isfinite(score.values).all()
    right = data_of(task()).labels()
    wrong = data.labels() != right
    assert score.values[wrong].mean() > 2 * score.values[~wrong].mean()


def test_a_model_of_one_output_has_scores(task):
    x = np.random.RandomState(0).normal(size=(60, 2)).astype(np.float32)  # noqa: NPY002
    y = (x[:, 0] > 0).astype(np.int64)
    data = data_of(task(model=lambda: nn.Linear(2, 1), train=(x, y), test=(x, y), val=(x, y),
                        loss=lambda out, y: nn.functional.binary_cross_entropy_with_logits(
                            out[:, 0], y.float(), reduction="none")))  # fmt: skip
    made = pilot(data, None, epochs=4)
    assert np.isfinite(made.score("aum")[0].values).all()
    assert made.probabilities()[0].shape == (60, 2)


def test_what_it_cannot_do_is_said(task, tmp_path, trainings):
    data = data_of(task())
    with pytest.raises(Lacking, match="needs 2 epochs for dual, got 1"):
        pilot(data, None, epochs=1).score("dual")
    with pytest.raises(ValueError, match="got 'el2m': did you mean 'el2n'"):
        pilot(data, None).score("el2m")

    def forward(model, batch):
        return model(batch[0]), batch[1]

    with pytest.raises(Lacking, match=r"needs batches \(input, target\) of tensors for grand"):
        pilot(data_of(task(forward=forward)), None).score("grand")
    diverging = data_of(task(loss=lambda out, y: out.sum(1) * float("nan")))
    made = pilot(diverging, None)
    trainings.clear()
    for name in ("el2n", "aum"):
        with pytest.raises(Failed, match="in the pilot run: the loss was nan in epoch 0"):
            made.score(name)
    assert len(trainings) == 1
