"""What the comparisons of the benchmark say of each method: see `sampling._entry`.

Written by `python benchmarks/evidence.py`. Points are differences from training on all the data.
"""

from __future__ import annotations

COMPARED: dict[str, str] = {
    "SubsetSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.77, -1.43, -3.60 on Fashion-MNIST; -1.28, -2.69, -6.71 "
        "on texts"
    ),
    "RepeatedSubsetSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.28, -0.43, -1.67 on Fashion-MNIST; -0.43, -1.09, -4.18 "
        "on texts"
    ),
    "DynamicRandomSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.16, -0.69, – on Fashion-MNIST; -0.78, -2.16, – on texts"
    ),
    "InfoBatchSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.13, –, – on Fashion-MNIST; -0.05, –, – on texts"
    ),
    "SensitivitySampler": "points at keep 0.7, 0.5, 0.2: -0.53, -1.23, -4.36 on texts",
    "ClusterClipSampler": "points at keep 0.7, 0.5, 0.2: -0.87, -1.47, -4.23 on texts",
    "HardestSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.11, -0.22, – on Fashion-MNIST; -0.27, -2.30, – on texts"
    ),
    "EpsilonGreedySampler": "points at keep 0.7, 0.5, 0.2: -0.23, -2.31, – on texts",
    "UCBSampler": "points at keep 0.7, 0.5, 0.2: -0.43, -2.57, – on texts",
    "SeTaSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.17, -0.40, -1.20 on Fashion-MNIST; -0.40, -0.84, -4.48 "
        "on texts"
    ),
    "RCAPSampler": "points at keep 0.7, 0.5, 0.2: -0.43, -1.30, -4.94 on texts",
    "KakurenboSampler": "points at keep 0.7, 0.5, 0.2: -0.08, -0.49, – on texts",
    "IESSampler": "points at keep 0.7, 0.5, 0.2: -1.24, –, – on texts",
    "SelfPacedSampler": "points at keep 0.7, 0.5, 0.2: -3.93, –, – on texts",
    "VarianceBudgetSampler": "points at keep 0.7, 0.5, 0.2: -0.02, -0.47, – on texts",
    "ImportanceSampler": (
        "points at keep 0.7, 0.5, 0.2: -0.58, -1.17, -4.16 on texts; `importance-full`: points of "
        "balanced accuracy: -0.37 on Fashion-MNIST 1:100, -0.26 on texts"
    ),
    "LateStoppingSampler": "-0.93 points with 20 % wrong labels",
    "CurriculumSampler": "points at keep 0.7, 0.5, 0.2: -1.39, -2.15, -4.85 on texts",
    "ClassBalancedSampler": (
        "points of balanced accuracy: +0.37 on Fashion-MNIST 1:100, +8.01 on texts; "
        "`progressive`: points of balanced accuracy: +1.05 on Fashion-MNIST 1:100, +8.97 on texts"
    ),
    "MixtureSampler": "points of balanced accuracy: +0.36 on Fashion-MNIST 1:100, +7.91 on texts",
    "TopKLoss": "points at keep 0.7, 0.5, 0.2: -0.00, -0.40, -10.27 on texts",
    "SelectiveBackprop": "points at keep 0.7, 0.5, 0.2: -0.30, -0.73, -4.31 on texts",
    "RHOLoss": (
        "points at keep 0.7, 0.5, 0.2: -1.16, -1.62, -1.99 on texts; -0.21 points with 20 % wrong "
        "labels, keep 0.5"
    ),
    "logit_adjustment": "points of balanced accuracy: +2.78 on Fashion-MNIST 1:100, +8.30 on texts",
    "ClassWeights": "points of balanced accuracy: +0.82 on Fashion-MNIST 1:100, +7.89 on texts",
    "deferred": "points of balanced accuracy: +2.09 on Fashion-MNIST 1:100, +8.77 on texts",
    "upweight": "points of balanced accuracy: +6.85 on texts",
    "group_dro": "points of balanced accuracy: -0.34 on Fashion-MNIST 1:100, +0.44 on texts",
    "group_loss_scaling": "points of balanced accuracy: +4.90 on texts",
    "RENTWeights": "-0.07 points with 20 % wrong labels",
    "DirichletWeights": "+0.92 points with 20 % wrong labels",
    "kl_dro": "points of balanced accuracy: -73.81 on Fashion-MNIST 1:100",
    "lin_upper": "points of balanced accuracy: -0.14 on Fashion-MNIST 1:100, +0.96 on texts",
    "top": (
        "points at keep 0.7, 0.5, 0.2: -0.07, -0.22, -6.42 on Fashion-MNIST; -1.23, -5.59, -43.17 "
        "on texts; -22.80 points with 20 % wrong labels, keep 0.5"
    ),
    "bottom": "points at keep 0.7, 0.5, 0.2: -5.49, -8.99, -18.71 on texts",
    "window": "points at keep 0.7, 0.5, 0.2: -0.82, -2.30, -17.50 on texts",
    "ccs": (
        "points at keep 0.7, 0.5, 0.2: -0.59, -1.84, -4.87 on Fashion-MNIST; -2.09, -4.70, -7.19 "
        "on texts; -2.56 points with 20 % wrong labels, keep 0.5"
    ),
    "stratified": "points at keep 0.7, 0.5, 0.2: -2.18, -4.87, -9.54 on texts",
    "quota": "points at keep 0.7, 0.5, 0.2: -1.23, -5.59, -43.17 on texts",
    "beta": (
        "points at keep 0.7, 0.5, 0.2: -0.17, -0.46, -2.24 on Fashion-MNIST; -2.61, -5.23, -11.54 "
        "on texts"
    ),
    "gumbel": "points at keep 0.7, 0.5, 0.2: -1.13, -2.38, -6.40 on texts",
    "poisson": "points at keep 0.7, 0.5, 0.2: -0.89, -2.19, -6.23 on texts",
    "systematic": "points at keep 0.7, 0.5, 0.2: -0.92, -2.15, -6.28 on texts",
    "perplexity": "points at keep 0.7, 0.5, 0.2: -1.59, -2.57, -5.98 on texts",
    "surrogate": "points at keep 0.7, 0.5, 0.2: -0.04, -1.11, -6.51 on texts",
    "d4": "points at keep 0.7, 0.5, 0.2: -2.72, -4.76, -15.58 on texts",
    "prototypes": "points at keep 0.7, 0.5, 0.2: -3.33, -6.29, -16.57 on texts",
    "moderate": (
        "points at keep 0.7, 0.5, 0.2: -2.69, -6.21, -14.52 on Fashion-MNIST; -4.18, -8.26, "
        "-14.53 on texts"
    ),
    "cluster_uniform": "points at keep 0.7, 0.5, 0.2: -1.34, -2.80, -6.95 on texts",
    "cluster_sensitivity": "points at keep 0.7, 0.5, 0.2: -1.15, -2.50, -6.47 on texts",
    "kmq": "points at keep 0.7, 0.5, 0.2: -1.17, -2.57, -6.41 on texts",
    "samplemix": "points at keep 0.7, 0.5, 0.2: -3.04, -4.22, -8.58 on texts",
    "semdedup": (
        "points at keep 0.7, 0.5, 0.2: -0.58, -1.50, -5.64 on Fashion-MNIST; -2.83, -6.11, -18.30 "
        "on texts"
    ),
    "k_center": (
        "points at keep 0.7, 0.5, 0.2: -0.38, -1.27, -4.34 on Fashion-MNIST; -2.75, -4.43, -10.71 "
        "on texts"
    ),
    "facility_location": "points at keep 0.7, 0.5, 0.2: -1.57, -2.81, -6.71 on texts",
    "herding": "points at keep 0.7, 0.5, 0.2: -1.48, -3.13, -7.38 on texts",
    "leverage": "points at keep 0.7, 0.5, 0.2: -0.96, -2.51, -6.57 on texts",
    "pivotal": "points at keep 0.7, 0.5, 0.2: -0.94, -2.22, -6.20 on texts",
    "d2": (
        "points at keep 0.7, 0.5, 0.2: -1.21, -1.99, -3.06 on Fashion-MNIST; -1.07, -2.37, -6.59 "
        "on texts"
    ),
    "k_dpp": "points at keep 0.7, 0.5, 0.2: -1.28, -2.50, -6.59 on texts",
    "lewis": "points at keep 0.7, 0.5, 0.2: -1.24, -2.45, -6.62 on texts",
    "root_leverage": "points at keep 0.7, 0.5, 0.2: -1.16, -2.63, -6.66 on texts",
    "sensitivity_lp": "points at keep 0.7, 0.5, 0.2: -1.19, -2.40, -6.60 on texts",
}
