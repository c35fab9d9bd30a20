"""A finite test set: intervals for new examples too, by crossed variance components.

The t test over seeds answers for this test set: run training again, and the mean difference on the
same examples lies in the interval. Whether it would on other examples of the same source depends
on the spread over examples as well. Seeds and examples are crossed: every seed predicts every
example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ... import _check
from ._distributions import Floats, t_quantile, t_tail

OutputsToScore = Callable[[np.ndarray, np.ndarray], float]
COUNTED = ("accuracy", "balanced accuracy", "macro f1", "r2")


@dataclass(frozen=True)
class Components:
    """Mean squares of a table of seeds by examples.

    Attributes
    ----------
    seed, example, rest : float
        Mean squares between seeds, between examples, and of what remains.
    seeds, examples : int
        S and E.
    """

    seed: float
    example: float
    rest: float
    seeds: int
    examples: int

    def variance(self, seed: float | None = None, df: float | None = None) -> tuple[float, float]:
        """Return the variance of the mean over seeds and examples, and its degrees of freedom.

        (MS_seed + MS_example - MS_rest) / (S E) with Satterthwaite's degrees of freedom. A negative
        estimate of a component is 0, so the variance is at least those of seeds and of examples
        alone.

        Parameters
        ----------
        seed : float, optional
            Mean square between seeds if it is known better, such as E times a moderated variance.
        df : float, optional
            Its degrees of freedom.
        """
        seed = self.seed if seed is None else seed
        df = self.seeds - 1 if df is None else df
        others = self.examples - 1
        cells = self.seeds * self.examples
        crossed = seed + self.example - self.rest
        if crossed > max(seed, self.example):
            scatter = seed**2 / df + self.example**2 / others
            scatter += self.rest**2 / ((self.seeds - 1) * others)
            return crossed / cells, crossed**2 / scatter
        if seed >= self.example:
            return seed / cells, float(df)
        return self.example / cells, float(others)


def components(differences: ArrayLike) -> Components:
    """Return the mean squares of paired differences of seeds and examples.

    Parameters
    ----------
    differences : array of shape (S, E), converted to float64
        Method minus reference at each seed and test example, such as 100 for an example that only
        the method predicts, 0 and -100, or differences of pseudo-values. Their mean is the mean
        difference. Rows of NaN, seeds that one of both lacks, are ignored.

    Returns
    -------
    Components
        Of at least two seeds and two examples.

    Raises
    ------
    ValueError
        If fewer remain, or some but not all entries of a seed are NaN.
    """
    table = np.asarray(differences, float)
    if table.ndim != 2:
        _check.refuse_shape("differences", table, "(S, E)")
    lacking = ~np.isfinite(table)
    partial = lacking.any(1) & ~lacking.all(1)
    if partial.any():
        at = int(np.argmax(partial))
        raise ValueError(
            f"differences must be finite for all examples of a seed or NaN for all, got "
            f"{int(lacking[at].sum())} of {table.shape[1]} not finite in row {at}"
        )
    table = table[~lacking.all(1)]
    seeds, examples = table.shape
    if seeds < 2 or examples < 2:
        raise ValueError(
            f"differences must have two seeds and two examples, got shape {table.shape}"
        )
    by_seed = table.mean(1, keepdims=True)
    by_example = table.mean(0, keepdims=True)
    mean = by_seed.mean()
    rest = table - by_seed - by_example + mean
    return Components(
        seed=float(examples * ((by_seed - mean) ** 2).sum() / (seeds - 1)),
        example=float(seeds * ((by_example - mean) ** 2).sum() / (examples - 1)),
        rest=float((rest**2).sum() / ((seeds - 1) * (examples - 1))),
        seeds=seeds,
        examples=examples,
    )


@dataclass(frozen=True)
class NewExamples:
    """What the differences say about new seeds on new examples.

    Attributes
    ----------
    low, high : float
        Two-sided interval of the mean difference.
    error : float
        Standard error.
    df : float
        Degrees of freedom (Satterthwaite).
    """

    low: float
    high: float
    error: float
    df: float

    def non_inferior(self, mean: float, margin: float) -> float:
        """One-sided p-value of mean > -margin."""
        return float(t_tail((mean + margin) / self.error, self.df))

    def inferior(self, mean: float, margin: float) -> float:
        """One-sided p-value of mean < -margin."""
        return float(t_tail(-(mean + margin) / self.error, self.df))


def new_examples(
    mean: float,
    found: Components,
    tail: float = 0.025,
    *,
    variance: float | None = None,
    df: float | None = None,
) -> NewExamples | None:
    """Return the interval for new examples, or None if nothing varies.

    Parameters
    ----------
    mean : float
        Mean difference.
    found : Components
        Mean squares over seeds and examples.
    tail : float in (0, 0.5), default 0.025
        Probability on each side.
    variance, df : float, optional
        Variance between seeds that the verdict uses, and its degrees of freedom: the interval for
        this test set is then never based on a larger one. By default those of `found`.
    """
    seed = None if variance is None else variance * found.examples
    square, freedom = found.variance(seed, df)
    if square <= 0:
        return None
    error = float(np.sqrt(square))
    half = float(t_quantile(tail, freedom)) * error
    return NewExamples(mean - half, mean + half, error, freedom)


# ---------------------------------------------------------------- metrics that are no mean


def pseudo_values(metric: str | OutputsToScore, outputs: ArrayLike, targets: ArrayLike) -> Floats:
    """Return the jackknife pseudo-value of each test example: E m - (E - 1) m without it.

    Their mean is the metric with its bias of order 1 / E removed, and they vary as the influence of
    the examples on it: what `components` needs of a metric that is no mean over examples. For a
    mean, the pseudo-values are the examples' own values.

    Parameters
    ----------
    metric : str or callable
        "accuracy", "balanced accuracy", "macro f1" (classes are those that occur in outputs or
        targets, as in scikit-learn) or "r2", in O(E); hyphens, underscores and capitals make no
        difference. A callable takes (outputs, targets) without one example and returns a number; it
        is called E + 1 times, so its cost is E times that of one evaluation: of 10,000 examples,
        give a sample.
    outputs : array of shape (E,) or (E, ...)
        Predicted classes, or values; for a callable, whatever it takes.
    targets : array of shape (E,)
        Classes or values.

    Returns
    -------
    float64 array of shape (E,)
        In the unit of the metric. Paired differences of two methods are differences of these.

    Raises
    ------
    ValueError
        For another name, different lengths, fewer than two examples, or a metric that is not finite
        without some example.
    """
    first, second = np.asarray(outputs), np.asarray(targets)
    if first.ndim == 0 or first.shape[:1] != second.shape[:1] or len(first) < 2:
        raise ValueError(
            f"outputs and targets must have one length of at least 2, got shapes {first.shape} and "
            f"{second.shape}"
        )
    if callable(metric):
        whole, without = _one_by_one(metric, first, second)
    else:
        word = str(metric).lower().replace("-", " ").replace("_", " ")
        name = _check.choice("metric", word, COUNTED)
        for label, array in (("outputs", first), ("targets", second)):
            if array.ndim != 1:
                _check.refuse_shape(label, array, "(E,)")
        whole, without = _r2(first, second) if name == "r2" else _counted(name, first, second)
    bad = ~np.isfinite(without)
    if bad.any() or not np.isfinite(whole):
        at = f"without example {int(np.argmax(bad))}" if bad.any() else "of all examples"
        raise ValueError(f"metric must be finite without any one example, got another value {at}")
    count = len(first)
    return count * whole - (count - 1) * without


def _one_by_one(
    metric: OutputsToScore, outputs: np.ndarray, targets: np.ndarray
) -> tuple[float, Floats]:
    keep = np.ones(len(targets), bool)
    without = np.empty(len(targets))
    for at in range(len(targets)):
        keep[at] = False
        without[at] = metric(outputs[keep], targets[keep])
        keep[at] = True
    return float(metric(outputs, targets)), without


def _r2(outputs: np.ndarray, targets: np.ndarray) -> tuple[float, Floats]:
    outputs, targets = outputs.astype(float), targets.astype(float)
    count = len(targets)
    squares = (targets - outputs) ** 2
    spread = (targets - targets.mean()) ** 2
    total = spread.sum()
    # Without one value the squares around the mean of the others lack n / (n - 1) of its square
    left = total - spread * count / (count - 1)
    left = np.where(left > 1e-12 * total, left, 0.0)  # the only value that differs
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(1 - squares.sum() / total), 1 - (squares.sum() - squares) / left


def _counted(name: str, outputs: np.ndarray, targets: np.ndarray) -> tuple[float, Floats]:
    """Return a metric of class counts, and without each example, from the counts of its classes."""
    classes, codes = np.unique(np.concatenate([targets, outputs]), return_inverse=True)
    true, predicted = codes[: len(targets)], codes[len(targets) :]
    right = true == predicted
    size = len(classes)
    support = np.bincount(true, minlength=size).astype(float)
    named = np.bincount(predicted, minlength=size).astype(float)
    hits = np.bincount(true[right], minlength=size).astype(float)
    count = len(targets)
    if name == "accuracy":
        return float(right.mean()), (right.sum() - right) / (count - 1)
    # Score of a class and whether it is averaged, of hits, support and predictions
    of = _f1 if name == "macro f1" else _recall
    score, present = of(hits, support, named)
    wrong = ~right
    own, own_present = of(hits[true] - right, support[true] - 1, named[true] - right)
    sums = score.sum() - score[true] + own
    averaged = present.sum() - present[true].astype(float) + own_present
    other, other_present = of(hits[predicted], support[predicted], named[predicted] - 1)
    sums += np.where(wrong, other - score[predicted], 0.0)
    averaged += np.where(wrong, other_present.astype(float) - present[predicted], 0.0)
    return float(score.sum() / present.sum()), sums / averaged


def _recall(hits: Floats, support: Floats, named: Floats) -> tuple[Floats, np.ndarray]:
    present = support > 0
    return np.where(present, hits / np.maximum(support, 1), 0.0), present


def _f1(hits: Floats, support: Floats, named: Floats) -> tuple[Floats, np.ndarray]:
    present = support + named > 0
    return np.where(present, 2 * hits / np.maximum(support + named, 1), 0.0), present
