"""numpy's scalars as arguments: what is kept is what the check returned, so every state is JSON."""

import json

import numpy as np
import pytest

from sampling.batch_selection import (
    MultistageFilter,
    RankedBatch,
    RHOLoss,
    SelectiveBackprop,
    TopKLoss,
)
from sampling.samplers import ShuffleSampler, full_state, load_state, save_state
from sampling.testing._every_sampler import SAMPLERS

SCALARS = {bool: np.bool_, int: np.int64, float: np.float64, str: np.str_}
SELECTORS = {
    "TopKLoss": lambda: TopKLoss(np.float32(0.5), within=np.str_("batch"), seed=np.int64(3)),
    "SelectiveBackprop": lambda: SelectiveBackprop(np.float32(0.5), unbiased=np.True_),
    "RankedBatch": lambda: RankedBatch(np.int64(3), seed=np.int64(3)),
    "RHOLoss": lambda: RHOLoss(np.zeros(4), np.int64(3)),
    "MultistageFilter": lambda: MultistageFilter(np.int64(3), window=np.int64(4)),
}


def numpy_of(value):
    return SCALARS[type(value)](value) if type(value) in SCALARS else value


def made(name, monkeypatch, **options):
    """A sampler whose constructor sees every int, float, bool and word as numpy's."""
    cls = type(SAMPLERS[name]())
    plain = cls.__init__

    def init(self, *args, **kwargs):
        plain(self, *map(numpy_of, args), **{key: numpy_of(each) for key, each in kwargs.items()})

    monkeypatch.setattr(cls, "__init__", init)
    return SAMPLERS[name](**options)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_states_of_samplers_given_numpy_scalars_are_json(name, monkeypatch):
    sampler = made(name, monkeypatch, seed=3, num_replicas=1, rank=0, pad=True)
    monkeypatch.undo()
    plain = SAMPLERS[name](seed=3, num_replicas=1, rank=0, pad=True)
    state = sampler.state_dict(np.int64(0))
    assert json.loads(json.dumps(state)) == state == plain.state_dict(0)
    full = full_state(sampler, np.int64(0))
    json.dumps([full["state"], full["notes"]])
    kept = vars(sampler) | vars(getattr(sampler, "sampler", sampler))
    assert [key for key, each in kept.items() if isinstance(each, np.generic)] == []


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_state_that_went_through_numpy_is_taken_as_ints(name):
    sampler = SAMPLERS[name](seed=3)
    state = sampler.state_dict()
    given = {key: numpy_of(each) for key, each in state.items()}
    sampler.load_state_dict(given)
    assert json.loads(json.dumps(sampler.state_dict())) == state


def test_a_position_counted_by_numpy_is_saved(tmp_path):
    sampler = ShuffleSampler(10, seed=1)
    save_state(sampler, tmp_path / "state", consumed=np.int64(4))
    load_state(sampler, tmp_path / "state")
    assert sampler.remaining == 6
    sampler.load_state_dict(sampler.state_dict(np.int64(4)))
    json.dumps(sampler.state_dict(4))
    assert type(sampler._position.start) is int


@pytest.mark.parametrize("consumed", [True, 4.0, "4", None])
def test_other_positions_are_refused(consumed):
    sampler = ShuffleSampler(10)
    if consumed is not None:  # which is the default: where the running pass stands
        with pytest.raises(TypeError, match="consumed must be an int"):
            sampler.state_dict(consumed)
    with pytest.raises(TypeError, match="consumed must be an int"):
        sampler.load_state_dict({**sampler.state_dict(), "consumed": consumed})


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_states_of_batch_selectors_are_json(name):
    state = SELECTORS[name]().state_dict()
    json.dumps({key: each for key, each in state.items() if key != "arrays"}, default=np_array)


def np_array(value):
    """Arrays are saved beside the JSON values; scalars are not."""
    assert isinstance(value, np.ndarray), value
    return value.tolist()
