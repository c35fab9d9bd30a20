"""Passes that repeat another: what is said, when, and that it can be followed."""

import itertools
import warnings

import numpy as np
import pytest
from torchdata.stateful_dataloader import StatefulDataLoader

from sampling.samplers import (
    AdaptiveBatchSampler,
    EpochBatchSampler,
    GroupBatchSampler,
    InfoBatchSampler,
    ShuffleSampler,
    load_state,
    save_state,
)

N = 12
AGAIN = r"epoch 0 is restarted, with the draws of a pass that was interrupted: call set_epoch"
TWICE = r"epoch 0 is iterated a second time, in the same order: call set_epoch\(epoch\) before each"
OF_EACH_KIND = {
    "draws": lambda **o: ShuffleSampler(N, **o),
    "batches": lambda **o: EpochBatchSampler(ShuffleSampler(N, **o), 2),
    "blocks": lambda **o: GroupBatchSampler(np.arange(N) // 2, **o),
    "adaptive": lambda **o: AdaptiveBatchSampler(ShuffleSampler(N, **o), 2),
    "dynamic": lambda **o: InfoBatchSampler(N, 5, **o),
}
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
kinds = pytest.mark.parametrize("kind", OF_EACH_KIND)


def first(sampler, count=2):
    return list(itertools.islice(sampler, count))


@kinds
def test_a_pass_cut_by_break_and_begun_again_is_noticed_once(kind):
    sampler = OF_EACH_KIND[kind]()
    begun = first(sampler)
    with pytest.warns(UserWarning, match=AGAIN):
        assert first(sampler) == begun
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first(sampler)


@kinds
def test_a_loop_that_sets_its_epochs_may_cut_them_and_look_before(kind):
    sampler = OF_EACH_KIND[kind]()
    looked = first(sampler)
    for epoch in range(3):
        for _ in range(2):  # the same epoch twice, in so many words
            sampler.set_epoch(epoch)
            found = first(sampler)
            assert found == looked or epoch
    sampler.set_epoch(3)
    iter(sampler)  # made and thrown away: says nothing
    iter(sampler)
    one, other = iter(sampler), iter(sampler)  # neither has begun: two live iterators
    assert first(one) == first(other)


def test_a_pass_of_all_items_that_was_not_asked_for_more_counts_as_cut():
    sampler = ShuffleSampler(N)
    first(sampler, N)
    with pytest.warns(UserWarning, match=AGAIN):
        first(sampler, N)


def test_it_is_said_where_the_draws_are_used_and_not_where_an_iterator_is_made():
    sampler = ShuffleSampler(N)
    list(sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        iterator = iter(sampler)
    with pytest.warns(UserWarning, match=TWICE) as caught:
        next(iterator)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("how", ["state", "file", "iterator", "loader", "loader of batches"])
@pytest.mark.parametrize("taken", [4, N])
@pytest.mark.parametrize("dynamic", [False, True])
def test_looking_at_a_whole_epoch_before_a_resume_gives_no_false_warning(
    how, taken, dynamic, tmp_path
):
    def make():
        return InfoBatchSampler(N, 5) if dynamic else ShuffleSampler(N)

    def loader_of(sampler):
        if how == "loader":
            return StatefulDataLoader(range(N), batch_size=2, sampler=sampler)
        return StatefulDataLoader(range(N), batch_sampler=EpochBatchSampler(sampler, 2))

    sampler, resumed = make(), make()
    order = list(sampler)
    sampler.set_epoch(0)
    assert sorted(resumed) == sorted(order)  # to look
    if how.startswith("loader"):
        source = make()
        loader = loader_of(source)
        batches = iter(loader)
        for _ in range(taken // 2):
            next(batches)
        state = loader.state_dict()
        loader = loader_of(resumed)
        loader.load_state_dict(state)
        assert [index for batch in loader for index in batch.tolist()] == order[taken:]
        return
    if how == "file":
        save_state(make(), tmp_path / "state.safetensors", consumed=taken)
        load_state(resumed, tmp_path / "state.safetensors")
    elif how == "state":
        resumed.load_state_dict(make().state_dict(consumed=taken))
    else:
        iterator = iter(resumed)
        iterator.load_state_dict(make().state_dict(consumed=taken))
        assert list(iterator) == order[taken:]
        return
    assert list(resumed) == order[taken:]
    if not dynamic:
        list(resumed)  # the whole of the next epoch
        assert resumed.epoch == 1


@kinds
def test_the_state_at_the_start_of_an_epoch_is_that_of_a_run_that_finished_the_one_before(kind):
    sampler, other = OF_EACH_KIND[kind](), OF_EACH_KIND[kind]()
    sampler.set_epoch(1)
    expected = list(sampler)
    other.load_state_dict(sampler.state_at_start(1))
    other.set_epoch(1)
    assert list(other) == expected
    with pytest.raises(ValueError, match="epoch must be"):
        sampler.state_at_start(-1)
