"""Files: tables of embeddings and columns, selections, scores, and exports of the chosen rows.

Everything is written whole or not at all.
"""

from .._files import written_whole
from ._bytes import digest
from ._digest import Watch, differences, digests, table_files, unchanged
from ._export import export_rows
from ._inputs import changes, with_inputs
from ._parquet_rows import read_column, read_rows
from ._regroup import regrouped
from ._scores import load_scores, read_vector, save_scores, score_of
from ._selection import load_selection, save_selection
from ._table import Table, open_table, shape_of

__all__ = [
    "Table",
    "Watch",
    "changes",
    "differences",
    "digest",
    "digests",
    "export_rows",
    "load_scores",
    "load_selection",
    "open_table",
    "read_column",
    "read_rows",
    "read_vector",
    "regrouped",
    "save_scores",
    "save_selection",
    "score_of",
    "shape_of",
    "table_files",
    "unchanged",
    "with_inputs",
    "written_whole",
]
