import numpy as np
import pytest
import torch
from oracle_dynamics import observed_by_softmax

from sampling.scores import TrainingDynamics, _logits, confidence, el2n, entropy, margin, pvi

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(40, 4)).astype(np.float32) * 3
LABELS = RNG.integers(0, 4, 40)
BY_LABEL = [  # score, row of the oracle, name, what a high one means
    (el2n, 0, "el2n", "harder"),
    (lambda z, y: margin(z, y, of="logits"), 1, "margin of logits", "easier"),
    (confidence, 2, "confidence", "easier"),
    (lambda z, y: entropy(z), 4, "entropy", "harder"),
    (margin, 5, "margin of probabilities", "easier"),
]


@pytest.mark.parametrize(("score", "row", "name", "meaning"), BY_LABEL)
def test_by_label(score, row, name, meaning, monkeypatch):
    expected = observed_by_softmax(LOGITS, LABELS)[row]
    for block in (_logits._BLOCK, 7):
        monkeypatch.setattr(_logits, "_BLOCK", block)
        found = score(LOGITS, LABELS)
        assert (found.name, found.higher_is) == (name, meaning)
        np.testing.assert_allclose(found.values, expected, atol=1e-14)


def test_without_labels_the_largest_is_meant():
    ordered = np.sort(np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True), axis=1)
    np.testing.assert_allclose(confidence(LOGITS).values, ordered[:, -1], rtol=1e-5)
    leads = ordered[:, -1] - ordered[:, -2]
    np.testing.assert_allclose(margin(LOGITS).values, leads, rtol=1e-4)


def test_they_are_what_one_epoch_of_dynamics_says():
    dynamics = TrainingDynamics(40, 4, fields=("el2n", "aum", "margin", "entropy"))
    dynamics.update(np.arange(40), LOGITS, LABELS)
    np.testing.assert_array_equal(el2n(LOGITS, LABELS).values, dynamics.el2n().values)
    of_logits = margin(LOGITS, LABELS, of="logits").values
    np.testing.assert_array_equal(of_logits, dynamics.aum().values)
    np.testing.assert_array_equal(margin(LOGITS, LABELS).values, dynamics.margin().values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_every_float_type(dtype):
    tensor = torch.from_numpy(LOGITS).to(dtype).requires_grad_()
    expected = el2n(tensor.detach().double().numpy(), LABELS).values
    np.testing.assert_array_equal(el2n(tensor, torch.from_numpy(LABELS)).values, expected)


@pytest.mark.parametrize("score", [each[0] for each in BY_LABEL])
def test_bad_logits_are_refused(score):
    for bad in (np.nan, np.inf, -np.inf):
        logits = LOGITS.copy()
        logits[9, 1] = bad
        with pytest.raises(ValueError, match=f"logits must be finite, got {bad} in row 9"):
            score(logits, LABELS)
    with pytest.raises(ValueError, match=r"logits must have shape \(N, C\) with N, C >= 1"):
        score(LOGITS[:, :0], LABELS)
    with pytest.raises(TypeError, match="logits must hold numbers"):
        score(LOGITS.astype(str), LABELS)


@pytest.mark.parametrize("score", [el2n, confidence, margin])
def test_bad_labels_are_refused(score):
    for bad in (-1, 4):
        labels = LABELS.copy()
        labels[3] = bad
        with pytest.raises(ValueError, match=rf"labels must be in \[0, 4\), got {bad} in row 3"):
            score(LOGITS, labels)
    with pytest.raises(ValueError, match=r"labels must have shape \(40,\)"):
        score(LOGITS, LABELS[:7])
    with pytest.raises(TypeError, match="labels must hold class ids"):
        score(LOGITS, ["cat"] * 40)


def test_margin_of_what():
    with pytest.raises(ValueError, match="of must be one of 'probabilities', 'logits'"):
        margin(LOGITS, of="softmax")


def test_pvi_in_bits():
    score = pvi(np.log([0.5, 0.1, 1.0]), torch.tensor([0.25, 0.2, 1.0]).log())
    np.testing.assert_allclose(score.values, [1.0, -1.0, 0.0], atol=1e-6)
    assert (score.name, score.higher_is) == ("pvi", "easier")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (([0.1], [-1.0]), "log_probs_with must be <= 0, got 0.1 in row 0"),
        (([-1.0, -2.0], [-1.0, 0.5]), "log_probs_empty must be <= 0, got 0.5 in row 1"),
        (([-1.0], [-1.0, -2.0]), "log_probs_empty must have the length of log_probs_with, 1"),
        (([-1.0, -np.inf], [-1.0, -1.0]), "log_probs_with must be finite, got -inf in row 1"),
    ],
)
def test_pvi_refuses_what_is_no_logarithm_of_a_probability(pair, message):
    with pytest.raises(ValueError, match=message):
        pvi(*pair)
