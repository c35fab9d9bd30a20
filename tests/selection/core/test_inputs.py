"""What the inputs of all selectors have in common."""

import numpy as np
import pytest

from sampling import selection

ROWS = np.full((30, 2), np.nan)


@pytest.mark.parametrize("name", ["semdedup", "d4", "cluster_hierarchy", "k_center", "graph_cut"])
def test_rows_of_which_none_is_left_are_refused_by_name(name):
    with pytest.raises(ValueError, match="embeddings must have a row that is finite.*none of 30"):
        getattr(selection, name)(ROWS, 4, on_bad="drop")
