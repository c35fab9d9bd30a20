"""The folder of an export: which export its files belong to, and how one replaces another.

    the folder holds...                     result
    nothing, or the same export             it is written to, resuming an interrupted export
    an export of the same owner             the new export is written next to it, and replaces it
                                            once complete; until then the old one is kept
    any other export                        refused, unless it may be replaced
    anything else                           refused

The new export is written to `.NAME.next`, from where an interrupted one is resumed. Two renames
move it into place. Between them the old export is in `.NAME.old`, from where the next call restores
it if the process was killed in between.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .._files import _parquet
from .._files._paths import own_folder, remove_left_overs

__all__ = ["MANIFEST", "ExportFolder", "Mark"]

MANIFEST = "_export.json"  # readers of a folder ignore names that begin with "_"
_HIDDEN = re.compile(r"\.(part-\d{5,}-of-\d{5,}\.parquet|_export\.json)\.\d+(-\d+)?")


@dataclass(frozen=True)
class Mark:
    """The export that a file belongs to.

    Attributes
    ----------
    export : str
        Its identity, a digest of the source's bytes, the rows, and how they are written.
    owner : str
        Its owner, such as a plan; "" if the file does not state one.
    """

    export: str
    owner: str

    @classmethod
    def of(cls, path: Path) -> Mark | None:
        """Return the mark of a file; None if no export wrote it."""
        try:
            if path.name == MANIFEST:
                facts = json.loads(path.read_text(encoding="utf-8"))
            else:
                with _parquet.opened(path) as file:
                    facts = _parquet.facts_in(file.schema_arrow, path)
        except (ValueError, OSError):
            return None
        if not isinstance(facts, dict) or not isinstance(facts.get("export"), str):
            return None
        return cls(facts["export"], str(facts.get("owner", "")))


class ExportFolder:
    """The output folder of an export.

    Parameters
    ----------
    folder : pathlib.Path
        It need not exist. A link stands for the folder that it points to.
    """

    def __init__(self, folder: Path) -> None:
        self.given = folder
        self.folder = folder.resolve()
        self._next = self.folder.with_name(f".{self.folder.name}.next")
        self._old = self.folder.with_name(f".{self.folder.name}.old")

    def check(self, owners: Sequence[str], *, replace: bool, will_be_made: bool = False) -> None:
        """Refuse, before the computation, a folder that is not writable or holds other files.

        owners       : exports of these are replaced or resumed; the first is that of the new export
        replace      : any export is replaced
        will_be_made : the parent folder will be created before the export
        """
        out = self.given
        if out.is_symlink() and not out.exists():
            raise ValueError(f"{out} must be a folder, got a broken link")
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out} must be a folder, got a file")
        stands = self.folder
        if not stands.exists() and self._is_ours(self._old):
            stands = self._old  # a process was killed between the two renames: `begin` mends it
        if not stands.exists():
            if self.folder.parent.is_dir():
                with own_folder(self.folder):  # if this can be made, so can the folder
                    pass
            elif self.folder.parent.exists() or not will_be_made:
                raise FileNotFoundError(f"the folder of {out} must exist, got none")
            return
        with own_folder(stands / MANIFEST):
            pass
        marks = self._marks(stands)
        for name, mark in marks.items():
            if not replace and mark.owner not in owners:
                self._refuse(name)
        if any(mark.owner not in owners[:1] for mark in marks.values()):
            self._check_movable()

    def _refuse(self, name: str) -> NoReturn:
        raise ValueError(
            f"{self.given} must be empty or hold the same export, got {name} of "
            "another export: remove it, write to another folder, or allow replacing it with "
            "replace=True"
        )

    def _check_movable(self) -> None:
        """Refuse a folder that cannot be renamed, such as a mount point."""
        if os.path.ismount(self.folder):
            raise ValueError(
                f"{self.given} must be empty if it is a mount point, got an earlier export, "
                "which cannot be replaced there: remove its files, or write to a subfolder"
            )
        with own_folder(self.folder):
            pass
        for other in (self._next, self._old):
            if other.exists():
                self._marks(other)

    def _is_ours(self, folder: Path) -> bool:
        """Whether a folder next to the given one is of an export: others may have its name."""
        if folder.is_symlink() or not folder.is_dir():
            return False
        names = [path for path in folder.iterdir() if not _is_hidden(path)]
        return bool(names) and all(map(Mark.of, names))

    def _marks(self, folder: Path) -> dict[str, Mark]:
        """Return the mark of each file except leftovers; refuse a file without a mark."""
        found = {}
        for path in sorted(folder.iterdir() if folder.is_dir() else [folder]):
            if _is_hidden(path):
                continue
            mark = Mark.of(path)
            if mark is None:
                raise ValueError(
                    f"{folder if folder != self.folder else self.given} must be empty or hold the "
                    f"same export, got {path.name}, which does not belong to an export"
                )
            found[path.name] = mark
        return found

    def begin(self, identity: str, *, replace: bool) -> Path:
        """Return the folder to write an export to, created if necessary; see `finish`.

        replace : whether it may replace another export, which is then kept until `finish`
        """
        self._restore()
        self.folder.mkdir(exist_ok=True)
        marks = self._marks(self.folder)
        if all(mark.export == identity for mark in marks.values()):
            if self._is_ours(self._next):
                self._clear(self._next)
            made = self.folder
        else:
            if not replace:
                self._refuse(next(n for n, mark in marks.items() if mark.export != identity))
            self._check_movable()
            made = self._next
            if any(mark.export != identity for mark in self._marks_next().values()):
                self._clear(made)  # from a plan that has changed since
            made.mkdir(exist_ok=True)
            made.chmod(self.folder.stat().st_mode & 0o7777)
        remove_left_overs(made)
        return made

    def finish(self, made: Path) -> None:
        """Move a complete export into place, and remove the one that it replaces."""
        if made == self.folder:
            return
        self._marks(self.folder)  # hours may have passed: files added since are not removed
        self.folder.rename(self._old)
        try:
            made.rename(self.folder)
        except BaseException:
            self._old.rename(self.folder)
            raise
        self._clear(self._old)

    def _marks_next(self) -> dict[str, Mark]:
        return self._marks(self._next) if self._next.exists() else {}

    def _restore(self) -> None:
        """Take the earlier export back if a process was killed while it was replaced."""
        if not self._is_ours(self._old):
            return
        if self.folder.exists():
            self._clear(self._old)
        else:
            self._old.rename(self.folder)

    def _clear(self, folder: Path) -> None:
        """Remove a folder that holds only files of exports."""
        if not folder.is_dir():
            return
        for name in self._marks(folder):
            (folder / name).unlink()
        remove_left_overs(folder)
        folder.rmdir()


def _is_hidden(path: Path) -> bool:
    """Return whether this is a folder in which a process writes, or wrote, a file of an export."""
    return _HIDDEN.fullmatch(path.name) is not None and path.is_dir()
