"""Class weights: the loss of rare classes is multiplied by a larger weight than that of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from .._shares import effective_sizes
from ..distributed import all_reduce_sum
from ..errors import StateError
from ..types import Floats, Scores
from ._batch import Batch, check_saved, refuse_on_host, rows_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

IGNORED = -100  # the label that `cross_entropy` ignores
_SAVED = ("power", "beta", "max_ratio", "start_epoch", "momentum", "normalise", "across")


@told
class ClassWeights:
    """Weights by class, for the loss: inverse frequency, effective number, or a power.

    Recommended for long tails. In the benchmark of this package weights over the whole run and
    from the last fifth on (`start_epoch`) were alike, and `logit_adjustment`, which needs no
    weights, was better than both. Every class is drawn as often as it occurs;
    `ClassBalancedSampler` draws rare classes more often instead, at the cost of repeats. It
    requires labels: `sampler.reduce(losses, indices, labels=labels, weighting=w)`.

    Parameters
    ----------
    counts : array-like of shape (C,) or mapping, optional
        Number of samples of each class, such as `np.bincount(labels)`, for multi-label data of
        positives, `labels.sum(0)`. A mapping by class requires `num_classes`. May be omitted with
        `momentum`.
    num_classes : int, optional
        C; by default the length of `counts`.
    power : float, default 1.0
        The weight of class c is proportional to n_c ** -power: 1 is inverse frequency, 1/2 its
        square root, 0 gives equal weights.
    beta : float in [0, 1) or "inverse", optional
        Instead of `power`: 1 / E_c, with the effective number E_c = (1 - beta**n_c) / (1 - beta).
        Classes of more than 1 / (1 - beta) samples are treated alike. 0 gives equal weights,
        "inverse" is the limit at 1, inverse frequency.
    max_ratio : float >= 1, optional
        Limit on the largest weight, as a multiple of the smallest: large weights of the tail hurt
        head classes, most of all in adversarial training.
    start_epoch : float >= 0, default 0
        All weights are 1 before this epoch, see `set_epoch`: deferred re-weighting.
    momentum : float in [0, 1), optional
        Weights follow the classes of the batches instead of `counts`: the counts become
        momentum * counts + (1 - momentum) * those of the batch of all ranks, in each call.
    normalise : {"batch", "classes"}, default "batch"
        "batch": weights have mean 1 over the finite losses of all ranks, as the mean of
        `torch.nn.functional.cross_entropy(weight=)`. "classes": as in `values`, the same for a
        class in every batch; the mean loss is then an unbiased estimate.
    across : {"mean", "max"}, default "mean"
        For multi-label data: how the weights of the positive classes of a sample are combined.
    empty : {"raise", "ignore"}, default "raise"
        What to do about classes of which `counts` has none: refuse them, or give them weight 0.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that form a batch; all of them by default.

    Attributes
    ----------
    values : float32 array of shape (C,)
        Weights of the classes, of mean 1 over the classes that occur. Waits for the device.
    epoch : float
        Set by `set_epoch`; 0 at first.

    Raises
    ------
    ValueError
        If a count is 0 (and `empty` is "raise"), negative or not finite; if neither counts nor
        momentum are given, or both power and beta. In a call, if a label is not in [0, C) or of a
        class without samples. On a device, where checking would synchronise, its weight is NaN.
    StateError
        If `values` are read before there are counts.

    Notes
    -----
    Order
        With `momentum` the weights depend on the batches so far, and `state_dict` holds the counts.
    Cost
        O(B + C), for multi-label data O(B C); with several ranks one all-reduce, with `momentum`
        two. Does not wait for a device.
    Gradients
        The weights are detached. The objective becomes the mean over classes in proportion to
        n_c w_c; with power 1 the mean of the class means.
    Source
        Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019; Cao et
        al., NeurIPS 2019 (`start_epoch`). Their released code divides by zero for a class without
        samples, and cannot be trained past twice the epoch at which weights begin.

    Examples
    --------
    >>> weighting = ClassWeights([500, 50, 5], beta=0.99)
    >>> weighting.values.round(3)
    array([0.126, 0.317, 2.557], dtype=float32)
    >>> weighting(torch.ones(3), labels=torch.tensor([0, 0, 1])).round(decimals=3)
    tensor([0.6640, 0.6640, 1.6710])
    """

    def __init__(  # noqa: PLR0913  # one class for the family
        self,
        counts: ArrayLike | Mapping[int, float] | None = None,
        *,
        num_classes: int | None = None,
        power: float = 1.0,
        beta: float | Literal["inverse"] | None = None,
        max_ratio: float | None = None,
        start_epoch: float = 0,
        momentum: float | None = None,
        normalise: Literal["batch", "classes"] = "batch",
        across: Literal["mean", "max"] = "mean",
        empty: Literal["raise", "ignore"] = "raise",
        process_group: ProcessGroup | None = None,
    ) -> None:
        self.power = _check.number("power", power, "(-inf, inf)")
        if beta is not None and power != 1.0:
            raise ValueError(f"only one of power and beta may be given, got {power} and {beta}")
        self.beta = beta
        if beta is not None and beta != "inverse":
            self.beta = _check.number("beta", beta, "[0, 1)")
        self.max_ratio = max_ratio
        if max_ratio is not None:
            self.max_ratio = _check.number("max_ratio", max_ratio, "[1, inf)")
        self.start_epoch = _check.number("start_epoch", start_epoch, "[0, inf)")
        self.momentum = momentum
        if momentum is not None:
            self.momentum = _check.number("momentum", momentum, "[0, 1)")
        self.normalise = _check.choice("normalise", normalise, ("batch", "classes"))
        self.across = _check.choice("across", across, ("mean", "max"))
        empty = _check.choice("empty", empty, ("raise", "ignore"))
        self.epoch = 0.0
        self.process_group = process_group
        found = None if counts is None else counts_of(counts, num_classes, empty)
        if found is None and (momentum is None or num_classes is None):
            raise ValueError(
                "counts must be given, or momentum and num_classes, got "
                f"momentum={momentum} and num_classes={num_classes}"
            )
        self.num_classes = found.size if found is not None else _check.integer(
            "num_classes", num_classes, 1
        )  # fmt: skip
        self._counts = None if found is None else torch.from_numpy(found).float()
        self._fixed = None if found is None or momentum is not None else self._of(found)
        self._copies: dict[torch.device, torch.Tensor] = {}

    def set_epoch(self, epoch: float) -> None:
        """Set the epoch, for `start_epoch`; a fraction denotes a point within an epoch.

        Parameters
        ----------
        epoch : float
            Epochs trained so far, >= 0.
        """
        self.epoch = _check.number("epoch", epoch, "[0, inf)")

    @property
    def values(self) -> Scores:
        """The weights of the classes, float32 (C,), whatever the epoch is. Waits for the device."""
        found = self._fixed
        if found is None:
            found = self._moving(self._known())
        return found.cpu().numpy().copy()

    def __call__(self, losses: torch.Tensor, *, labels: torch.Tensor | ArrayLike) -> torch.Tensor:
        """Return the weights of a batch.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
            Losses that are not finite get weight 0 and are ignored.
        labels : int tensor or array of shape (B,), or 0/1 tensor of shape (B, C)
            Class of each sample; -100 is no class, and gets weight 0, as in `cross_entropy`. Of
            multi-label data, the positive classes of each sample; one without any gets the smallest
            weight.

        Returns
        -------
        float32 tensor of shape (B,)
        """
        batch = Batch(losses, self.process_group)
        given = as_tensor(labels)
        if given.ndim == 2:  # noqa: PLR2004
            return self._several(multi_hot(given, self.num_classes, losses), batch)
        ids, inside, usable = classes_of(given, losses, self.num_classes)
        batch.finite = batch.finite & usable & inside
        if self.momentum is not None:
            here = batch.finite.to(batch.values.dtype)
            self._follow(here.new_zeros(self.num_classes).index_add_(0, ids, here))
        classes = self._on(batch.values)
        known = inside & ((classes[ids] > 0) | ~batch.finite)
        refuse_on_host(~known, ids.float(), "labels", "of classes that counts has samples of")
        return torch.where(known, self._scaled(classes[ids], batch), torch.nan)

    def rebalanced(
        self,
        labels: torch.Tensor,
        *,
        alpha: float = 0.1,
        beta: float = 10.0,
        gamma: float = 0.2,
    ) -> torch.Tensor:
        """Return the weights (B, C) that correct class-balanced draws of multi-label data.

        A sample of several classes is drawn for each of them. With r = (1 / n_c) / sum over its
        classes j of (1 / n_j), the weight of its loss in class c is alpha + sigmoid(beta * (r -
        gamma)); for `losses = (weights * bce_of_each_class).mean(1)`.

        Parameters
        ----------
        labels : 0/1 tensor of shape (B, C)
            Positive classes of each sample. For one without any r is 0; the released code divides
            by zero.
        alpha, beta, gamma : float, default 0.1, 10 and 0.2
            The paper's values for COCO; gamma is 0.3 for VOC.

        Returns
        -------
        float32 tensor of shape (B, C)
        """
        alpha = _check.number("alpha", alpha, "[0, inf)")
        beta, gamma = _check.number("beta", beta), _check.number("gamma", gamma)
        hot = multi_hot(labels, self.num_classes, None)
        counts = self._known().to(hot)
        rarity = torch.where(counts > 0, 1.0 / counts, 0.0)
        sums = (hot * rarity).sum(1, keepdim=True)
        ratios = torch.where(sums > 0, rarity / sums, 0.0)
        return alpha + torch.sigmoid(beta * (ratios - gamma))

    # ------------------------------------------------------------------ the weights

    def _known(self) -> torch.Tensor:
        if self._counts is None:
            raise StateError("counts must be known: none were given, and there was no batch yet")
        return self._counts

    def _of(self, counts: Floats) -> torch.Tensor:
        """Return the weights of classes from their counts, float32 (C,)."""
        there = counts > 0
        known = counts[there]
        if self.beta is None or self.beta == "inverse":
            logs = -self.power * np.log(known)
            raw = np.exp(logs - logs.max()) if self.power != 1.0 else 1.0 / known
        else:
            raw = 1.0 / effective_sizes(known, float(self.beta))
        if self.max_ratio is not None:
            raw = np.minimum(raw, self.max_ratio * raw.min())
        values = np.zeros(counts.size)
        values[there] = raw / raw.mean()
        return torch.from_numpy(values.astype(np.float32))

    def _moving(self, counts: torch.Tensor) -> torch.Tensor:
        """Return the same as a tensor on the device of the counts, without waiting for it."""
        there = counts > 0
        known = torch.where(there, counts, 1.0)
        if self.beta is None or self.beta == "inverse":
            raw = known**-self.power
        elif self.beta == 0:
            raw = torch.ones_like(known)
        else:
            raw = -1.0 / torch.expm1(known * float(np.log(self.beta)))
        if self.max_ratio is not None:
            least = torch.where(there, raw, torch.inf).min()
            raw = torch.minimum(raw, self.max_ratio * least)
        raw = torch.where(there, raw, 0.0)
        return raw * (there.sum() / raw.sum())

    def _several(self, hot: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the weights of samples (B,) with several classes, hot (B, C)."""
        if self.momentum is not None:
            self._follow((hot * batch.finite[:, None]).sum(0))
        classes = self._on(batch.values)
        if self.across == "max":
            found = torch.where(hot > 0, classes, -torch.inf).amax(1)
        else:
            found = (hot * classes).sum(1) / hot.sum(1).clamp(min=1)
        least = torch.where(classes > 0, classes, torch.inf).min()
        return self._scaled(torch.where(hot.sum(1) > 0, found, least), batch)

    def _scaled(self, shares: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the weights of samples (B,) in the scale of `normalise`; 1 before they begin."""
        if self.epoch < self.start_epoch:
            return batch.finite.to(batch.values.dtype)
        shares = torch.where(batch.finite, shares, 0.0)
        if self.normalise == "classes":
            return shares
        total, count = batch.sums(shares, torch.ones_like(shares))
        mean = (total / count.clamp(min=1)).clamp(min=torch.finfo(shares.dtype).tiny)
        return shares / mean

    def _follow(self, own: torch.Tensor) -> None:
        """Move the counts towards those of this rank's batch, (C,), and of all other ranks'."""
        fresh = all_reduce_sum(own, self.process_group).float()
        if self._counts is not None and self.momentum is not None:
            before = self._counts.to(fresh)
            moved = self.momentum * before + (1 - self.momentum) * fresh
            fresh = torch.where(fresh.sum() > 0, moved, before)
        self._counts = fresh

    def _on(self, values: torch.Tensor) -> torch.Tensor:
        """Return the weights of the classes on the device of the losses, and of their dtype."""
        if self._fixed is None:
            return self._moving(self._known().to(values))
        if values.device not in self._copies:
            self._copies[values.device] = self._fixed.to(values.device)
        return self._copies[values.device].to(values.dtype)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and the counts as JSON values, the same on every rank."""
        counts = None if self._counts is None else self._counts.tolist()
        settings = {name: getattr(self, name) for name in _SAVED}
        return {"kind": "ClassWeights", "epoch": self.epoch, "counts": counts, **settings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the epoch and the counts of a saved run.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state is of another kind, of other arguments or of other counts.
        """
        own = self.state_dict()
        check_saved(state, own, _SAVED)
        counts = state["counts"]
        if counts is not None and len(counts) != self.num_classes:
            raise StateError(f"counts of the state must be {self.num_classes}, got {len(counts)}")
        if self.momentum is None and counts != own["counts"]:
            raise StateError(f"counts of the state must be {own['counts']}, got {counts}")
        self.set_epoch(state["epoch"])
        self._counts = None if counts is None else torch.tensor(counts, dtype=torch.float32)

    def __getstate__(self) -> dict[str, Any]:
        """Exclude the copies on devices, and the group, which belongs to this process."""
        return {**self.__dict__, "_copies": {}, "process_group": None}


def as_tensor(labels: torch.Tensor | ArrayLike) -> torch.Tensor:
    """Return labels as a tensor: one as it is, else a copy of the array."""
    if isinstance(labels, torch.Tensor):
        return labels
    array = _check.host(labels, "labels")
    if array.dtype.kind not in "iufb":
        remedy = _check.NUMBERED if array.dtype.kind in "OTUS" else ""
        wrong = _check.first_other_than_int(array)
        found = "" if wrong is None else f", with {wrong[1]!r} in row {wrong[0]}"
        raise TypeError(f"labels must hold class numbers, got dtype {array.dtype}{found}{remedy}")
    return torch.as_tensor(np.array(array))


def classes_of(
    labels: torch.Tensor | ArrayLike, losses: torch.Tensor, num_classes: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the classes (B,), which of them are in range or -100, and which are not -100.

    All are on the device of the losses. On the host a class out of range is refused.
    """
    given = as_tensor(labels)
    usable = given != IGNORED
    if not given.is_floating_point() and given.dtype != torch.bool:
        given = torch.where(usable, given, 0)
    ids, inside = rows_of("labels", given, losses, num_classes)
    return ids, inside, usable.to(losses.device, non_blocking=True)


def counts_of(
    counts: ArrayLike | Mapping[int, float],
    num_classes: int | None,
    empty: str = "raise",
    remedy: str = "pass empty='ignore' for classes that no batch has",
) -> Floats:
    """Return the number of samples of each class, float64 (C,), at least one of them > 0.

    empty  : "raise" or "ignore", about classes without samples
    remedy : for them, the end of the message
    """
    if num_classes is not None:
        num_classes = _check.integer("num_classes", num_classes, 1)
        ids = np.arange(num_classes)
        words = [each for each in _check.named("counts", counts) or () if isinstance(each, str)]
        if words and not words[0].isdecimal():
            raise ValueError(
                f"counts must number the classes, 0 to {num_classes - 1}, got the name "
                f"{words[0]!r}: give the numbers of samples alone, in the order of the model's "
                "outputs, such as list(labels.value_counts().sort_index())"
            )
        found = _check.by_name("counts", counts, ids, "classes")
    elif _check.named("counts", counts) is not None:
        raise ValueError(
            "num_classes must be given if counts is a mapping or a Series, got None: of a column "
            "of labels give the samples of each class, numpy.bincount(numbers[numbers >= 0]) of "
            "numbers = pandas.factorize(labels, sort=True)[0], -1 where missing"
        )
    else:
        found = _check.floats("counts", counts, "finite and >= 0")  # type: ignore[arg-type]
    none = np.flatnonzero(found == 0)
    if none.size and (empty == "raise" or none.size == found.size):
        more = f" and {none.size - 5} more" if none.size > 5 else ""  # noqa: PLR2004
        if (found == np.floor(found)).all() and found.size > 2 * (found.max() + 1):
            remedy = "these look like labels: give numpy.bincount(labels)"
        raise ValueError(
            f"counts must be > 0, got 0 for the classes {none[:5].tolist()}{more}: {remedy}"
        )
    return found


def multi_hot(
    labels: torch.Tensor | ArrayLike, num_classes: int, losses: torch.Tensor | None
) -> torch.Tensor:
    """Return labels (B, C) of zeros and ones as floats, on the device of the losses if given."""
    found = as_tensor(labels)
    if found.ndim != 2 or found.shape[1] != num_classes:  # noqa: PLR2004
        raise ValueError(
            f"labels must have shape (B, {num_classes}) for multi-label data, got "
            f"{tuple(found.shape)}"
        )
    if losses is not None and len(found) != len(losses):
        raise ValueError(
            f"labels must have as many rows as losses, {len(losses)}, got {len(found)}"
        )
    values = found.detach().float()
    refuse_on_host((values != 0) & (values != 1), values, "labels", "0 or 1 for multi-label data")
    return values if losses is None else values.to(losses.device, non_blocking=True)
