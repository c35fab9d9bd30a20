"""Arrays in the other byte order, or of other widths, are read like this machine's."""

import numpy as np
import pytest
import torch

from sampling import _check, samplers, scores, weighting
from sampling._check._rows import Rows
from sampling.clustering import kmeans, neighbours
from sampling.io import open_table, read_vector

N = 40
LABELS = np.arange(N) % 3
VALUES = 1.0 + np.arange(N) % 5
ROWS = np.random.default_rng(0).normal(size=(N, 3))


def swapped(array):
    """The same values, their bytes the other way round."""
    return array.astype(array.dtype.newbyteorder("S"))


def wide(array):
    return array.astype(np.longdouble) if array.dtype.kind == "f" else array


def epoch_of(sampler):
    sampler.set_epoch(0)
    return [np.asarray(each).tolist() for each in sampler]


SAMPLERS = {
    "weighted": lambda f: samplers.WeightedSampler(f(VALUES)),
    "class balanced": lambda f: samplers.ClassBalancedSampler(f(LABELS)),
    "names": lambda f: samplers.ClassBalancedSampler(f(LABELS.astype(str))),
    "subset": lambda f: samplers.SubsetSampler(f(np.arange(0, N, 2))),
    "repeat factor": lambda f: samplers.RepeatFactorSampler(f(np.eye(3, dtype=int)[LABELS]), 0.5),
    "rs2": lambda f: samplers.RepeatedSubsetSampler(N, 0.5, labels=f(LABELS)),
    "cluster clip": lambda f: samplers.ClusterClipSampler(f(LABELS), 20, num_epochs=2),
    "curriculum": lambda f: samplers.CurriculumSampler(f(VALUES), 3),
    "mixture": lambda f: samplers.MixtureSampler(f(np.array([20, 20])), 30, weights=f(VALUES[:2])),
    "domains": lambda f: samplers.MixtureSampler(domains=f(LABELS)),
    "sensitivity": lambda f: samplers.SensitivitySampler(
        f(VALUES), f(LABELS), f(VALUES[:3]), 20, holder_constant=0.1
    ),
    "trajectories": lambda f: samplers.TrajectorySampler(
        f(np.arange(1, 9)), f(np.arange(8.0)), baseline=f(np.eye(8, 3))
    ),
    "classes in batches": lambda f: samplers.ClassesPerBatchSampler(f(LABELS), 2, 2),
    "groups": lambda f: samplers.GroupBatchSampler(f(LABELS), 2),
    "tokens": lambda f: samplers.TokenBudgetBatchSampler(f(VALUES.astype(int)), 20),
}


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_samplers(name):
    make = SAMPLERS[name]
    assert epoch_of(make(swapped)) == epoch_of(make(np.asarray))
    if name != "tokens":
        assert epoch_of(make(wide)) == epoch_of(make(np.asarray))


def test_what_a_loop_records():
    ours, theirs = (samplers.InfoBatchSampler(N, 4) for _ in range(2))
    rows = np.arange(5)
    ours.record(rows, VALUES[:5])
    theirs.record(swapped(rows), swapped(VALUES[:5]))
    assert np.array_equal(ours.scores, theirs.scores, equal_nan=True)
    one, other = (scores.TrainingDynamics(N, 3) for _ in range(2))
    one.update(np.arange(N), ROWS, LABELS)
    other.update(swapped(np.arange(N)), swapped(ROWS), swapped(LABELS))
    for name, each in one.scores(["el2n", "aum"]).items():
        assert np.array_equal(each.values, other.scores([name])[name].values)
    losses = torch.from_numpy(VALUES)
    for groups in (LABELS, swapped(LABELS)):
        state = weighting.GroupWeights(3)
        found = weighting.group_dro(losses, groups=groups, state=state)
        assert torch.equal(found, weighting.group_dro(losses, groups=torch.from_numpy(LABELS),
                                                      state=weighting.GroupWeights(3)))  # fmt: skip


def test_scores_and_clusterings():
    for name in ("el2n", "margin"):
        score = getattr(scores, name)
        assert np.array_equal(
            score(swapped(ROWS), swapped(LABELS)).values, score(ROWS, LABELS).values
        )
    assert np.array_equal(kmeans(swapped(ROWS), 3).labels, kmeans(ROWS, 3).labels)
    assert np.array_equal(neighbours(swapped(ROWS), 3).indices, neighbours(ROWS, 3).indices)


def test_files(tmp_path):
    np.save(tmp_path / "rows.npy", swapped(ROWS))
    np.save(tmp_path / "labels.npy", swapped(LABELS))
    found = open_table(tmp_path / "rows.npy").embeddings
    assert isinstance(found, Rows)
    assert found.dtype == np.float64
    assert found.dtype.isnative
    assert np.array_equal(found.take(np.array([3, 1]))[:], ROWS[[3, 1]])
    assert np.array_equal(found[5:9], ROWS[5:9])
    assert np.array_equal(read_vector(tmp_path / "labels.npy"), LABELS)
    assert read_vector(tmp_path / "labels.npy").dtype.isnative


def test_tensors_and_native_arrays_are_not_copied():
    assert _check.host(ROWS) is ROWS
    tensor = torch.ones(3)
    assert np.shares_memory(_check.host(tensor), tensor.numpy())
