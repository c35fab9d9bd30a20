"""Files: tables of embeddings and columns, selections, scores, and exports of selected rows.

All files are written atomically, and never replace a file of another kind.
"""

from __future__ import annotations

from .._files._paths import check_folder, check_outputs, written_whole
from ..record import load_selection
from ..record.files import (
    load_scores,
    save_scores,
    save_selection,
    score_outputs,
    selection_outputs,
)
from ._bytes import digest
from ._digest import (
    Watch,
    differences,
    digests,
    stamps_of,
    table_files,
    table_folder,
    unchanged,
)
from ._export import check_export, export_rows
from ._inputs import changes, inputs_of, located_inputs, refuse_other, with_inputs
from ._parquet_rows import read_column, read_rows
from ._regroup import OwnRows, ordered, own_rows, regrouped
from ._scores import directed, direction_of, read_vector, score_of
from ._sources import paths_read
from ._table import Table, class_columns, columns_text, may_copy, open_table, shape_of

__all__ = [
    "OwnRows",
    "Table",
    "Watch",
    "changes",
    "check_export",
    "check_folder",
    "check_outputs",
    "class_columns",
    "columns_text",
    "differences",
    "digest",
    "digests",
    "directed",
    "direction_of",
    "export_rows",
    "inputs_of",
    "load_scores",
    "load_selection",
    "located_inputs",
    "may_copy",
    "open_table",
    "ordered",
    "own_rows",
    "paths_read",
    "read_column",
    "read_rows",
    "read_vector",
    "refuse_other",
    "regrouped",
    "save_scores",
    "save_selection",
    "score_of",
    "score_outputs",
    "selection_outputs",
    "shape_of",
    "stamps_of",
    "table_files",
    "table_folder",
    "unchanged",
    "with_inputs",
    "written_whole",
]
