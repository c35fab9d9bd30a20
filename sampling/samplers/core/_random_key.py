"""The key of an epoch's random numbers."""

from __future__ import annotations

import numpy as np

from ... import _check, _rng
from ..._check._keywords import told


@told
def random_key(seed: int, epoch: int, purpose: str) -> np.uint64:
    """Return the key of the random numbers of an epoch, for a draw table.

    Parameters
    ----------
    seed : int in [0, 2**64)
        That of the sampler.
    epoch : int in [0, 2**64)
    purpose : str
        What the numbers decide: keys of different purposes are unrelated.

    Returns
    -------
    numpy.uint64
        Equal on every platform; hashed, so that neighbouring seeds and epochs are unrelated. Of its
        int, such as `numpy.random.Generator(numpy.random.Philox(int(key)))`, numpy's generators
        can be made.

    Examples
    --------
    >>> from sampling.samplers.tables import ShuffledTable
    >>> table = ShuffledTable(4, 4, random_key(0, 7, "my shuffle"))
    >>> sorted(table.take(np.arange(4)).tolist())
    [0, 1, 2, 3]
    """
    return _rng.key(_check.seed(seed), _check.epoch(epoch), purpose)
