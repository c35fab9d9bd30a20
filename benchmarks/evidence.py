"""The line of evidence of each method in the registries, from the runs of `sampling bench`.

    python benchmarks/evidence.py       the lines, for the registries of `sampling`

A test compares the registries with these lines.
"""

import math

from predictions import MARGIN, by_metric
from training import FOLDER

from sampling.bench import Results, read_results, verdicts

PRUNED = {"fashion-plain": "Fashion-MNIST", "text-mlp": "texts"}  # at a half and at a fifth
TAILS = {"fashion-long-tail": "Fashion-MNIST 1:100", "text-mlp": "texts"}
NOISE = "fashion-wrong-labels"
FRACTIONS = (0.5, 0.2)
BALANCED = "balanced accuracy"

# Row of the benchmark for each public name.
ROWS = {
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
    "ImportanceSampler": "importance",
    "LateStoppingSampler": "late-stopping",
    "CurriculumSampler": "curriculum",
    "ClassBalancedSampler": "class-balanced",
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
    "d2": "d2:el2n",
    "k_dpp": "k_dpp",
    "lewis": "lewis",
    "root_leverage": "root_leverage",
    "sensitivity_lp": "sensitivity_lp:p=1",
}


def evidence() -> dict[str, str]:
    """Return the line of each public name that has runs: points of difference from full data."""
    names = {*PRUNED, *TAILS, NOISE}
    found = {name: read_results(FOLDER / name) for name in sorted(names) if _is_whole(name)}
    lines = {}
    for public, row in ROWS.items():
        parts = [_pruned(found, row), _full(found, row), _noise(found, row)]
        if any(parts):
            lines[public] = "; ".join(filter(None, parts))
    return lines


def _is_whole(name: str) -> bool:
    """Return whether each row of a comparison has all of its seeds."""
    if not (FOLDER / name / "results.json").exists():
        return False
    results = read_results(FOLDER / name)
    last = results.plan["seeds"] - 1
    return {run.method for run in results.runs if run.seed == last} == {
        run.method for run in results.runs if run.method != "dpp"
    }


def _differences(results: Results) -> dict[tuple[str, float], float]:
    rows = verdicts(results, MARGIN).verdicts
    return {(each.name, each.keep): each.mean for each in rows if not math.isnan(each.mean)}


def _pruned(found: dict[str, Results], row: str) -> str:
    parts = []
    for name, data in PRUNED.items():
        differences = _differences(found[name]) if name in found else {}
        values = [differences.get((row, keep)) for keep in FRACTIONS]
        if any(value is not None for value in values):
            shown = " and ".join("–" if value is None else f"{value:+.2f}" for value in values)
            parts.append(f"{shown} of {data}")
    return "points at a half and a fifth: " + ", ".join(parts) if parts else ""


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
    half = "" if (row, 1.0) in differences else ", a half of the samples"
    return f"{value:+.2f} points with 20 % of the labels wrong{half}"


if __name__ == "__main__":
    for public, line in evidence().items():
        print(f"{public}: {line}")
