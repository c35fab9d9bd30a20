"""Files: tables of embeddings and columns, selections, scores, and exports of selected rows.

    table = open_table("corpus/*.parquet")
    export_rows(picked, table, "subset/")

All files are written atomically, and never replace a file of another kind.

Tables
    open_table, Table               a file, a folder, a pattern or an address, as one table
    read_column, read_rows          values of a column; rows
    read_vector                     labels or scores from a `.npy` file
    shape_of                        N, D and column names, from the metadata
    class_columns                   the columns with the logits of class 0, 1, ...
    columns_text                    column names for a message

Export of selected rows
    export_rows                     to Parquet shards
    check_export                    refuses wrong arguments before a selection is computed

Selections and scores
    save_selection, load_selection
    save_scores, load_scores
    score_of                        a column, as a `Score` if its file states a direction
    direction_of                    that direction, and where it comes from
    directed                        parses COLUMN:DIRECTION

Which files a selection was made from
    digest, digests                 SHA-256 of a file; of the files of a table
    with_inputs, inputs_of          adds them to a selection; computes them
    changes, differences            the files that have changed since
    refuse_other                    refuses a selection of another table
    located_inputs                  the files that a selection was made from
    table_files, table_folder       the files of a table, and the folder of its relative paths
    paths_read                      everything that is read as a table
    unchanged, Watch, stamps_of     whether files change while they are read

Outputs, checked before the work
    check_outputs                   whether files can and may be written
    check_folder                    the same of a folder
    selection_outputs               the files of `save_selection`
    score_outputs                   the files of `save_scores`
    written_whole                   a file that appears only when it is complete

Temporary copies of rows
    ordered, regrouped              rows in another order
    own_rows, OwnRows               rows to write
    may_copy                        whether embeddings can be copied to a `scratch` folder
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
