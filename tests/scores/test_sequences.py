"""Log-probabilities of sequences, token by token in Python."""

import math

import pytest
import torch

from sampling.scores import sequence_log_probs

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, 7, 11, generator=GENERATOR)
LABELS = torch.randint(0, 11, (4, 7), generator=GENERATOR)
LABELS[0, 5:] = -100  # padding
LABELS[1, :3] = -100  # a prompt
LABELS[2, 1:] = -100  # nothing to predict


def by_loops(logits, labels, shift=True, ignored=-100):
    rows = []
    for row in range(len(labels)):
        found = []
        for at in range(labels.shape[1] - shift):
            token = int(labels[row, at + shift])
            if token == ignored:
                found.append(0.0)
                continue
            own = logits[row, at].tolist()
            found.append(own[token] - math.log(math.fsum(map(math.exp, own))))
        rows.append(found)
    return torch.tensor(rows)


def close(found, expected):
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("shift", [True, False])
def test_against_loops(shift):
    tokens = by_loops(LOGITS, LABELS, shift)
    close(sequence_log_probs(LOGITS, LABELS, reduction="none", shift=shift), tokens)
    close(sequence_log_probs(LOGITS, LABELS, shift=shift), tokens.sum(1))
    counts = (LABELS[:, shift:] != -100).sum(1)
    close(sequence_log_probs(LOGITS, LABELS, reduction="mean", shift=shift), tokens.sum(1) / counts)


def test_a_sequence_without_tokens_has_no_mean():
    found = sequence_log_probs(LOGITS, LABELS, reduction="mean")
    assert math.isnan(found[2])
    assert sequence_log_probs(LOGITS, LABELS)[2] == 0.0


def test_a_mask_ignores_as_the_label_does():
    whole = LABELS.clamp(min=0)
    for mask in (LABELS != -100, (LABELS != -100).int()):
        close(sequence_log_probs(LOGITS, whole, mask=mask), by_loops(LOGITS, LABELS).sum(1))
    other = torch.where(LABELS == -100, 3, LABELS)
    close(
        sequence_log_probs(LOGITS, other, ignore_index=3, reduction="none"),
        by_loops(LOGITS, other, ignored=3),
    )


def test_minus_infinity_of_an_ignored_token_is_0_and_large_logits_do_not_overflow():
    logits = LOGITS.clone()
    logits[0, 4:, 0] = -math.inf
    assert torch.isfinite(sequence_log_probs(logits, LABELS)[0])
    close(sequence_log_probs(LOGITS + 1e4, LABELS).round(decimals=1),
          sequence_log_probs(LOGITS, LABELS).round(decimals=1))  # fmt: skip


def test_half_precision_is_widened_in_parts(monkeypatch):
    monkeypatch.setattr("sampling.scores._sequences._ROWS", 80)
    found = sequence_log_probs(LOGITS.bfloat16(), LABELS.int())
    assert found.dtype == torch.float32
    close(found, by_loops(LOGITS.bfloat16().float(), LABELS).sum(1))


def test_gradients_are_those_of_cross_entropy():
    logits = LOGITS.clone().requires_grad_()
    (-sequence_log_probs(logits, LABELS).sum()).backward()
    other = LOGITS.clone().requires_grad_()
    torch.nn.functional.cross_entropy(
        other[:, :-1].flatten(0, 1), LABELS[:, 1:].flatten(), reduction="sum"
    ).backward()
    torch.testing.assert_close(logits.grad, other.grad)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"labels must have shape \(4, 7\), got \(4, 6\)"):
        sequence_log_probs(LOGITS, LABELS[:, 1:])
    with pytest.raises(ValueError, match=r"logits must be .* \(B, T, V\), got .* \(7, 11"):
        sequence_log_probs(LOGITS[0], LABELS)
    with pytest.raises(ValueError, match="labels must be in .* got 11 in row 3, position 2"):
        wrong = LABELS.clone()
        wrong[3, 2] = 11
        sequence_log_probs(LOGITS, wrong)
    with pytest.raises(ValueError, match="must have a token to predict, .*the first is not"):
        sequence_log_probs(LOGITS[:, :1], LABELS[:, :1])
    with pytest.raises(TypeError, match="labels must hold ints, got torch.float32"):
        sequence_log_probs(LOGITS, LABELS.float())
    with pytest.raises(TypeError, match="labels must be a tensor, got list"):
        sequence_log_probs(LOGITS, LABELS.tolist())
