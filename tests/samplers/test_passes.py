"""Passes that repeat another: what is said, when, and that it can be followed."""

import itertools
import warnings

import numpy as np
import pytest
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader
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
AGAIN = r"epoch 0 is begun again, with the draws of a pass that was cut short: call set_epoch"
TWICE = r"epoch 0 is dealt a second time, in the same order: call set_epoch\(epoch\) before each"
OF_EACH_KIND = {
    "draws": lambda **o: ShuffleSampler(N, **o),
    "batches": lambda **o: EpochBatchSampler(ShuffleSampler(N, **o), 2),
    "blocks": lambda **o: GroupBatchSampler(np.arange(N) // 2, **o),
    "adaptive": lambda **o: AdaptiveBatchSampler(ShuffleSampler(N, **o), 2),
    "dynamic": lambda **o: InfoBatchSampler(N, 5, **o),
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]
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


def combined(short, long=3 * N, mode="max_size_cycle"):
    loaders = {
        "short": DataLoader(range(N), batch_size=4, sampler=short),
        "long": DataLoader(range(long), batch_size=4),
    }
    return CombinedLoader(loaders, mode)


def test_a_loader_that_starts_again_within_an_epoch_gets_advice_that_works_there():
    message = (
        r"epoch 0 is over: call set_epoch\(1\) before the next pass.*CombinedLoader in mode "
        r"'max_size_cycle'\), construct with auto_epoch=True, or choose a mode .* 'min_size'"
    )
    sampler = InfoBatchSampler(N, 9)
    with pytest.raises(RuntimeError, match=message):
        list(combined(sampler))
    sampler = InfoBatchSampler(N, 9, num_replicas=2, rank=0)
    with pytest.raises(RuntimeError, match=r"'max_size_cycle'\), choose a mode that its other"):
        list(combined(sampler))
    with pytest.warns(UserWarning, match=TWICE + ".*construct with auto_epoch=True"):
        list(combined(ShuffleSampler(N)))


@pytest.mark.parametrize("mode", ["max_size_cycle", "min_size", "max_size"])
def test_the_advice_is_followed(mode):
    cycles = mode == "max_size_cycle"
    sampler = InfoBatchSampler(N, 99, auto_epoch=cycles)
    loader, drawn = combined(sampler, mode=mode), []
    for epoch in range(2):
        sampler.set_epoch(max(epoch, sampler.epoch + 1) if epoch and cycles else epoch)
        for batch, _, _ in loader:
            if batch["short"] is not None:
                drawn.extend(batch["short"].tolist())
    assert len(drawn) == (6 if cycles else 2) * N
    passes = [drawn[at : at + N] for at in range(0, len(drawn), N)]
    assert all(sorted(each) == [*range(N)] for each in passes)
    assert len({tuple(each) for each in passes}) == len(passes)
