"""Whether a sampler was made for the dataset of a loader: their sizes are compared."""

from __future__ import annotations

from typing import NamedTuple

from torch.utils.data import IterableDataset

from ._epoch_sampler import EpochSampler

ONE_EACH = (
    "give it one label, weight or score for each sample of the dataset (of class weights: "
    "weights[labels]), or choose samples with SubsetSampler"
)
_SELECT_AGAIN = "select from the rows of this dataset, in its order"


class Misfit(NamedTuple):
    """A sampler that was made for a dataset of another size.

    size   : number of samples that it was made for
    wrong  : what it draws, or does not
    advice : the remedy
    """

    size: int
    wrong: str
    advice: str


def length_of(dataset: object) -> int | None:
    """Return N of a map-style dataset; None if it is of another kind or has no length."""
    if dataset is None or isinstance(dataset, IterableDataset):
        return None
    try:
        return len(dataset)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None


def misfit(sampler: EpochSampler, dataset: object) -> Misfit | None:
    """Describe the mismatch of a sampler and a dataset of different sizes; None if they match."""
    own, size, name = sampler.size, length_of(dataset), type(sampler).__name__
    chosen = sampler.selected_from
    if size is not None and chosen is not None and chosen != size:
        wrong = f"{name} draws the rows of a selection that was made from {chosen} rows"
        return Misfit(chosen, wrong, _SELECT_AGAIN)
    if size is None or own == size or (own < size and not sampler.covers_dataset):
        return None
    wrong = f"indices from {size} on, which the dataset does not have"
    if own < size:
        wrong = f"none of the samples from {own} on"
    return Misfit(own, f"{name} draws {wrong}", ONE_EACH)


def refuse_size(sampler: EpochSampler, dataset: object, name: str, holder: str) -> None:
    """Raise if a dataset does not have the size that a sampler was made for."""
    wrong = misfit(sampler, dataset)
    if wrong is not None:
        raise ValueError(
            f"{name} must be made for the {length_of(dataset)} samples of {holder}, got one for "
            f"{wrong.size}: {wrong.wrong}; {wrong.advice}"
        )
