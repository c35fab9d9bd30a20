"""Surrogate: uncertain or certain rows."""

import numpy as np
import pytest

from sampling.selection import surrogate


def test_surrogate_prefers_doubt_or_certainty():
    q = np.concatenate([np.full(500, 0.5), np.full(500, 0.99)])
    doubt = (surrogate(q, 100, exponent=1.0).indices < 500).mean()
    sure = (surrogate(q, 100, exponent=-1.0).indices < 500).mean()
    even = (surrogate(q, 100, exponent=0.0).indices < 500).mean()
    assert doubt > 0.9 > 0.7 > even > 0.3 > 0.1 > sure
    assert surrogate(q, 100).weights is None
    two = surrogate(np.stack([q, 1 - q], axis=1), 100, exponent=1.0, reweight=True)
    assert two.scores == pytest.approx(2 * q * (1 - q))
    with pytest.raises(ValueError, match="add up to 1 over classes"):
        surrogate([[0.5, 0.6], [0.5, 0.5]], 1)
    with pytest.raises(ValueError, match=r"in \[0, 1\].* in row 1"):
        surrogate([0.5, 1.5], 1)
