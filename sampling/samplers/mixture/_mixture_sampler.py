"""Mixtures of several sources, each with its share. By class: `ClassBalancedSampler`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ..._warning import warn
from ...errors import StateError
from ...types import Floats, Indices
from ..core._arrays import Arrays, check_array
from ..core._batch import Batch
from ..core._epoch_sampler import EpochSampler
from ..core._groups import Unlabeled
from ..core._options import EpochOptions
from ..core._quotas import run_starts
from ..core._recorder import LossTable
from ..core._tables import DrawTable
from ._allocation import (
    Budget,
    Phase,
    Phases,
    Shortfall,
    Stop,
    Used,
    Weights,
    even_weights,
    mixing_of,
)
from ._domain_losses import DomainLosses, excess_of
from ._evaluations import Evaluations
from ._table import Lengths, Mixed, parts_of, sources_of
from ._token_sequences import SampleTokens, sequences_of
from ._updater import LOSSES, VALIDATION, MixtureUpdater, State


@told
class MixtureSampler(EpochSampler):
    """Draw from several datasets in chosen shares, evenly spread over the epoch.

    Recommended for training on several corpora, languages or tasks: give the lengths of the
    datasets, which are concatenated (`torch.utils.data.ConcatDataset`, wrapped in `Indexed`), or
    the domain of each sample. Shares may change over the run (`phases`) or follow the losses
    (`updater`). Which mixture is best is an open question: report uniform and natural shares
    together with your own. For balance by class label, `ClassBalancedSampler` has the formulas.

    Parameters
    ----------
    lengths : list or mapping of int or sized, int array of shape (K,), or ConcatDataset, optional
        Length of each dataset, or the datasets: the samples of dataset k follow those of k - 1. A
        mapping, such as a `DatasetDict`, names them; concatenate its values in its order.
    num_samples : int, default N
        M: draws in one epoch, summed over all ranks. Only with stop="cycle".
    domains : int or str array-like of shape (N,), optional
        Instead of `lengths`: domain of each sample. -1, None or NaN means in no domain, see
        `unlabeled`.
    weights : mapping, array-like of shape (K,), or "unimax", optional
        Share of each domain, by id; need not sum to 1. Entry k of an array is that of domain k:
        domains with names need a mapping (or a pandas Series), as in all arguments by domain.
        "unimax": as uniform as `max_repeats` allows over the run.
    temperature : float > 0, or inf, default 1
        Instead of `weights`: shares proportional to size ** (1 / temperature). 1 is natural, inf is
        uniform.
    phases : list of (start, weights or temperature), optional
        Instead of `weights`: the weights or temperature from each start, which is an epoch (an int)
        or a fraction of the run (a float in [0, 1), which needs `num_epochs`). The first starts at
        0. `[(0, 5.0), (0.5, 1.0)]` is Cooldown; large sources first, then all of them, is Order
        Matters.
    num_tokens : int, optional
        T: tokens in one epoch, instead of `num_samples`; with `sample_tokens` or `mean_tokens`, and
        stop="cycle". Shares and caps are then exact in tokens, and the number of draws varies from
        epoch to epoch: see Order.
    sample_tokens : int array-like of shape (N,), or mapping of such by dataset, optional
        Number of tokens of each sample, such as its length; of datasets with names also one array
        for each, by name. Weights are then shares of the tokens, and sizes for `temperature` and
        "unimax" are tokens.
    mean_tokens : mapping, or float array-like of shape (K,), optional
        Instead of `sample_tokens`: mean number of tokens in a sample of each domain, by id as
        `weights`.
    updater : ODM, DoReMi, SkillIt, Aioli, ByPerformance or another MixtureUpdater, optional
        Updates the weights in `set_epoch` from what was recorded, starting with the given ones. For
        rules that read validation losses or metrics see `record_validation`, for DoReMi on
        sequences `record_excess`.
    compose : {"even", "shuffled"}, default "even"
        "even": every range of the epoch has each domain's share, see Order. "shuffled": the counts
        of the epoch are the same, in random order.
    stop : {"cycle", "first_exhausted", "all_exhausted"}, default "cycle"
        "cycle": M draws; a domain continues from epoch to epoch, and restarts when it is exhausted.
        Otherwise the epoch ends when the first, or the last, domain is exhausted, as in
        `datasets.interleave_datasets`, and all domains restart in each epoch.
    max_repeats : float > 0, mapping, or array-like of shape (K,), optional
        Maximum number of uses of a domain over the run, as a multiple of its size; it is excluded
        afterwards. One number for all, or by id as `weights`: a domain that is not named has no
        limit.
    shortfall : {"redistribute", "raise"}, default "redistribute"
        What to do with the draws, or tokens, of an excluded domain: "redistribute" gives them to
        the others in proportion to their weights, from within the epoch in which the domain is
        exhausted, so that the other shares keep their ratios; "raise" raises an error.
    num_epochs : int, optional
        Number of epochs in the run.
    unlabeled : {"drop", "group", "raise"}, default "drop"
        Samples whose domain is missing (-1, None, NaN, a null) are never drawn ("drop"), form one
        more domain, named -1 ("group"), or are refused ("raise").
    **options
        The options of every sampler: see `EpochSampler`.

    Attributes
    ----------
    names : array of shape (K,)
        Ids of the domains that occur, sorted; for datasets the names of a mapping, else 0 to K - 1.
    sizes : int64 array of shape (K,)
        Number of samples of each domain.
    num_epochs : int or None
        Number of epochs in the run, if given.
    num_tokens : int or None
        Tokens in one epoch, if they were given.
    average_weights : float64 array of shape (K,)
        Mean of the weights computed by the updater.

    Raises
    ------
    ValueError
        If a length is 0, a weight is negative, NaN or infinite, or all are 0; if weights or tokens
        omit a domain, or name one without samples; if `max_repeats` allows too few draws for an
        epoch; if objective="original" and a share is 0.

    Notes
    -----
    Order
        A domain gets M * share draws, rounded up or down in each epoch so that the sum is M and the
        total of a domain after any number e of epochs differs from e M share by about one draw: by
        less than one for 98 of 100 sets of shares that were tried, by at most 1.1 for the others.
        This count restarts with each phase, and whenever a domain reaches `max_repeats`; with an
        updater each epoch is rounded at random independently. Any epoch is computed directly. If q
        of the epoch's M draws are of a domain, "even" holds every range of k draws to less than one
        draw from k q / M with two domains and to less than two with more, for which less than one
        is impossible in general. The order is cyclic, and begins at a random position among its
        first 65,536. With several ranks this holds for the draws of all ranks; a single rank may
        see one domain only, so use whole batches (`EpochBatchSampler`), which are ranges. Within a
        domain every sample is drawn before any is repeated. Shares depend on the epoch, never on
        time within it: for a finer schedule use shorter epochs. With `num_tokens`, the above holds
        for the tokens of a domain in place of its draws: its draws are those whose middle is in the
        window of its tokens, so that the tokens of its draws, in one epoch or in any number of
        consecutive ones, differ from their quota by at most its longest sample, and from the first
        epoch on by half of it.
    Cost
        O(K) once, and nothing of size N for lengths; domains take 8 N bytes and O(N). For a domain
        of up to 65,536 samples two shuffles are stored, 8 bytes a sample each. A draw is O(K). To
        reach a distant position of an "even" epoch, the order is computed up to it once: 2 ns a
        draw with 2 domains, 40 with 22, 210 with 1,000. `sample_tokens` takes 4 N bytes; with
        `num_tokens` the lengths of one shuffle of each domain are added up for each epoch, in O(N)
        and 8 bytes a sample of the four last shuffles.
    Gradients
        objective="sampled" (default) minimises the mean over domains in their shares. "original"
        restores the mean over all samples, at a cost in variance given by `variance_factor`.
    Source
        Chung et al., "UniMax", ICLR 2023; Li et al., "Upsample or Upweight?", NAACL 2025
        (Cooldown); Choi et al., "Order Matters", NeurIPS 2023; Baruah, Cohen, Plaxton, Varvel,
        Algorithmica 15, 1996 (even order).

    Examples
    --------
    >>> from torch.utils.data import ConcatDataset
    >>> from sampling import Indexed
    >>> train = Indexed(ConcatDataset([["a", "b", "c", "d"], ["x", "y"]]))
    >>> sampler = MixtureSampler(train, 8, weights=[3, 1], seed=0)
    >>> drawn = list(sampler)
    >>> sampler.domain_of(drawn).tolist()
    [0, 0, 0, 1, 0, 0, 0, 1]
    >>> sources, positions = sampler.locate([3, 5])
    >>> sources.tolist(), positions.tolist(), train[5]
    ([0, 1], [3, 1], (5, 'y'))

    As many tokens of four short samples as of two long ones:

    >>> lengths = [10, 10, 10, 10, 30, 30]
    >>> even = MixtureSampler([4, 2], num_tokens=120, sample_tokens=lengths, weights=[1, 1])
    >>> even.tokens_drawn(0), even.quotas(0)
    (array([60., 60.]), array([6, 2]))
    """

    covers_dataset = True

    def __init__(  # noqa: PLR0913  # each is a choice of the user
        self,
        lengths: Lengths | None = None,
        num_samples: int | None = None,
        *,
        domains: ArrayLike | None = None,
        weights: Weights | Literal["unimax"] | None = None,
        temperature: float | None = None,
        phases: Sequence[Phase] | None = None,
        num_tokens: int | None = None,
        sample_tokens: SampleTokens | None = None,
        mean_tokens: Weights | None = None,
        updater: MixtureUpdater | None = None,
        compose: Literal["even", "shuffled"] = "even",
        stop: Stop = "cycle",
        max_repeats: float | Weights | None = None,
        shortfall: Shortfall = "redistribute",
        num_epochs: int | None = None,
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        self._sources = sources_of(lengths, domains, unlabeled)
        self._hold_lengths(lengths)
        self.num_epochs = num_epochs
        if num_epochs is not None:
            self.num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self.compose = _check.choice("compose", compose, ("even", "shuffled"))
        stop = _check.choice("stop", stop, get_args(Stop))
        seed = _check.seed(options.get("seed", 0))
        self._sequences = sequences_of(self._sources, sample_tokens, mean_tokens, seed)
        self.num_tokens = self._sequences.in_epoch(num_tokens, num_samples, stop)
        draws = self._draws_of(num_samples, stop)
        in_tokens = self.sizes * self._sequences.means
        size = draws * float(in_tokens.sum()) / self._sources.population  # of an epoch, in tokens
        if self.num_tokens is None:
            self._budget = Budget(self._sources, draws, seed, stop, max_repeats, shortfall)
        else:
            size = float(self.num_tokens)
            self._budget = Budget(
                self._sequences, self.num_tokens, seed, stop, max_repeats, shortfall, "num_tokens"
            )
        if isinstance(weights, str):
            weights = _check.choice("weights", weights, ("unimax",))
            weights = even_weights(in_tokens, size * (self.num_epochs or 1), max_repeats)
        self._mixing = mixing_of(
            self.names, in_tokens, weights=weights, temperature=temperature, phases=phases,
            num_epochs=self.num_epochs,
        )  # fmt: skip
        _refuse_updater(updater, phases)
        self.updater = updater
        self.dynamic = updater is not None
        self._learnt: State = {} if updater is None else updater.begin(self._mixing(0))
        # Draws before the planned epoch, or tokens with `num_tokens`: in the unit of the budget.
        self._used = np.zeros(len(self._sources), np.int64)
        self._losses: DomainLosses | None = None
        self._evaluations: Evaluations | None = None
        self._told = False  # of an epoch without an update
        if not self.dynamic:
            self._algorithm = 2  # version 1 rounded each epoch independently, one after another
        draws = int(self._planned_at(0)[1].sum())
        if draws >= 2**31 and compose == "even":
            count = "num_samples" if self.num_tokens is None else "the draws of num_tokens"
            raise ValueError(
                f'{count} must be below 2**31 with compose="even", got {draws}: take shorter epochs'
            )
        self._budget.check(self.num_epochs, None if self.dynamic else self._phases)
        super().__init__(self._sources.size, draws, **options)
        if self.dynamic:
            self._plan(0)

    def _draws_of(self, num_samples: int | None, stop: Stop) -> int:
        """Return the draws of an epoch as given, N by default."""
        if num_samples is None:
            return self._sources.population
        draws = _check.integer("num_samples", num_samples, 1)
        if stop != "cycle":
            raise ValueError(f"num_samples must not be given with stop={stop!r}, got {draws}")
        return draws

    def _hold_lengths(self, lengths: Lengths | None) -> None:
        """Keep the datasets, so that `set_epoch` can compare their lengths."""
        parts = parts_of(lengths)
        if isinstance(parts, Sequence):  # of counts, or of datasets
            for place, each in enumerate(parts):
                self._size_of(f"lengths[{place}]", each)

    # ------------------------------------------------------------------ shares and quotas

    @property
    def names(self) -> NDArray[np.generic]:
        """Ids of the domains that occur, sorted, or the names of the datasets: (K,)."""
        return self._sources.names

    @property
    def sizes(self) -> Indices:
        """Number of samples of each domain: int64 (K,)."""
        return self._sources.sizes

    def shares(self, epoch: int) -> Floats:
        """Return the share of each domain in the draws of an epoch: float64 (K,), sum 1.

        Parameters
        ----------
        epoch : int
            Any epoch of a static sampler; with an updater only the planned one.
        """
        return self._planned(epoch)[0]

    def quotas(self, epoch: int) -> Indices:
        """Return the number of draws of each domain in an epoch: int64 (K,).

        Parameters
        ----------
        epoch : int
            Any epoch of a static sampler; with an updater only the planned one.
        """
        return self._planned(epoch)[1]

    def phase(self, epoch: int) -> int:
        """Return the number of the phase of an epoch, for example to detect a new phase.

        Parameters
        ----------
        epoch : int
        """
        return self._mixing.phase(_check.epoch(epoch))

    def repeats(self, num_epochs: int | None = None) -> Floats:
        """Return the number of passes over each domain, from the first epoch: float64 (K,).

        Draws divided by samples; `effective_samples` converts it to fresh samples.

        Parameters
        ----------
        num_epochs : int, optional
            Number of epochs to count; by default all up to and including the current one. With an
            updater later epochs are unknown.
        """
        epochs = self.epoch + 1
        if num_epochs is not None:
            epochs = _check.integer("num_epochs", num_epochs, 0)
        if self.dynamic and epochs not in {self.epoch, self.epoch + 1}:
            raise ValueError(
                f"num_epochs must be {self.epoch} or {self.epoch + 1} with an updater, which knows "
                f"no other epochs, got {epochs}"
            )
        used = self._used_before(epochs)
        if self.dynamic and epochs == self.epoch + 1:
            used = used + self.quotas(self.epoch)
        found: Floats = (used / self.sizes).astype(np.float64)
        return found

    def token_shares(self, epoch: int) -> Floats:
        """Return the share of each domain in the tokens of an epoch: float64 (K,), sum 1.

        With `sample_tokens` of the draws as they are, else by the mean tokens of a sample.

        Parameters
        ----------
        epoch : int
            Any epoch of a static sampler; with an updater only the planned one.
        """
        tokens = self.tokens_drawn(epoch)
        found: Floats = tokens / tokens.sum()
        return found

    def tokens_drawn(self, epoch: int) -> Floats:
        """Return the number of tokens of each domain in the draws of an epoch: float64 (K,).

        Parameters
        ----------
        epoch : int
            Any epoch of a static sampler; with an updater only the planned one.

        Raises
        ------
        ValueError
            If neither `sample_tokens` nor `mean_tokens` was given.
        """
        if not self._sequences.given:
            raise ValueError("tokens_drawn needs sample_tokens or mean_tokens, got neither")
        _, quotas, used = self._planned(epoch)
        if self._budget.stop != "cycle":  # the domains restart, with other shuffles
            return self._sequences.tokens_in(np.zeros_like(quotas), quotas, epoch)
        return self._sequences.tokens_in(used, quotas)

    def report(self, epoch: int) -> dict[Any, dict[str, float]]:
        """Return what an epoch draws of each domain, by name, as JSON values.

        Parameters
        ----------
        epoch : int
            Any epoch of a static sampler; with an updater only the planned one.

        Returns
        -------
        dict of id to dict of str to number
            "weight" (the share that was asked for, before caps), "share" (of the draws), "draws",
            "repeats" (passes up to the end of the epoch) and "passes_left" (until `max_repeats`;
            None without it). With `sample_tokens` or `mean_tokens` also "tokens" and "token_share",
            and "weight" is a share of the tokens.

        Examples
        --------
        >>> shares, caps = {"web": 3, "code": 1}, {"code": 3.0}
        >>> sampler = MixtureSampler({"web": 60, "code": 20}, 40, weights=shares, max_repeats=caps)
        >>> sampler.report(0)["code"]
        {'weight': 0.25, 'share': 0.25, 'draws': 10, 'repeats': 0.5, 'passes_left': 2.5}
        """
        shares, quotas, used = self._planned(epoch)
        weights = self._learnt["weights"] if self.dynamic else self._mixing(_check.epoch(epoch))
        _, taken, before = self._budgeted(epoch)
        sizes = self.sizes if self.num_tokens is None else self._sequences.sizes
        left = (self._budget.left(before + taken) / sizes).tolist()
        columns: dict[str, list[Any]] = {
            "weight": weights.tolist(),
            "share": shares.tolist(),
            "draws": quotas.tolist(),
            "repeats": ((used + quotas) / self.sizes).tolist(),
            "passes_left": [None if each == np.inf else each for each in left],
        }
        if self._sequences.given:
            columns["tokens"] = self.tokens_drawn(epoch).tolist()
            columns["token_share"] = self.token_shares(epoch).tolist()
        rows = zip(*columns.values(), strict=True)
        named = zip(self.names.tolist(), rows, strict=True)
        return {name: dict(zip(columns, row, strict=True)) for name, row in named}

    def variance_factor(self, epoch: int) -> float:
        """Return sum(p**2 / p1), with the shares p and the natural shares p1; 1 if they are equal.

        It is the second moment of the loss weights p / p1 that would give natural draws the same
        objective; its inverse is the effective fraction of the samples that would then remain.

        Parameters
        ----------
        epoch : int
        """
        natural = self.sizes / self._sources.population
        return float((self.shares(epoch) ** 2 / natural).sum())

    def _wanted(self, epoch: int) -> Floats:
        """Return the share of each domain in the budget, before the caps: float64 (K,)."""
        return self._in_draws(self._learnt["weights"] if self.dynamic else self._mixing(epoch))

    def _in_draws(self, weights: Floats) -> Floats:
        """Return the shares in the unit of the budget: of the tokens, if an epoch counts them."""
        shares = weights if self.num_tokens is not None else weights / self._sequences.means
        found: Floats = shares / shares.sum()
        return found

    @property
    def _phases(self) -> Phases:
        return self._mixing.starts, self._wanted

    def _planned(self, epoch: int) -> tuple[Floats, Indices, Used]:
        """Return shares (K,) and draws (K,) of an epoch, and the draws before it (K,)."""
        epoch = _check.epoch(epoch)
        if self.dynamic and epoch != self.epoch:
            self._plan(epoch)  # raises, and names the planned epoch
        return self._planned_at(epoch)

    def _planned_at(self, epoch: int) -> tuple[Floats, Indices, Used]:
        return self._as_draws(*self._budgeted(epoch))

    def _budgeted(self, epoch: int) -> tuple[Floats, Indices, Used]:
        """Return shares, quotas and what was used before, in the unit of the budget: (K,) each."""
        if not self.dynamic:
            return self._budget.at(epoch, self._phases)
        return *self._budget.planned(epoch, self._wanted(epoch), self._used), self._used

    def _as_draws(
        self, shares: Floats, quotas: Indices, used: Used
    ) -> tuple[Floats, Indices, Used]:
        """Return the same in draws: shares as expected, and the draws whose tokens begin there."""
        if self.num_tokens is None:
            return shares, quotas, used
        before = self._sequences.draws_before(used)
        after = self._sequences.draws_before(used + quotas)
        expected = quotas * (self.sizes / self._sequences.sizes)
        return expected / expected.sum(), (after - before).astype(np.int64), before

    def _used_before(self, epoch: int) -> Used:
        used = self._used if self.dynamic else self._budget.used_before(epoch, self._phases)
        return used if self.num_tokens is None else self._sequences.draws_before(used)

    def draws(self, epoch: int) -> int:
        if self._budget.stop == "cycle" and self.num_tokens is None:
            return self.num_samples
        return super().draws(epoch) if self.dynamic else int(self.quotas(epoch).sum())

    def expected_samples(self, num_epochs: int) -> int:
        """Return the number of draws in `num_epochs` epochs, summed over all ranks.

        With an updater, epochs that end with their sources count as the current one.
        """
        if not self.dynamic and self.num_tokens is not None:
            return int(self._used_before(_check.integer("num_epochs", num_epochs, 0)).sum())
        if not self.dynamic:
            return super().expected_samples(num_epochs)
        return _check.integer("num_epochs", num_epochs, 0) * self.draws(self.epoch)

    def table(self, epoch: int) -> Mixed:
        return self._mixed(epoch, *self._planned_at(epoch))

    def _table_of(self, epoch: int, used: Indices, state: State) -> Mixed:
        wanted = self._in_draws(state["weights"])
        planned = self._as_draws(*self._budget.planned(epoch, wanted, used), used)
        return self._mixed(epoch, *planned)

    def _mixed(self, epoch: int, shares: Floats, quotas: Indices, used: Used) -> Mixed:
        cycling = self._budget.stop == "cycle"
        turn = None
        if self.compose == "even":
            turn = _rng.uniform(_rng.key(self.seed, epoch, "mixture turn"))
        return Mixed(
            self._sources,
            quotas,
            run_starts(used, self.sizes) if cycling else np.zeros_like(quotas),
            shares * int(quotas.sum()),
            _rng.key(self.seed, 0 if cycling else epoch, "deal"),
            turn,
        )

    def why_biased(self, epoch: int) -> str:
        absent = self.names[self._planned(epoch)[0] == 0]
        return f"domain {absent[0]} has share 0 and is never drawn" if absent.size else ""

    def identity(self) -> dict[str, object]:
        rule = () if self.updater is None else self.updater.identity()
        return {
            "lengths or domains": self._sources.identity(),
            "starts from phases": self._mixing.starts,
            "shares from weights, temperature and phases": self._mixing.table,
            "mean_tokens": self._sequences.means,
            **self._sequences.identity(),
            "compose": self.compose,
            **self._budget.identity(),
            **dict(zip(("updater", "arguments from updater"), rule[:2], strict=False)),
            **{f"array {at} from updater": part for at, part in enumerate(rule[2:])},
        }

    # ------------------------------------------------------------------ recording

    @property
    def average_weights(self) -> Floats:
        """Mean of the weights of all updates, before them the initial weights: float64 (K,)."""
        if self.updater is None:
            raise ValueError("average_weights needs an updater, got none")
        return self._learnt["average"].copy()

    def _loss_tables(self) -> Mapping[str, LossTable]:
        if self.updater is None:
            return {}
        reference = self.updater.reference_losses
        if reference is not None:
            _check.same_length("reference_losses", reference, "the data", self.size)
        self._losses = DomainLosses(
            self.size, len(self._sources), self._sources.of, reference, self.process_group
        )
        tables: dict[str, LossTable] = {"losses": self._losses}  # sums and counts of each source
        read = tuple(each for each in self.updater.reads if each != LOSSES)
        if read:
            targets = self.updater.targets
            names = self.names if targets is None else targets
            self._evaluations = Evaluations(read, names, self.process_group)
            tables["evaluations"] = self._evaluations
        return tables

    def signals(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        """See `EpochSampler`: the losses, if the updater learns from them."""
        learns = self.updater is not None and LOSSES in self.updater.reads
        learns = learns and not self._reads_excess
        return {"losses": batch.losses} if learns else {}

    @property
    def _reads_excess(self) -> bool:
        return self.updater is not None and self.updater.per_token

    def record_excess(
        self,
        indices: ArrayLike | torch.Tensor,
        excess: ArrayLike | torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        num_tokens: ArrayLike | torch.Tensor | None = None,
    ) -> None:
        """Record the excess loss of a batch over a reference model, token by token.

        For `DoReMi(excess="token")`, once for each batch; train on the loss of `reduce` as usual.
        Negative excess is clipped to 0, for each token; the excess of a domain in an epoch is the
        mean over all tokens recorded. Never synchronizes a device.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Dataset indices of the batch, as the loader returned them.
        excess : float array or tensor of shape (B, T) or (B,)
            Loss of each token minus its loss under the reference model. (B,): the mean of a
            sample's tokens, each already clipped at 0. Values that are not finite are counted, and
            ignored.
        mask : bool tensor of the shape of excess, optional
            False for padding.
        num_tokens : array or tensor of shape (B,), optional
            Number of tokens of each mean, >= 0; 1 by default. Only for excess of shape (B,).

        Raises
        ------
        ValueError
            If the updater does not use it, a shape does not fit, or an index is out of range or was
            not drawn in this epoch. Nothing is recorded then.

        Examples
        --------
        >>> from sampling.samplers import DoReMi, MixtureSampler
        >>> sampler = MixtureSampler([2, 2], updater=DoReMi(excess="token", floor=0.0))
        >>> losses, reference = torch.tensor([[3.0, 0.0], [1.0, 2.0]]), torch.ones(2, 2)
        >>> sampler.record_excess([0, 2], losses - reference)  # 2, 0 and 0, 1: means 1 and 1/2
        >>> sampler.set_epoch(1)
        >>> sampler.shares(1).round(3)
        array([0.622, 0.378])
        """
        if self._losses is None or not self._reads_excess:
            raise ValueError(
                "updater must be one that learns from the excess of tokens for record_excess, such "
                f"as DoReMi(excess='token'), got {type(self.updater).__name__}"
            )
        plan = self._plan(self.epoch)
        rows = plan.rows_of(indices)
        found = excess_of(excess, len(rows), mask, num_tokens)
        if isinstance(rows, torch.Tensor):
            plan.loss_weights(rows, weighted=False)  # counts bad indices
        self._recorder.count_nonfinite(found.given)
        self._losses.add(rows, found.sums, found.counts)

    @told
    def record_validation(
        self,
        losses: Weights | None = None,
        *,
        metrics: Mapping[str, Weights] | None = None,
        counts: Weights | None = None,
    ) -> None:
        """Record an evaluation of each source, for updaters that read it.

        Such as `SkillIt`, `Aioli` and `ByPerformance`. What is recorded in an epoch takes effect in
        the next `set_epoch`, where it is averaged over the calls and over all ranks: each rank may
        record the whole evaluation, or its share of it with `counts`, or rank 0 alone records it.

        Parameters
        ----------
        losses : mapping, or float array-like of shape (K,), optional
            Validation loss of each source, or of each of the updater's `targets`, by name. A source
            that is not named was not evaluated. Values that are not finite are counted, and
            ignored.
        metrics : mapping of str to mapping or array-like of shape (K,), optional
            Other values, such as accuracies, by the name of the metric and then as `losses`. Those
            that the updater does not read are ignored.
        counts : mapping, or array-like of shape (K,), optional
            Number of samples, or tokens, of which each value is the mean, >= 0; 1 by default.

        Raises
        ------
        ValueError
            If the updater reads none of what was given, or a name is unknown. Nothing is recorded
            then.

        Examples
        --------
        >>> from sampling.samplers import ByPerformance, MixtureSampler
        >>> rule = ByPerformance("accuracy", floor=0.0)
        >>> sampler = MixtureSampler({"en": 500, "sw": 500}, 100, updater=rule)
        >>> sampler.record_validation(metrics={"accuracy": {"en": 0.9, "sw": 0.6}})
        >>> sampler.set_epoch(1)
        >>> sampler.shares(1).round(3)  # in the ratio 0.1 to 0.4
        array([0.2, 0.8])
        """
        given = {} if losses is None else {VALIDATION: losses}
        given |= _check.mapping("metrics", {} if metrics is None else metrics)
        evaluations = self._evaluated(given)
        known = {name: each for name, each in given.items() if name in evaluations.read}
        self._recorder.count_nonfinite(torch.from_numpy(evaluations.add(known, counts)))

    def _evaluated(self, given: Mapping[str, Any]) -> Evaluations:
        """Return what an evaluation is recorded in; raise if the updater reads nothing of it."""
        if self.updater is None:
            raise ValueError("record_validation needs an updater that reads it, got none")
        found, rule = self._evaluations, type(self.updater).__name__
        if found is None:
            raise ValueError(
                f"record_validation needs an updater that reads it, got {rule}, which learns from "
                "training losses: call reduce or record"
            )
        if not set(given) & set(found.read):
            raise ValueError(
                f"record_validation must be given what {rule} reads, "
                f"{' and '.join(map(repr, found.read))}, got "
                f"{' and '.join(map(repr, given)) or 'nothing'}"
            )
        return found

    @property
    def updater_state(self) -> State:
        """State of the updater after the last update: its arrays by name, copies."""
        if self.updater is None:
            raise ValueError("updater_state needs an updater, got none")
        return {name: each.copy() for name, each in self._learnt.items()}

    def _before_plan(self, epoch: int) -> None:
        if self.updater is None or self._losses is None:
            return
        self._used = self._used + self._budgeted(self.epoch)[1]
        found = {} if self._evaluations is None else self._evaluations.means()
        learnt = self.updater.step(
            self._learnt,
            self._losses.means(),
            validation_losses=found.pop(VALIDATION, None),
            metrics=found,
        )
        if learnt is self._learnt:
            self._warn_unchanged()
        self._learnt = learnt
        self._losses.clear()
        if self._evaluations is not None:
            self._evaluations.clear()

    def _warn_unchanged(self) -> None:
        """Warn, once, of an epoch of which nothing was recorded that the updater reads."""
        trained = self._position.begun and self._plan(self.epoch).finished
        if not trained or self._told or self.updater is None or self._learnt["updates"][0]:
            return
        self._told = True
        reads = self.updater.reads
        losses = "record_excess" if self.updater.per_token else "reduce or record"
        calls = [losses] * (LOSSES in reads) + ["record_validation"] * (set(reads) != {LOSSES})
        warn(
            f"{type(self.updater).__name__} keeps the weights after epoch {self.epoch}, as nothing "
            f"was recorded of {' or '.join(map(repr, reads))}: call {' and '.join(calls)} before "
            "set_epoch, unless that is done in later epochs"
        )

    # ------------------------------------------------------------------ saved state

    def _arrays(self) -> Arrays:
        if self._losses is None:
            return {}
        learnt: Arrays = {f"weights.{name}": each for name, each in self._learnt.items()}
        if self._evaluations is not None:
            learnt["evaluations"] = self._evaluations.merged
        return {**learnt, "used": self._used, "losses": self._losses.merged}

    def _notes(self) -> dict[str, Any]:
        return {"num_nonfinite": self.num_nonfinite} if self.dynamic else {}

    def _table_from(
        self, epoch: int, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]
    ) -> DrawTable:
        domains = len(self._sources)
        state = {
            name: check_array(arrays, f"weights.{name}", np.float64, ours.size)
            for name, ours in self._learnt.items()
        }
        check_array(arrays, "losses", np.float64, 2 * domains)
        if self._evaluations is not None:
            check_array(arrays, "evaluations", np.float64, self._evaluations.merged.size)
        used = check_array(arrays, "used", np.int64, domains)
        weights = state["weights"]
        if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
            raise StateError(f"weights.weights must be finite and >= 0, not all 0, got {weights}")
        return self._table_of(epoch, used.copy(), state)

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        if self._losses is None:
            return
        self._learnt = {name: arrays[f"weights.{name}"].copy() for name in self._learnt}
        self._used = arrays["used"].copy()
        self._losses.restore(arrays["losses"])
        if self._evaluations is not None:
            self._evaluations.restore(arrays["evaluations"])
        self._recorder.restore_nonfinite(int(notes["num_nonfinite"]))

    # ------------------------------------------------------------------ the domain of a sample

    def domain_of(self, indices: ArrayLike | torch.Tensor) -> NDArray[np.generic]:
        """Return the domain id of each sample: (B,); for datasets, the number of the dataset.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)

        Raises
        ------
        ValueError
            If an index is out of range, or in no domain.
        """
        return self._sources.named(indices)

    def locate(self, indices: ArrayLike | torch.Tensor) -> tuple[Indices, Indices]:
        """Return the dataset of each sample, and its index in that dataset: int64 (B,), twice.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Indices of the concatenated dataset, as the sampler yields them.

        Raises
        ------
        ValueError
            If an index is out of range, or the sampler was made from `domains`.
        """
        return self._sources.located(indices)


def _refuse_updater(updater: object, phases: object) -> None:
    if updater is not None and phases is not None:
        raise ValueError("only one of phases and updater may be given, got both")
    if updater is not None and not isinstance(updater, MixtureUpdater):
        found = type(updater).__name__
        if isinstance(updater, type):
            found = f"the class {updater.__name__}: give {updater.__name__}(...)"
        raise TypeError(f"updater must be a MixtureUpdater, got {found}")
