"""Balance a long tail, given as a table with a column of names, or as a folder of images.

    python long_tail.py                                       # digits with a long tail
    python long_tail.py --table plants.parquet --label species
    python long_tail.py --images photos/                      # one folder for each class

All other columns of the table are features. Rows without a label are never drawn. Plain shuffling,
the control, is trained as well; compare the accuracies averaged over classes.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from sampling import Indexed
from sampling.samplers import ClassBalancedSampler, EpochSampler, SubsetSampler


def made() -> pd.DataFrame:
    """Return the digits as a table: class k keeps a share of 0.6^k; some labels are missing."""
    images, digits = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    kept = rng.random(digits.size) < 0.6**digits
    frame = pd.DataFrame(images[kept] / 16).add_prefix("pixel_")
    names = np.array("zero one two three four five six seven eight nine".split())
    frame["label"] = names[digits[kept]]
    return frame.mask(rng.random(frame.shape) < 0.02)  # of the features and the labels


def of_table(frame: pd.DataFrame, label: str) -> tuple[torch.Tensor, pd.Series]:
    """Return features, whose missing values become the mean of the column, and labels."""
    features = frame.drop(columns=label)
    features = features.fillna(features.mean())
    return torch.tensor(features.to_numpy("float32")), frame[label]


def of_images(folder: Path, size: int = 16) -> tuple[torch.Tensor, pd.Series]:
    """Return the pixels of a folder of images, and the names of their folders."""
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    read = [np.asarray(Image.open(path).convert("L").resize((size, size))) for path in paths]
    x = torch.tensor(np.stack(read).reshape(len(read), -1) / 255, dtype=torch.float32)
    return x, pd.Series([path.parent.name for path in paths])


def fit(x: torch.Tensor, y: torch.Tensor, sampler: EpochSampler, epochs: int) -> torch.nn.Module:
    """Train a linear model with a sampler."""
    torch.manual_seed(0)
    model = torch.nn.Linear(x.shape[1], int(y.max()) + 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = DataLoader(Indexed(TensorDataset(x, y)), batch_size=32, sampler=sampler)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for indices, (inputs, targets) in loader:
            losses = F.cross_entropy(model(inputs), targets, reduction="none")
            optimizer.zero_grad()
            sampler.reduce(losses, indices).backward()
            optimizer.step()
    return model


def main() -> None:
    """Train with both samplers, and print the accuracy of each class."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", type=Path, help="A Parquet file.")
    parser.add_argument("--label", default="label", help="Column of the class.")
    parser.add_argument("--images", type=Path, help="A folder with one folder for each class.")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()

    if args.images:
        x, labels = of_images(args.images)
    else:
        x, labels = of_table(pd.read_parquet(args.table) if args.table else made(), args.label)
    codes, _ = pd.factorize(labels, sort=True)  # -1 where the label is missing
    y = torch.tensor(codes)

    held = np.random.default_rng(1).random(len(y)) < 0.3
    train, test = np.flatnonzero(~held), held & (codes >= 0)
    balanced = ClassBalancedSampler(labels.iloc[train], seed=0)
    labelled = SubsetSampler(np.flatnonzero(codes[train] >= 0), seed=0)
    found = pd.DataFrame({"class": labels[test]})
    for name, sampler in {"shuffled": labelled, "balanced": balanced}.items():
        model = fit(x[train], y[train], sampler, args.epochs)
        found[name] = (model(x[test]).argmax(1) == y[test]).numpy()
    table = found.groupby("class").mean()
    table.insert(0, "samples", labels.iloc[train].value_counts())
    print(table.sort_values("samples").round(2))
    print(f"mean over classes: {table[['shuffled', 'balanced']].mean().round(3).to_dict()}")


if __name__ == "__main__":
    main()
