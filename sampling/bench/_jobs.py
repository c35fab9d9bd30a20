"""Which runs a benchmark consists of, at which budget each, and in which order.

A run may depend on another: where InfoBatch reaches its target, the other methods of the same keep
fraction and seed are matched to its realised cost; the control of equal total cost of a method is
matched to that method's run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .methods._method import Method
from .methods._named import EQUAL_COST
from .methods._registry import CONTROLS
from .results._run import FAILED, NOT_RUN, UNREACHABLE, Run
from .results._store import Results
from .training._train import Job

Place = tuple[str, float, int]  # method, keep fraction, seed


@dataclass(frozen=True)
class Jobs:
    """The runs of a benchmark.

    Parameters
    ----------
    methods : dict of str to Method
        The methods to run, by name, in the order of the table.
    keep : tuple of float
        Keep fractions, ascending.
    epochs, batch_size : int
        E and B of a run on all the data.
    protocol : {"samples", "epochs", "steps", "cost"}
        What is equal among the methods of a keep fraction.
    """

    methods: dict[str, Method]
    keep: tuple[float, ...]
    epochs: int
    batch_size: int
    protocol: str

    def wanted(self, seeds: Sequence[int]) -> Iterator[Place]:
        """Yield (method, keep, seed), one whole seed at a time, what others depend on first."""
        order = sorted(self.methods, key=self._turn)
        for seed in seeds:
            for name in order:
                if not self.methods[name].swept:
                    yield name, 1.0, seed
            for keep in self._fractions():
                for name in order:
                    if self.methods[name].swept and self._runs_at(name, keep):
                        yield name, keep, seed

    def _fractions(self) -> list[float]:
        """Return the keep fractions, with those of given subsets."""
        own = {method.keep for method in self.methods.values() if method.keep is not None}
        return sorted({*self.keep, *own})

    def _runs_at(self, name: str, keep: float) -> bool:
        """Return whether a method runs at a fraction: at that of a subset, next to its controls."""
        own = self.methods[name].keep
        if own is not None:
            return own == keep
        return keep in self.keep or name in CONTROLS

    def _turn(self, name: str) -> int:
        """Return a rank by which the methods that others depend on come first."""
        return 2 if name.startswith(EQUAL_COST) else int(not self.methods[name].pilot)

    def waits_for(self, place: Place) -> list[Place]:
        """Return the runs of this benchmark that must be done before."""
        name, keep, seed = place
        method = self.methods[name]
        found = []
        if name.startswith(EQUAL_COST):
            found.append((name.removeprefix(EQUAL_COST), keep, seed))
        elif method.swept and not method.pilot and self.protocol == "samples":
            found += [(other, keep, seed) for other in self.methods if self._is_pilot(other)]
        return found

    def _is_pilot(self, name: str) -> bool:
        return self.methods[name].swept and self.methods[name].pilot

    def job(self, place: Place, results: Results) -> Job | Run:
        """Return the job of a run; a run without result if it cannot be done."""
        name, keep, seed = place
        method = self.methods[name]
        if not method.swept:
            return self._job(place, 1.0)
        if name.startswith(EQUAL_COST):
            of = results.find(name.removeprefix(EQUAL_COST), keep, seed)
            if of is None or not of.done:
                why = _without_result(name.removeprefix(EQUAL_COST), of)
                state = of.state if of is not None and of.state == NOT_RUN else UNREACHABLE
                return Run(name, keep, seed, keep, state=state, reason=why)
            return self._job(place, of.total_cost)
        if self.protocol == "samples" and not method.pilot:
            for other in self._pilots(results):
                pilot = results.find(other, keep, seed)
                if pilot is not None and pilot.done:
                    return self._job(place, pilot.cost, pilot=pilot.setting)
        if self.protocol == "steps":
            if name == "full-fewer":
                reason = "has as many steps as full, which it then equals"
                return Run(name, keep, seed, 1.0, state=NOT_RUN, reason=reason)
            return self._job(place, keep, epochs=max(1, round(self.epochs / keep)))
        limit = keep if self.protocol == "cost" else None
        return self._job(place, keep, cost_limit=limit)

    def plain(self, place: Place) -> Job:
        """Return the job of a run that is matched to no other."""
        return self._job(place, place[1])

    def _pilots(self, results: Results) -> list[str]:
        """Return the methods that others are matched to: asked for now, or in an earlier call."""
        return [name for name in ("infobatch",) if name in self.methods or _has(results, name)]

    def _job(
        self,
        place: Place,
        budget: float,
        *,
        epochs: int | None = None,
        pilot: dict[str, float] | None = None,
        cost_limit: float | None = None,
    ) -> Job:
        return Job(
            *place,
            budget=budget,
            epochs=epochs or self.epochs,
            full_epochs=self.epochs,
            batch_size=self.batch_size,
            pilot=pilot or {},
            cost_limit=cost_limit,
        )


def _without_result(method: str, run: Run | None) -> str:
    """Return why nothing can be matched to the total cost of a run."""
    if run is not None and run.state != FAILED:
        return run.reason
    return f"is matched to the total cost of {method}, which {'failed' if run else 'did not run'}"


def _has(results: Results, method: str) -> bool:
    return any(run.method == method for run in results.runs)
