"""The last line in a script of the user's own: the result of its run."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._check._keywords import short, told
from ...errors import StateError
from ._files import Answer, arrays_beside
from ._session import Session, first_rank, say, session

_FAILED = "failed"
_LOWER = {
    "loss", "logloss", "nll", "crossentropy", "perplexity", "mse", "rmse", "mae", "brier", "error",
    "errorrate", "wer", "cer", "ece",
}  # fmt: skip
_FRACTIONS = {
    "accuracy", "acc", "balancedaccuracy", "f1", "macrof1", "microf1", "precision", "recall",
    "auc", "auroc", "map", "iou", "miou", "dice", "top1", "top5", "error", "errorrate",
}  # fmt: skip
_ROUNDING = 1e-3  # between an accuracy and the mean of `correct`


@told
def report(
    *,
    correct: Any = None,
    predictions: Any = None,
    val_curve: Any = None,
    **metric: Any,
) -> None:
    """Report the result of a run of `sampling bench --command`; outside of it, only check it.

    Call it once, after training, with the metric of the test set at the end of the run. On several
    ranks each may call it: the first one writes.

    Parameters
    ----------
    correct : bool array-like of shape (M,), optional
        Whether each test sample was classified correctly, in the same order in every run: from it
        follows how far a difference depends on the test set. Without a metric, its mean is the
        accuracy.
    predictions : array-like of shape (M,), optional
        Prediction for each test sample, in the same order.
    val_curve : sequence of float, optional
        Validation metric after each epoch.
    **metric
        The one metric that runs are compared by, under its name, as in `accuracy=0.91` or `r2=0.7`.
        Higher is better, but for losses and errors (`loss`, `log_loss`, `mse`, `error`, ...).
        Accuracies and the like are fractions in [0, 1]. A float, or a scalar of numpy or torch.

    Raises
    ------
    TypeError
        If not one metric is given, or it is no number.
    ValueError
        If it is not finite, a percentage, or another accuracy than the mean of `correct`.
    StateError
        If it is called a second time in a run, or before `sampler`.

    Notes
    -----
    The run is marked as failed if the sampler was not consumed to the end of its plan, as with a
    loader that was built with `shuffle=True`; if `reduce` was never called though the method
    learns from losses or weighs them; or if the run must have another number of epochs and
    `num_epochs` was not called.

    Examples
    --------
    >>> from sampling import bench
    >>> bench.report(accuracy=0.91)
    >>> bench.report(accuracy=91.0)
    Traceback (most recent call last):
    ValueError: accuracy must be a fraction in [0, 1], got 91.0: divide percent by 100
    """
    name, value = _metric(metric, correct)
    answer = Answer(
        metric=name.replace("_", " "),
        value=value,
        higher_is_better=_plain(name) not in _LOWER,
        fraction=_plain(name) in _FRACTIONS,
        val_curve=_curve(name, val_curve),
    )
    arrays = _arrays(correct, predictions)
    if "correct" in arrays and _plain(name) in {"accuracy", "acc"}:
        mean = float(arrays["correct"].mean())
        if abs(mean - value) > _ROUNDING:
            raise ValueError(
                f"{name} must be the mean of correct, {mean:.4f}, got {value:.4f}: omit {name}, or "
                "average over samples instead of batches"
            )
    run = session()
    if run is not None:
        _write(run, replace(answer, test_samples=_samples(arrays)), arrays)


def _write(run: Session, answer: Answer, arrays: dict[str, NDArray[Any]]) -> None:
    """Write the answer of a run."""
    training = time.perf_counter() - run.began
    why = "sampling.bench.report must be called once in a run, after training"
    if run.reported:
        run.answer(Answer(_FAILED, f"{why}, got a second call"))
        raise StateError(f"{why}, got a second call")
    if run.watch is None or run.plan is None:
        raise StateError("sampling.bench.sampler must be called before sampling.bench.report")
    run.reported = True
    watch = run.watch
    reason = _failure(run)
    watch.reported = True
    if reason:
        say(f"failed: {reason}")
    seconds = {
        "starting": run.starting,
        "selecting": run.selecting,
        "training": training - watch.seconds,
    }
    if not reason and first_rank():
        with arrays_beside(run.path).open("wb") as file:
            np.savez(file, counts=watch.counts, **arrays)  # type: ignore[arg-type]
    run.answer(
        replace(
            answer,
            state=_FAILED if reason else "done",
            reason=reason,
            size=watch.counts.size,
            draws=watch.draws,
            epochs=watch.epochs,
            asked_epochs=run.asked_epochs,
            asked_seed=run.asked_seed,
            losses=watch.weighs,
            batch_size=watch.most,
            logits=watch.logits,
            seconds={name: max(0.0, each) for name, each in seconds.items()},
            setting={name: float(each) for name, each in run.plan.setting.items()},
            **run.given,
        )
    )


def _failure(run: Session) -> str:
    """Return why a run is no result; empty if it is one."""
    if run.watch is None or run.plan is None:
        return "the sampler was never made"
    order = run.order
    expected = None if order.first else run.plan.epochs
    if order.first and run.asked_epochs:
        expected = run.asked_epochs
    reason = run.watch.failure(expected)
    if reason:
        return reason
    if run.needs_losses and not run.watch.weighs:
        return (
            "the method learns from losses or weighs them, and reduce was never called: take "
            "sampler.reduce(losses, indices) as loss in every run"
        )
    if not order.first and run.plan.epochs != order.job["full_epochs"] and not run.asked_epochs:
        return (
            f"the run must have {run.plan.epochs} epochs, and num_epochs was not asked for: train "
            "for sampling.bench.num_epochs(...) epochs in every run"
        )
    return ""


def _metric(given: dict[str, Any], correct: Any) -> tuple[str, float]:
    if not given and correct is not None:
        return "accuracy", float(_truths(correct).mean())
    if len(given) != 1:
        raise TypeError(
            "report must be given the one metric that runs are compared by, as in report(accuracy="
            f"0.91), got {', '.join(given) or 'none'}"
        )
    name, value = next(iter(given.items()))
    return name, _number(name, value, _plain(name) in _FRACTIONS)


def _number(name: str, value: Any, fraction: bool) -> float:
    if hasattr(value, "item") and getattr(value, "size", None) is not None:
        if math.prod(getattr(value, "shape", ())) != 1:
            raise TypeError(f"{name} must be a number, got {short(value)}")
        value = value.item()
    found = _check.number(name, value)
    if fraction and not 0 <= found <= 1:
        raise ValueError(f"{name} must be a fraction in [0, 1], got {found}: divide percent by 100")
    return found


def _curve(name: str, values: Any) -> list[float]:
    if values is None:
        return []
    rows = _check.listed("val_curve", values)
    for row, each in enumerate(rows):
        if isinstance(each, tuple | list | dict):
            raise TypeError(f"val_curve must hold numbers, got {short(each)} in row {row}")
    return [_number("val_curve", each, _plain(name) in _FRACTIONS) for each in rows]


def _arrays(correct: Any, predictions: Any) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    if correct is not None:
        found["correct"] = _truths(correct)
    if predictions is not None:
        array = _check.host(predictions, "predictions")
        if array.dtype.kind not in "biuf" or array.ndim != 1:
            raise TypeError(
                "predictions must be numbers of shape (M,), one for each test sample, got dtype "
                f"{array.dtype} and shape {array.shape}"
            )
        found["predictions"] = array
    if len(found) == 2:  # noqa: PLR2004
        _check.same_length("predictions", found["predictions"], "correct", len(found["correct"]))
    return found


def _truths(values: Any) -> NDArray[np.bool_]:
    array = _check.host(values, "correct")
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f"correct must have shape (M,), one value for each test sample, got shape {array.shape}"
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(f"correct must hold bools, got dtype {array.dtype}")
    wrong = (array != 0) & (array != 1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"correct must hold True or False, got {array[row]} in row {row}: it is predictions == "
            "targets"
        )
    return array.astype(np.bool_)


def _samples(arrays: dict[str, NDArray[Any]]) -> int:
    return max((len(each) for each in arrays.values()), default=0)


def _plain(name: str) -> str:
    """Return a name without the characters by which spellings differ."""
    return name.lower().replace("_", "").removeprefix("test").removeprefix("eval")
