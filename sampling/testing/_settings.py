"""Settings of the whole process: read, compared and restored, so that checks can name a change.

Only what is cheap to read: all of them take less than a millisecond.
"""

from __future__ import annotations

import builtins
import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils import data

_MISSING = object()
_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Setting:
    """One setting: how to read it as a value that can be compared, and how to restore it."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


def _attributes(owner: Any, *names: str) -> list[Setting]:  # a module or a class
    return [
        Setting(
            f"{owner.__name__}.{name}", partial(getattr, owner, name), partial(setattr, owner, name)
        )
        for name in names
    ]


def _restore_device(before: torch.device) -> None:
    """Set the default device; the host is what none being set means.

    Set by its name, every later tensor would be made through a context of torch.
    """
    torch.set_default_device(None if before.type == "cpu" else before)


def _functions(owner: Any) -> Setting:  # a module or a class
    """Return the functions and classes of a namespace: none of them may be replaced."""

    def read() -> dict[str, Any]:
        found = vars(owner).items()
        return {k: v for k, v in found if k != "_" and (callable(v) or hasattr(v, "__func__"))}

    def write(before: dict[str, Any]) -> None:
        for name, function in before.items():
            if vars(owner).get(name) is not function:
                setattr(owner, name, function)
        for name in set(read()) - set(before):
            delattr(owner, name)

    return Setting(owner.__name__, read, write)


def _list(owner: Any, name: str, label: str) -> Setting:
    def write(before: list[Any]) -> None:
        getattr(owner, name)[:] = before

    return Setting(label, lambda: list(getattr(owner, name)), write)


def _set_signals(handlers: dict[str, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # where no handler can be set, so none was changed
    for name, handler in handlers.items():
        number = signal.Signals[name]
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _environment() -> dict[str, str]:
    """Return the variables, without those that torch sets when it loads its compiler."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("TORCHINDUCTOR_", "TRITON_"))}


def _set_environment(before: dict[str, str]) -> None:
    for name in set(_environment()) - set(before):
        del os.environ[name]
    os.environ.update(before)


def _start_method() -> str:
    """Return the method in use: the first use of the default only writes it down."""
    default = multiprocessing.get_all_start_methods()[0]
    return multiprocessing.get_start_method(allow_none=True) or default


def _set_start_method(method: str) -> None:
    multiprocessing.set_start_method(method, force=True)


def _set_deterministic(state: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])


def _set_torch_print(options: dict[str, Any]) -> None:
    vars(_torch_print()).update(options)


def _torch_print() -> object:
    return torch._tensor_str.PRINT_OPTS


SETTINGS = [
    *_attributes(sys, "excepthook", "unraisablehook", "displayhook", "breakpointhook"),
    *_attributes(sys, "stdin", "stdout", "stderr"),
    *_attributes(threading, "excepthook"),
    Setting("sys.gettrace()", sys.gettrace, sys.settrace),
    Setting("sys.getprofile()", sys.getprofile, sys.setprofile),
    Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("the switch interval", sys.getswitchinterval, sys.setswitchinterval),
    _list(sys, "path", "sys.path"),
    Setting(
        "the handler of a signal",
        lambda: {each.name: signal.getsignal(each) for each in signal.Signals},
        _set_signals,
    ),
    _list(warnings, "filters", "warnings.filters"),
    *_attributes(warnings, "showwarning", "formatwarning"),
    Setting("os.environ", _environment, _set_environment),
    Setting("the working directory", os.getcwd, os.chdir),
    Setting(
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda before: locale.setlocale(locale.LC_ALL, before),
    ),
    Setting("gc.isenabled()", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    Setting("gc.get_threshold()", gc.get_threshold, lambda before: gc.set_threshold(*before)),
    Setting("the socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    Setting(
        "the start method of multiprocessing",
        _start_method,
        _set_start_method,
    ),
    Setting("the level of the root logger", lambda: logging.root.level, logging.root.setLevel),
    _list(logging.root, "handlers", "the handlers of the root logger"),
    _list(logging.root, "filters", "the filters of the root logger"),
    Setting("logging.disable()", lambda: logging.root.manager.disable, logging.disable),
    Setting("np.geterr()", np.geterr, lambda before: np.seterr(**before)),
    Setting("np.geterrcall()", np.geterrcall, np.seterrcall),
    Setting(
        "np.get_printoptions()",
        np.get_printoptions,
        lambda before: np.set_printoptions(**before),
    ),
    Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Setting("torch's default device", torch.get_default_device, _restore_device),
    Setting("torch.get_num_threads()", torch.get_num_threads, torch.set_num_threads),
    Setting("torch.is_grad_enabled()", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting(
        "torch.is_anomaly_enabled()",
        torch.is_anomaly_enabled,
        torch.autograd.set_detect_anomaly,
    ),
    Setting(
        "torch.use_deterministic_algorithms",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        _set_deterministic,
    ),
    Setting(
        "torch's float32 matmul precision",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    *_attributes(torch.backends.cudnn, "enabled", "benchmark", "deterministic"),
    Setting("torch's print options", lambda: dict(vars(_torch_print())), _set_torch_print),
    Setting(
        "the sharing strategy of torch.multiprocessing",
        torch.multiprocessing.get_sharing_strategy,
        torch.multiprocessing.set_sharing_strategy,
    ),
    *_attributes(torch, "multinomial", "rand", "randint", "randperm"),
    *map(_functions, (builtins, random, np.random, data)),
    *map(_functions, (data.DataLoader, data.Sampler, data.BatchSampler, data.RandomSampler)),
]


def settings() -> dict[str, Any]:
    """Return the value of every setting."""
    return {each.name: each.read() for each in SETTINGS}


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Describe each setting that differs: its name, the old and the new value."""
    return [
        text
        for name in before
        if before[name] != after[name]
        for text in _described(name, before[name], after[name])
    ]


def _described(name: str, before: Any, after: Any) -> list[str]:
    if not isinstance(before, dict):
        return [f"{name} from {_short(before)} to {_short(after)}"]
    pairs = {
        key: (before.get(key, _MISSING), after.get(key, _MISSING)) for key in {**before, **after}
    }
    return [
        f"{name}, {key}, from {_short(old)} to {_short(new)}"
        for key, (old, new) in pairs.items()
        if old != new
    ]


def _short(value: object) -> str:
    if value is _MISSING:
        return "nothing"
    if isinstance(value, list):
        return f"{len(value)} entries"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@contextmanager
def restored() -> Iterator[None]:
    """Restore at the end every setting that was changed within."""
    before = settings()
    try:
        yield
    finally:
        for each in SETTINGS:
            if each.read() != before[each.name]:
                each.write(before[each.name])
