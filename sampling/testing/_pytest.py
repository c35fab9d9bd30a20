"""The checks as pytest tests: one test for each sampler and check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import _check
from .._check._keywords import told
from .._optional import require
from ._outcomes import SAMPLER, ContractError
from ._registry import Check
from ._report import case_id, cases, run
from ._subject import Factory, Subject


@dataclass(frozen=True)
class Case:
    """One check, to be called by a test with the factory.

    Attributes
    ----------
    check : Check
        The check.
    kind : str
        "sampler" or "batch sampler".
    num_workers : int
        Worker processes of the loaders in it.
    other : callable, optional
        A factory with other data, for S2.
    """

    check: Check
    kind: str
    num_workers: int
    other: Factory | None = None

    def __call__(self, factory: Factory) -> None:
        """Run the check: raise `ContractError` if it fails, skip the test if it does not apply."""
        __tracebackhide__ = True
        result = run(
            self.check, Subject(factory, self.kind, None, self.num_workers, self.other), {}
        )
        if result.status == "not applicable":
            _pytest().skip(result.seen)
        if result.status == "fail":
            raise ContractError(result.message)


@told
def parametrize_with_checks(
    factories: Mapping[str, Factory],
    *,
    kind: str = SAMPLER,
    others: Mapping[str, Factory] | None = None,
    workers: Sequence[int] = (0,),
    distributed: bool = False,
    marks: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
) -> Callable[[Any], Any]:
    """Turn a test function into one test for each sampler and each check of the contract.

    The function takes `factory` and `check`, and calls `check(factory)`; the tests are named like
    `shuffle-C3` and `shuffle-T1-workers2`. Checks that do not apply are skipped with the reason.

    Parameters
    ----------
    factories : mapping of str to callable
        Name -> factory; see `check_sampler`.
    kind : {"sampler", "batch sampler"}, default "sampler"
        Kind of sampler that the factories make.
    others : mapping of str to callable, optional
        Name -> the same sampler with other data: `other` of `check_sampler`.
    workers : sequence of int, default (0,)
        Numbers of worker processes with which the checks of loaders are run.
    distributed : bool, default False
        Also run R4, which starts two processes.
    marks : mapping of str to pytest mark or list of them, optional
        "workers": for the tests that start worker processes; "processes": for R4.
    expected_failures : mapping of str to mapping, optional
        Name -> {check id: reason}: strict `xfail` marks, so that an unexpected pass is an error.

    Returns
    -------
    callable
        The decorator.

    Raises
    ------
    MissingExtraError
        If pytest is not installed.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> @parametrize_with_checks({"shuffle": lambda **options: ShuffleSampler(103, **options)})
    ... def test_contract(factory, check):
    ...     check(factory)
    """
    distributed = _check.flag("distributed", distributed)
    pytest = _pytest()
    expected, others = expected_failures or {}, others or {}
    for parameter, named in (("expected_failures", expected), ("others", others)):
        unknown = set(named) - set(factories)
        if unknown:
            raise ValueError(f"{parameter} must name factories, got {sorted(unknown)}")
    params = []
    for name, factory in factories.items():
        for check, count in cases(kind, workers, distributed):
            case = case_id(check, count)
            chosen = _marks(marks or {}, check, count)
            reason = expected.get(name, {}).get(case, expected.get(name, {}).get(check.id))
            if reason is not None:
                xfail = pytest.mark.xfail(strict=True, reason=reason, raises=ContractError)
                chosen = [*chosen, xfail]
            case_of_name = pytest.param(
                factory,
                Case(check, kind, count, others.get(name)),
                id=f"{name}-{case}",
                marks=chosen,
            )
            params.append(case_of_name)
    decorate: Callable[[Any], Any] = pytest.mark.parametrize(("factory", "check"), params)
    return decorate


def _marks(marks: Mapping[str, Any], check: Check, count: int) -> list[Any]:
    found: list[Any] = []
    for name, wanted in (("workers", count > 0), ("processes", check.processes)):
        given = marks.get(name, []) if wanted else []
        found += given if isinstance(given, list) else [given]
    return found


def _pytest() -> Any:  # a module
    return require("pytest", "test", "parametrize_with_checks")
