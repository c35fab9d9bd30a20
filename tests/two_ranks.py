"""Two real processes over gloo."""

import datetime
import socket

import torch.distributed as dist
import torch.multiprocessing as mp


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _child(rank, work, port, queue, limit):
    dist.init_process_group(
        "gloo",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(seconds=limit),
    )
    try:
        queue.put((rank, work(rank)))
        dist.barrier()
    finally:
        dist.destroy_process_group()


def on_two_ranks(work, limit=120):
    """Return what `work(rank)` gives on each of two processes, which wait `limit` s for another."""
    queue = mp.get_context("spawn").SimpleQueue()
    context = mp.spawn(_child, args=(work, _free_port(), queue, limit), nprocs=2, join=False)
    results = {}
    while not context.join(timeout=0.05) or not queue.empty():  # raises what a process raised
        while not queue.empty():
            rank, results[rank] = queue.get()
    return results[0], results[1]
