"""Several sources in one epoch, against what a user of `datasets` has today.

    python benchmarks/mixture.py [--draws 10000000] [--runs 5]
    python benchmarks/speed.py --rows mixture           the first rows, kept

Two sources at shares 0.7 and 0.3. `datasets.interleave_datasets` decides in its call which row
comes when, and returns a dataset with a table of indices: against it stand all indices of an epoch,
as one array. The other row hands them out as Python ints, which the peer's would still have to do.
The walk to the middle of an epoch is what a resume costs; 22 sources, what a draw costs with many.
"""

import argparse
import statistics
from collections.abc import Callable

from harness import LeftOut, Row, drain, first, human, in_turn, peer

DRAWS = 10**7
SHARES = (0.7, 0.3)


def mixture_epoch(rate: float, runs: int, draws: int = DRAWS) -> Row:
    """Find all indices of 10^7 draws of two sources."""
    from sampling.samplers import MixtureSampler

    lengths = [draws, draws]
    ours, theirs = in_turn(
        lambda: MixtureSampler(lengths, draws, weights=SHARES).indices(0),
        interleaved(draws),
        runs,
    )
    return Row(
        f"mixture of two sources, {draws:,} indices",
        ours,
        theirs,
        "datasets.interleave_datasets",
        "20x",
        8 * draws / rate,
        "8 bytes an index",
    )


def mixture_drain(rate: float, runs: int, draws: int = DRAWS) -> Row:
    """Drain 10^7 draws of two sources."""
    from sampling.samplers import MixtureSampler, ShuffleSampler

    lengths = [draws, draws]
    ours, theirs = in_turn(
        lambda: drain(MixtureSampler(lengths, draws, weights=SHARES)),
        lambda: drain(ShuffleSampler(draws)),
        runs,
    )
    return Row(
        f"drain a mixture of two sources, {draws:,} draws",
        ours,
        theirs,
        "our own ShuffleSampler",
        "–",
        40 * draws / rate,
        "40 bytes an index: int object and list slot",
    )


def mixture_first(rate: float, runs: int, draws: int = DRAWS) -> Row:
    """First index of 10^7 draws of two sources."""
    from sampling.samplers import MixtureSampler

    seeds = iter(range(10**6))
    ours, _ = in_turn(
        lambda: first(MixtureSampler([draws, draws], draws, weights=SHARES, seed=next(seeds))),
        None,
        runs,
    )
    return Row(
        f"mixture of two sources, {draws:,} draws, first index", ours, [], "–", "20 ms", 0.0,
        "nothing has to move",
    )  # fmt: skip


def mixture_resume(rate: float, runs: int, draws: int = DRAWS) -> Row:
    """First index from the middle of an epoch of 22 sources, which is walked to."""
    from sampling.samplers import MixtureSampler

    seeds = iter(range(10**6))

    def middle() -> int:
        sampler = MixtureSampler([draws // 22] * 22, draws, temperature=5.0, seed=next(seeds))
        return int(sampler.indices(0, draws // 2, draws // 2 + 1)[0])

    ours, _ = in_turn(middle, None, runs)
    return Row(f"mixture of 22 sources, draw {draws // 2:,}", ours, [], "–", "–")


def mixture_many(rate: float, runs: int, draws: int = DRAWS) -> Row:
    """Drain 10^7 draws of 22 sources, small ones repeated."""
    from sampling.samplers import MixtureSampler

    lengths = [draws // 2**k + 10 for k in range(22)]
    ours, theirs = in_turn(
        lambda: drain(MixtureSampler(lengths, draws, temperature=3.33)),
        lambda: drain(MixtureSampler(lengths, draws, temperature=3.33, compose="shuffled")),
        runs,
    )
    return Row(f"mixture of 22 sources, {draws:,} draws", ours, theirs, 'compose="shuffled"', "–")


def interleaved(draws: int) -> Callable[[], object]:
    """Return what makes the peer's mixture of about as many draws: it stops at the first end."""
    library = peer("datasets")
    import numpy as np

    parts = [
        library.Dataset.from_dict({"row": np.arange(max(1, int(draws * share)))})
        for share in SHARES
    ]
    return lambda: library.interleave_datasets(
        parts, probabilities=SHARES, seed=0, stopping_strategy="first_exhausted"
    )


ROWS = [mixture_epoch, mixture_drain, mixture_first, mixture_resume, mixture_many]


def main() -> None:
    """Print every row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    for make in ROWS:
        try:
            row = make(1e10, options.runs, options.draws)
        except LeftOut as error:
            print(f"{make.__name__} left out: {error}")
            continue
        theirs = statistics.median(row.peer) if row.peer else None
        print(f"{row.name}: {human(statistics.median(row.ours))}, {row.peer_name} {human(theirs)}, "
              f"ratio {row.ratio}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
