"""The contract matrix: every sampler in every loader, stopped and resumed, on one and two ranks."""

from __future__ import annotations

import itertools
import json
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import spawn

from .. import _check
from .._check._keywords import told
from .._files._paths import Output, json_kind, written_whole
from .._optional import require
from .._version import __version__
from ._every_sampler import SAMPLERS, AnySampler
from ._matrix_leg import WHERE, Leg, Trip
from ._matrix_runs import EXTRAS, LOADERS, WITHOUT_WORKERS

_VERSIONS = ("torch", "torchdata", "lightning", "accelerate", "transformers")
_MATRIX = json_kind("a contract matrix", "versions", "cells")


@told
@dataclass(frozen=True)
class Cell:
    """One case of the matrix.

    Attributes
    ----------
    sampler, loader : str
        Names of the sampler and of the loader.
    num_workers : int
        Worker processes of the loader.
    where : str
        Where the run is stopped: "epoch end", "mid-epoch" or "last batch" (in the loop).
    num_replicas : int
        Number of processes that train together.
    """

    sampler: str
    loader: str
    num_workers: int
    where: str
    num_replicas: int


@told
def cells(
    samplers: str | Sequence[str] | None = None,
    loaders: str | Sequence[str] | None = None,
    *,
    workers: Sequence[int] = (0, 2),
    ranks: Sequence[int] = (1, 2),
) -> list[Cell]:
    """Return the cells of the matrix, those of one rank first.

    Parameters
    ----------
    samplers, loaders : str or sequence of str, optional
        Names of samplers and of loaders; all by default.
    workers : sequence of int, default (0, 2)
        Numbers of worker processes of each loader; `TensorLoader` has none.
    ranks : sequence of int, default (1, 2)
        Numbers of processes that train together: 1 or 2.

    Returns
    -------
    list of Cell

    Examples
    --------
    >>> len(cells(["ShuffleSampler"], ["Lightning"]))
    12
    """
    samplers = list(SAMPLERS) if samplers is None else _check.words("samplers", samplers)
    loaders = list(LOADERS) if loaders is None else _check.words("loaders", loaders)
    asked: list[tuple[str, list[object], Sequence[object]]] = [
        ("samplers", list(SAMPLERS), samplers),
        ("loaders", list(LOADERS), loaders),
        ("ranks", [1, 2], ranks),
    ]
    for name, known, given in asked:
        unknown = [each for each in given if each not in known]
        if unknown:
            raise ValueError(f"{name} must be of {known}, got {unknown}")
    if min(workers, default=0) < 0:
        raise ValueError(f"workers must be >= 0, got {min(workers)}")
    product = itertools.product(ranks, samplers, loaders, workers, WHERE)
    return [
        Cell(s, loader, w, where, r)
        for r, s, loader, w, where in product
        if w == 0 or loader not in WITHOUT_WORKERS
    ]


@told
def run_cells(cases: Sequence[Cell], done: Callable[[], object] | None = None) -> dict[Cell, str]:
    """Run the cells; those of two ranks run in two new processes.

    Parameters
    ----------
    cases : sequence of Cell
        Cells to run.
    done : callable, optional
        Called after each cell.

    Returns
    -------
    dict of Cell to str
        "" if the interrupted run drew exactly what the uninterrupted one did, and both drew all
        samples of the sampler; else a description of the difference.
    """
    for loader in {case.loader for case in cases} & set(EXTRAS):
        require(*EXTRAS[loader], f"the matrix of {loader}")  # before any work is done
    done = done or (lambda: None)
    found: dict[Cell, str] = {}
    for case in cases:
        if case.num_replicas == 1:
            with tempfile.TemporaryDirectory() as folder:
                found[case] = _verdict([_guarded(case, Path(folder))])
            done()
    several = [case for case in cases if case.num_replicas > 1]
    if several:
        found |= _on_two_ranks(several, done)
    return found


def _on_two_ranks(cases: list[Cell], done: Callable[[], object]) -> dict[Cell, str]:
    queue = get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        arguments = (cases, folder, queue)
        context: Any = spawn(_rank, arguments, nprocs=2, join=False)  # type: ignore[no-untyped-call]
        parts: dict[int, dict[int, Any]] = {number: {} for number in range(len(cases))}
        ended = False
        while not ended:
            ended = context.join(timeout=0.1)
            while not queue.empty():
                number, rank, result = queue.get()
                parts[number][rank] = result
                if len(parts[number]) == 2:
                    done()
    return {case: _verdict([parts[n][r] for r in range(2)]) for n, case in enumerate(cases)}


def _rank(rank: int, cases: list[Cell], folder: str, queue: Any) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        WORLD_SIZE="2", RANK=str(rank), MASTER_ADDR=socket.gethostname(), MASTER_PORT="0"
    )
    os.environ.update(LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE="2", NODE_RANK="0")
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    try:
        for number, case in enumerate(cases):
            own = Path(folder, str(number))
            own.mkdir(exist_ok=True)
            queue.put((number, rank, _guarded(case, own)))
            dist.barrier()
    finally:
        dist.destroy_process_group()


def _guarded(case: Cell, folder: Path) -> Any:
    """Return the three legs of a cell, or the error message of one that failed."""
    try:
        kept: dict[str, Any] = {}
        return [_leg(case, folder, leg, kept) for leg in ("whole", "first", "second")]
    except (RuntimeError, ValueError, TypeError, AttributeError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def _leg(case: Cell, folder: Path, leg: Leg, kept: dict[str, Any]) -> dict[str, Any]:
    run, deals = LOADERS[case.loader]
    sampler: AnySampler = (
        SAMPLERS[case.sampler](num_replicas=1, rank=0) if deals else SAMPLERS[case.sampler]()
    )
    trip = Trip(sampler, case.num_workers, case.where, leg, folder, case.num_replicas, kept)
    run(trip)
    return {"dealt": trip.dealt, "orders": trip.orders}


def _verdict(ranks: list[Any]) -> str:
    """Describe what is wrong with a cell, from the three legs of each rank."""
    for rank, legs in enumerate(ranks):
        if isinstance(legs, str):
            return f"rank {rank}: {legs}"
        whole, first, second = (leg["dealt"] for leg in legs)
        if not first or not second:
            return f"rank {rank}: the run was not stopped and resumed"
        if first + second != whole:
            same = sum(one == two for one, two in zip(first + second, whole, strict=False))
            return (
                f"rank {rank}: resumed it drew {len(first + second)} batches, uninterrupted "
                f"{len(whole)}; the first that differs is number {same}"
            )
    for epoch, order in ranks[0][0]["orders"].items():
        batches = [[b for e, b in legs[0]["dealt"] if e == epoch] for legs in ranks]
        if len({len(each) for each in batches}) > 1:
            return f"epoch {epoch}: the ranks had {[len(each) for each in batches]} batches"
        drawn = [index for each in batches for batch in each for index in batch]
        if set(drawn) != set(order):
            return f"epoch {epoch}: {len(set(order) ^ set(drawn))} samples lost or not drawn"
        if len(ranks) == 1 and drawn != order:
            return f"epoch {epoch}: drawn in another order than the sampler's"
    return ""


@told
def matrix_table(found: dict[Cell, str]) -> str:
    """Return the matrix as a Markdown table: passed cells out of all, by sampler and loader.

    Parameters
    ----------
    found : dict of Cell to str
        Result of `run_cells`.
    """
    loaders = list(dict.fromkeys(case.loader for case in found))
    lines = ["| sampler | " + " | ".join(loaders) + " |", "|---|" + "---|" * len(loaders)]
    for sampler in dict.fromkeys(case.sampler for case in found):
        row = []
        for loader in loaders:
            own = [text for c, text in found.items() if (c.sampler, c.loader) == (sampler, loader)]
            row.append(f"{sum(not text for text in own)}/{len(own)}")
        lines.append(f"| {sampler} | " + " | ".join(row) + " |")
    return "\n".join(lines)


@told
def matrix_outputs(path: str | Path) -> list[Output]:
    """Return the files that `write_matrix` will write, for `io.check_outputs`.

    Parameters
    ----------
    path : str or pathlib.Path
        Path of the matrix.

    Returns
    -------
    list of (path, Kind)
    """
    return [(path, _MATRIX)]


@told
def read_matrix(path: str | Path) -> dict[Cell, str]:
    """Return the cells of a matrix that `write_matrix` wrote, to add others to them.

    Parameters
    ----------
    path : str or pathlib.Path
        Path of the matrix.

    Returns
    -------
    dict of Cell to str
        As of `run_cells`.

    Raises
    ------
    ValueError
        If the file is no contract matrix, or was made with other versions of the frameworks.
    """
    if not _MATRIX.holds(Path(path)):
        raise ValueError(f"{path} must be a contract matrix that `write_matrix` wrote")
    held = json.loads(Path(path).read_bytes())
    now = _versions()
    other = [f"{name} {each}" for name, each in held["versions"].items() if each != now.get(name)]
    if other:
        raise ValueError(
            f"{path} must be of the versions of this run, got {', '.join(other)}: run all cells"
        )
    return {
        Cell(**{name: each for name, each in row.items() if name != "problem"}): row["problem"]
        for row in held["cells"]
    }


@told
def write_matrix(found: dict[Cell, str], path: str | Path) -> None:
    """Write the matrix to a JSON file: versions, and one entry for each cell.

    Parameters
    ----------
    found : dict of Cell to str
        Result of `run_cells`.
    path : str or pathlib.Path
        An existing contract matrix is replaced, and no other file.

    Raises
    ------
    ValueError
        If the path is a folder or a device, has the suffix of another format, or holds a file that
        `write_matrix` did not write.
    """
    rows = [{**asdict(case), "problem": text} for case, text in found.items()]
    text = json.dumps({"versions": _versions(), "cells": rows}, indent=1)
    with written_whole(path, _MATRIX) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    # Of the package itself as imported: a checkout on the path has no metadata.
    return {"sampling": __version__, **{name: version(name) for name in _VERSIONS}}
