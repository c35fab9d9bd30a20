"""Real training compared: every method on real texts and images, and its controls.

    sampling bench benchmarks/training/text-mlp.toml    runs what is missing of one comparison
    python benchmarks/training.py                       the tables of what is there

Run both from the folder of the repository. A comparison takes hours of two cores and may be
interrupted: the same command goes on where it was (`--time-budget 2h` ends it earlier). The plans
are `training/*.toml`, the results of NAME are in `results/training/NAME`, and the tables go to
`benchmarks/README.md`. The texts are made by `python benchmarks/debian.py`.
"""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from harness import HERE, put
from predictions import (
    MARGIN,
    NO,
    OPEN,
    YES,
    by_metric,
    came_out,
    claims,
    row_of,
)

from sampling.bench import Results, Run, Verdict, read_results, verdicts

FOLDER = HERE / "results" / "training"
BEGIN, END = "<!-- training -->", "<!-- end of training -->"
PILOT = 3  # seeds
BEST = 6  # rows shown that are above a control
FEW = 2  # fractions, of which one is 1
CONTROLS = ("full", "full-fewer", "random", "dynamic-random", "rs2")
NOT_COMPARED = {*CONTROLS, "full-matched-rate"}  # which trains on all samples
COMPARISONS = {
    "text-mlp": "Package descriptions of Debian 12, an MLP on MiniLM embeddings, 58 sections",
    "text-probe": "The same texts, a linear probe",
    "fashion-plain": "Fashion-MNIST, a small CNN",
    "fashion-long-tail": "Fashion-MNIST with a long tail, 1:100",
    "fashion-wrong-labels": "Fashion-MNIST with 20 % of the training labels wrong",
    "fashion-near-copies": "Fashion-MNIST with 30 % of the samples replaced by near copies",
}


@dataclass
class Method:
    """The runs of a method by keep fraction."""

    name: str
    done: dict[float, list[Run]] = field(default_factory=dict)
    others: dict[float, Run] = field(default_factory=dict)

    @property
    def extra(self) -> float:
        """Total cost minus cost at the lowest fraction: what is paid in addition to training."""
        runs = self.done[min(self.done)]
        return statistics.fmean(run.total_cost - run.cost for run in runs)


def read(name: str) -> Results | None:
    """Return the whole seeds of a comparison, of the methods in its plan; None if there are none.

    A seed is whole if all methods of the plan have it, at as many fractions as in the first seed.
    """
    if not (FOLDER / name / "results.json").exists():
        return None
    results = read_results(FOLDER / name)
    planned = {*results.plan["methods"], *CONTROLS}
    by_seed: dict[int, list[Run]] = {}
    for run in results.runs:
        if run.method in planned:
            by_seed.setdefault(run.seed, []).append(run)
    size = max(map(len, by_seed.values()), default=0)
    whole = [
        runs
        for runs in by_seed.values()
        if len(runs) == size and {run.method for run in runs} >= {*results.plan["methods"]}
    ]
    return replace(results, runs=[run for runs in whole for run in runs])


def is_enough(results: Results) -> bool:
    """Return whether there are more whole seeds than the three of a pilot."""
    return len({run.seed for run in results.runs}) > PILOT


def methods_of(results: Results) -> list[Method]:
    """Return the methods of a folder, controls first, then by their mean at the fractions kept."""
    found: dict[str, Method] = {}
    for run in results.runs:
        method = found.setdefault(run.method, Method(run.method))
        if run.done:
            method.done.setdefault(run.keep, []).append(run)
        else:
            method.others.setdefault(run.keep, run)
    controls = [found.pop(name) for name in CONTROLS if name in found]
    return controls + sorted(found.values(), key=_rank)


def _rank(method: Method) -> tuple[bool, float]:
    """Sort methods that prune before those at full cost, and better ones first."""
    if not method.done:
        return True, 0.0
    lowest = min(method.done)
    return lowest == 1.0, -statistics.fmean(_tests(method.done[lowest]))


def _tests(runs: Iterable[Run]) -> list[float]:
    return [100 * run.test for run in runs if run.test is not None]


def matrix(results: Results) -> str:
    """Return methods by keep fraction: the mean, and its difference from full data.

    With one fraction there is room for the interval of each difference.
    """
    fractions = sorted({run.keep for run in results.runs}, reverse=True)
    rows = {(each.name, each.keep): each for each in verdicts(results, MARGIN).verdicts}
    heads = ["method", "extra cost", *(f"keep {keep:g}" for keep in fractions)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for method in methods_of(results):
        cells = [
            _cell(method, keep, rows.get((method.name, keep)), len(fractions) <= FEW)
            for keep in fractions
        ]
        extra = f"{method.extra:.2f}" if method.done else ""
        lines.append("| " + " | ".join([f"`{method.name}`", extra, *cells]) + " |")
    return "\n".join(lines)


def _cell(method: Method, keep: float, row: Verdict | None, interval: bool) -> str:
    """Return the mean and the difference, in the type of the verdict."""
    if keep not in method.done:
        other = method.others.get(keep)
        return "" if other is None else {"unreachable": "–"}.get(other.state, other.state)
    tests = _tests(method.done[keep])
    if row is None or row.seeds == 0:
        spread = f" ± {statistics.stdev(tests):.2f}" if len(tests) > 1 else ""
        return f"{statistics.fmean(tests):.2f}{spread}"
    mark = {"non-inferior": "**", "inferior": ""}.get(row.decision, "*")
    above = "↑" if row.zero_excluded and row.mean > 0 else ""
    span = f", {row.low:+.2f} to {row.high:+.2f}" * (interval and not math.isnan(row.low))
    return f"{statistics.fmean(tests):.2f} ({mark}{row.mean:+.2f}{mark}{above}{span})"


def counts(results: Results, reference: str) -> str:
    """Return how many methods are above and below a control at the same number of samples.

    "" if all methods are at full cost.
    """
    lines = [f"| keep | above `{reference}` | not decided | below | best, and their differences |",
             "|---|---|---|---|---|"]  # fmt: skip
    heads = len(lines)
    fractions = sorted({run.keep for run in results.runs if run.keep < 1}, reverse=True)
    for keep in fractions:
        found = verdicts(results, MARGIN, reference=(reference, keep)).verdicts
        rows = [
            row for row in found if row.keep == keep and row.name not in NOT_COMPARED and row.seeds
        ]
        if not rows:
            continue
        order = sorted(rows, key=lambda row: -row.mean)
        best = [row for row in order if row.low > 0][:BEST] or order[:1]
        above = sum(row.low > 0 for row in rows)
        below = sum(row.high < 0 for row in rows)
        lines.append(
            f"| {keep:g} | {above} | {len(rows) - above - below} | {below} | "
            + ", ".join(f"`{r.name}` {r.mean:+.2f} ({r.low:+.2f} to {r.high:+.2f})" for r in best)
            + " |"
        )
    return "\n".join(lines) if len(lines) > heads else ""


def where(results: Results) -> str:
    """Return commits, machine, seeds and states of the runs."""
    calls = [results.calls[name] for name in {run.call for run in results.runs} & {*results.calls}]
    commits = sorted({(call["commit"] or "?")[:7] for call in calls})
    seeds, planned = len({run.seed for run in results.runs}), results.plan["seeds"]
    so_far = f" of {planned} so far" * (seeds < planned)
    done = sum(run.done for run in results.runs)
    machines = sorted({call["hardware"]["processor"] for call in calls}) or ["?"]
    identity = results.identity
    return (
        f"{done} runs of {identity['epochs']} epochs, {seeds} seeds{so_far}, commit "
        f"{', '.join(commits)}, {', '.join(machines)}, one thread a run"
    )


def predicted(found: dict[str, Results]) -> str:
    """Return what came of the claims of the papers."""
    lines = ["| | Row | expected | difference, points (95 % interval) | came out | where |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    tally = {YES: 0, NO: 0, OPEN: 0}
    for claim in claims():
        row = row_of(found[claim.comparison], claim) if claim.comparison in found else None
        if row is None or math.isnan(row.low):  # no runs, or a single seed
            continue
        outcome = came_out(claim.relation, row)
        tally[outcome] += 1
        reference = claim.reference[0] + ("" if claim.reference[1] == 1 else
                                          f" at {claim.reference[1]:g}")  # fmt: skip
        metric = "" if claim.metric == "test" else f", {claim.metric}"
        lines.append(
            f"| {claim.name} | `{claim.method}` at {claim.keep:g} | {claim.relation} "
            f"`{reference}`{metric} | {row.mean:+.2f} ({row.low:+.2f} to {row.high:+.2f}) | "
            f"{outcome} | {claim.comparison} |"
        )
    if not sum(tally.values()):
        return "Nothing to compare yet."
    summary = f"Of {sum(tally.values())} comparisons {tally[YES]} came out as the papers say, "
    return summary + f"{tally[NO]} did not, {tally[OPEN]} are undecided.\n\n" + "\n".join(lines)


def tables() -> str:
    """Return the tables of all comparisons that have runs."""
    read_ = {name: read(name) for name in COMPARISONS}
    found = {name: results for name, results in read_.items() if results is not None}
    parts = ["### What the papers say, and what came out", predicted(found)]
    for name, title in COMPARISONS.items():
        if name not in found:
            parts += [
                f"### {title}",
                f"Not run yet: `sampling bench benchmarks/training/{name}.toml`.",
            ]
            continue
        results = found[name]
        if not is_enough(results):
            parts += [f"### {title}", f"{len(results.runs)} runs so far."]
            continue
        parts += [
            f"### {title}",
            f"`sampling bench benchmarks/training/{name}.toml` ({where(results)}). Test "
            f"{results.metric}, %:",
            matrix(results),
        ]
        if above := counts(results, "rs2"):
            parts += ["Against a new random subset in each epoch, at the same number of samples:"]
            parts += [above, "Against one fixed random subset:", counts(results, "random")]
        balanced = "balanced accuracy"
        if all(balanced in run.metrics for run in results.runs if run.done):
            if name.startswith("text"):
                parts += ["The same runs, test balanced accuracy, %:",
                          matrix(by_metric(results, balanced))]  # fmt: skip
    return "\n\n".join(parts)


if __name__ == "__main__":
    put(tables(), BEGIN, END)
