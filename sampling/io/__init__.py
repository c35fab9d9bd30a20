"""Files: tables of embeddings and columns, selections, scores, and exports of the chosen rows.

Everything is written whole or not at all.
"""

from .._files import written_whole
from ._digest import differences, digest, digests, table_files, unchanged
from ._export import export_rows
from ._inputs import changes, with_inputs
from ._parquet_rows import read_column, read_rows
from ._scores import load_scores, read_vector, save_scores, score_of
from ._selection import load_selection, save_selection
from ._table import Table, open_table

__all__ = [
    "Table",
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
    "save_scores",
    "save_selection",
    "score_of",
    "table_files",
    "unchanged",
    "with_inputs",
    "written_whole",
]
