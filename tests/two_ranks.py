"""Two real processes over gloo."""

import atexit
import datetime
import socket
import traceback
from multiprocessing.connection import wait

import torch.distributed as dist
import torch.multiprocessing as mp


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _join(rank, port, limit):
    if dist.is_initialized():  # of the work before, which both have ended
        dist.destroy_process_group()
    patience = datetime.timedelta(seconds=120)  # the other may still be importing
    store = dist.TCPStore("127.0.0.1", port, 2, is_master=rank == 0, timeout=patience)
    timeout = datetime.timedelta(seconds=limit)
    store.set_timeout(timeout)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timeout)


def _child(rank, pipe):
    while True:
        try:
            work, port, limit = pipe.recv()
            _join(rank, port, limit)
            answer = None, work(rank)
        except EOFError:  # the tests are over
            return
        except Exception:
            answer = traceback.format_exc(), None
        pipe.send(answer)


class _Pair:
    """Two processes that wait for work; starting them costs more than most of what they do."""

    def __init__(self):
        context = mp.get_context("spawn")
        pipes = [context.Pipe() for _ in range(2)]
        self.pipes = [ours for ours, _ in pipes]
        self.processes = [
            context.Process(target=_child, args=(rank, theirs))
            for rank, (_, theirs) in enumerate(pipes)
        ]
        for process, (_, theirs) in zip(self.processes, pipes, strict=True):
            process.start()
            theirs.close()

    def run(self, work, limit):
        port = _free_port()
        for pipe in self.pipes:
            pipe.send((work, port, limit))
        results = {}
        while len(results) < 2:
            for pipe in wait([pipe for pipe in self.pipes if pipe not in results]):
                error, results[pipe] = pipe.recv()  # EOFError: the process is gone
                if error is not None:
                    raise RuntimeError(f"rank {self.pipes.index(pipe)} raised\n{error}")
        return results[self.pipes[0]], results[self.pipes[1]]

    def end(self):
        for process in self.processes:
            process.kill()
            process.join()


_waiting: list[_Pair] = []


@atexit.register
def _end():
    while _waiting:
        _waiting.pop().end()


def on_two_ranks(work, limit=120, fresh=False):
    """Return what `work(rank)` gives on each of two processes, which wait `limit` s for another.

    The processes are kept for the next call, in a new process group; `fresh` starts two for this
    work alone, which leaves them in a state of its own (a framework's singletons, a lost rank).
    """
    pair = _Pair() if fresh or not _waiting else _waiting.pop()
    try:
        found = pair.run(work, limit)
    except BaseException:
        pair.end()
        raise
    if fresh or _waiting:
        pair.end()
    else:
        _waiting.append(pair)
    return found
