"""What the comparisons of the benchmark say of each method: see `sampling._entry`.

Written by `python benchmarks/evidence.py`. Points are differences from training on all the data.
"""

from __future__ import annotations

COMPARED: dict[str, str] = {
    "SubsetSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.77, -1.43, -3.60 on Fashion-MNIST; -1.24, -2.68, -6.64 "
        "on texts"
    ),
    "RepeatedSubsetSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.28, -0.43, -1.67 on Fashion-MNIST; -0.38, -1.07, -4.19 "
        "on texts"
    ),
    "DynamicRandomSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.16, -0.69, – on Fashion-MNIST; -0.75, -2.13, – on texts"
    ),
    "InfoBatchSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.13, –, – on Fashion-MNIST; -0.04, –, – on texts"
    ),
    "SensitivitySampler": "points at keep 0.7, 0.5, 0.2: -0.49, -1.22, -4.32 on texts",
    "ClusterClipSampler": "points at keep 0.7, 0.5, 0.2: -0.82, -1.42, -4.27 on texts",
    "HardestSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.11, -0.22, – on Fashion-MNIST; -0.18, -2.22, – on texts"
    ),
    "EpsilonGreedySampler": "points at keep 0.7, 0.5, 0.2: -0.23, -2.24, – on texts",
    "UCBSampler": "points at keep 0.7, 0.5, 0.2: -0.33, -2.52, – on texts",
    "SeTaSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.17, -0.40, -1.20 on Fashion-MNIST; -0.33, -0.80, -4.47 "
        "on texts"
    ),
    "RCAPSampler": "points at keep 0.7, 0.5, 0.2: -0.40, -1.28, -4.90 on texts",
    "KakurenboSampler": "points at keep 0.7, 0.5, 0.2: -0.03, -0.44, – on texts",
    "IESSampler": "points at keep 0.7, 0.5, 0.2: -1.18, –, – on texts",
    "SelfPacedSampler": "points at keep 0.7, 0.5, 0.2: -3.87, –, – on texts",
    "VarianceBudgetSampler": "points at keep 0.7, 0.5, 0.2: +0.01, -0.42, – on texts",
    "ImportanceSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.56, -1.19, -4.17 on texts; `importance-full`: points of "
        "balanced accuracy: -0.37 on Fashion-MNIST 1:100, -0.26 on texts"
    ),
    "LateStoppingSampler": "-0.93 points with 20 % wrong labels",
    "CurriculumSampler": "points at keep 0.7, 0.5, 0.2: -1.32, -2.07, -4.82 on texts",
    "ClassBalancedSampler": (
        "points of balanced accuracy: +0.37 on Fashion-MNIST 1:100, +7.90 on texts; "
        "`progressive`: points of balanced accuracy: +1.05 on Fashion-MNIST 1:100, +8.71 on texts"
    ),
    "MixtureSampler": "points of balanced accuracy: +0.36 on Fashion-MNIST 1:100, +7.75 on texts",
    "TopKLoss": "points at keep 0.7, 0.5, 0.2: +0.05, -0.38, -10.19 on texts",
    "SelectiveBackprop": "points at keep 0.7, 0.5, 0.2: -0.29, -0.67, -4.31 on texts",
    "RHOLoss": (
        "points at keep 0.7, 0.5, 0.2: -1.14, -1.62, -1.98 on texts; -0.21 points with 20 % wrong "
        "labels, keep 0.5"
    ),
    "logit_adjustment": "points of balanced accuracy: +2.78 on Fashion-MNIST 1:100, +7.94 on texts",
    "ClassWeights": "points of balanced accuracy: +0.82 on Fashion-MNIST 1:100, +7.53 on texts",
    "deferred": "points of balanced accuracy: +2.09 on Fashion-MNIST 1:100, +8.44 on texts",
    "upweight": "points of balanced accuracy: +6.67 on texts",
    "group_dro": "points of balanced accuracy: -0.34 on Fashion-MNIST 1:100, +0.33 on texts",
    "group_loss_scaling": "points of balanced accuracy: +4.73 on texts",
    "RENTWeights": "-0.07 points with 20 % wrong labels",
    "DirichletWeights": "+0.92 points with 20 % wrong labels",
    "kl_dro": (
        "points of balanced accuracy: -73.81 on Fashion-MNIST 1:100; -3.76 points with 20 % wrong "
        "labels"
    ),
    "lin_upper": (
        "points of balanced accuracy: -0.14 on Fashion-MNIST 1:100, +0.85 on texts; -1.10 points "
        "with 20 % wrong labels"
    ),
    "top": (
        "points at keep 0.7, 0.5, 0.2: -0.07, -0.22, -6.42 on Fashion-MNIST; -1.18, -5.52, -43.13 "
        "on texts; -22.80 points with 20 % wrong labels, keep 0.5"
    ),
    "bottom": "points at keep 0.7, 0.5, 0.2: -5.42, -8.90, -18.67 on texts",
    "window": "points at keep 0.7, 0.5, 0.2: -0.81, -2.25, -16.70 on texts",
    "ccs": (
        "points at keep 0.7, 0.5, 0.2: -0.59, -1.84, -4.87 on Fashion-MNIST; -2.09, -4.66, -7.16 "
        "on texts; -2.56 points with 20 % wrong labels, keep 0.5"
    ),
    "stratified": "points at keep 0.7, 0.5, 0.2: -2.06, -4.76, -9.37 on texts",
    "quota": "points at keep 0.7, 0.5, 0.2: -1.18, -5.52, -43.13 on texts",
    "beta": (
        "points at keep 0.7, 0.5, 0.2: -0.17, -0.46, -2.24 on Fashion-MNIST; -2.62, -5.17, -11.57 "
        "on texts"
    ),
    "gumbel": "points at keep 0.7, 0.5, 0.2: -1.11, -2.27, -6.32 on texts",
    "poisson": "points at keep 0.7, 0.5, 0.2: -0.88, -2.11, -6.16 on texts",
    "systematic": "points at keep 0.7, 0.5, 0.2: -0.85, -2.18, -6.25 on texts",
    "perplexity": "points at keep 0.7, 0.5, 0.2: -1.58, -2.59, -6.00 on texts",
    "surrogate": "points at keep 0.7, 0.5, 0.2: -0.02, -1.06, -6.42 on texts",
    "d4": "points at keep 0.7, 0.5, 0.2: -2.65, -4.77, -15.46 on texts",
    "prototypes": "points at keep 0.7, 0.5, 0.2: -3.35, -6.19, -16.45 on texts",
    "moderate": (
        "points at keep 0.7, 0.5, 0.2: -2.69, -6.21, -14.52 on Fashion-MNIST; -4.12, -8.23, "
        "-14.49 on texts"
    ),
    "cluster_uniform": "points at keep 0.7, 0.5, 0.2: -1.33, -2.77, -6.92 on texts",
    "cluster_sensitivity": "points at keep 0.7, 0.5, 0.2: -1.11, -2.47, -6.49 on texts",
    "kmq": "points at keep 0.7, 0.5, 0.2: -1.16, -2.56, -6.37 on texts",
    "samplemix": "points at keep 0.7, 0.5, 0.2: -3.02, -4.13, -8.55 on texts",
    "semdedup": (
        "points at keep 0.7, 0.5, 0.2: -0.58, -1.50, -5.64 on Fashion-MNIST; -2.77, -6.07, -18.21 "
        "on texts"
    ),
    "k_center": (
        "points at keep 0.7, 0.5, 0.2: -0.38, -1.27, -4.34 on Fashion-MNIST; -2.72, -4.43, -10.62 "
        "on texts"
    ),
    "facility_location": "points at keep 0.7, 0.5, 0.2: -1.48, -2.75, -6.70 on texts",
    "herding": "points at keep 0.7, 0.5, 0.2: -1.44, -3.01, -7.32 on texts",
    "leverage": "points at keep 0.7, 0.5, 0.2: -1.00, -2.45, -6.48 on texts",
    "pivotal": "points at keep 0.7, 0.5, 0.2: -0.95, -2.24, -6.16 on texts",
    "d2": (
        "points at keep 0.7, 0.5, 0.2: -1.21, -1.99, -3.06 on Fashion-MNIST; -1.07, -2.35, -6.56 "
        "on texts"
    ),
    "k_dpp": "points at keep 0.7, 0.5, 0.2: -1.25, -2.46, -6.58 on texts",
    "lewis": "points at keep 0.7, 0.5, 0.2: -1.29, -2.40, -6.52 on texts",
    "root_leverage": "points at keep 0.7, 0.5, 0.2: -1.18, -2.55, -6.65 on texts",
    "sensitivity_lp": "points at keep 0.7, 0.5, 0.2: -1.21, -2.40, -6.53 on texts",
    "graph_cut": "points at keep 0.7, 0.5, 0.2: -3.01, -6.89, -18.58 on texts",
    "best_window": "points at keep 0.7, 0.5, 0.2: -1.12, -2.87, -8.44 on texts",
    "cluster_hierarchy": "points at keep 0.7, 0.5, 0.2: -1.76, -3.46, -8.42 on texts",
    "TrainingDynamics.el2n": (
        "`top:el2n`: points at keep 0.7, 0.5, 0.2: -0.07, -0.22, -6.42 on Fashion-MNIST; -1.18, "
        "-5.52, -43.13 on texts; -22.80 points with 20 % wrong labels, keep 0.5"
    ),
    "TrainingDynamics.forgetting": (
        "`top:forgetting`: points at keep 0.7, 0.5, 0.2: -1.23, -2.98, -38.87 on texts"
    ),
    "TrainingDynamics.aum": (
        "`ccs:aum`: points at keep 0.7, 0.5, 0.2: -0.59, -1.84, -4.87 on Fashion-MNIST; -2.09, "
        "-4.66, -7.16 on texts; -2.56 points with 20 % wrong labels, keep 0.5"
    ),
    "TrainingDynamics.dual": (
        "`beta:dual`: points at keep 0.7, 0.5, 0.2: -0.17, -0.46, -2.24 on Fashion-MNIST; -2.62, "
        "-5.17, -11.57 on texts"
    ),
    "TrainingDynamics.tdds": (
        "`top:tdds`: points at keep 0.7, 0.5, 0.2: -1.18, -2.85, -8.92 on texts"
    ),
    "contrastive": "`top:contrastive`: points at keep 0.7, 0.5, 0.2: -3.93, -7.26, -15.38 on texts",
    "label_issues": (
        "`label-issues`: points of balanced accuracy: -3.00 on texts; +0.36 points with 20 % "
        "wrong labels"
    ),
}
