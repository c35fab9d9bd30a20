"""DoReMi and group DRO: more weight for sources with excess loss. A bandit: `ODM`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ... import _check
from ..._check._keywords import told
from ...types import Floats
from ._updater import MixtureUpdater, State, Values


@told
class DoReMi(MixtureUpdater):
    """Draw more from sources with excess loss over a reference model; group DRO without one.

    For replication. DoReMi finds weights with a small model, so that a large one can be trained on
    their average over the run: `sampler.average_weights`, not the last ones. Without a reference
    the worst source gains weight, which is group DRO: robust to the mixture of sources, but biased
    towards those with label noise.

    Parameters
    ----------
    reference_losses : array-like of shape (N,), optional
        Loss of the reference model on each sample; samples with NaN are ignored. The excess is then
        clipped at 0 once for each sample, which is DoReMi's rule for samples with one loss. A
        sequence has one loss for each token: use excess="token".
    excess : {"sample", "token"}, default "sample"
        "sample": the losses of `reduce` and `record`, minus `reference_losses`. "token": the excess
        given to `MixtureSampler.record_excess`, clipped at 0 for each token and averaged over the
        tokens of a source, as in DoReMi; `reduce` and `record` then have no effect on the weights.
    step_size : float > 0, default 1
        Factor of a loss in the update of the logarithm of its source's weight.
    floor : float in [0, 1], default 1e-4
        Fraction of the weight that is shared equally: the smoothing of DoReMi.
    max_change : float > 0, optional
        Largest change of the logarithm of a weight in one update.

    Raises
    ------
    ValueError
        If an argument is out of its range, a reference loss is infinite, or reference losses are
        given with excess="token".

    Notes
    -----
    Order
        A deterministic function of the losses.
    Cost
        O(K) an update, and 4 N bytes of reference losses.
    Gradients
        Sources are drawn in proportion to the weights. DoReMi draws with fixed weights p and
        multiplies losses by w / p: the same gradient in the mean, with more variance.
    Source
        Xie et al., "DoReMi", NeurIPS 2023, arXiv:2305.10429: excess is clipped at 0 for each token,
        then averaged over all tokens of a source; a source that was not seen keeps its last excess.
        Clipping the mean of a sample instead lets tokens that became worse cancel with tokens that
        became better. Its step size is for one update a step; here one epoch is one update. The
        released code starts with an excess of log(vocabulary) for sources not seen yet, here 0, and
        includes the first weights in the average.

    Examples
    --------
    >>> rule = DoReMi(floor=0.0)
    >>> state = rule.step(rule.begin(np.array([0.5, 0.5])), np.array([np.log(3.0), 0.0]))
    >>> state["weights"].round(6)
    array([0.75, 0.25])
    """

    def __init__(
        self,
        reference_losses: ArrayLike | None = None,
        *,
        excess: Literal["sample", "token"] = "sample",
        step_size: float = 1.0,
        floor: float = 1e-4,
        max_change: float | None = None,
    ) -> None:
        super().__init__(floor=floor, max_change=max_change)
        self.step_size = _check.number("step_size", step_size, "(0, inf)")
        if _check.choice("excess", excess, ("sample", "token")) == "token":
            self.per_token = True
            if reference_losses is not None:
                raise ValueError(
                    "reference_losses must be None with excess='token', got an array: subtract the "
                    "loss of each token under the reference model before record_excess"
                )
        if reference_losses is not None:
            array = _check.one_dimensional("reference_losses", reference_losses)
            if array.dtype.kind not in "fiu":
                raise TypeError(f"reference_losses must hold numbers, got dtype {array.dtype}")
            if np.isinf(array).any():
                row = int(np.isinf(array).argmax())
                raise ValueError(
                    f"reference_losses must be finite, or NaN for none, got {array[row]} in row "
                    f"{row}"
                )
            self.reference_losses = array.astype(np.float32)

    def memory(self, weights: Floats) -> State:
        """See `MixtureUpdater`: the last excess of each source."""
        return {"excess": np.zeros(weights.size)}

    def propose(self, state: State, values: Values, update: int) -> tuple[Floats, State]:
        """See `MixtureUpdater`."""
        losses = values["losses"]
        excess = np.where(np.isnan(losses), state["excess"], losses)
        with np.errstate(divide="ignore"):  # a weight of 0 stays 0, except for the floor
            logs = np.log(state["weights"]) + self.step_size * excess
        parts = np.exp(logs - logs.max())
        return parts / parts.sum(), {"excess": excess}
