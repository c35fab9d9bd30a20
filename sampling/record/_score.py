"""A number for each sample, and what a high one means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._check._keywords import short, told

Direction: TypeAlias = Literal["harder", "easier", "keep", "drop"]


@told
@dataclass(frozen=True, eq=False)
class Score:
    """A score of each sample, and what a high value means.

    Half of the defects in released selection code are sign errors. A selector that needs hard
    samples negates a score that is higher for easy ones automatically.

    Parameters
    ----------
    values : float array of shape (N,)
    higher_is : {"harder", "easier", "keep", "drop"}
        "keep" and "drop" are for scores of value, such as quality, to which difficulty does not
        apply.
    name : str, default ""

    Examples
    --------
    >>> import numpy as np
    >>> margins = Score(np.array([2.0, -1.0]), "easier", "aum")
    >>> margins.as_higher("harder")
    array([-2.,  1.])
    """

    values: NDArray[np.floating[Any]]
    higher_is: Direction
    name: str = ""

    def __post_init__(self) -> None:
        word = _check.choice("higher_is", self.higher_is, get_args(Direction))
        object.__setattr__(self, "higher_is", word)
        if not isinstance(self.values, np.ndarray):  # such as a tensor, on any device
            object.__setattr__(self, "values", _check.host(self.values, "values"))

    def as_higher(self, meaning: Direction) -> NDArray[np.floating[Any]]:
        """Return the values, negated if necessary, so that a high value means `meaning`.

        Parameters
        ----------
        meaning : {"harder", "easier", "keep", "drop"}

        Returns
        -------
        float array of shape (N,)

        Raises
        ------
        ValueError
            If the score does not define it: hard is not the same as worth keeping.
        """
        meaning = _check.choice("meaning", meaning, get_args(Direction))
        if meaning == self.higher_is:
            return self.values
        if {meaning, self.higher_is} in ({"harder", "easier"}, {"keep", "drop"}):
            return -self.values
        raise ValueError(
            f"higher_is must be {meaning!r} or its opposite, got {self.higher_is!r} of the score "
            f"{self.name!r}: hard is not the same as worth keeping; if a high value does mean that "
            f"here, state it: Score(score.values, {meaning!r})"
        )

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"Score({short(self.values)}, higher_is={self.higher_is!r}, name={self.name!r})"

    def __array__(self, *args: object, **kwargs: object) -> NDArray[Any]:
        """Refuse to become an array, which would lose the direction."""
        raise TypeError(
            "a Score is no array, which would lose what a high one means: take its `values`, or "
            f"`as_higher({self.higher_is!r})`"
        )
