"""Whether a sampler was made for the dataset of a loader: their sizes are compared."""

from torch.utils.data import IterableDataset

from ._epoch_sampler import EpochSampler

ONE_EACH = (
    "give it one label, weight or score for each sample of the dataset (of class weights: "
    "weights[labels]), or choose samples with SubsetSampler"
)


def length_of(dataset: object) -> int | None:
    """Return N of a map-style dataset; None if it is of another kind or has no length."""
    if dataset is None or isinstance(dataset, IterableDataset):
        return None
    try:
        return len(dataset)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None


def misfit(sampler: EpochSampler, dataset: object) -> str:
    """Describe the mismatch of a sampler and a dataset of different sizes; empty if they match."""
    own, size = sampler.size, length_of(dataset)
    if size is None or own == size or (own < size and not sampler.covers_dataset):
        return ""
    wrong = f"indices from {size} on, which the dataset does not have"
    if own < size:
        wrong = f"none of the samples from {own} on"
    return f"{type(sampler).__name__} draws {wrong}"


def refuse_size(sampler: EpochSampler, dataset: object, name: str, holder: str) -> None:
    """Raise if a dataset does not have the size that a sampler was made for."""
    wrong = misfit(sampler, dataset)
    if wrong:
        raise ValueError(
            f"{name} must be made for the {length_of(dataset)} samples of {holder}, got one for "
            f"{sampler.size}: {wrong}; {ONE_EACH}"
        )
