"""The folder of an export: whose files are in it, and how a new export replaces an earlier one.

    the folder holds...                     then
    nothing, or this very export            it is written to, and goes on where it was interrupted
    an export of the same owner             the new export is written next to it, and takes its
                                            place when it is complete; until then the old one stays
    any other export                        refused, unless it may be replaced
    anything else                           refused

The new export is in `.NAME.next`, where an interrupted one is found again. Two renames put it in
place: for that moment the old one is in `.NAME.old`, from where the next call takes it back if the
process was killed between the two.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .. import _parquet
from .._files import own_folder, remove_left_overs

__all__ = ["MANIFEST", "Mark", "Place"]

MANIFEST = "_export.json"  # readers of a folder pass over names that begin so
_LEFT_OVER = re.compile(r"\.(part-\d{5,}-of-\d{5,}\.parquet|_export\.json)\.\d+")


@dataclass(frozen=True)
class Mark:
    """Which export a file is of.

    Attributes
    ----------
    export : str
        Its identity: the bytes of the source, the rows, and how they are written.
    owner : str
        What it is one of; "" where the file does not say.
    """

    export: str
    owner: str

    @classmethod
    def of(cls, path: Path) -> "Mark | None":
        """Return that of a file; None of a file that no export wrote."""
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


class Place:
    """The folder that an export is given.

    Parameters
    ----------
    folder : pathlib.Path
        It need not be there. Of a link the folder that it points to is meant.
    """

    def __init__(self, folder: Path) -> None:
        self.given = folder
        self.folder = folder.resolve()
        self._next = self.folder.with_name(f".{self.folder.name}.next")
        self._old = self.folder.with_name(f".{self.folder.name}.old")

    def check(self, owners: Sequence[str], *, replace: bool, will_be_made: bool = False) -> None:
        """Refuse, before the work, a folder that cannot be written to or holds anything else.

        owners       : exports of these are replaced or continued, the first its own
        replace      : any export is
        will_be_made : the folder around it is, before the export
        """
        out = self.given
        if out.is_symlink() and not out.exists():
            raise ValueError(f"{out} must be a folder, got a link to nothing")
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out} must be a folder, got a file")
        stands = self.folder
        if not stands.exists() and self._is_ours(self._old):
            stands = self._old  # a process was killed between the two renames: `begin` mends it
        if not stands.exists():
            if self.folder.parent.is_dir():
                with own_folder(self.folder):  # can be made: so can the folder
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
            f"{self.given} must be empty or hold this very export, begun before, got {name} of "
            "another one: remove it, write to another folder, or let it be replaced (replace = "
            "true, --replace)"
        )

    def _check_movable(self) -> None:
        """Refuse a folder whose place no other folder can take."""
        if os.path.ismount(self.folder):
            raise ValueError(
                f"{self.given} must be empty where a disk is mounted at it, got an earlier export, "
                "whose place no other folder can take: remove its files, or write to a folder in it"
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
        names = [path for path in folder.iterdir() if not _LEFT_OVER.fullmatch(path.name)]
        return bool(names) and all(map(Mark.of, names))

    def _marks(self, folder: Path) -> dict[str, Mark]:
        """Return the mark of each file but left-overs; refuse a file that has none."""
        found = {}
        for path in sorted(folder.iterdir() if folder.is_dir() else [folder]):
            if _LEFT_OVER.fullmatch(path.name):
                continue
            mark = Mark.of(path)
            if mark is None:
                raise ValueError(
                    f"{folder if folder != self.folder else self.given} must be empty or hold this "
                    f"very export, begun before, got {path.name}, which is of no export"
                )
            found[path.name] = mark
        return found

    def begin(self, identity: str, *, replace: bool) -> Path:
        """Return the folder to write an export to, which is made if need be: see `finish`.

        replace : whether it may be another one than the folder's, which then stays until `finish`
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
                self._clear(made)  # begun for a plan that has changed since
            made.mkdir(exist_ok=True)
            made.chmod(self.folder.stat().st_mode & 0o7777)
        remove_left_overs(made)
        for path in list(made.iterdir()):
            if _LEFT_OVER.fullmatch(path.name):  # half a file, of a run that was killed
                path.unlink()
        return made

    def finish(self, made: Path) -> None:
        """Put a complete export in the place of the earlier one, which is removed."""
        if made == self.folder:
            return
        self._marks(self.folder)  # hours may have passed: what has come since is not removed
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
        """Remove a folder of ours, in which there are files of exports only."""
        if not folder.is_dir():
            return
        names = self._marks(folder)
        for path in list(folder.iterdir()):
            if path.name in names or _LEFT_OVER.fullmatch(path.name):
                path.unlink()
        remove_left_overs(folder)
        folder.rmdir()
