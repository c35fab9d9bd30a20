"""The result of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ... import _check
from ..._check._keywords import told

DONE, UNREACHABLE, FAILED, NOT_RUN = "done", "unreachable", "failed", "not run"
STATES = (DONE, UNREACHABLE, FAILED, NOT_RUN)
PHASES = ("selecting", "scoring", "training", "evaluating", "starting")

_COUNTS = {"seed": 0, "draws": 0, "steps": 0, "epochs": 0, "scored": 0, "piloted": 0}
_INTERVALS = {"keep": "(0, 1]", "budget": "[0, inf)", "cost": "[0, inf)", "total_cost": "[0, inf)"}


@told
@dataclass(frozen=True)
class Run:
    """Result of one run of the benchmark, or of a method of your own (see `table`).

    Parameters
    ----------
    method : str
        Name of the method, as in `--methods`.
    keep : float in (0, 1]
        The requested keep fraction; 1 for methods that always have the full cost.
    seed : int
        Seed of the run: initial weights, sampler, clustering, made data.
    budget : float
        Draws of the run / (N * epochs) that were asked for.
    state : {"done", "unreachable", "failed", "not run"}
        Whether there is a result; "unreachable" if the method cannot have the budget, "not run"
        if the data or the script lack something that it requires.
    reason : str, default ""
        Why there is no result.
    draws, steps, epochs : int
        Samples trained on, steps of the optimizer and epochs, over the whole run.
    cost : float
        Draws / (N * epochs).
    scored : int
        Samples evaluated in extra forward passes, without gradients.
    piloted : int
        Samples trained on in the pilot run whose scores the method uses.
    total_cost : float
        All that the run made a user wait for but evaluation: training, pilot, extra forward passes,
        selection and clustering, in units of the training on all data.
    seconds : dict of str to float
        Seconds of "selecting", "scoring", "training", "evaluating" and "starting" (imports).
    val_curve : list of float
        Validation metric after each epoch.
    cost_curve : list of float
        `total_cost` spent up to each entry of `val_curve`.
    test : float, optional
        Test metric at the last checkpoint, from the only evaluation of the test set; a fraction
        for accuracies.
    metrics : dict of str to float
        Further metrics of that evaluation: "accuracy", "balanced accuracy" and "worst class", for
        classes.
    setting : dict of str to float
        Values that the method chose itself.
    call : str
        Key of the call of the benchmark that did the run, in `calls` of the results.

    Raises
    ------
    ValueError, TypeError
        If a field is not finite or out of range.
    """

    method: str
    keep: float
    seed: int
    budget: float
    state: str = DONE
    reason: str = ""
    draws: int = 0
    steps: int = 0
    epochs: int = 0
    cost: float = 0.0
    scored: int = 0
    piloted: int = 0
    total_cost: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    val_curve: list[float] = field(default_factory=list)
    cost_curve: list[float] = field(default_factory=list)
    test: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    setting: dict[str, float] = field(default_factory=dict)
    call: str = ""

    def __post_init__(self) -> None:
        for name in ("method", "reason", "call"):
            _check.text(name, getattr(self, name))
        _check.choice("state", self.state, STATES)
        for name, low in _COUNTS.items():
            object.__setattr__(self, name, _check.integer(name, getattr(self, name), low))
        for name, interval in _INTERVALS.items():
            value = _scalar(getattr(self, name))
            object.__setattr__(self, name, _check.number(name, value, interval))
        if self.test is not None or self.state == DONE:
            object.__setattr__(self, "test", _check.number("test", _scalar(self.test)))
        for name in ("metrics", "setting", "seconds"):
            given: Mapping[str, Any] = _check.mapping(name, getattr(self, name))
            object.__setattr__(self, name, {k: _scalar(v) for k, v in given.items()})

    @property
    def done(self) -> bool:
        """Whether there is a result, rather than a reason for its absence."""
        return self.state == DONE

    @property
    def place(self) -> tuple[str, float, int]:
        """Method, keep fraction and seed: of each there is one run at most."""
        return self.method, self.keep, self.seed


def seconds_of(run: Run, sample_seconds: float) -> float:
    """Return the seconds that total cost counts: those of a run, and of its share of a pilot run.

    Its evaluations and its start are in neither.
    """
    phases = ("selecting", "scoring", "training")
    return sum(run.seconds.get(each, 0.0) for each in phases) + sample_seconds * run.piloted


def _scalar(value: Any) -> Any:  # perhaps of numpy or torch
    return value.item() if getattr(value, "shape", None) == () else value
