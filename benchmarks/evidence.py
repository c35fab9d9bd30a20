"""What the comparisons say of each method, in a line for the registries of `sampling`.

    python benchmarks/evidence.py       writes `sampling/_evidence.py`, from the runs that are there

Points are differences from training on all the data, without a sampler. Only whole seeds of
comparisons with more than three are used. A test compares the file with the runs.
"""

import math
import textwrap
from pathlib import Path

from predictions import MARGIN, by_metric
from training import is_enough, read

from sampling.bench import Results, verdicts

PRUNED = {"fashion-plain": "Fashion-MNIST", "text-mlp": "texts"}  # at the fractions below
TAILS = {"fashion-long-tail": "Fashion-MNIST 1:100", "text-mlp": "texts"}
NOISE = "fashion-wrong-labels"
FRACTIONS = (0.7, 0.5, 0.2)
WIDTH = 100  # of a line
BALANCED = "balanced accuracy"

FILE = Path(__file__).parents[1] / "sampling" / "_evidence.py"
HEAD = '''"""What the comparisons of the benchmark say of each method: see `sampling._entry`.

Written by `python benchmarks/evidence.py`. Points are differences from training on all the data.
"""

from __future__ import annotations

COMPARED: dict[str, str] = {
'''

# Rows of the benchmark for each public name.
ROWS: dict[str, str | tuple[str, str]] = {
    "SubsetSampler": "random",
    "RepeatedSubsetSampler": "rs2",
    "DynamicRandomSampler": "dynamic-random",
    "InfoBatchSampler": "infobatch",
    "SensitivitySampler": "sensitivity",
    "ClusterClipSampler": "cluster-clip",
    "HardestSampler": "keep-hardest",
    "EpsilonGreedySampler": "epsilon-greedy",
    "UCBSampler": "ucb",
    "SeTaSampler": "seta",
    "RCAPSampler": "rcap",
    "KakurenboSampler": "kakurenbo",
    "IESSampler": "ies",
    "SelfPacedSampler": "self-paced",
    "VarianceBudgetSampler": "variance-budget",
    "ImportanceSampler": ("importance", "importance-full"),
    "LateStoppingSampler": "late-stopping",
    "CurriculumSampler": "curriculum",
    "ClassBalancedSampler": ("class-balanced", "progressive"),
    "MixtureSampler": "mixture",
    "TopKLoss": "top-k",
    "SelectiveBackprop": "selective-backprop",
    "RHOLoss": "rho-loss",
    "logit_adjustment": "logit-adjusted",
    "ClassWeights": "class-weighted",
    "deferred": "deferred",
    "upweight": "upweight",
    "group_dro": "group-dro",
    "group_loss_scaling": "group-scaling",
    "RENTWeights": "rent",
    "DirichletWeights": "dirichlet-weights",
    "kl_dro": "kl-dro",
    "lin_upper": "lin-upper",
    "top": "top:el2n",
    "bottom": "bottom:el2n",
    "window": "window:el2n",
    "ccs": "ccs:aum",
    "stratified": "stratified:el2n",
    "quota": "quota:el2n",
    "beta": "beta:dual",
    "gumbel": "gumbel:el2n",
    "poisson": "poisson:el2n",
    "systematic": "systematic:el2n",
    "perplexity": "perplexity",
    "surrogate": "surrogate",
    "d4": "d4",
    "prototypes": "prototypes",
    "moderate": "moderate",
    "cluster_uniform": "cluster_uniform",
    "cluster_sensitivity": "cluster_sensitivity",
    "kmq": "kmq:dual",
    "samplemix": "samplemix:dual",
    "semdedup": "semdedup",
    "k_center": "k_center",
    "facility_location": "facility_location",
    "herding": "herding",
    "leverage": "leverage",
    "pivotal": "pivotal:el2n",
    "d2": "d2:el2n",
    "k_dpp": "k_dpp",
    "lewis": "lewis",
    "root_leverage": "root_leverage",
    "sensitivity_lp": "sensitivity_lp:p=1",
    "graph_cut": "graph_cut",
    "best_window": "best_window:el2n",
    "cluster_hierarchy": "cluster_hierarchy",
}

# Rows of a selector with each score.
SCORED: dict[str, str] = {
    "TrainingDynamics.el2n": "top:el2n",
    "TrainingDynamics.forgetting": "top:forgetting",
    "TrainingDynamics.aum": "ccs:aum",
    "TrainingDynamics.dual": "beta:dual",
    "TrainingDynamics.tdds": "top:tdds",
    "contrastive": "top:contrastive",
    "label_issues": "label-issues",
}


def evidence() -> dict[str, str]:
    """Return the line of each public name that has runs: points of difference from full data."""
    read_ = {name: read(name) for name in (*PRUNED, *TAILS, NOISE)}
    found = {name: each for name, each in read_.items() if each is not None and is_enough(each)}
    lines = {}
    for public, given in ROWS.items():
        row, *more = (given,) if isinstance(given, str) else given
        parts = [_pruned(found, row), _full(found, row), _noise(found, row)]
        parts += [f"`{each}`: {_full(found, each)}" for each in more if _full(found, each)]
        if any(parts):
            lines[public] = "; ".join(filter(None, parts))
    for public, row in SCORED.items():
        parts = [_pruned(found, row), _full(found, row), _noise(found, row)]
        if any(parts):
            lines[public] = f"`{row}`: " + "; ".join(filter(None, parts))
    return lines


def text() -> str:
    """Return the file."""
    parts = []
    for public, line in evidence().items():
        whole = f'    "{public}": "{line}",\n'
        if len(whole) > WIDTH + 1:
            pieces = [each + " " for each in textwrap.wrap(line, WIDTH - 12)]
            pieces[-1] = pieces[-1].rstrip()
            whole = "".join(f'        "{each}"\n' for each in pieces)
            whole = f'    "{public}": (\n{whole}    ),\n'
        parts.append(whole)
    return HEAD + "".join(parts) + "}\n"


def _differences(results: Results) -> dict[tuple[str, float], float]:
    rows = verdicts(results, MARGIN).verdicts
    return {(each.name, each.keep): each.mean for each in rows if not math.isnan(each.mean)}


def _pruned(found: dict[str, Results], row: str) -> str:
    parts = []
    for name, data in PRUNED.items():
        differences = _differences(found[name]) if name in found else {}
        values = [differences.get((row, keep)) for keep in FRACTIONS]
        if any(value is not None for value in values):
            shown = ", ".join("–" if value is None else f"{value:+.2f}" for value in values)
            parts.append(f"{shown} on {data}")
    return "points at keep 0.7, 0.5, 0.2: " + "; ".join(parts) if parts else ""


def _full(found: dict[str, Results], row: str) -> str:
    parts = []
    for name, data in TAILS.items():
        differences = _differences(by_metric(found[name], BALANCED)) if name in found else {}
        if (row, 1.0) in differences:
            parts.append(f"{differences[row, 1.0]:+.2f} on {data}")
    return "points of balanced accuracy: " + ", ".join(parts) if parts else ""


def _noise(found: dict[str, Results], row: str) -> str:
    differences = _differences(found[NOISE]) if NOISE in found else {}
    value = differences.get((row, 1.0), differences.get((row, 0.5)))
    if value is None or row in {"random", "rs2", "dynamic-random", "self-paced"}:
        return ""
    half = "" if (row, 1.0) in differences else ", keep 0.5"
    return f"{value:+.2f} points with 20 % wrong labels{half}"


if __name__ == "__main__":
    FILE.write_text(text())
