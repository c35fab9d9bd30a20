"""Files: selections, written whole or not at all."""

from ._atomic import written_whole
from ._selection import load_selection, save_selection

__all__ = ["load_selection", "save_selection", "written_whole"]
