"""Samples of a mixture by source: concatenated datasets, or a domain for each sample."""

from collections.abc import Mapping, Sequence, Sized
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check import _labels
from ..._check._containers import is_missing
from ...types import Floats, Indices, Packed
from ..core._groups import Groups, Unlabeled

Lengths = Sequence[int | Sized] | Mapping[Any, int | Sized] | ArrayLike


class Sources:
    """Several domains, and the samples of each.

    Attributes
    ----------
    names : array of shape (K,)
        The caller's domain ids, sorted; for datasets the names of a mapping, else positions.
    sizes : int64 array of shape (K,)
        Number of samples of each domain.
    size : int
        N: indices are in [0, N).
    population : int
        Number of samples in a domain.
    groups : Groups or None
        None if the domains are concatenated, and nothing has to be stored.
    """

    def __init__(
        self, sizes: Indices, groups: Groups | None = None, names: NDArray[Any] | None = None
    ) -> None:
        self.sizes = sizes
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.population = int(self.starts[-1])
        self.groups = groups
        if names is None:
            names = np.arange(sizes.size) if groups is None else groups.names
        self.names = names
        self.size = self.population if groups is None else groups.codes.size

    def __len__(self) -> int:
        return self.sizes.size

    def of(self, rows: Indices) -> Indices:
        """Return the domain of each sample, as a position in `names`; -1 for none."""
        if self.groups is not None:
            return self.groups.codes[rows].astype(np.int64)
        found: Indices = np.searchsorted(self.starts, rows, side="right") - 1
        return found

    def samples(self, code: int, places: Indices) -> Packed:
        """Return the samples at positions of a domain, each in [0, n)."""
        if self.groups is not None:
            return self.groups.of(code)[places]
        return places + int(self.starts[code])

    def spread(self, per_domain: Floats, rows: Indices) -> Floats:
        """Return each sample's equal share of the value of its domain; 0 if in none."""
        codes = self.of(rows)
        return np.where(codes >= 0, (per_domain / self.sizes)[codes], 0.0)

    def named(self, indices: ArrayLike) -> NDArray[np.generic]:
        """Return the name of each sample's domain; raise for a sample in none."""
        rows = self._inside(indices)
        codes = self.of(rows)
        if (codes < 0).any():
            raise ValueError(f"indices must be in a domain, got {rows[int((codes < 0).argmax())]}")
        return self.names[codes]

    def located(self, indices: ArrayLike) -> tuple[Indices, Indices]:
        """Return the dataset of each sample, and its index in that dataset."""
        if self.groups is not None:
            raise ValueError("locate needs lengths of datasets, got a sampler made from domains")
        rows = self._inside(indices)
        sources = self.of(rows)
        return sources, rows - self.starts[sources]

    def _inside(self, indices: ArrayLike) -> Indices:
        rows = _check.host(indices, "indices")
        if rows.ndim != 1:
            raise ValueError(f"indices must have shape (B,), got {rows.shape}")
        if rows.size:
            _check.refuse_mask("indices", rows)
            _check.codes("indices", rows, self.size)
        return rows.astype(np.int64)

    def identity(self) -> Packed:
        """Return an array that identifies these domains."""
        return self.sizes if self.groups is None else self.groups.codes


def sources_of(
    lengths: Lengths | None, domains: ArrayLike | None, unlabeled: Unlabeled = "drop"
) -> Sources:
    """Return the domains, of which exactly one form is given."""
    if (lengths is None) == (domains is None):
        got = "neither" if lengths is None else "both"
        raise ValueError(f"one of lengths and domains must be given, got {got}")
    if domains is not None:
        groups = Groups("domains", domains, unlabeled)
        return Sources(groups.sizes, groups)
    _check.choice("unlabeled", unlabeled, get_args(Unlabeled))
    if isinstance(lengths, Mapping):
        sizes = np.array(_counted(lengths), np.int64)
        return Sources(sizes, names=_names("lengths", list(lengths)))
    return Sources(np.array(_counted(lengths), np.int64))


def _names(name: str, given: list[Any]) -> NDArray[Any]:
    """Return the names of datasets, in their order."""
    if any(is_missing(each) for each in given):
        raise ValueError(f"{name} must have names, got {given}")
    return _labels.names_of_rows(f"the names of {name}", given)


def parts_of(lengths: Any) -> Any:  # noqa: ANN401
    """Return the datasets of a mapping or of torch's ConcatDataset, also within Indexed.

    Other values are returned unchanged.
    """
    return (
        list(lengths.values())
        if isinstance(lengths, Mapping)
        else getattr(lengths, "datasets", lengths)
    )


def _counted(lengths: Any) -> list[int]:  # noqa: ANN401  # anything that has lengths or is one
    parts = parts_of(lengths)
    if hasattr(parts, "tolist"):
        parts = _check.one_dimensional("lengths", parts).tolist()
    if not isinstance(parts, Sequence):
        raise TypeError(
            "lengths must be a list or a mapping of counts or of datasets, or a ConcatDataset, "
            f"got {type(lengths).__name__}"
        )
    if len(parts) == 0:
        raise ValueError("lengths must not be empty, got length 0")
    names = list(lengths) if isinstance(lengths, Mapping) else range(len(parts))
    counts = [
        _check.size(f"lengths[{each!r}]", part) for each, part in zip(names, parts, strict=True)
    ]
    if sum(counts) > _check.MAX_SIZE:
        raise ValueError(f"lengths must add up to at most 2**62, got {sum(counts)}")
    return counts
