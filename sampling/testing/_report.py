"""Run the checks on one sampler, and report their results in one message."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, TypedDict

from typing_extensions import Unpack

from .. import _check
from .._check._keywords import told
from ._global_state import put_back
from ._new_process import begun, stop_script
from ._outcomes import BATCHES, SAMPLER, ContractError, NotApplicable
from ._registry import CHECKS, LETTERS, Check
from ._restart import continued
from ._settings import restored
from ._subject import Factory, Subject, must_exist
from ._watch import Watch

Status = Literal["pass", "fail", "not applicable", "expected failure", "unexpected pass"]


@told
@dataclass(frozen=True)
class Result:
    """Result of one check.

    Attributes
    ----------
    check : Check
        The check.
    num_workers : int
        Worker processes of the loaders in it.
    status : {"pass", "fail", "not applicable", "expected failure", "unexpected pass"}
    seen : str
        What was observed if it failed, the reason if it does not apply or was expected to fail.
    """

    check: Check
    num_workers: int
    status: Status
    seen: str = ""

    @property
    def id(self) -> str:
        """Id of the check, with the number of workers unless 0: "T1", "T1-workers2"."""
        return case_id(self.check, self.num_workers)

    @property
    def message(self) -> str:
        """What was observed, why it matters and how to fix it."""
        lines = [f"{self.id}  A sampler {self.check.title}.", f"  Seen: {self.seen}"]
        if self.status == "fail":
            lines += [f"  Why it matters: {self.check.why}", f"  How to fix it: {self.check.fix}"]
        return "\n".join(lines)


@told
@dataclass(frozen=True)
class Report:
    """Results of all checks on one sampler.

    Attributes
    ----------
    name : str
        Name of the sampler's factory.
    results : tuple of Result
        One result for each check.
    """

    name: str
    results: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        """The checks that failed, and those that passed although expected to fail."""
        return tuple(r for r in self.results if r.status in {"fail", "unexpected pass"})

    def __str__(self) -> str:
        counts: dict[str, int] = {}
        for result in self.results:
            counts[result.status] = counts.get(result.status, 0) + 1
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        return "\n\n".join([f"{self.name}: {summary}", *(r.message for r in self.failures)])


def case_id(check: Check, num_workers: int) -> str:
    """Return the id of one check with a number of workers."""
    return f"{check.id}-workers{num_workers}" if num_workers else check.id


def cases(
    kind: str, workers: Sequence[int], distributed: bool, only: str | Collection[str] | None = None
) -> list[tuple[Check, int]]:
    """Return the checks for a kind of sampler, those with loaders once for each worker count."""
    only = None if only is None else _check.words("only", only)
    unknown = set(only or ()) - set(CHECKS)
    if unknown:
        raise ValueError(f"only must name checks of {sorted(CHECKS)}, got {sorted(unknown)}")
    return [
        (check, count)
        for check in sorted(CHECKS.values(), key=_place)
        if kind in check.kinds and (only is None or check.id in only)
        and (distributed or not check.processes)
        for count in (workers if check.workers else (0,))
    ]  # fmt: skip


def _place(check: Check) -> tuple[int, int]:
    return LETTERS.index(check.id[0]), int(check.id[1:])


def run(check: Check, subject: Subject, expected_failures: Mapping[str, str]) -> Result:
    """Run one check. Random states and settings are restored; warnings are suppressed."""
    with put_back(), warnings.catch_warnings(), restored():
        warnings.simplefilter("ignore")
        with Watch() as watch:
            if check.id not in {"G1", "C1"}:
                must_exist(subject)
            check.function(subject)
    case = case_id(check, subject.num_workers)
    reason = expected_failures.get(case, expected_failures.get(check.id))
    status, seen = _read(watch)
    if reason is not None and status == "fail":
        return Result(check, subject.num_workers, "expected failure", reason)
    if reason is not None and status == "pass":
        seen = f"it passes, though it was expected to fail: {reason}"
        return Result(check, subject.num_workers, "unexpected pass", seen)
    return Result(check, subject.num_workers, status, seen)


def _read(watch: Watch) -> tuple[Status, str]:
    error = watch.error
    if error is None:
        return "pass", ""
    if isinstance(error, NotApplicable):
        return "not applicable", str(error)
    if isinstance(error, ContractError):
        return "fail", str(error)
    return "fail", f"{type(error).__name__}: {error} ({watch.where})"


class CheckOptions(TypedDict, total=False):
    """Keywords of `check_sampler` and `check_batch_sampler`, documented in the former."""

    size: int | None
    other: Factory | None
    workers: Sequence[int]
    distributed: bool
    only: str | Collection[str] | None
    expected_failures: Mapping[str, str] | None


def report_on(name: str, factory: Factory, kind: str, **options: Unpack[CheckOptions]) -> Report:
    """Run the checks of a kind on one sampler."""
    stop_script()
    expected = dict(options.get("expected_failures") or {})
    distributed = options.get("distributed", False)
    chosen = cases(kind, options.get("workers", (0,)), distributed, options.get("only"))
    unknown = {key.partition("-")[0] for key in expected} - set(CHECKS)
    if unknown:
        raise ValueError(f"expected_failures must name checks, got {sorted(unknown)}")
    results = []
    with ExitStack() as processes:
        size, other = options.get("size"), options.get("other")
        subjects = [Subject(factory, kind, size, count, other) for _, count in chosen]
        for (check, _), subject in zip(chosen, subjects, strict=True):
            if check.id == "S1":
                processes.enter_context(begun(subject, continued))
        for (check, _), subject in zip(chosen, subjects, strict=True):
            results.append(run(check, subject, expected))
    return Report(name, tuple(results))


@told
def check_sampler(factory: Factory, **options: Unpack[CheckOptions]) -> Report:
    """Check a sampler against the contract: run every check, and raise if one fails.

    Parameters
    ----------
    factory : callable
        Makes a new sampler of about 100 draws per epoch. It is called with those of the keywords
        `seed`, `num_replicas`, `rank`, `drop_last`, `pad` and `size` (N) that its signature names;
        `**options` stands for the first four.
    size : int, optional
        N; by default the sampler's `size`, or the length of its `data_source` or `dataset`.
    other : callable, optional
        A factory like `factory`, of the same sampler with other data (labels, weights, rows): S2
        checks that a state of one is refused by the other. By default the arrays, tensors and
        lists of numbers that the factory uses are changed one at a time: those among the arguments
        of a `functools.partial`, the defaults, the closure and the module's names of a function,
        the defaults of a class, and the fields of a dataclass among them. Data that a factory
        computes or reads are not found.
    workers : sequence of int, default (0,)
        Numbers of worker processes with which the checks of loaders are run.
    distributed : bool, default False
        Also run R4, which starts two processes.
    only : str or collection of str, optional
        Ids of the checks to run; all by default.
    expected_failures : mapping of str to str, optional
        Check id -> reason. "T1" applies to any number of workers, "T1-workers2" only to 2.
        An expected failure that passes is an error, so that the list stays correct.

    Returns
    -------
    Report

    Raises
    ------
    ContractError
        With every check that failed: what was observed, why it matters, how to fix it.

    Notes
    -----
    A check of something the sampler does not have is *not applicable*, and one check reports that
    it is missing: no `seed` or `set_epoch` fails C8, no `__len__` C4, no
    `state_dict(consumed=...)` D3, no state at all T4. A sampler without rank arguments is a global
    view, to which the R checks do not apply.

    S1 resumes in another process. A factory that can be imported (a class, a function or a
    `functools.partial` of a module, or of a script, which is then run up to its first check) is
    made in a new interpreter with another hash seed. A lambda or a closure is made in a fork of
    this process, made before the first check: draws that depend on the hash of a string, or on
    what samplers that were made earlier keep in a module, are then not noticed. S2 does not apply
    to a sampler whose draws and loss weights depend on no array that is found, such as a shuffle:
    give `other` if it should.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> def shuffle(size=103, **options):
    ...     return ShuffleSampler(size, **options)
    >>> print(check_sampler(shuffle, only=["C3", "C4", "R1"]))
    shuffle: 3 pass
    """
    return _kept(report_on(_name(factory), factory, SAMPLER, **options))


@told
def check_batch_sampler(factory: Factory, **options: Unpack[CheckOptions]) -> Report:
    """Check a batch sampler against the contract; as `check_sampler`.

    Parameters
    ----------
    factory : callable
        Makes a new batch sampler of about 25 batches per epoch; `drop_last` refers to its short
        batch.
    **options
        Those of `check_sampler`.

    Returns
    -------
    Report

    Raises
    ------
    ContractError
        With every check that failed.
    """
    return _kept(report_on(_name(factory), factory, BATCHES, **options))


def _kept(report: Report) -> Report:
    if report.failures:
        raise ContractError(str(report))
    return report


def _name(factory: Factory) -> str:
    return getattr(factory, "__name__", type(factory).__name__)
