"""Settings of a benchmark: each is an option of `sampling bench`, and a key of a plan file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .. import _check
from .._check._keywords import told
from ._plan_file import line_of, read_plan
from .methods._method import LONG_TAIL, NOISE, PLAIN
from .methods._named import EQUAL_COST, method_named
from .methods._registry import CONTROLS, METHODS, default_methods
from .tasks._task import Task

KEEP = (0.3, 0.5, 0.7)
GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PROTOCOLS = ("samples", "epochs", "steps", "cost")
_COUNTS: dict[str, int] = {  # whole numbers, with their lowest value
    "seeds": 1, "max_seeds": 3, "evaluations": 1, "first_seed": 0, "epochs": 1, "batch_size": 1,
    "image_size": 4, "jobs": 1, "limit": 2,
}  # fmt: skip
_MOST: dict[str, int] = {  # and their highest: each seed is a row of runs, and one of numpy's
    "seeds": 10_000, "max_seeds": 10_000, "first_seed": 2**32 - 10_000,
}  # fmt: skip
_NUMBERS = {
    "margin": "(0, inf)",
    "imbalance": "(1, inf)",
    "label_noise": "(0, 1)",
    "near_copies": "(0, 1)",
    "learning_rate": "(0, inf)",
    "time_budget": "(0, inf)",
    "timeout": "(0, inf)",
}
_DATA = (  # what a script of the user's own has instead
    "data", "label", "features", "labels", "split", "metric", "model", "image_size", "on_bad",
    "epochs", "batch_size",
    "learning_rate", "device", "limit", "imbalance", "label_noise", "near_copies", "data_dir",
)  # fmt: skip
_TEXTS = ("label", "labels", "features", "split", "metric", "command", "device")
_PATHS = ("out", "data_dir")


@told
@dataclass(frozen=True)
class Settings:
    """Settings of a benchmark; every field is an option of `sampling bench`.

    Parameters
    ----------
    data : str, Path or Task
        "digits", "fashion-mnist", a folder of images, a table, or FILE.py:FUNCTION that returns a
        `Task`.
    label, features, labels : str, optional
        Column of the classes of a table; column or file of its features; FILE or FILE:COLUMN of
        the classes of rows in a file.
    split : str, optional
        Column of a table that says "train", "val" or "test" of each row; by default a fifth of
        every class is for the test.
    model : {"probe", "mlp"}, optional
        Model on given features: a linear one, or one with a hidden layer, by default "mlp".
    image_size : int, optional
        Height and width of the images of a folder, in pixels; by default 32.
    on_bad : {"raise", "drop"}, default "raise"
        What happens to files that are no readable images, and to rows of a table without a label
        or with features that are not finite.
    metric : str, optional
        Metric of the benchmark's own models: "accuracy", "balanced accuracy", "macro F1",
        "log-loss", or "R2" for labels that are numbers; by default accuracy, or R2 for floats.
    command : str, optional
        A training script and its arguments, run once for each run: see `sampling.bench.sampler`.
    timeout : float, optional
        Seconds after which a run of the command is ended, and fails.
    keep : float in (0, 1) or tuple of them, optional
        Keep fractions at which the pruning methods run, 0.3, 0.5 and 0.7 by default. Must not be
        given if no method prunes.
    methods : str or tuple of str, optional
        Methods in addition to the controls; by default those suited to the data: pruning, or
        methods for a long tail with `imbalance`, or for wrong labels with `label_noise`.
    without : str or tuple of str, optional
        Controls that do not run, of full-fewer, random, dynamic-random and rs2; "full-fewer:" for
        the controls of equal total cost.
    protocol : {"samples", "epochs", "steps", "cost"}, default "samples"
        What is equal among the methods of a keep fraction: the samples trained on; the epochs,
        whatever a method makes of them; the steps of the optimizer, as many as on all data; or the
        total cost, with scoring, selection and clustering.
    seeds : int, optional
        A fixed number of seeds. By default three, a pilot without verdicts, from which the number
        is computed that the table needs; 5 for digits.
    max_seeds : int, default 20
        The largest number of seeds, where it is computed.
    evaluations : int, optional
        Planned number of evaluations, if known before the first: verdicts are then stricter at
        first and less strict at the last.
    margin : float, optional
        Points below full data that still count as non-inferior; by default the larger of 0.3
        points and three test samples.
    first_seed : int, default 0
        The seeds are first_seed, first_seed + 1, ...: processes that share a folder use
        different seeds.
    epochs, batch_size : int, optional
        By default those of the task.
    learning_rate : float, optional
        Peak of the learning rate of the benchmark's own models; by default the one they were tuned
        to.
    out : str or Path, optional
        Folder of the results, default runs/<name of the data>, with "-imbalance-<ratio>" for a
        long tail, and so on. Files there that the benchmark did not write are never replaced.
    device : str
        "auto" (CUDA if available), or the name of a torch device.
    jobs : int, optional
        Runs at the same time, each in a process of its own; by default the number of cores divided
        by the threads of a run.
    limit : int, optional
        Use at most so many training samples, for a first try.
    imbalance : float, optional
        Ratio of the largest to the smallest class of a training set made long-tailed, > 1.
    label_noise : float in (0, 1), optional
        Share of the training labels that is made wrong, uniformly over the other classes.
    near_copies : float in (0, 1), optional
        Share of the training samples that is replaced by near copies of others.
    data_dir : str or Path, optional
        Folder with the files of fashion-mnist.
    examples : bool, default True
        Whether the report may hold samples of the data.
    find_limit : bool, default False
        Find the lowest keep fraction of each named method that is non-inferior to full data, on the
        grid 0.9, 0.8, ..., 0.1 unless `keep` is given.
    time_budget : float, optional
        Seconds after which no run is started.

    Raises
    ------
    ValueError, TypeError
        If a field is out of range; the message names field, rule and value. Whether fields suit
        each other, and whether torch can use the device, is checked by `prepare`.
    """

    data: str | Path | Task = "digits"
    label: str | None = None
    features: str | None = None
    labels: str | None = None
    split: str | None = None
    model: str | None = None
    image_size: int | None = None
    on_bad: str = "raise"
    metric: str | None = None
    command: str | None = None
    timeout: float | None = None
    keep: tuple[float, ...] | None = None
    methods: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    protocol: str = "samples"
    seeds: int | None = None
    max_seeds: int = 20
    evaluations: int | None = None
    margin: float | None = None
    first_seed: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    out: Path | None = None
    device: str = "auto"
    jobs: int | None = None
    limit: int | None = None
    imbalance: float | None = None
    label_noise: float | None = None
    near_copies: float | None = None
    data_dir: Path | None = None
    examples: bool = True
    find_limit: bool = False
    time_budget: float | None = None

    @classmethod
    def from_plan(cls, path: str | Path, **more: Any) -> Settings:
        """Return the settings of a plan file.

        Parameters
        ----------
        path : str or pathlib.Path
            TOML with a line for each setting, such as ``keep = [0.3, 0.5]``. Relative paths are
            relative to the current folder.
        **more
            Settings that replace those of the plan.

        Returns
        -------
        Settings

        Raises
        ------
        ValueError, TypeError
            If the file is not TOML or holds an unknown key or a value that the setting cannot have;
            the message names the line.
        """
        known = [each.name for each in fields(cls)]
        plan = read_plan(Path(path), known)
        given = {name: value for name, value in plan.items() if name not in more}
        for name, value in given.items():
            _check_alone(Path(path), name, value)
        return cls(**{**given, **more})

    def __post_init__(self) -> None:
        found: dict[str, object] = {}
        if not isinstance(self.data, Task | Path):
            found["data"] = _check.text("data", self.data)
        _check.choice("protocol", self.protocol, PROTOCOLS)
        _check.choice("on_bad", self.on_bad, ("raise", "drop"))
        if self.model is not None:
            _check.choice("model", self.model, ("probe", "mlp"))
        if self.keep is not None:
            found["keep"] = tuple(_check.numbers("keep", self.keep, "(0, 1)"))
            if not found["keep"]:
                raise ValueError("keep must name at least one fraction, got none")
        if self.methods is not None:
            found["methods"] = _known_methods(self.methods)
        found["without"] = _known_controls(self.without)
        for name in ("examples", "find_limit"):
            found[name] = _check.flag(name, getattr(self, name))
        checks: dict[str, Callable[[str, Any], object]] = {
            **dict.fromkeys(_COUNTS, _count),
            **{name: partial(_check.number, interval=rule) for name, rule in _NUMBERS.items()},
            **dict.fromkeys(_TEXTS, _check.text),
            **dict.fromkeys(_PATHS, _check.path),
        }
        for name, check in checks.items():
            if getattr(self, name) is not None:
                found[name] = check(name, getattr(self, name))
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the data: plain, or long-tailed, with wrong labels, or both."""
        found = ((LONG_TAIL, self.imbalance), (NOISE, self.label_noise))
        return tuple(name for name, value in found if value is not None) or (PLAIN,)

    @property
    def all_methods(self) -> tuple[str, ...]:
        """The methods to run: the controls, those named, and controls of equal total cost."""
        named = default_methods(self.kinds) if self.methods is None else self.methods
        names = dict.fromkeys(name for name in (*CONTROLS, *named) if name not in self.without)
        if self.protocol == "samples" and EQUAL_COST not in self.without:
            scoring = [name for name in names if method_named(name).scores]
            names |= dict.fromkeys(EQUAL_COST + name for name in scoring)
        order = {name: place for place, name in enumerate(METHODS)}
        return tuple(sorted(names, key=lambda name: order.get(name, len(order))))

    def checked(self) -> Settings:
        """Return the settings checked against each other, with the keep fractions filled in."""
        if self.keep is not None and not any(method_named(n).swept for n in self.all_methods):
            raise ValueError(
                f"keep must be omitted where no method prunes, got {self.keep} with "
                f"{', '.join(self.all_methods)}"
            )
        given = self.given()
        if self.command is not None and any(name in given for name in _DATA):
            name = next(name for name in _DATA if name in given)
            raise ValueError(
                f"{name} must be omitted with command, whose script has its own, got "
                f"{given[name]!r}"
            )
        if self.command is None and self.timeout is not None:
            raise ValueError(f"timeout must be omitted without command, got {self.timeout:g}")
        if self.seeds is not None and self.evaluations is not None and self.seeds < 3:  # noqa: PLR2004
            raise ValueError(f"evaluations need at least three seeds, got {self.seeds}")
        return replace(
            self,
            keep=tuple(sorted(set(self.keep or (GRID if self.find_limit else KEEP)))),
            device=str(_checked_device(self.device)),
        )

    def given(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, as JSON values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        defaults = {each.name: each.default for each in fields(self)}
        return {name: _plain(value) for name, value in values.items() if value != defaults[name]}


def _check_alone(path: Path, name: str, value: Any) -> None:
    """Refuse a value that a setting cannot have, with its line in the plan."""
    try:
        Settings(**{name: value})
    except (ValueError, TypeError) as error:
        message = f"{path}, line {line_of(path, name)}: {error}"
        if isinstance(error, TypeError):
            raise TypeError(message) from error
        raise ValueError(message) from error


def _count(name: str, value: object) -> int:
    """Return a whole number in the range of the setting."""
    found = _check.integer(name, value, _COUNTS[name])
    if found > _MOST.get(name, found):
        raise ValueError(f"{name} must be <= {_MOST[name]}, got {found}")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Task):
        return value.name
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _known_methods(given: object) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(_check.words("methods", given)))
    if not names:
        raise ValueError("methods must name at least one method, got none")
    for name in names:
        method_named(name)
    return names


def _known_controls(given: object) -> tuple[str, ...]:
    names = tuple(_check.words("without", given))
    allowed = (*(name for name in CONTROLS if name != "full"), EQUAL_COST)
    for name in names:
        _check.choice("without", name, allowed)
    return names


def _checked_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device must be one that torch can use here, got {name!r}: {reason}"
        ) from error
    return device
