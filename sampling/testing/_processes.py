"""Two processes that train together over gloo, forked so that any closure can run in them."""

import gc
import multiprocessing
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ._outcomes import broken, does_not_apply
from ._subject import start_method
from ._watch import Watch

PATIENCE = 120.0  # timeout of two ranks in seconds


def on_two_ranks(work: Callable[[int], Any]) -> list[Any]:
    """Return the result of `work(rank)` on each of two processes."""
    if start_method() != "fork":
        does_not_apply("two ranks are forked, which is not possible here")
    gc.collect()  # a loader inherited by a rank would manage workers that are not its own
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(2)]
        processes = [
            context.Process(target=_rank, args=(rank, work, Path(folder) / "store", pipe))
            for rank, (_, pipe) in enumerate(pipes)
        ]
        for process in processes:
            process.start()
        try:
            return [_received(rank, pipe) for rank, (pipe, _) in enumerate(pipes)]
        finally:
            for process in processes:
                process.join(1.0)
                process.kill()


def _received(rank: int, pipe: "Connection[Any, Any]") -> Any:
    if not pipe.poll(PATIENCE):
        broken(f"rank {rank} of 2 did not answer within {PATIENCE:.0f} s")
    error, result = pipe.recv()
    if error is not None:
        broken(f"rank {rank} of 2 raised {error}")
    return result


def _rank(rank: int, work: Callable[[int], Any], store: Path, pipe: "Connection[Any, Any]") -> None:
    torch.set_num_threads(1)  # a forked process must not use its parent's thread pool
    result = None
    with Watch() as watch:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
        result = work(rank)
        dist.barrier()
    error = watch.error
    pipe.send((f"{type(error).__name__}: {error} ({watch.where})" if error else None, result))
    if dist.is_initialized():
        dist.destroy_process_group()
