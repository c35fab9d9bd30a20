"""Training dynamics: statistics of each sample over a run, recorded from the logits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check._keywords import told
from .._files._paths import saved_tensors, tensors_kind, tensors_of
from ..distributed import meet, this_rank, world_size
from ..errors import StateError
from ..kernels import _dynamics
from ..types import Indices
from ._dynamics_reports import Reports
from ._dynamics_tables import EVERY_CLASS, FIELDS, Journal, Tables, look
from ._dynamics_travel import Travelling, check_shapes, host_logits, read_host, tensors
from ._heads import is_one_output, refuse_one_class
from ._table import host_rows, on_device

if TYPE_CHECKING:
    import torch.distributed as dist

_VERSION = 1
_HEADER = "training dynamics"
_FILE = tensors_kind("a file of TrainingDynamics.save", _HEADER)


@told
class TrainingDynamics(Reports):
    """Recorder of training dynamics, which scores samples by the logits seen during training.

    Call `update` in the training loop with the logits that the loss is computed from; no extra
    forward pass is needed. At the end, or after any epoch, each method returns a `Score` that
    states what a high value means. To rank by the last loss only, `ScoreTable` is cheaper.

    Parameters
    ----------
    data_source : int or sized
        N, or an object with a length.
    num_classes : int
        C, at least 2; 2 for a model of one output.
    fields : str or sequence of str, default ("el2n", "forgetting", "aum", "cartography")
        Statistics to record; also "dyn_unc", "dual", "ema_loss", "entropy", "margin", "tdds" and
        "probabilities". "forgetting" is required for `first_learned`, "cartography" for
        `confidence`, `variability` and `correctness`.
    window : int, default 10
        J, the number of presentations in a window of `dyn_unc`, `dual` and `tdds`; at least 2, and
        3 for `tdds`.
    max_streak : int, default 1
        K, the longest streak of correct predictions that `first_learned` may ask for.
    ema : float in (0, 1], default 0.1
        Weight of the new loss in `ema_loss`; the first loss is stored unchanged.
    decay : float in (0, 1], default 0.9
        Weight of the last window in `tdds`; the windows before it have the rest.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that train together; all of them by default.

    Attributes
    ----------
    num_nonfinite : int
        Presentations on this rank whose logits contained NaN or infinities: counted here and not
        recorded.

    Raises
    ------
    TypeError
        If labels or indices are not ints: class names have to be encoded as ints first.
    ValueError
        If the arrays differ in length, or an index or a label is out of range: the message names
        the row, and nothing of the batch is recorded. For a batch on a device the next `flush`
        raises, since checking would synchronise with the device; the whole batch is discarded.

    Notes
    -----
    Order
        A presentation is one row of one `update`; averages are over presentations, so a sample seen
        twice in an epoch counts twice. A tie for the largest logit is not a correct prediction;
        torch's argmax would choose the lower class. With several ranks, `update` writes to a
        journal, and `merge` (once an epoch, on every rank, next to `set_epoch`) replays the
        journals of all ranks into the tables of each rank. The history of a sample is complete no
        matter which rank sees it, and bit-identical on all ranks. A sample that several ranks saw
        since the last merge, such as one that pads the epoch, is recorded once for each rank, lower
        ranks first.
    Cost
        `update` is O(B C) and never waits for a CUDA device. Bytes per sample: 4; 8 for each of
        el2n, aum, ema_loss, entropy and margin; 8 + 4 K for forgetting; 20 for cartography; 4 J + 8
        for dyn_unc, 8 more for dual; 4 C + 4 (J - 1) + 8 for tdds and 4 C for probabilities,
        the only ones that grow with the classes. With several ranks also 8 + 8 F for each
        presentation of this rank since the last merge, F <= 6, or 6 + C with these two, and twice
        that while merging.
    Gradients
        None: logits are detached and copied.
    Source
        Given by each method. Scores are of the logits as trained: with augmentation, and with the
        model in training mode. To score without them, call `update` from an evaluation pass.

    Examples
    --------
    >>> dynamics = TrainingDynamics(3, num_classes=2)
    >>> for margin in (-1.0, 2.0, -1.0):
    ...     dynamics.update([0, 1], [[margin, 0.0], [0.0, 3.0]], [0, 1])
    >>> dynamics.aum(missing="nan").values
    array([ 0.,  3., nan])
    >>> dynamics.forgetting(missing="nan").values
    array([ 1.,  0., nan])
    """

    def __init__(
        self,
        data_source: int | Sized,
        num_classes: int,
        *,
        fields: str | Sequence[str] = ("el2n", "forgetting", "aum", "cartography"),
        window: int = 10,
        max_streak: int = 1,
        ema: float = 0.1,
        decay: float = 0.9,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        self._size = _check.size("data_source", data_source)
        refuse_one_class("num_classes", num_classes)
        self.num_classes = _check.integer("num_classes", num_classes, 2)
        asked = {_check.choice("fields", each, FIELDS) for each in _check.words("fields", fields)}
        if not asked:
            raise ValueError(f"fields must name at least one, got {fields!r}")
        self.fields = tuple(field for field in FIELDS if field in asked)
        self.window = _check.integer("window", window, 2)
        self.max_streak = _check.integer("max_streak", max_streak, 1)
        self.ema = _check.number("ema", ema, "(0, 1]")
        self.decay = _check.number("decay", decay, "(0, 1]")
        if "tdds" in asked and self.window < 3:  # noqa: PLR2004  # a window of 2 has one move
            raise ValueError(
                f"window must be >= 3 for 'tdds', got {self.window}: two presentations have one "
                "move, which deviates from no other"
            )
        self.num_nonfinite = 0
        self._tables = Tables(
            self._size,
            self.fields,
            self.window,
            self.max_streak,
            self.ema,
            self.decay,
            self.num_classes,
        )
        self._journal = Journal(self._tables.columns)
        self._group = process_group
        self._ranks = world_size(process_group)
        self._travelling = Travelling(self._land_late)
        self._wrong = ""

    def __len__(self) -> int:
        return self._size

    # ------------------------------------------------------------------ recording

    @told
    def update(
        self,
        indices: ArrayLike | torch.Tensor,
        logits: ArrayLike | torch.Tensor,
        labels: ArrayLike | torch.Tensor,
    ) -> None:
        """Record the logits of a batch.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Dataset indices.
        logits : float array or tensor of shape (B, C)
            Before the softmax; float16 and bfloat16 are accepted. Shapes (B, 1) and (B,) are those
            of a model of one output z, read as the two outputs 0 and z.
        labels : int array or tensor of shape (B,)
            In [0, C). For a model of one output, 0 or 1 of any dtype, of shape (B,) or (B, 1).
        """
        if on_device(logits) or on_device(indices) or on_device(labels):
            batch = tensors(indices, logits, labels)
            if not is_one_output(batch[1], len(batch[0])):
                check_shapes(*batch, self.num_classes)
            elif self.num_classes != 2:
                raise ValueError(self._not_two(batch[1]))
            self._travelling.send(*batch)
            return
        if self._travelling:  # batches are recorded in the order of the calls
            self._travelling.drain()
        rows, values = host_rows(indices), host_logits(logits)
        if self.num_classes != 2 and values.ndim and is_one_output(values, len(values)):
            raise ValueError(self._not_two(values))
        values, classes = read_host(values, labels)
        check_shapes(rows, values, classes, self.num_classes)
        wrong = self._first_wrong(rows, classes)
        if wrong:
            raise ValueError(wrong)
        self._land(rows, values, classes)

    def flush(self) -> None:
        """Wait for the batches still on a device, and record them."""
        self._travelling.drain()
        if self._wrong:
            message, self._wrong = self._wrong, ""
            raise ValueError(message)

    def merge(self) -> None:
        """Synchronise what all ranks recorded; every rank must call it, once an epoch."""
        self.flush()
        if self._ranks > 1:
            facts = {"size": self._size, "num_classes": self.num_classes, "window": self.window}
            facts |= {field: int(field in self.fields) for field in FIELDS}
            facts |= {"max_streak": self.max_streak}
            meet("TrainingDynamics.merge", facts, self._group)
            self._journal.replay(self._tables.record, self._size, self._group)

    @property
    def num_unmerged(self) -> int:
        """Presentations that this rank recorded since the last `merge`; 0 on one rank."""
        self.flush()
        return len(self._journal)

    def _not_two(self, logits: NDArray[Any] | torch.Tensor) -> str:
        return (
            f"logits must have shape (B, {self.num_classes}), got {tuple(logits.shape)}: a model "
            "of one output has num_classes=2"
        )

    def _first_wrong(self, rows: Indices, labels: Indices) -> str:
        """Return a description of the first bad row of a batch, or an empty string."""
        bad = _dynamics.first_bad(rows, labels, self._size, self.num_classes)
        if bad < 0:
            return ""
        if 0 <= rows[bad] < self._size:
            return f"labels must be in [0, {self.num_classes}), got {labels[bad]} in row {bad}"
        return f"indices must be in [0, {self._size}), got {rows[bad]} in row {bad}"

    def _land(self, rows: Indices, logits: NDArray[Any], labels: Indices) -> None:
        observed, skipped = look(logits, labels, every_class=bool(EVERY_CLASS & set(self.fields)))
        if skipped:
            self.num_nonfinite += skipped
            finite = ~np.isnan(observed[_dynamics.MARGIN])
            rows, observed = rows[finite], np.ascontiguousarray(observed[:, finite])
        if self._ranks > 1:
            self._journal.append(rows, observed)
        else:
            self._tables.record(rows, observed)

    def _land_late(self, rows: Indices, logits: NDArray[Any], labels: Indices) -> None:
        try:
            logits, labels = read_host(logits, labels)
            wrong = self._first_wrong(rows, labels)
        except (TypeError, ValueError) as error:  # labels of one output are first checked here
            wrong = str(error)
        if wrong:
            self._wrong = f"{wrong} of a batch from a device, which was discarded"
        else:
            self._land(rows, logits, labels)

    def _settled(self) -> dict[str, NDArray[Any]]:
        self.flush()
        if len(self._journal):
            raise RuntimeError(
                f"the dynamics must be merged first, got {len(self._journal)} presentations that "
                "only this rank has recorded: call merge() on every rank"
            )
        return self._tables.arrays

    # ------------------------------------------------------------------ saving

    def state_dict(self) -> dict[str, Any]:
        """Return everything recorded; with several ranks call `merge` first.

        Returns
        -------
        dict
            "arguments", JSON values that `load_state_dict` compares; "num_nonfinite", int; and
            "arrays", numpy arrays by name. The arrays are views, columns of one table: copy or
            write them before the next `update`.
        """
        arrays = dict(self._settled())
        return {"arguments": self._arguments(), "num_nonfinite": self.num_nonfinite,
                "arrays": arrays}  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace everything recorded by the state of another run.

        Parameters
        ----------
        state : mapping
            A result of `state_dict` for the same data and arguments. The same on every rank; the
            number of ranks may differ. Copied.

        Raises
        ------
        StateError
            If arguments or arrays differ; the message names them, and nothing is changed.
        """
        missing = {"arguments", "num_nonfinite", "arrays"} - set(state)
        if missing:
            raise StateError(f"state must have the keys of state_dict(), missing {sorted(missing)}")
        saved, own = state["arguments"], self._arguments()
        for name in own:
            if saved.get(name) != own[name]:
                raise StateError(f"{name} must be {own[name]!r}, got {saved.get(name)!r}")
        arrays, mine = state["arrays"], self._tables.arrays
        if set(arrays) != set(mine):
            raise StateError(f"arrays must be {sorted(mine)}, got {sorted(arrays)}")
        for name, array in mine.items():
            if arrays[name].dtype != array.dtype or arrays[name].shape != array.shape:
                raise StateError(
                    f"{name} must be {array.dtype} of shape {array.shape}, "
                    f"got {arrays[name].dtype} of shape {arrays[name].shape}"
                )
            if array.dtype.kind == "i" and array.size and int(arrays[name].min()) < 0:
                raise StateError(f"{name} must be >= 0, got {int(arrays[name].min())}")
        lost = _check.integer("num_nonfinite", state["num_nonfinite"], 0)
        self._travelling.drain()
        self._journal.clear()
        self._wrong, self.num_nonfinite = "", lost
        for name, array in mine.items():
            array[:] = arrays[name]

    def save(self, path: str | Path) -> None:
        """Write everything recorded to one file, atomically.

        Every rank must call it, after a `merge`; rank 0 writes, and all ranks return once the
        file has been written.

        Parameters
        ----------
        path : str or pathlib.Path
            Its folder must exist. The format is safetensors, with a checksum. An existing file
            written by `save` is replaced, and no other file.

        Raises
        ------
        ValueError
            If the path is a folder or a device, has the suffix of another format, or holds a file
            that `save` did not write.
        OSError
            If the folder does not exist, cannot be written to, or is full.
        """
        state, written = self.state_dict(), False
        try:
            if this_rank(self._group) == 0:
                _write(state, Path(path))
            written = True
        finally:  # also if the disk is full: no rank waits for a file that is never written
            call = f"TrainingDynamics.save to {Path(path).name}"
            found = meet(call, {"own_written": int(written)}, self._group)
        if not found["own_written"].all():
            raise RuntimeError(f"rank 0 could not write {path}: see its error")

    def load(self, path: str | Path) -> None:
        """Replace everything recorded by a file of `save`; see `load_state_dict`.

        Parameters
        ----------
        path : str or pathlib.Path

        Raises
        ------
        StateError
            If the file is truncated, damaged or of another kind. Nothing is changed then.
        """
        self.load_state_dict(_read(Path(path)))

    @classmethod
    def from_file(cls, path: str | Path) -> TrainingDynamics:
        """Return the dynamics stored in a file of `save`, with the arguments stored in it.

        Parameters
        ----------
        path : str or pathlib.Path

        Raises
        ------
        StateError
            If the file is truncated, damaged or of another kind.
        """
        state = _read(Path(path))
        given = {**state["arguments"]}
        if given.pop("version", None) != _VERSION:
            raise StateError(f"{path} must have version {_VERSION}, got {state['arguments']}")
        found = cls(given.pop("size"), given.pop("num_classes"), **given)
        found.load_state_dict(state)
        return found

    def _arguments(self) -> dict[str, Any]:
        facts = {
            "version": _VERSION,
            "size": self._size,
            "num_classes": self.num_classes,
            "fields": list(self.fields),
            "window": self.window,
            "max_streak": self.max_streak,
            "ema": self.ema,
        }
        return facts | ({"decay": self.decay} if "tdds" in self.fields else {})

    def __getstate__(self) -> dict[str, object]:
        """Exclude what belongs to this process: its group and the batches on a device."""
        self.flush()
        return {**self.__dict__, "_group": None, "_travelling": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._travelling = Travelling(self._land_late)


def _write(state: Mapping[str, Any], path: Path) -> None:
    """Write a state to a temporary file next to `path`, and rename it."""
    arrays = {name: np.ascontiguousarray(array) for name, array in state["arrays"].items()}
    text = json.dumps({key: state[key] for key in ("arguments", "num_nonfinite")}, sort_keys=True)
    header = {_HEADER: text, "checksum": _checksum(text, arrays)}
    saved_tensors(arrays, path, header, _FILE)


def _read(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError

    _check.file(path, "a file of TrainingDynamics.save")
    try:
        with tensors_of(path) as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise StateError(
            _check.damaged(path, "a whole file of TrainingDynamics.save", error)
        ) from error
    if _HEADER not in header:
        raise StateError(
            f"{path} must be a file of TrainingDynamics.save, got a header of {sorted(header)}"
        )
    if _checksum(header[_HEADER], arrays) != header.get("checksum"):
        raise StateError(f"{path} must have the checksum in its header, got another: it is damaged")
    return {**json.loads(header[_HEADER]), "arrays": arrays}


def _checksum(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return a checksum that detects a damaged file; the arrays are contiguous."""
    digest = hashlib.blake2b(text.encode(), digest_size=8)
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype.str}{arrays[name].shape}".encode())
        digest.update(arrays[name].view(np.uint8).data)
    return digest.hexdigest()
