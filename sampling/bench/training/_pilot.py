"""Scores that need training: from one pilot run on all the data for each seed."""

from pathlib import Path

from ...record import Score
from ..tasks._data import Data


class Pilot:
    """The pilot run of a seed, trained when a score first needs it, and kept in a folder.

    Parameters
    ----------
    data : Data
        The data of the seed.
    seed : int
        The seed.
    folder : Path
        Where the dynamics are kept for all keep fractions, processes and calls.
    """

    def __init__(self, data: Data, seed: int, folder: Path) -> None:
        self._data = data
        self._seed = seed
        self._folder = folder

    def score(self, name: str) -> tuple[Score, int]:
        """Return a score, and the number of samples that the pilot trained on for it."""
        raise ValueError(f"unknown score {name!r}")
