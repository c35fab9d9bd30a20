"""Real training compared: pruning and its controls, a long tail, wrong labels.

    python benchmarks/training.py pruning                 runs what is missing of one comparison
    python benchmarks/training.py pruning --seeds 2 --first-seed 3     a part of it, beside others
    python benchmarks/training.py pruning --seeds 2 --methods top-k,curriculum      more rows
    python benchmarks/training.py                         the tables of what is there, to README

A comparison is a call of `sampling bench`, so its folder under `results/training` has the runs
(`results.json`) and a plot. Each takes hours of one core: start several processes, one thread each
(`OMP_NUM_THREADS=1`), with other seeds or comparisons; they may share a folder.

`candidates` is what chose the method that stands in `pruning` beside InfoBatch: two seeds that
`pruning` does not use, and of them the validation accuracy alone.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from harness import HERE, README, put

from sampling.bench import Results, Run, verdicts
from sampling.cli import app

FOLDER = HERE / "results" / "training"
BEGIN, END = "<!-- training -->", "<!-- end of training -->"
MARGIN = 0.3
_CANDIDATES = (
    "infobatch,rs2,keep-hardest,epsilon-greedy,ucb,seta,kakurenbo,ies,self-paced,variance-budget"
)
_PRUNING = (
    "full,full-fewer,full-matched-rate,dynamic-random,dynamic-random-weighted,rs2,infobatch,seta"
)
COMPARISONS = {
    "candidates": ["--keep", "0.6", "--methods", _CANDIDATES, "--seeds", "2", "--first-seed", "5"],
    "pruning": ["--keep", "0.6", "--methods", _PRUNING, "--seeds", "5"],
    "long-tail": ["--imbalance", "100", "--seeds", "3"],
    "noise-20": ["--label-noise", "0.2", "--seeds", "2"],
    "noise-40": ["--label-noise", "0.4", "--seeds", "2"],
}


def read(name: str) -> Results:
    """Return the runs of a comparison."""
    content = json.loads((FOLDER / name / "results.json").read_text())
    calls = {str(place): call for place, call in enumerate(content["calls"])}
    runs = [_of_format_1(run) for run in content["runs"]]
    return Results(content["identity"], content["metric"], calls, runs, about={"classes": 10})


def _of_format_1(fields: dict[str, Any]) -> Run:
    """Return a run of a file written before runs had a line each."""
    fields = {**fields, "keep": fields["target"], "call": str(fields["call"])}
    fields["seconds"] = {"training": fields["seconds"]}
    fields["metrics"] = {"worst class": fields["worst"]} if fields["worst"] is not None else {}
    if fields["method"] == "uniform":  # plain shuffling, which is full
        fields["method"] = "full"
    if fields["reason"]:
        fields |= {"state": "unreachable", "test": None}
    return Run(**{k: v for k, v in fields.items() if k not in ("target", "worst")})


def candidates_table(results: Results) -> str:
    """Return the methods by validation accuracy, best first; the test set is not evaluated."""
    lines = [
        "| Method | validation accuracy, % | cost | extra forward passes |",
        "|---|---|---|---|",
    ]
    groups = _groups(results)
    order = sorted(groups, key=lambda name: -_mean(groups[name], lambda run: run.val_curve[-1]))
    for name in order:
        runs = groups[name]
        accuracy = 100 * _mean(runs, lambda run: run.val_curve[-1])
        cells = [name, f"{accuracy:.2f}", f"{_mean(runs, lambda run: run.cost):.3f}", _passes(runs)]
        lines.append("| " + " | ".join(cells) + " |")
    reasons = {run.method: run.reason for run in results.runs if run.reason}
    lines += [f"\nNot run: `{name}`: {reason}." for name, reason in reasons.items()]
    return "\n".join(lines)


def compared_table(results: Results, *, worst: bool) -> str:
    """Return the methods with their differences from full data, in the order of the benchmark."""
    beside = "worst class, %" if worst else "cost, extra passes"
    lines = [
        f"| Method | test {results.metric}, % | {beside} | minus full, points "
        "(95 % interval) | verdict | seeds |",
        "|---|---|---|---|---|---|",
    ]
    found = {row.name: row for row in verdicts(results, MARGIN).verdicts}
    for name, runs in _groups(results).items():
        row = found.get(name)
        second = _spread(runs, "worst class")
        if not worst:
            second = f"{_mean(runs, lambda run: run.cost):.3f}, {_passes(runs)}"
        difference = verdict = ""
        if row is not None:
            difference = f"{row.mean:+.2f} ({row.low:+.2f} to {row.high:+.2f})"
            verdict = row.words
        cells = [name, _spread(runs, "test"), second, difference, verdict, f"{len(runs)}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def against_random(results: Results) -> str:
    """Return what using the losses gains: the others minus a fresh random subset, RS2."""
    lines = [
        "| Method, at the same cost | minus rs2, points (95 % interval) | seeds |",
        "|---|---|---|",
    ]
    for row in verdicts(results, MARGIN, reference=("rs2", 0.6)).verdicts:
        if row.keep < 1 and row.name != "full-matched-rate":
            cells = [row.name, f"{row.mean:+.2f} ({row.low:+.2f} to {row.high:+.2f})"]
            lines.append("| " + " | ".join([*cells, f"{row.seeds}"]) + " |")
    return "\n".join(lines)


def where(results: Results) -> str:
    """Return commits and machine of the runs."""
    commits = sorted({(call["commit"] or "?")[:7] for call in results.calls.values()})
    hardware = next(iter(results.calls.values()))["hardware"]
    return f"{hardware['processor']}, one thread a run, commit {', '.join(commits)}"


def tables() -> str:
    """Return README's tables of all comparisons."""
    pruning = read("pruning")
    parts = [
        f"**Training on a fraction of the data** (`pruning`, keep 0.6; {where(pruning)}):",
        compared_table(pruning, worst=False),
        "**Do losses help to choose the samples?** RS2 draws a fresh random subset in each "
        "epoch and uses none (the same runs):",
        against_random(pruning),
        "**Which method is compared with InfoBatch** (`candidates`, keep 0.6; mean of two other "
        "seeds, the test set not evaluated):",
        candidates_table(read("candidates")),
        f"**A long tail, 1:100** (`long-tail`; {where(read('long-tail'))}):",
        compared_table(read("long-tail"), worst=True),
    ]
    for share in (20, 40):
        noise = read(f"noise-{share}")
        parts += [
            f"**{share} % of the training labels wrong** (`noise-{share}`; {where(noise)}; the "
            "test labels are right):",
            compared_table(noise, worst=True),
        ]
    return "\n\n".join(parts)


def _groups(results: Results) -> dict[str, list[Run]]:
    from sampling.bench.reports._terminal import rows

    return {row.method: row.done for row in rows(results) if row.done}


def _mean(runs: list[Run], of: Any) -> float:
    return statistics.fmean(of(run) for run in runs)


def _spread(runs: list[Run], name: str) -> str:
    values = [100 * run.metrics.get(name, getattr(run, name, 0.0)) for run in runs]
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}"


def _passes(runs: list[Run]) -> str:
    return f"{_mean(runs, lambda run: run.scored * run.cost / run.draws):.2f}"


def main(arguments: list[str]) -> None:
    """Run a comparison, or write the tables."""
    if not arguments:
        put(tables(), BEGIN, END)
        print(f"written: {README}")
        return
    name, *rest = arguments
    if name not in COMPARISONS:
        raise SystemExit(f"the comparison must be one of {', '.join(COMPARISONS)}, got {name}")
    out = str(Path(FOLDER, name))
    app(["bench", "fashion-mnist", *COMPARISONS[name], *rest, "--out", out])


if __name__ == "__main__":
    main(sys.argv[1:])
