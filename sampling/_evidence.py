"""What the comparisons of the benchmark say of each method: see `sampling._entry`.

Written by `python benchmarks/evidence.py`. Points are differences from training on all the data.
"""

from __future__ import annotations

COMPARED: dict[str, str] = {
    "SubsetSampler": "points at keep 0.7, 0.5, 0.2: -0.77, -1.43, -3.60 on Fashion-MNIST",
    "RepeatedSubsetSampler": "points at keep 0.7, 0.5, 0.2: -0.28, -0.43, -1.67 on Fashion-MNIST",
    "DynamicRandomSampler": "points at keep 0.7, 0.5, 0.2: -0.16, -0.69, – on Fashion-MNIST",
    "InfoBatchSampler": "points at keep 0.7, 0.5, 0.2: -0.13, –, – on Fashion-MNIST",
    "HardestSampler": "points at keep 0.7, 0.5, 0.2: -0.11, -0.22, – on Fashion-MNIST",
    "SeTaSampler": "points at keep 0.7, 0.5, 0.2: -0.17, -0.40, -1.20 on Fashion-MNIST",
    "ImportanceSampler": (
        "`importance-full`: points of balanced accuracy: -0.37 on Fashion-MNIST 1:100"
    ),
    "LateStoppingSampler": "-0.93 points with 20 % wrong labels",
    "ClassBalancedSampler": (
        "points of balanced accuracy: +0.37 on Fashion-MNIST 1:100; `progressive`: points of "
        "balanced accuracy: +1.05 on Fashion-MNIST 1:100"
    ),
    "MixtureSampler": "points of balanced accuracy: +0.36 on Fashion-MNIST 1:100",
    "RHOLoss": "-0.21 points with 20 % wrong labels, keep 0.5",
    "logit_adjustment": "points of balanced accuracy: +2.78 on Fashion-MNIST 1:100",
    "ClassWeights": "points of balanced accuracy: +0.82 on Fashion-MNIST 1:100",
    "deferred": "points of balanced accuracy: +2.09 on Fashion-MNIST 1:100",
    "group_dro": "points of balanced accuracy: -0.34 on Fashion-MNIST 1:100",
    "RENTWeights": "-0.07 points with 20 % wrong labels",
    "DirichletWeights": "+0.92 points with 20 % wrong labels",
    "kl_dro": "points of balanced accuracy: -73.81 on Fashion-MNIST 1:100",
    "lin_upper": "points of balanced accuracy: -0.14 on Fashion-MNIST 1:100",
    "top": (
        "points at keep 0.7, 0.5, 0.2: -0.07, -0.22, -6.42 on Fashion-MNIST; -22.80 points with "
        "20 % wrong labels, keep 0.5"
    ),
    "ccs": (
        "points at keep 0.7, 0.5, 0.2: -0.59, -1.84, -4.87 on Fashion-MNIST; -2.56 points with 20 "
        "% wrong labels, keep 0.5"
    ),
    "beta": "points at keep 0.7, 0.5, 0.2: -0.17, -0.46, -2.24 on Fashion-MNIST",
    "moderate": "points at keep 0.7, 0.5, 0.2: -2.69, -6.21, -14.52 on Fashion-MNIST",
    "semdedup": "points at keep 0.7, 0.5, 0.2: -0.58, -1.50, -5.64 on Fashion-MNIST",
    "k_center": "points at keep 0.7, 0.5, 0.2: -0.38, -1.27, -4.34 on Fashion-MNIST",
    "d2": "points at keep 0.7, 0.5, 0.2: -1.21, -1.99, -3.06 on Fashion-MNIST",
}
