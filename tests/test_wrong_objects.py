"""Objects in the wrong place: a loader, a path, a record where an array is wanted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler

import sampling
from sampling import samplers, scores, selection
from sampling.integrations import check_loader

LOADER = DataLoader(range(10), batch_size=2)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


@pytest.mark.parametrize(
    "make",
    [
        samplers.ShuffleSampler,
        lambda each: samplers.InfoBatchSampler(each, 5),
        scores.ScoreTable,
        sampling.Indexed,
        lambda each: samplers.MixtureSampler({"a": each}),
    ],
)
def test_a_loader_is_no_dataset(make):
    with pytest.raises(TypeError, match="a DataLoader, whose length counts batches: give its `da"):
        make(LOADER)


def test_a_batch_sampler_is_no_dataset():
    for each in (
        BatchSampler(SequentialSampler(range(4)), 2, False),
        samplers.EpochBatchSampler(samplers.ShuffleSampler(4), 2),
    ):
        with pytest.raises(TypeError, match="counts batches: give the dataset"):
            samplers.ShuffleSampler(each)


def test_an_iterable_dataset_is_named_and_has_no_length():
    with pytest.raises(
        TypeError, match=r"lengths\['a'\] must be .* got a Stream: an iterable data"
    ):
        samplers.MixtureSampler({"b": 3, "a": Stream()})
    with pytest.raises(TypeError, match="data_source must be .* an iterable dataset has no length"):
        samplers.ShuffleSampler(Stream())


@pytest.mark.parametrize("path", ["top.parquet", Path("top.parquet")])
def test_a_path_is_no_list_of_indices(path):
    with pytest.raises(TypeError, match=r"got 'top.parquet': .* Selection.load\(path\)"):
        samplers.SubsetSampler(path)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: samplers.ClassBalancedSampler(200),
            "labels .* a value for each sample, got 200 al",
        ),
        (lambda: samplers.WeightedSampler("w.csv"), "got 'w.csv' alone: give what is in the file"),
        (lambda: selection.top(torch.tensor(3.0), 1), "got 3.0 alone"),
        (lambda: selection.k_center("e.npy", 1), r"shape \(N, D\), .* got 'e.npy' alone"),
    ],
)
def test_a_value_alone_is_no_array(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_dataset_is_no_list_of_indices():
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"image": [[0.0]], "label": [0]})
    with pytest.raises(TypeError, match="indices must be .* give numbers of rows, such as a Selec"):
        samplers.SubsetSampler(rows)
    with pytest.raises(TypeError, match=r"dataset\['label'\]"):
        samplers.ClassBalancedSampler(rows)


def test_records_are_no_arrays_and_print_briefly():
    score = sampling.Score(np.arange(300.0), "harder", "el2n")
    chosen = selection.top(score, 100)
    assert repr(score) == "Score(<float64 (300,)>, higher_is='harder', name='el2n')"
    assert repr(chosen).startswith("Selection(100 of 300 rows, method='top'")
    assert len(repr(chosen)) < 200
    with pytest.raises(TypeError, match="take its `values`, or `as_higher"):
        np.asarray(score)
    with pytest.raises(TypeError, match="take its `indices`"):
        np.asarray(chosen)
    with pytest.raises(TypeError, match="give its `values`"):
        samplers.WeightedSampler(score)
    with pytest.raises(TypeError, match="got a Selection: give the weights themselves"):
        samplers.WeightedSampler(chosen)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's
@pytest.mark.parametrize("kind", ["torch", "torchdata"])
def test_batches_of_batches_are_told(kind):
    make = DataLoader
    if kind == "torchdata":
        make = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    batches = samplers.GroupBatchSampler([0, 0, 1, 1])
    wrong = make(range(4), sampler=batches, batch_size=2, collate_fn=list)
    assert [each.problem for each in check_loader(wrong)] == ["batches of batches"]
    with pytest.warns(UserWarning, match="batches of the batches of GroupBatchSampler"):
        try:
            list(wrong)
        except TypeError:  # a list is no index of this dataset
            pass
    batches = samplers.GroupBatchSampler([0, 0, 1, 1])
    right = make(range(4), batch_sampler=batches, collate_fn=list)
    assert not check_loader(right)
    assert sorted(map(sorted, right)) == [[0, 1], [2, 3]]
