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
    "LateStoppingSampler": "-0.93 points with 20 % wrong labels",
    "RHOLoss": "-0.21 points with 20 % wrong labels, keep 0.5",
    "RENTWeights": "-0.07 points with 20 % wrong labels",
    "DirichletWeights": "+0.92 points with 20 % wrong labels",
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
