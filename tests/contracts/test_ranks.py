"""R lines: the ranks together deal the epoch of one process, interleaved."""

import numpy as np
import pytest
from products import pairs, turns

from sampling.samplers import ShuffleSampler

from .cases import EVERY, order, run_to

TAILS = ["drop", "pad", "uneven"]
MORE = [pytest.param(each, id=str(each), marks=pytest.mark.full) for each in (1, 4, 5, 6, 7)]


@pairs({"factory": EVERY, "ranks": [2, 3, 8, *MORE], "tail": TAILS})
def test_r1_union_is_the_single_process_epoch(factory, ranks, tail):
    options = {"drop_last": tail == "drop", "pad": tail == "pad"}
    whole = order(run_to(factory(), 2))
    parts = [
        order(run_to(factory(num_replicas=ranks, rank=rank, **options), 2)) for rank in range(ranks)
    ]
    for rank, part in enumerate(parts):
        expected = whole[rank::ranks]
        if tail == "drop":
            expected = expected[: len(whole) // ranks]
        elif tail == "pad":
            count = -(-len(whole) // ranks)
            expected += [whole[(rank + k * ranks) % len(whole)] for k in range(count)][
                len(expected) :
            ]
        assert part == expected


@turns({"factory": EVERY, "tail": TAILS})
def test_resumed_on_other_ranks_nothing_is_lost_or_repeated(factory, tail):
    options = {"drop_last": tail == "drop", "pad": tail == "pad"}
    before = run_to(factory(num_replicas=2, rank=1), 2)
    whole = before.indices(2).tolist()
    state = before.state_dict(consumed=12)
    rest = whole[12:]
    for ranks in (1, 3):
        parts = []
        for rank in range(ranks):
            sampler = run_to(factory(num_replicas=ranks, rank=rank, **options), 2)
            sampler.load_state_dict(state)
            assert len(sampler) == sampler._share(len(whole))
            part = order(sampler)
            assert len(part) == sampler.remaining
            parts.append(part)
        for rank, part in enumerate(parts):
            own = rest[rank::ranks]
            if tail == "drop":
                own = own[: len(rest) // ranks]
            if tail == "pad":  # padding comes from the front of the epoch
                places = [12 + rank + k * ranks for k in range(-(-len(rest) // ranks))]
                own = [whole[place % len(whole)] for place in places]
            assert part == own


def test_r2_explicit_ranks_win_and_are_checked():
    sampler = ShuffleSampler(10)
    assert (sampler.rank, sampler.num_replicas) == (0, 1)
    assert ShuffleSampler(10, num_replicas=4, rank=3).rank == 3
    with pytest.raises(ValueError, match=r"rank must be in \[0, 8\), got 8"):
        ShuffleSampler(10, num_replicas=8, rank=8)
    with pytest.raises(ValueError, match="num_replicas must be >= 1, got 0"):
        ShuffleSampler(10, num_replicas=0, rank=0)


def test_ranks_do_not_change_the_global_order():
    one, eight = ShuffleSampler(1000), ShuffleSampler(1000, num_replicas=8, rank=5)
    assert np.array_equal(one.indices(3), eight.indices(3))
