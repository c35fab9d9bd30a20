"""Pairs by rules on class and domain. Partners from a table: `_neighbor_pairs.py`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ..._warning import warn
from ...types import Floats, Indices, Packed
from ..core._groups import Groups, Unlabeled
from ..core._options import EpochOptions
from ..core._tables import DrawTable
from ._pair_source import Missing, PairBatches, PairSource, check_missing, refuse_missing
from ._partners import RULES, Cells, Pick, Rule


@told
class PairBatchSampler(PairBatches):
    """Pair every sample with a partner chosen by class and domain, for selective mixup.

    A batch of B pairs is a list of 2 B indices, the anchors first: `x.chunk(2)` splits a batch into
    anchors and partners, in a short last batch too. Mixing them is a line of the training loop
    (docs/pairs.md). Always compare with `resample_equivalent()`, and with training on both halves
    unmixed: choosing partners changes how often classes and domains are drawn, which alone may
    explain a gain. For partners from a list, such as nearest neighbours or hard negatives, use
    `NeighborPairBatchSampler`; for shares of class pairs `ClassPairBatchSampler`.

    Parameters
    ----------
    labels : int or str array-like of shape (N,)
        Class of each sample; -1, None or NaN means unlabelled, see `unlabeled`.
    pairs_per_batch : int
        B: a batch has 2 B draws.
    rule : str or mapping of str to float, default "cross_class"
        What a partner must have. "random": nothing; "cross_class" and "same_class": another or the
        same class; "cross_domain" and "same_domain" likewise; "intra_label": the same class in
        another domain; "intra_domain": another class in the same domain; "cross_both": another
        class and another domain. A mapping gives relative probabilities of several rules, of which
        each pair draws one: LISA is {"intra_label": p, "intra_domain": 1 - p}.
    domains : int or str array-like of shape (N,), optional
        Domain of each sample, for rules that need it. A sample without one (-1, None, NaN) is
        constrained by class only, which warns; for others it is in a domain of its own kind.
    pick : {"sample", "class"}, default "sample"
        A partner is drawn uniformly among the allowed samples ("sample"), or its class among those
        of the allowed samples and then a sample of that class ("class").
    on_missing : {"random", "self", "skip", "raise"}, optional
        If the rule (or one of several) allows a sample no partner: any other sample, the sample
        itself, no pair with this sample as anchor, or an error. By default any other sample, with
        a warning of how many samples that are.
    unlabeled : {"drop", "group", "raise"}, default "drop"
        Samples whose class is missing are never drawn ("drop"), form one more class, named -1
        ("group"), or are refused ("raise").
    **options
        The options of every sampler: see `EpochSampler`. The last batch may hold fewer pairs;
        `drop_last` then excludes it.

    Attributes
    ----------
    pairs_per_batch : int
        B.
    partners : int
        1.
    batch_size : int or None
        2 B; None if the last batch is short.
    classes : array of shape (C,)
        The class ids, sorted.
    class_shares : float64 array of shape (C,)
        Share of each class among anchors and partners: with a mixing weight that is symmetric, the
        label distribution that selective mixup trains on.
    num_missing : int
        Number of samples that have no partner under the rule, or under one of several.

    Raises
    ------
    ValueError
        If a rule needs domains that are not given; if no sample is labelled; if no sample has a
        partner and `on_missing` is "skip", or one has none and it is "raise".

    Notes
    -----
    Order
        Anchors are shuffled for each (seed, epoch), and each is drawn once. Partners are drawn
        independently; no sample is its own partner, unless on_missing="self" or N = 1.
    Cost
        About 30 N bytes, 8 N in an epoch and several times that during planning; O(N log N) once,
        O(N log G) an epoch for G cells of a class and a domain.
    Gradients
        objective="sampled" (default): the mean over the draws. "original" restores the mean over
        the labelled samples if all draws are used unmixed. The losses of mixed pairs have no
        weights.
    Source
        Teney, Wang, Abbasnejad, "Selective Mixup Helps with Distribution Shifts, But Not (Only)
        because of Mixup", ICML 2024; Yao et al., LISA, ICML 2022 (intra-label, intra-domain).

    Examples
    --------
    >>> labels = np.repeat([0, 1, 2], [90, 8, 2])
    >>> batches = PairBatchSampler(labels, 50, seed=0)
    >>> anchors, partners = np.array(next(iter(batches))).reshape(2, -1)
    >>> bool((labels[anchors] != labels[partners]).all())
    True
    >>> batches.class_shares.round(3), PairBatchSampler(labels, 50, pick="class").class_shares
    (array([0.498, 0.401, 0.101]), array([0.475, 0.27 , 0.255]))
    """

    def __init__(
        self,
        labels: ArrayLike,
        pairs_per_batch: int,
        rule: str | Mapping[str, float] = "cross_class",
        *,
        domains: ArrayLike | None = None,
        pick: Pick = "sample",
        on_missing: Missing | None = None,
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        groups = Groups("labels", labels, unlabeled)
        rules = _Rules(groups, domains, rule, pick, on_missing)
        source = RulePairs(rules, pairs_per_batch, **options)
        self.classes = groups.names
        self.num_missing = rules.num_missing
        super().__init__(source)

    @property
    def class_shares(self) -> Floats:
        """Share of each class among anchors and partners."""
        source = self.sampler
        codes = source.rules.groups.codes  # type: ignore[attr-defined]  # it is a RulePairs
        drawn = source.share()[codes >= 0]
        shares = np.bincount(codes[codes >= 0], drawn, self.classes.size)
        found: Floats = shares / shares.sum()
        return found


class RulePairs(PairSource):
    """The draws of `PairBatchSampler`."""

    def __init__(
        self, rules: _Rules, pairs_per_batch: int, **options: Unpack[EpochOptions]
    ) -> None:
        self.rules = rules
        size = rules.groups.codes.size
        super().__init__(size, rules.anchors.size, pairs_per_batch, 1, **options)

    def table(self, epoch: int) -> DrawTable:
        rules = self.rules
        anchors = rules.anchors[self._order(epoch)]
        partners = rules.draw(anchors, _rng.key(self.seed, epoch, "pair partners"))
        return self._laid(
            rules.rows[anchors],
            rules.rows[partners][None],
            rules.population,
            lambda rows: self.share()[rows],
        )

    def expected(self) -> Floats:
        return self.rules.expected

    def identity(self) -> dict[str, object]:
        return {**super().identity(), **self.rules.identity()}


class _Rules:
    """The labelled samples, which of them are anchors, and how each finds a partner."""

    def __init__(
        self,
        groups: Groups,
        domains: ArrayLike | None,
        rule: str | Mapping[str, float],
        pick: Pick,
        on_missing: str | None,
    ) -> None:
        self.groups = groups
        self.pick: Pick = _check.choice("pick", pick, get_args(Pick))
        self.on_missing = "random" if on_missing is None else check_missing(on_missing)
        self.names, self.odds = _rules(rule)
        self.rows = np.flatnonzero(groups.codes >= 0).astype(groups.members.dtype)
        codes = np.zeros(groups.codes.size, np.int32)
        if domains is not None:
            read = Groups("domains", domains)
            _check.same_length("domains", read.codes, "labels", groups.codes.size)
            codes = np.where(read.codes >= 0, read.codes, len(read)).astype(np.int32)
        needy = [name for name in self.names if RULES[name][1] != "any"]
        if needy and domains is None:
            raise ValueError(f"domains must be given for rule {needy[0]!r}, got None")
        self.domains = None if domains is None else codes
        self.cells = Cells(groups.codes[self.rows], codes[self.rows])
        unknown = np.zeros(self.cells.sizes.size, np.bool_)
        if domains is not None:
            unknown = self.cells.of_domain == len(read)
        if needy and unknown.any():
            warn(
                f"domains should be given for every sample, got none for "
                f"{int(self.cells.sizes[unknown].sum())}: their partners are chosen by class only"
            )
        self.unknown = unknown
        self._find_missing()
        if on_missing is None and self.num_missing:
            warn(
                f"{self.num_missing} of {self.rows.size} samples have no partner by rule "
                f"{' or '.join(self.names)}: they are paired at random; choose by "
                "on_missing"
            )
        self.population = self.rows.size
        if self.on_missing == "skip":
            self.population = int(np.count_nonzero(self.expected))

    def _find_missing(self) -> None:
        """Find the cells whose samples have no partner, and the anchors."""
        cells = self.cells
        none = np.zeros(cells.sizes.size, np.bool_)
        for _, rule, here in self._ways():
            none |= here & (cells.eligible(rule) == 0)
        self.num_missing = int(cells.sizes[none].sum())
        self.barred = none if self.on_missing == "skip" else np.zeros_like(none)
        lacking = none[cells.cell]
        if self.on_missing == "raise":
            refuse_missing(self.rows[lacking], "use another rule, or another on_missing")
        self.anchors = np.arange(cells.n, dtype=cells.cell.dtype)
        if self.on_missing == "skip":
            self.anchors = self.anchors[~lacking]
            if self.anchors.size == 0:
                raise ValueError(
                    f"rule must allow some sample a partner, got {', '.join(self.names)} and none "
                    f"for all {cells.n}"
                )

    def _ways(self) -> list[tuple[int, Rule, NDArray[np.bool_]]]:
        """Return (number of the rule, rule, the cells that it applies to) of each rule."""
        found = []
        for number, name in enumerate(self.names):
            rule = RULES[name]
            if rule[1] == "any" or not self.unknown.any():
                found.append((number, rule, np.ones_like(self.unknown)))
            else:
                free: Rule = (rule[0], "any")
                found += [(number, rule, ~self.unknown), (number, free, self.unknown)]
        return found

    def draw(self, anchors: Packed, key: np.uint64) -> Indices:
        """Return the partner of each anchor, both as numbers among the labelled samples."""
        cells, partners = self.cells, anchors.astype(np.int64)
        chosen = np.zeros(anchors.size, np.int64)
        if len(self.names) > 1:
            words = _rng.values(_rng.subkey(key, 0), np.arange(anchors.size, dtype=np.uint64))
            points = (words >> np.uint64(11)) * 2.0**-53
            chosen = np.searchsorted(np.cumsum(self.odds)[:-1], points, side="right")
        for turn, (number, rule, here) in enumerate(self._ways()):
            mine = (chosen == number) & here[cells.cell[anchors]]
            able = mine & (cells.eligible(rule)[cells.cell[anchors]] > 0)
            own = _rng.subkey(key, 2 * turn + 1)
            partners[able] = cells.draw(rule, self.pick, partners[able], own)
            lost = mine & ~able
            if self.on_missing == "random" and cells.n > 1 and lost.any():
                other = _rng.subkey(key, 2 * turn + 2)
                partners[lost] = cells.draw(RULES["random"], "sample", partners[lost], other)
        return partners

    @cached_property
    def expected(self) -> Floats:
        """Expected draws of each sample of the dataset in a pass, in both roles: (N,)."""
        cells = self.cells
        found: Floats = np.where(self.barred, 0.0, 1.0)
        for number, rule, here in self._ways():
            drawn = cells.sizes * (self.odds[number] * (here & ~self.barred))
            able = cells.eligible(rule) > 0
            found += cells.expected(rule, self.pick, np.where(able, drawn, 0.0))
            lost = np.where(able, 0.0, drawn)
            if self.on_missing == "random" and cells.n > 1:
                found += cells.expected(RULES["random"], "sample", lost)
            else:
                found += lost / cells.sizes
        out = np.zeros(self.groups.codes.size)
        out[self.rows] = found[cells.cell]
        return out

    def identity(self) -> dict[str, object]:
        known: dict[str, Any] = {"labels": self.groups.codes}
        if self.domains is not None:
            known["domains"] = self.domains
        return {
            **known,
            "rule": dict(zip(self.names, self.odds.tolist(), strict=True)),
            "pick": self.pick,
            "on_missing": self.on_missing,
        }


def _rules(rule: str | Mapping[str, float]) -> tuple[list[str], Floats]:
    """Return the names of the rules, and their probabilities, summing to 1."""
    if isinstance(rule, str):
        return [_check.choice("rule", rule, RULES)], np.ones(1)
    if not isinstance(rule, Mapping):
        raise TypeError(
            "rule must be a name, or a mapping of names to probabilities, got "
            f"{type(rule).__name__}"
        )
    given = rule
    names = [_check.choice("rule", name, RULES) for name in given]
    odds = _check.weights("rule", list(given.values()))
    used = odds > 0
    return [name for name, use in zip(names, used, strict=True) if use], odds[used] / odds.sum()
