"""Selected samples, as every selector returns them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from .._check._keywords import short, told
from ..types import Floats, Indices
from ._apply import length_of, rows_of
from ._explanation import BAD, NOT_ELIGIBLE, Explanation
from ._kept import coverage, nearest_kept, rank_by
from .copies import copies_at, cosines_of
from .inputs import of_one_table, table_text


@told
@dataclass(frozen=True, eq=False)
class Selection:
    """Selected samples and their weights, as returned by every selector.

    Parameters
    ----------
    indices : int64 array of shape (M,)
        Selected rows of the original input, in selection order.
    weights : float64 array of shape (M,), optional
        Weight of each kept sample; the selector documents the normalization.
    scores : float array of shape (N,), optional
        The score of every row of the input, kept or not.
    ids : array of shape (M,), optional
        The caller's ids of the kept rows.
    method : str, default ""
        Name of the selector.
    arguments : dict, optional
        Arguments of the selector, as JSON values.
    size : int, optional
        N, the number of rows of the input.
    ranked : bool, default False
        Whether the first m rows are the selection for a budget of m.
    verdicts : uint8 array of shape (N,), optional
        Index into `rules` of the rule that decided on each row.
    rules : tuple of str, default ()
        Rules by which rows were kept or dropped; the first is that of the kept rows.
    info : dict, optional
        Diagnostics as JSON values: algorithm used, time, memory, shortfalls.
    shorten : callable, optional
        Takes a smaller budget and returns its selection, if that is not a prefix of the rows.
    recut : callable, optional
        Takes a selection and a threshold and returns the selection at that threshold, including ids
        of rows that a file does not hold; called by `rethreshold`.
    row_ids : array of shape (N,), optional
        The caller's ids of all rows, kept or not; `explain` looks up rows by them.
    kept_rows : int64 array of shape (N,), optional
        Of each row that was dropped as a copy, the row that was kept instead (or was already
        selected); -1 for all others. In a plan, a later stage may have dropped that row.
    similarities : float array of shape (N,), optional
        Similarity of each such row to that row; NaN for all others, and where it is unknown.
    earlier : int64 array of shape (N,), optional
        The most similar row before each row in the order of a deduplication, from which
        `kept_rows` follow at any threshold; -1 for none.

    Examples
    --------
    >>> import numpy as np
    >>> Selection(np.array([4, 2]), weights=np.array([1.0, 3.0])).indices
    array([4, 2])
    """

    indices: Indices
    weights: Floats | None = None
    scores: NDArray[np.floating[Any]] | None = None
    ids: NDArray[Any] | None = None
    method: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    size: int | None = None
    ranked: bool = False
    verdicts: NDArray[np.uint8] | None = None
    rules: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
    shorten: Callable[[int], Selection] | None = field(default=None, repr=False)
    recut: Callable[[Selection, float], Selection] | None = field(default=None, repr=False)
    row_ids: NDArray[Any] | None = field(default=None, repr=False)
    kept_rows: Indices | None = field(default=None, repr=False)
    similarities: NDArray[np.floating[Any]] | None = field(default=None, repr=False)
    earlier: Indices | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check.refuse_mask("indices", self.indices)
        for name in ("indices", "weights", "scores"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, np.ndarray):  # such as a tensor
                array = _check.host(given, name)
                array = array.astype(np.float64) if name == "weights" else array
                object.__setattr__(self, name, array)
        object.__setattr__(self, "ranked", _check.flag("ranked", self.ranked))

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        size = "" if self.size is None else f" of {self.size}"
        parts = [f"{len(self)}{size} rows", f"method={self.method!r}"]
        for name in ("weights", "scores", "ids"):
            value = getattr(self, name)
            parts += [] if value is None else [f"{name}={short(value)}"]
        return f"Selection({', '.join(parts)}, ranked={self.ranked})"

    def __array__(self, *args: object, **kwargs: object) -> NDArray[Any]:
        """Refuse to become an array, which would lose the weights."""
        raise TypeError("a Selection is no array: take its `indices`, and its `weights`")

    @told
    def head(self, budget: int) -> Selection:
        """Return the selection for a smaller budget, without selecting again.

        Parameters
        ----------
        budget : int in [0, M]

        Returns
        -------
        Selection
            Without weights, unless the selector can compute them for the smaller budget.

        Raises
        ------
        ValueError
            If the selection is not ranked: then its first m rows are not a selection for m.
        """
        budget = _check.integer("budget", budget, 0, len(self) + 1)
        if budget == len(self):
            return self
        if self.shorten is not None:
            return self.shorten(budget)
        if not self.ranked:
            raise ValueError(
                f"head needs ranked picks, got those of {self.method or 'a selection'}, which "
                "depend on the budget: select again with the smaller one"
            )
        verdicts, rules = self.verdicts, self.rules
        if verdicts is not None:
            beyond = "beyond the budget"
            rules = rules if beyond in rules else (*rules, beyond)
            verdicts = verdicts.copy()
            verdicts[self.indices[budget:]] = rules.index(beyond)
            verdicts[self.indices[:budget]] = 0  # for selections that hold a row twice
        return replace(
            self,
            indices=self.indices[:budget],
            weights=None,
            ids=None if self.ids is None else self.ids[:budget],
            arguments={**self.arguments, "budget": budget},
            verdicts=verdicts,
            rules=rules,
            **copies_at(self, self.indices[:budget]),
        )

    @told
    def rethreshold(self, threshold: float, embeddings: ArrayLike | None = None) -> Selection:
        """Return the selection at another threshold, without comparing rows again.

        Parameters
        ----------
        threshold : float
            A threshold in the range that the method accepts.
        embeddings : array of shape (N, D), optional
            To compute the similarities of dropped rows to kept rows that are not their most similar
            earlier rows; these are NaN otherwise.

        Returns
        -------
        Selection
            The result of the method for this threshold.

        Raises
        ------
        ValueError
            If the scores and a threshold do not determine the selection, or the scores are missing:
            a file holds them if it was saved with the dropped rows. If rows with `ids` would be
            kept again whose ids are not in the file. If a later stage of a plan has dropped rows.
        """
        if self.recut is not None:
            found = self.recut(self, threshold)
        else:
            found = at_threshold(self, threshold, names=self.row_ids)
        if embeddings is None or found.kept_rows is None or found.similarities is None:
            return found
        rows = _check.matrix("embeddings", embeddings)
        _check.same_length("embeddings", rows, "the data", self._size(None))
        open_ = np.flatnonzero((found.kept_rows >= 0) & np.isnan(found.similarities))
        similarities = np.array(found.similarities)
        similarities[open_] = cosines_of(rows, open_, found.kept_rows[open_])
        return replace(found, similarities=similarities)

    def mask(self, size: int | None = None) -> NDArray[np.bool_]:
        """Return a mask of the kept rows: bool (N,).

        Parameters
        ----------
        size : int, optional
            N; that of the input by default.

        Raises
        ------
        ValueError
            If the selection knows its N and another one is given, or it does not know it and none
            is.
        """
        found = np.zeros(self._size(size), np.bool_)
        found[self.indices] = True
        return found

    def _size(self, size: int | None) -> int:
        if size is not None and self.size is not None and size != self.size:
            raise ValueError(
                f"size must be {self.size}, the number of rows that this selection was made from, "
                f"got {size}"
            )
        size = self.size if size is None else size
        if size is None:
            raise ValueError("size must be given: this selection does not know its N")
        if len(self) and int(self.indices.max()) >= size:
            raise ValueError(f"size must be > {int(self.indices.max())}, got {size}")
        return size

    # ------------------------------------------------------------------ sets

    def _combine(self, other: Selection, sign: str, kept: NDArray[np.bool_]) -> Selection:
        if None not in {self.size, other.size} and self.size != other.size:
            raise ValueError(
                f"selections must be of the same input, got {self.size} and {other.size} rows"
            )
        if of_one_table(self.info, other.info) is False:
            raise ValueError(
                "selections must be of the same input, got those of two tables, which share no "
                "file: " + " and ".join(map(table_text, (self.info, other.info)))
            )
        known = self.info if "inputs" in self.info else other.info
        return Selection(
            self.indices[kept],
            ids=None if self.ids is None else self.ids[kept],
            method=f"{self.method} {sign} {other.method}",
            arguments={"left": self.arguments, "right": other.arguments},
            size=self.size if self.size is not None else other.size,
            info={name: known[name] for name in ("inputs", "beside") if name in known},
            row_ids=self.row_ids,
        )

    def __and__(self, other: Selection) -> Selection:
        """Return the intersection, in the order of the first selection, without weights."""
        return self._combine(other, "&", np.isin(self.indices, other.indices))

    def __sub__(self, other: Selection) -> Selection:
        """Return the difference, in the order of the first selection, without weights."""
        return self._combine(other, "-", ~np.isin(self.indices, other.indices))

    def __or__(self, other: Selection) -> Selection:
        """Return the union, rows of the first selection first, without weights."""
        new = other - self
        whole = self._combine(other, "|", np.ones(len(self), np.bool_))
        both_named = whole.ids is not None and new.ids is not None
        return replace(
            whole,
            indices=np.concatenate([whole.indices, new.indices]),
            ids=np.concatenate([whole.ids, new.ids]) if both_named else None,
        )

    # ------------------------------------------------------------------ explanations

    def explain(self, row: int | str, embeddings: ArrayLike | None = None) -> Explanation:
        """Explain why a row was kept or dropped.

        Parameters
        ----------
        row : int in [0, N), or str
            The row number, or the id as a str.
        embeddings : array of shape (N, D), optional
            If given, the nearest kept row is found; O(M D).

        Returns
        -------
        Explanation

        Raises
        ------
        ValueError
            If there is no such row. If `row` is an id and the selection has no ids, or none of its
            dropped rows, as in a file that was saved without them.
        """
        if isinstance(row, str):
            row = self._row_of(row)
        size = self._size(None)
        row = _check.integer("row", row, 0, size)
        place = np.flatnonzero(self.indices == row)
        kept = place.size > 0
        rank = int(place[0]) if kept else None
        rule = "kept" if kept else "dropped"
        if self.verdicts is not None and not kept:
            rule = self.rules[int(self.verdicts[row])]
        score = None if self.scores is None else float(self.scores[row])
        if rule == BAD:
            score = None  # the position of a value that is none
        order = self.info.get("order")
        if not kept and order is not None and self.scores is not None and rule not in NOT_ELIGIBLE:
            values = np.where(self._choices(), self.scores, np.nan)
            rank = None if np.isnan(values[row]) else rank_by(values, order, row, self.indices)
        nearest = None
        if embeddings is not None and len(self) > kept:
            rows = _check.matrix("embeddings", embeddings)
            _check.same_length("embeddings", rows, "the data", size)
            others = self.indices[self.indices != row]
            ((near, _),) = nearest_kept(rows, np.array([row]), others)
            nearest = int(near[0])
        own = -1 if self.kept_rows is None else int(self.kept_rows[row])
        if own < 0:
            return Explanation(int(row), kept, rank, score, rule, nearest)
        similarity = np.nan if self.similarities is None else float(self.similarities[row])
        return Explanation(
            int(row),
            kept,
            rank,
            score,
            rule,
            nearest,
            own,
            self.id_of(own),
            None if np.isnan(similarity) else similarity,
        )

    def id_of(self, row: int) -> int | str | None:
        """Return the id of a row, as far as it is known.

        Parameters
        ----------
        row : int in [0, N)

        Returns
        -------
        int, str or None
            None without ids, and for a dropped row of a file that has only those of the kept rows.
        """
        if self.row_ids is not None:
            found = self.row_ids[row]
        else:
            place = np.flatnonzero(self.indices == row)
            if self.ids is None or not place.size:
                return None
            found = self.ids[place[0]]
        plain: int | str = found.item() if isinstance(found, np.generic) else found
        return plain

    def _row_of(self, name: str) -> int:
        """Return the number of the row with the given id."""
        known = self.ids if self.row_ids is None else self.row_ids
        if known is None:
            raise ValueError(f"row must be the number of a row, got {name!r}: there are no ids")
        words = known.astype(np.str_) if known.dtype.kind in "iu" else known
        found = np.flatnonzero(words == (name.encode() if known.dtype.kind == "S" else name))
        if found.size:
            return int(found[0] if known is self.row_ids else self.indices[found[0]])
        if self.row_ids is None:
            raise ValueError(
                f"row must be the id of a kept row, or the number of any, got {name!r}: a file "
                "has the ids of dropped rows if it was written with --dropped, or saved with "
                "dropped=True"
            )
        raise ValueError(f"row must be the id of one of {len(known)} rows, got {name!r}")

    def _choices(self) -> NDArray[np.bool_]:
        """Return a mask of the eligible rows: bool (N,)."""
        if self.verdicts is None:
            return np.ones(self._size(None), np.bool_)
        never = [code for code, rule in enumerate(self.rules) if rule in NOT_ELIGIBLE]
        return ~np.isin(self.verdicts, never)

    def summary(
        self, groups: ArrayLike | None = None, embeddings: ArrayLike | None = None
    ) -> dict[str, Any]:
        """Return counts of rows per rule and group, the effective sample size, and the coverage.

        Parameters
        ----------
        groups : array of shape (N,), optional
            Class or cluster of each row of the input.
        embeddings : array of shape (N, D), optional
            If given, distances of dropped rows to kept rows are computed; O(N M D), in blocks.

        Returns
        -------
        dict
            "kept", "size", "effective" (Kish's effective sample size, sum(w)^2 / sum(w^2)) and
            "rules" (number of rows by rule). With groups, "groups": the number of kept and of all
            rows of each group. With embeddings, "coverage": the mean and largest distance of a
            dropped row to the nearest kept row; rows that are not finite are ignored.
        """
        found: dict[str, Any] = {
            "kept": len(self),
            "size": self.size,
            "effective": float(len(self)),
        }
        if self.weights is not None and len(self):
            total, squares = self.weights.sum(), np.square(self.weights).sum()
            found["effective"] = float(total**2 / squares) if squares > 0 else 0.0
        if self.verdicts is not None:
            counts = np.bincount(self.verdicts, minlength=len(self.rules))
            found["rules"] = {rule: int(n) for rule, n in zip(self.rules, counts, strict=False)}
        if groups is not None:
            names, codes = _labels.grouped("groups", groups)
            _check.same_length("groups", codes, "the data", self._size(None))
            own = np.bincount(codes[self.indices], minlength=len(names))
            every = np.bincount(codes, minlength=len(names))
            found["groups"] = {
                name: (int(k), int(n))
                for name, k, n in zip(names.tolist(), own, every, strict=True)
            }
        if embeddings is not None:
            rows = _check.matrix("embeddings", embeddings)
            _check.same_length("embeddings", rows, "the data", self._size(None))
            out = ~self.mask()
            if self.verdicts is not None and BAD in self.rules:
                out &= self.verdicts != self.rules.index(BAD)
            found["coverage"] = coverage(rows, np.flatnonzero(out), self.indices)
        return found

    # ------------------------------------------------------------------ using a selection

    def apply(self, dataset: Any) -> Any:  # of any framework
        """Return the selected rows of a dataset, in selection order, in its own type.

        Parameters
        ----------
        dataset : dataset, table or array of N rows
            Those that the selection was made from.

        Returns
        -------
        dataset, table or array of M rows
            Row m is row `indices[m]` of `dataset`; a row that was selected twice is there twice.
            Weights stay in the selection: `weights[m]` belongs to row m. The type is:

            =============================================  ======================================
            given                                          returned
            =============================================  ======================================
            `datasets.Dataset`                             its `select`
            DataFrame, Series or Index of pandas           its `iloc`, with its own index
            DataFrame or Series of polars                  the same
            Table, RecordBatch or array of Arrow           its `take`
            numpy array, tensor (on its device)            rows of the first axis, copied
            sparse array of scipy                          the same, as CSR
            `sampling.io.Table`, rows on disk              its `take`: nothing is read
            list, tuple, range                             list, tuple, list
            any other dataset with `__len__`               `torch.utils.data.Subset`; no sample is
                                                           read
            =============================================  ======================================

        Raises
        ------
        ValueError
            If the dataset has another number of rows.
        TypeError
            If it has no number of rows, such as a stream or a LazyFrame, or is a mapping of
            several datasets.

        Examples
        --------
        >>> import numpy as np
        >>> picked = Selection(np.array([2, 0, 0]), weights=np.array([1.0, 3.0, 3.0]), size=3)
        >>> picked.apply(["a", "b", "c"]), picked.weights
        (['c', 'a', 'a'], array([1., 3., 3.]))
        """
        found = length_of(dataset)
        if self.size is not None and found != self.size:
            raise ValueError(
                f"dataset must have {self.size} rows, got {found}: a selection is of the rows "
                "that it was made from"
            )
        if len(self) and int(self.indices.max()) >= found:
            raise ValueError(
                f"dataset must have more than {int(self.indices.max())} rows, got {found}"
            )
        return rows_of(dataset, self.indices)

    @told
    def save(self, path: str | Path) -> None:
        """Write the selection to a Parquet file atomically; see `sampling.io`.

        Parameters
        ----------
        path : str or pathlib.Path
            An existing subset file is replaced; any other file is refused.

        Raises
        ------
        ValueError
            If the path is a folder, a device, or a file other than a subset file, or has the suffix
            of another format.
        OSError
            If the folder does not exist, cannot be written to, or is full.
        """
        from .files import save_selection

        save_selection(self, path)

    @classmethod
    @told
    def load(cls, path: str | Path) -> Selection:
        """Read a selection written by `save`.

        Parameters
        ----------
        path : str or pathlib.Path

        Returns
        -------
        Selection
        """
        from .files import read_selection  # loads pyarrow

        return cls(**read_selection(path))


@told
def at_threshold(
    selection: Selection,
    threshold: float,
    *,
    keys: NDArray[np.uint64] | None = None,
    names: ArrayLike | None = None,
) -> Selection:
    """Return the selection of a method at another threshold; `Selection.rethreshold` calls it.

    Parameters
    ----------
    selection : Selection
        From a method whose `info["cut"]` states that rows with a score of at most the threshold are
        kept, by ascending score.
    threshold : float
    keys : uint64 array of shape (N,), optional
        Tie-breaking keys; by default hashed from (seed, row).
    names : array of shape (N,), optional
        The caller's `ids` of all rows.

    Returns
    -------
    Selection

    Raises
    ------
    ValueError
        If the scores and a threshold do not determine the selection, or the scores are missing; if
        rows would be kept again whose ids are unknown.
    """
    from ._rethreshold import changes_at  # loads numba

    return replace(selection, **changes_at(selection, threshold, keys=keys, names=names))


@told
def load_selection(path: str | Path) -> Selection:
    """Read a selection written by `save_selection`, including its dropped rows if they were saved.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    Selection
        With `scores` (N,) if the dropped rows were saved; NaN for rows without a score.

    Raises
    ------
    ValueError
        If the file is damaged or of another kind; if a row is not in [0, N) or is repeated, or a
        weight is negative or not finite; if the file with the dropped rows belongs to another
        selection, or does not hold all of them. The message names the file.
    """
    return Selection.load(path)
