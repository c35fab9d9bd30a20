"""The benchmark: its runs, their order and matched costs, each done only once."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from .. import _check
from .._check._keywords import told
from .._files._paths import check_outputs
from .._interrupt import heard
from .._optional import require
from ._compare import FEWEST, REFERENCES
from ._data import DATASETS, Data, check_data_dir, files_of, load
from ._methods import METHODS, default_methods
from ._models import RECIPES, torch_threads
from ._report import plot_outputs
from ._store import Results, describe_call, open_results, result_outputs
from ._train import Job, Run, train
from ._training_plan import LONG_TAIL, NOISE, PLAIN

_KEEP = (0.3, 0.5, 0.7)
_OPTIONAL: dict[str, Callable[[str, Any], object]] = {  # fields that None leaves to a default
    "epochs": partial(_check.integer, low=1),
    "batch_size": partial(_check.integer, low=1),
    "imbalance": partial(_check.number, interval="(1, inf)"),
    "label_noise": partial(_check.number, interval="(0, 1)"),
    "out": _check.path,
    "data_dir": _check.path,
}
_WARM_UP_PER_CLASS = 20
_WARM_UP_EPOCHS = 4
_COST_NOTE = (
    "Cost is realised samples / (N x epochs); scored, where shown, is extra forward passes in the "
    "same units. Seconds include selection, clustering, these passes and training, but neither "
    "evaluation nor one-off compilation."
)
_MATCH_NOTE = (
    "Where infobatch reached its target, the other methods of the same target and seed are matched "
    "to its realised cost."
)


@told
@dataclass(frozen=True)
class Settings:
    """Settings of a benchmark; every field is an option of `sampling bench`.

    Parameters
    ----------
    dataset : {"digits", "fashion-mnist"}
        Name of the dataset.
    keep : float in (0, 1) or tuple of them, optional
        Keep fractions at which the pruning methods run, 0.3, 0.5 and 0.7 by default. Must not be
        given if no method prunes.
    methods : str or tuple of str, optional
        Names of methods; by default those suited to the data: pruning, or methods for a long
        tail with `imbalance`, or for wrong labels with `label_noise`.
    seeds : int
        Number of runs of each method and target.
    first_seed : int
        The seeds are first_seed, first_seed + 1, ...: processes that share a folder use
        different seeds.
    epochs, batch_size : int, optional
        By default those with which the model of the dataset was tuned.
    out : str or Path, optional
        Folder of the results, default runs/<dataset>, with "-imbalance-<ratio>" for a long tail
        and "-noise-<share>" for wrong labels. Files there that the benchmark did not write are
        never replaced.
    device : str
        "auto" (CUDA if available), or the name of a torch device.
    imbalance : float, optional
        Ratio of the largest to the smallest class of a long-tailed training set, > 1.
    label_noise : float in (0, 1), optional
        Share of the training labels that is made wrong, uniformly over the other classes.
    data_dir : str or Path, optional
        Folder with the files of fashion-mnist; refused for digits, which has none.

    Raises
    ------
    ValueError, TypeError
        If a field is out of range; the message names field, rule and value. Whether fields suit
        each other, and whether torch can use the device, is checked by `prepare`.
    """

    dataset: str = "digits"
    keep: tuple[float, ...] | None = None
    methods: tuple[str, ...] | None = None
    seeds: int = 3
    first_seed: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    out: Path | None = None
    device: str = "auto"
    imbalance: float | None = None
    label_noise: float | None = None
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        _check.choice("dataset", self.dataset, DATASETS)
        found: dict[str, object] = {}
        if self.keep is not None:
            found["keep"] = tuple(_check.numbers("keep", self.keep, "(0, 1)"))
            if not found["keep"]:
                raise ValueError("keep must name at least one fraction, got none")
        if self.methods is not None:
            found["methods"] = _known_methods(self.methods)
        found["seeds"] = _check.integer("seeds", self.seeds, 1)
        found["first_seed"] = _check.integer("first_seed", self.first_seed, 0)
        for name, check in _OPTIONAL.items():
            if getattr(self, name) is not None:
                found[name] = check(name, getattr(self, name))
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def checked(self) -> "Settings":
        """Return the settings with defaults filled in, checked against each other."""
        recipe = RECIPES[self.dataset]
        check_data_dir(self.dataset, self.data_dir)
        methods = _checked_methods(self.methods, self.kinds)
        if self.keep is not None and not any(METHODS[name].swept for name in methods):
            raise ValueError(
                f"keep must be omitted where no method prunes, got {self.keep} with "
                f"{', '.join(methods)}"
            )
        return replace(
            self,
            keep=tuple(sorted(set(self.keep or _KEEP))),
            methods=methods,
            epochs=recipe.epochs if self.epochs is None else self.epochs,
            batch_size=recipe.batch_size if self.batch_size is None else self.batch_size,
            out=self._default_folder() if self.out is None else self.out,
            device=str(_checked_device(self.device)),
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the data: plain, or long-tailed, with wrong labels, or both."""
        found = ((LONG_TAIL, self.imbalance), (NOISE, self.label_noise))
        return tuple(name for name, value in found if value is not None) or (PLAIN,)

    def _default_folder(self) -> Path:
        tail = "" if self.imbalance is None else f"-imbalance-{self.imbalance:g}"
        noise = "" if self.label_noise is None else f"-noise-{self.label_noise:g}"
        return Path("runs", self.dataset + tail + noise)


def _known_methods(given: object) -> tuple[str, ...]:
    names = tuple(_check.words("methods", given))
    if not names:
        raise ValueError("methods must name at least one method, got none")
    for name in names:
        if name not in METHODS:
            raise ValueError(
                f"methods must be one of {', '.join(map(repr, METHODS))}, got {name!r}"
                f"{_check.closest(name, METHODS)}: a method of your own you train yourself; "
                "`bench.table` shows how its runs come into the table"
            )
    return names


def _checked_methods(names: tuple[str, ...] | None, kinds: tuple[str, ...]) -> tuple[str, ...]:
    if names is None:
        return default_methods(kinds)
    for name in names:
        suited = METHODS[name].runs_on
        if not set(suited).intersection(kinds):
            raise ValueError(
                f"methods must suit {' with '.join(kinds)}, got {name!r}, which needs "
                f"{' or '.join(suited)}"
            )
    return tuple(name for name in METHODS if name in names)


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


@dataclass
class Benchmark:
    """Settings, data and results, ready to run; made by `prepare`.

    Parameters
    ----------
    settings : Settings
        The checked settings.
    data : Data
        The data to run on.
    results : Results
        Completed runs, including those of earlier calls.
    folder : Path
        Folder of the results.
    interrupted : bool, default False
        True after a `run` that was stopped by Ctrl-C.
    pending : int, default 0
        Number of runs that the last `run` did not complete.
    """

    settings: Settings
    data: Data
    results: Results
    folder: Path
    interrupted: bool = False
    pending: int = 0

    @property
    def has_verdicts(self) -> bool:
        """Whether runs, planned or from earlier calls, can be compared with full data."""
        runs = {(run.method, run.seed) for run in self.results.runs}
        first = self.settings.first_seed
        seeds = range(first, first + self.settings.seeds)
        runs |= {(name, seed) for name in self.settings.methods or () for seed in seeds}
        return any(sum(name == each for name, _ in runs) >= FEWEST for each in REFERENCES)

    def run(self, *, progress: bool | None = None) -> Results:
        """Do every run that is not yet complete; each is saved to the results file at once.

        Ctrl-C ends it early: completed runs are kept, and `interrupted` is set.

        Parameters
        ----------
        progress : bool, optional
            Whether to show a progress bar; by default if standard error is a terminal.

        Returns
        -------
        Results
            All completed runs, including those of earlier calls.
        """
        if progress is not None:
            progress = _check.flag("progress", progress)
        wanted = list(self._wanted())
        disable = None if progress is None else not progress
        self.pending = len(wanted)
        try:
            with (
                torch_threads(RECIPES[self.settings.dataset].threads),
                tqdm(total=len(wanted), disable=disable, unit="run") as bar,
            ):
                self._run_all(wanted, bar)
        except KeyboardInterrupt as error:
            heard(error)
            self.interrupted = True
            if self.results.runs:  # Ctrl-C may have come between a run's end and its saving
                self.results.save(self.folder)
        return self.results

    def _run_all(self, wanted: list[tuple[str, float, int]], bar: "tqdm[Any]") -> None:
        """Do the given runs in order: a run may be matched to an earlier one."""
        call: int | None = None
        data, data_seed = self.data, -1
        for number, (method, target, seed) in enumerate(wanted):
            job = self._job(method, target, seed)
            finished = self.results.find(method, target, seed)
            if finished is None or finished.budget != job.budget:
                if call is None:
                    bar.set_description("warming up")
                    call = self._begin_call(wanted)
                if seed != data_seed:
                    data, data_seed = self._data_of(seed), seed
                bar.set_description(f"{method} keep {target:g} seed {seed}")
                run = self._train(job, data, self.settings.epochs or 1, partial(_move, bar, number))
                self.results.add(replace(run, call=call))
                self.results.save(self.folder)
            self.pending -= 1
            _move(bar, number, 1.0)

    def _data_of(self, seed: int) -> Data:
        data = self.data
        if self.settings.imbalance is not None:
            data = data.long_tailed(self.settings.imbalance, seed)
        if self.settings.label_noise is not None:
            data = data.noisy(self.settings.label_noise, seed)
        return data

    def _wanted(self) -> Iterator[tuple[str, float, int]]:
        """Yield (method, target, seed), one whole seed at a time, pilots before matched runs."""
        methods = sorted(self.settings.methods or (), key=lambda name: not METHODS[name].pilot)
        first = self.settings.first_seed
        for seed in range(first, first + self.settings.seeds):
            for name in methods:
                if not METHODS[name].swept:
                    yield name, 1.0, seed
            for target in self.settings.keep or _KEEP:
                for name in methods:
                    if METHODS[name].swept:
                        yield name, target, seed

    def _job(self, method: str, target: float, seed: int) -> Job:
        """Match a run to the cost that the pilot of its target and seed realised, if any."""
        noise = self.settings.label_noise or 0.0
        if METHODS[method].swept and not METHODS[method].pilot:
            for name in (name for name in METHODS if METHODS[name].pilot):
                pilot = self.results.find(name, target, seed)
                if pilot is not None and pilot.done:
                    return Job(method, target, seed, pilot.cost, pilot.setting, noise)
        return Job(method, target, seed, target, noise=noise)

    def _train(
        self, job: Job, data: Data, epochs: int, after_epoch: Callable[[float], None]
    ) -> Run:
        return train(
            job,
            data,
            epochs=epochs,
            batch_size=self.settings.batch_size or 1,
            device=torch.device(self.settings.device),
            after_epoch=after_epoch,
        )

    def _begin_call(self, wanted: list[tuple[str, float, int]]) -> int:
        """Record the call, and compile its methods: seconds must not depend on the order."""
        few = self.data.few(_WARM_UP_PER_CLASS)
        for method in dict.fromkeys(name for name, _, _ in wanted):
            target = 0.7 if METHODS[method].swept else 1.0
            job = Job(method, target, 0, target, noise=self.settings.label_noise or 0.0)
            self._train(job, few, _WARM_UP_EPOCHS, lambda part: None)
        given = asdict(self.settings)
        del given["out"]  # the folder that the file is in
        arguments = {k: str(v) if isinstance(v, Path) else v for k, v in given.items()}
        device = torch.device(self.settings.device)
        self.results.calls.append(describe_call(arguments, device))
        return len(self.results.calls) - 1


@told
def prepare(settings: Settings) -> Benchmark:
    """Check the settings, load the data and open the results: everything that can fail early.

    Parameters
    ----------
    settings : Settings
        Settings of the benchmark.

    Returns
    -------
    Benchmark
        Ready to be run.

    Raises
    ------
    ValueError, TypeError
        If a setting, a data file or the results folder cannot be used, such as a folder in which
        other files have the names of the benchmark's.
    FileNotFoundError
        If the data are missing.
    MissingExtraError
        If matplotlib is not installed.
    """
    settings = settings.checked()
    require("matplotlib", "bench", "the plot of `sampling bench`")
    data = load(settings.dataset, settings.data_dir)
    identity = {
        "dataset": settings.dataset,
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "imbalance": settings.imbalance,
        "label_noise": settings.label_noise,
        "data": data.digest,
    }
    metric = "accuracy" if settings.imbalance is None else "balanced accuracy"
    folder = settings.out or settings._default_folder()
    results = open_results(folder, identity, metric)
    check_outputs(
        [*result_outputs(folder), *plot_outputs(folder)],
        files_of(settings.dataset, settings.data_dir),
    )
    notes = [DATASETS[settings.dataset].note, _COST_NOTE, _MATCH_NOTE]
    results.notes = [note for note in notes if note]
    return Benchmark(settings, data, results, folder)


def _move(bar: "tqdm[Any]", finished: int, part: float) -> None:
    bar.n = round(finished + part, 2)
    bar.refresh()
