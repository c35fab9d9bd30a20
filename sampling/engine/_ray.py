"""Engine for many machines, on Ray tasks.

What is sent
    The function of a run once, without the rows; with each task, the items of some parts: for rows
    on disk a path and a range, which the worker reads. Rows in memory are put into Ray's object
    store once for all runs over them (`steady`), and shared by the workers of a machine.
Results
    A part is processed as by `Local`, with one thread in each library, and results are yielded in
    the order of the parts. How parts are grouped into tasks affects nothing but time.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import chain, islice
from typing import Any, ClassVar, NoReturn, TypeVar, cast

from .. import _check
from .._check._keywords import told
from .._optional import require
from .._version import __version__
from .._warning import warn
from ..errors import StateError
from ._engine import Engine, here
from ._local import Local, alone
from ._over import Over, is_steady, use

__all__ = ["Ray", "named"]

T = TypeVar("T")
_AHEAD = 3  # tasks in flight for each worker: one runs, the others wait for their turn
_TASKS = 16  # tasks for each worker, so that none of them is long at the end
_MOST = 32  # parts of a task
_RETRIES = 3  # of a task whose worker died
_CONNECT = 5.0  # seconds within which an address has to answer
_ANSWER = 120.0  # and the workers


@told
@dataclass(eq=False)
class Ray:
    """Engine that processes parts in tasks of a Ray cluster.

    Results are equal to those of `Local` for any number of workers and threads, on one CPU type and
    one set of library versions; workers that differ cause a warning. Files are read by the workers:
    they must be on storage that all of them see, and so must the folder for temporary files.

    Parameters
    ----------
    address : str, optional
        Address of the cluster, "host:port"; "auto" for the one that runs on this machine. By
        default the environment variable RAY_ADDRESS, or else a local one is started, with
        `num_workers` workers.
    num_workers : int, optional
        Number of tasks at a time; by default as many as the cluster has CPUs for.
    num_threads : int, default 1
        CPUs of each task. It processes as many parts at a time.

    Raises
    ------
    ValueError
        When the engine is first used: if the address does not answer, if a worker does not have
        this package, or has another version of it.
    MissingExtraError
        If Ray is not installed.
    StateError
        If a worker is out of memory, or dies again and again; if a result cannot be pickled. An
        error that cannot be is raised as a RuntimeError that names it.

    Notes
    -----
    Memory
        A worker holds, for each thread, one part (about 16 MiB of float64, and what the function
        makes of it), the results of its task, and the function, such as the centers of k-means. At
        most three tasks for each worker are in flight. Rows in memory are in the object store.
    Failures
        A task whose worker dies runs again, up to three times: this costs time only. An
        interruption cancels all tasks.

    Examples
    --------
    >>> from sampling import engine
    >>> cluster = engine.Ray("head:6379")  # then: with engine.use(cluster): ...
    >>> cluster.num_threads
    1
    """

    address: str | None = None
    num_workers: int | None = None
    num_threads: int = 1
    limits_threads: ClassVar[bool] = True  # of libraries, to one
    _ray: Any = field(default=None, init=False, repr=False)
    _own: bool = field(default=False, init=False, repr=False)  # whether to disconnect at the end
    _depth: int = field(default=0, init=False, repr=False)
    _slots: int = field(default=0, init=False, repr=False)
    _capped: bool = field(default=False, init=False, repr=False)
    _task: Any = field(default=None, init=False, repr=False)
    _nodes: list[dict[str, Any]] = field(default_factory=list, init=False, repr=False)
    _held: dict[int, tuple[Any, Any]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.address is not None:
            _check.text("address", self.address)
        if self.num_workers is not None:
            self.num_workers = _check.integer("num_workers", self.num_workers, 1)
        self.num_threads = _check.integer("num_threads", self.num_threads, 1)

    def __enter__(self) -> Ray:
        if find_spec("ray") is None:
            require("ray", "ray", "engine.Ray")
        if not self._depth and self.address not in (None, "auto"):
            _refuse_silent(str(self.address))
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._held.clear()
            if self._own:
                self._ray.shutdown()
            self._ray, self._own = None, False

    def details(self) -> dict[str, Any]:
        """Return what `facts` records of this engine.

        Returns
        -------
        dict
            Number of workers; CPU types and versions, if the workers differ from this machine.
        """
        others = [node for node in self._nodes if node["here"] != here()]
        mixed = {"mixed": [node["here"] for node in others]} if others else {}
        return {"workers": self._slots, **mixed}

    def run(self, function: Callable[[Any], T], parts: Iterable[Any]) -> Iterator[T]:
        """Call a function with each part and return the results in the order of the parts.

        Parameters
        ----------
        function : callable
        parts : iterable
            Consumed lazily, a few for each worker. A single part is processed by this process.

        Returns
        -------
        iterator
        """
        waiting = iter(parts)
        first = list(islice(waiting, 2))
        if len(first) < 2:
            yield from map(function, first)
            return
        with self:
            self._connect()
            total = len(parts) if isinstance(parts, Sequence) else 0
            size = min(_MOST, max(1, total // (self._slots * _TASKS)))
            yield from self._results(function, chain(first, waiting), size)

    def _results(
        self, function: Callable[[Any], T], parts: Iterator[Any], size: int
    ) -> Iterator[T]:
        """Yield the results of parts, sent to tasks in groups of `size`."""
        ray, bare = self._ray, function
        held: list[Any] = []  # references to rows in memory
        if isinstance(function, Over) and function.rows is not None:
            bare = cast(Callable[[Any], T], Over(function.function, None))
            held.append(self._put(function.rows))
        sent, key = ray.put(ray.cloudpickle.dumps(bare)), uuid.uuid4().hex
        running: deque[Any] = deque()  # in the order of the parts; some have ended
        busy: set[Any] = set()
        most = self._slots if self._capped else _AHEAD * self._slots
        done = False

        def fill() -> None:
            while len(busy) < most and len(running) < _AHEAD * self._slots:
                group = list(islice(parts, size))
                if not group:
                    return
                packed = ray.cloudpickle.dumps(group)
                running.append(self._task.remote(key, sent, packed, self.num_threads, *held))
                busy.add(running[-1])

        try:
            fill()
            while running:
                while running[0] in busy:
                    busy.difference_update(ray.wait(list(busy), num_returns=1)[0])
                    fill()
                found = self._get(running.popleft())
                fill()
                yield from found
            done = True
        except Exception:
            self._cancel(running, force=False)
            done = True
            raise
        finally:  # an interrupt, or a consumer that stops
            if not done:
                self._cancel(running, force=True)

    def _get(self, task: Any) -> list[Any]:
        errors = self._ray.exceptions
        try:
            found: list[Any] | _Failed = self._ray.get(task)
        except errors.OutOfMemoryError as error:
            raise StateError(
                "a worker must have the memory for its part, got killed as the machine ran out of "
                f"it: {_MEMORY}"
            ) from error
        except (errors.RayTaskError, errors.RaySystemError) as error:  # `work` raises nothing
            raise StateError(
                "what a function returns for a part must be possible to pickle, got: "
                f"{getattr(error, 'cause', None) or _first(error)}: return arrays, or an object of "
                "a class that can be"
            ) from error
        except errors.RayError as error:
            raise StateError(
                f"a worker must finish its part, got {type(error).__name__} after {_RETRIES} "
                f"retries: {_first(error)}; if it was killed for its memory, {_MEMORY}"
            ) from error
        if isinstance(found, _Failed):
            _refuse(found.read(self._ray))
        return cast(list[Any], found)

    def _cancel(self, running: Iterable[Any], *, force: bool) -> None:
        for task in running:
            with suppress(Exception):  # it has ended, or the cluster has
                self._ray.cancel(task, force=force)

    def _put(self, rows: Any) -> Any:  # array -> ObjectRef
        """Return a reference to rows in the object store, the same for rows that are `steady`."""
        known = self._held.get(id(rows))
        if known is not None and known[0]() is rows:
            return known[1]
        found = self._ray.put(rows)
        if is_steady(rows):
            key = id(rows)
            gone = weakref.ref(rows, lambda _: self._held.pop(key, None))
            self._held[key] = (gone, found)
        return found

    # ------------------------------------------------------------------ the cluster

    def _connect(self) -> None:
        """Connect to the cluster, and check its workers; does nothing if connected."""
        if self._ray is not None:
            return
        ray = require("ray", "ray", "engine.Ray")
        own = not ray.is_initialized()
        if own:
            _init(ray, self.address, self.num_workers, self.num_threads)
        self._ray = ray
        try:
            self._nodes = _workers(ray)
            _refuse_others(self._nodes)
            cpus = sum(node["cpus"] // self.num_threads for node in self._nodes)
            if not cpus:
                raise ValueError(
                    f"num_threads must be at most the CPUs of a machine of the cluster, got "
                    f"{self.num_threads}"
                )
        except BaseException:
            self._ray = None
            if own:
                ray.shutdown()
            raise
        self._own = own
        self._slots = min(cpus, self.num_workers or cpus)
        self._capped = self._slots < cpus  # else the cluster itself lets tasks wait
        options = {"num_cpus": self.num_threads, "max_retries": _RETRIES}
        self._task = ray.remote(**options)(work)


@told
def named(engine: str | None, address: str | None = None) -> Engine:
    """Return an engine by name, as commands and plans give it.

    Parameters
    ----------
    engine : {"local", "ray"} or None
        None is "local".
    address : str, optional
        Of the Ray cluster.

    Returns
    -------
    Engine

    Raises
    ------
    ValueError
        If there is no such engine, or an address is given for "local".

    Examples
    --------
    >>> named("local")
    Local(num_threads=None)
    """
    name = _check.choice("engine", "local" if engine is None else engine, ("local", "ray"))
    if name == "ray":
        return Ray(address)
    if address is not None:
        raise ValueError(f"address must be given with engine='ray' only, got {address!r}")
    return Local()


_MEMORY = (
    "run fewer workers on a machine (num_workers, or num_threads=2, with which it has half as many)"
)
_LAST: dict[str, Any] = {}  # the function of the run that this worker is part of


@dataclass
class _Failed:
    """What a task returns instead of an error, which Ray would print if no result is asked for.

    packed : the error, pickled; None if it cannot be
    told   : its class and message
    """

    packed: bytes | None
    told: str

    @classmethod
    def of(cls, error: Exception, ray: Any) -> _Failed:
        """Return what to send of an error."""
        try:
            packed = ray.cloudpickle.dumps(error)
        except Exception:  # whatever its attributes raise
            packed = None
        return cls(packed, f"{type(error).__name__}: {error}")

    def read(self, ray: Any) -> Exception:
        """Return the error; if it cannot be sent between processes, another that names it."""
        if self.packed is not None:
            with suppress(Exception):  # a constructor of other arguments, a class of the worker
                error: Exception = ray.cloudpickle.loads(self.packed)
                return error
        return RuntimeError(self.told)


def work(key: str, sent: bytes, packed: bytes, threads: int, *held: Any) -> Any:
    """Process parts in a worker. The function is unpacked once, rows in memory are shared.

    Returns the list of results, or `_Failed`.
    """
    ray = require("ray", "ray", "engine.Ray")
    try:
        if key not in _LAST:
            _LAST.clear()
            _LAST[key] = ray.cloudpickle.loads(sent)
        function = _LAST[key]
        if held:
            function = Over(function.function, *held)
        with use(Local(threads)):
            return alone(function, ray.cloudpickle.loads(packed), threads)
    except Exception as error:
        return _Failed.of(error, ray)


def _refuse(error: Exception) -> None:
    """Raise the error of a function as if it had been called here, with what the user can do."""
    if isinstance(error, FileNotFoundError):
        storage = "on storage that every worker of the cluster sees"
        temporary = (
            "the folder for temporary files (scratch, or the variable TMPDIR of the environment)"
        )
        if error.filename is None:  # a message of ours, which begins with the path
            raise FileNotFoundError(
                f"{error} (on a worker: the table, and {temporary}, must be {storage})"
            ) from error
        raise FileNotFoundError(
            f"{error.filename} must be {storage}, got none there: move the table, and {temporary}, "
            "to such storage"
        ) from error
    if isinstance(error, MemoryError):
        raise StateError(
            f"a worker must have the memory for its part, got: {error}: {_MEMORY}"
        ) from error
    failed: Future[Any] = Future()
    failed.set_exception(error)
    failed.result()


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _init(ray: Any, address: str | None, workers: int | None, threads: int) -> None:
    """Connect to a cluster, or start one on this machine."""
    address = address or os.environ.get("RAY_ADDRESS") or None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        if workers is not None:
            quiet["num_cpus"] = workers * threads
        quiet["include_dashboard"] = False
        address = "local"  # None would join the cluster last started on this machine, of anybody
    elif address != "auto":
        _refuse_silent(address)  # again: it may be that of the environment
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, of versions to come
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            if address == "local":
                raise
            _refuse_address(address, _first(error), error)


def _refuse_silent(address: str) -> None:
    """Refuse an address that is none, or that does not answer within seconds; Ray takes minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()) or "/" in host:
        raise ValueError(
            f"address must be host:port of the head of a Ray cluster, or auto, got {address!r}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT).close()
    except (OSError, OverflowError) as error:
        _refuse_address(address, str(error), error)


def _refuse_address(address: str, why: str, error: Exception) -> NoReturn:
    raise ValueError(
        f"address must be of a Ray cluster that answers, got {address!r} ({why}): start one with "
        "`ray start --head`, or omit the address for workers on this machine"
    ) from error


def _workers(ray: Any) -> list[dict[str, Any]]:
    """Return the machines of a cluster: name, CPUs, version of this package, and `here`."""

    def probe() -> tuple[str | None, Any]:  # sent by value: a worker may lack the package
        try:
            from sampling._version import __version__ as found
            from sampling.engine._engine import here as own
        except ImportError as error:
            return None, str(error)
        return found, own()

    affinity = require("ray.util.scheduling_strategies", "ray", "engine.Ray")
    nodes = [
        (str(node["NodeManagerAddress"]), node["NodeID"], int(node["Resources"]["CPU"]))
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    ]
    if not nodes:
        raise ValueError("the cluster must have machines with CPUs, got none")
    asked = []
    for _, node, _ in nodes:
        there = affinity.NodeAffinitySchedulingStrategy(node, soft=False)
        asked.append(ray.remote(num_cpus=0, scheduling_strategy=there)(probe).remote())
    until = time.monotonic() + _ANSWER
    found = []
    for (name, _, cpus), task in zip(nodes, asked, strict=True):
        try:
            version, own = ray.get(task, timeout=max(1.0, until - time.monotonic()))
        except ray.exceptions.GetTimeoutError as error:
            raise ValueError(
                f"each machine of the cluster must answer within {_ANSWER:.0f} s, got nothing from "
                f"{name}: see `ray status`"
            ) from error
        except ray.exceptions.RayError as error:
            version, own = None, _first(error)
        found.append({"name": name, "cpus": cpus, "version": version, "here": own})
    return found


def _refuse_others(nodes: list[dict[str, Any]]) -> None:
    """Refuse workers without this version of the package; warn of those that may round otherwise.

    Raises ValueError.
    """
    for node in nodes:
        if node["version"] is None:
            raise ValueError(
                f"every worker must have the package sampling, got none on {node['name']} "
                f"({node['here']}): pip install 'sampling[ray]=={__version__}' there"
            )
        if node["version"] != __version__:
            raise ValueError(
                f"every worker must have version {__version__} of sampling, as this process, got "
                f"{node['version']} on {node['name']}: pip install 'sampling[ray]=={__version__}'"
            )
    others = [node for node in nodes if node["here"] != nodes[0]["here"] or node["here"] != here()]
    if others:
        own, other = here(), others[0]["here"]
        differ = [own["cpu"]] if own["cpu"] != other["cpu"] else []
        differ += [
            f"{name} {own['versions'][name]} and {other['versions'].get(name)}"
            for name in own["versions"]
            if own["versions"][name] != other["versions"].get(name)
        ]
        warn(
            "the machines of the cluster should have one CPU type and one version of each library, "
            f"got others on {others[0]['name']} ({', '.join(differ) or other['cpu']}): a result "
            "may depend on which machine computed it"
        )
