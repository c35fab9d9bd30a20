"""Files: tables of embeddings and columns, and selections, written whole or not at all."""

from .._files import written_whole
from ._regroup import regrouped
from ._selection import load_selection, save_selection
from ._table import Table, open_table

__all__ = [
    "Table",
    "load_selection",
    "open_table",
    "regrouped",
    "save_selection",
    "written_whole",
]
