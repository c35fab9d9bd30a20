"""What the lists of systems share: the entry of a system, its data, and the check of a result."""

import functools
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

CHECKED: dict[str, "System"] = {}
SHORT = (  # cards that are marked as short, that name a method as an extension, or list several
    *("balance 3.5", "balance 3.6", "balance 4.5", "balance 6.1", "balance 7.5", "balance 7.6"),
    *("balance 10.3", "balance 12.1", "coreset 13", "dynamic 15 "),
)


class WrongResult(Exception):
    """A system runs, and its result is not what it should be."""


@dataclass
class System:
    """A method of the literature, and how it is run here.

    card : section of the method cards, such as "coreset 14d"
    name : public name below `sampling`; several are separated by commas; "" if it is not built
    run : works and raises `WrongResult`; its docstring says what it checks
    missing : what of the method is not built, of one that is built in part
    why : why it is not built
    """

    card: str
    system: str
    paper: str
    name: str = ""
    run: Callable[[], None] | None = None
    missing: str = ""
    why: str = ""

    @property
    def core(self) -> bool:
        """Whether it has a card of its own: no short one, no entry of a list, no later addition."""
        own = [card for card in self.card.split(", ") if not card.startswith(SHORT)]
        return bool(own) and "beyond" not in self.card

    @property
    def state(self) -> str:
        """Whether the method is built, in words."""
        if self.run is None:
            return "not built"
        return f"partly: without {self.missing}" if self.missing else "exactly"

    @property
    def place(self) -> tuple[bool, str, int, int, str]:
        """Position among the cards, for sorting."""
        found = re.match(r"(\w+) (\d+)\.?(\d*)(.*)", self.card)
        if found is None:
            return True, "", 0, 0, ""
        return False, found[1], int(found[2]), int(found[3] or 0), found[4]

    @property
    def checked(self) -> str:
        """What was checked, or why there is nothing to run."""
        if self.run is None:
            return self.why
        return (self.run.__doc__ or "").removesuffix(".")

    def public(self) -> list[Any]:
        """Return the objects that the names stand for; a name that is gone raises."""
        found = []
        for each in self.name.split(", ") if self.name else []:
            module, _, name = each.partition(".")
            found.append(getattr(importlib.import_module(f"sampling.{module}"), name))
        return found


def system(
    card: str, title: str, paper: str, name: str, missing: str = ""
) -> Callable[[Callable[[], None]], None]:
    """Add a function to the list, in the order of the files."""

    def add(run: Callable[[], None]) -> None:
        CHECKED[title] = System(card, title, paper, name, run, missing)

    return add


def not_built(card: str, title: str, paper: str, why: str) -> None:
    """Add a system that the package does not have."""
    CHECKED[title] = System(card, title, paper, why=why)


def must(right: bool | np.bool_, what: object = "") -> None:
    """Refuse a result."""
    if not right:
        raise WrongResult(f"got {what}")


def near(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    """Refuse numbers that are not those expected."""
    given = np.asarray(found, dtype=float)
    must(given.shape == np.shape(expected) and np.allclose(given, expected, 0, tolerance), given)


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits: pixels float32 (1797, 64) of mean 0, labels (1797,)."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return ((x - x.mean(0)) / 16).astype(np.float32), y


@functools.cache
def logits() -> np.ndarray:
    """Return logits of a linear model, fitted to the digits by least squares."""
    x, y = digits()
    wide = np.hstack([x, np.ones((len(x), 1), np.float32)])
    fit = np.linalg.solve(wide.T @ wide + np.eye(65), wide.T @ np.eye(10)[y])
    return 8 * (wide @ fit)


def probabilities() -> np.ndarray:
    """Return the softmax of the logits, float64 (1797, 10)."""
    exponents = np.exp(logits() - logits().max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


def losses() -> np.ndarray:
    """Return the cross-entropy of each digit, float64 (1797,)."""
    _, y = digits()
    return -np.log(probabilities()[np.arange(len(y)), y])


def long_tail() -> np.ndarray:
    """Return labels of three classes, 500, 50 and 5 samples."""
    return np.repeat([0, 1, 2], [500, 50, 5])


def after_one_epoch(sampler: Any, **more: Any) -> np.ndarray:
    """Record the losses of the digits, plan epoch 1 and return its draws, sorted."""
    sampler.record(np.arange(len(losses())), losses(), **more)
    sampler.set_epoch(1)
    return np.sort(sampler.indices(1))


def tensor(values: Any) -> torch.Tensor:
    """Return float32 values as a tensor."""
    return torch.tensor(np.asarray(values), dtype=torch.float32)
