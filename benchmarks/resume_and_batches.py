"""Rows of `speed.py` about batches, positions and states."""

import tempfile
from pathlib import Path

from harness import Row, drain, first, in_turn


def batches_drain(rate: float, runs: int) -> Row:
    """All batches of 256 of a shuffle of 10^7."""
    from torch.utils.data import BatchSampler, RandomSampler

    from sampling.samplers import EpochBatchSampler, ShuffleSampler

    size = 10**7
    ours, peer = in_turn(
        lambda: drain(EpochBatchSampler(ShuffleSampler(size), 256)),
        lambda: drain(BatchSampler(RandomSampler(range(size)), 256, False)),
        runs,
    )
    return Row(
        "drain 10^7 in batches of 256",
        ours,
        peer,
        "BatchSampler(RandomSampler)",
        "4x",
        96 * size / rate,
        "96 bytes an index: int object, and a slot in the chunk's and in the batch's list",
    )


def classes_epoch(rate: float, runs: int) -> Row:
    """Time an epoch of P x K batches."""
    import numpy as np
    from pytorch_metric_learning.samplers import MPerClassSampler

    from sampling.samplers import ClassesPerBatchSampler

    size, classes, width, each = 10**6, 1000, 32, 4
    labels = np.random.default_rng(0).integers(0, classes, size)

    def drawn(batches: object) -> np.ndarray:
        return np.fromiter((i for batch in batches for i in batch), np.int64)

    ours, peer = in_turn(
        lambda: drain(ClassesPerBatchSampler(labels, width, each)),
        lambda: drain(MPerClassSampler(labels, each, width * each, size)),
        runs,
    )
    whole = np.unique(drawn(ClassesPerBatchSampler(labels, width, each))).size
    theirs = np.unique(np.array(list(MPerClassSampler(labels, each, width * each, size)))).size
    return Row(
        "P x K batches (32 x 4), N = 10^6, 1,000 classes, construct and drain",
        ours,
        peer,
        "MPerClassSampler",
        "20x",
        96 * size / rate,
        "96 bytes an index: int object and two list slots",
        {"coverage": whole / size, "peer coverage": theirs / size},
    )


def resume_far(rate: float, runs: int) -> Row:
    """From a state at 9 * 10^8 of 10^9 to the next index."""
    from sampling.samplers import ShuffleSampler

    state = ShuffleSampler(10**9).state_dict(consumed=9 * 10**8)

    def resume() -> object:
        sampler = ShuffleSampler(10**9)
        sampler.load_state_dict(state)
        return first(sampler)

    ours, _ = in_turn(resume, None, runs)
    return Row(
        "resume at 9 * 10^8 of 10^9, construct to next index",
        ours,
        [],
        "the others replay 9 * 10^8 draws",
        "50 ms",
        0.0,
        "nothing has to move",
    )


def light_state(rate: float, runs: int) -> Row:
    """One `state_dict` of a pruner of 10^7, as loaders ask for at every batch."""
    import numpy as np

    from sampling.samplers import InfoBatchSampler

    size, calls = 10**7, 10_000
    sampler = InfoBatchSampler(size, 8)
    sampler.record(np.arange(size), np.random.default_rng(0).random(size, np.float32))
    sampler.set_epoch(1)
    iterator = iter(sampler)

    def ask() -> None:
        for _ in range(calls):
            iterator.state_dict()

    ours, _ = in_turn(ask, None, runs)
    return Row(
        "light state of a pruner, N = 10^7",
        [each / calls for each in ours],
        [],
        "–",
        "20 us",
        0.0,
        "a dictionary of eight values",
    )


def full_state_file(rate: float, runs: int) -> Row:
    """Write the full state of a pruner of 10^8 samples."""
    import numpy as np
    from safetensors.numpy import save_file

    from sampling.samplers import InfoBatchSampler, load_state, save_state

    size = 10**8
    scores = np.random.default_rng(0).random(size, np.float32)
    sampler = InfoBatchSampler(size, 8)
    for start in range(0, size, 10**7):
        rows = np.arange(start, start + 10**7)
        sampler.record(rows, scores[rows])
    sampler.set_epoch(1)
    codes = np.ones(size, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path, bare = Path(folder, "ours"), Path(folder, "bare")
        ours, peer = in_turn(
            lambda: save_state(sampler, path),
            lambda: save_file({"scores": scores, "codes": codes}, bare),
            runs,
        )
        fresh = InfoBatchSampler(size, 8)
        loads, _ = in_turn(lambda: load_state(fresh, path), None, 1)
    return Row(
        "save_state of a pruner, N = 10^8",
        ours,
        peer,
        "safetensors alone, not flushed, no checksum",
        "seconds",
        2 * 5 * size / rate,
        "500 MB: read for the checksum, and written",
        {"load s": loads[0], "file bytes per sample": 5.0},
    )


ROWS = (batches_drain, classes_epoch, resume_far, light_state, full_state_file)
