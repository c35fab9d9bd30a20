"""Scores that need training: from one pilot run on all the data for each seed.

The pilot is trained when a score first needs it, once for all keep fractions, processes and calls:
its scores are kept in the folder of the results, in `pilot/`. Each score is taken after the epochs
that its paper uses, and a method is charged with the epochs up to there, although one run serves
all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from ..._rng import key
from ...clustering import neighbours
from ...record import Score
from ...samplers import ShuffleSampler
from ...scores import TrainingDynamics, contrastive, grand, label_quality, pvi
from ..methods._method import Lacking, TrainingPlan
from ..methods._scores import FOLDS, NEIGHBOURS, SCORES, Source, epochs_of, score_named, window_of
from ..results._store import save_arrays
from ..tasks._data import Data
from ..tasks._parts import Part
from ._train import Bill, Charge, Clock, Failed, Job, Loop, Scorer

_FOLDER = "pilot"
_VERSION = 1  # of what is kept, and of how it is computed
_FIELDS = ("el2n", "forgetting", "aum", "cartography", "dyn_unc", "dual", "ema_loss", "entropy",
           "margin")  # fmt: skip
_AT_ANY = ("confidence", "ema_loss")  # scores that are kept as of each epoch that counts
_EPOCH = "{name}@{fraction:g}"
Arrays = dict[str, NDArray[Any]]


class Pilot:
    """The pilot run of a seed, trained when a score first needs it, and kept in a folder.

    Parameters
    ----------
    data : Data
        The data of the seed.
    seed : int
        The seed.
    folder : Path, optional
        Folder of the results; without one nothing is kept.
    epochs, batch_size : int
        E and B of a run on all the data.
    device : torch.device
        Device of the model and the data.
    """

    def __init__(  # noqa: PLR0913  # all that the run depends on
        self,
        data: Data,
        seed: int,
        folder: Path | None,
        epochs: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._data = data
        self._seed = seed
        self._folder = folder
        self._epochs = epochs
        self._batch_size = min(batch_size, len(data.train))
        self._device = device
        self._held: dict[str, Arrays] = {}
        self._failed: dict[str, str] = {}

    def score(self, name: str) -> tuple[Score, Charge]:
        """Return a score, and the number of samples that were trained on for it.

        Parameters
        ----------
        name : str
            One of `SCORES`, or "confidence" or "ema_loss" with a fraction of the run, such as
            "confidence@0.15".

        Raises
        ------
        Lacking
            If the data have no classes, or the run has fewer epochs than the score needs.
        Failed
            If the loss of the pilot was not finite.
        """
        plain, _, fraction = name.partition("@")
        entry = score_named(plain)
        share = float(fraction or entry.fraction)
        needed = max(entry.windows, window_of(self._epochs)) if entry.windows else 1
        if self._epochs < needed:
            raise Lacking(f"needs {needed} epochs for {name}, got {self._epochs}")
        size, epochs = len(self._data.train), epochs_of(share, self._epochs, windows=entry.windows)
        if entry.source == "folds":
            return self._held_out(plain)
        if entry.source == "halves":
            values = self._arrays("halves", self._half_losses)[plain]
            return Score(values, entry.direction, plain), {"halves": size * self._epochs}
        charge = {"pilot": epochs * size}
        if entry.source == "gradients":
            charge["gradients"] = size
            values = self._arrays(plain, lambda: {plain: self._gradients(plain)})[plain]
        elif entry.source == "classes":
            values = self._arrays(plain, lambda: self._dynamics("classes", (plain,)))[plain]
        else:
            values = self._arrays("dynamics", lambda: self._dynamics("pilot", _FIELDS))[name]
        return Score(values, entry.direction, plain), charge

    def probabilities(self) -> tuple[NDArray[np.float32], Charge]:
        """Return the predictions of a cross-validation, (N, C), and what was trained on for it."""
        found = self._arrays("folds", self._cross_validated)["probabilities"]
        return found, {"folds": (FOLDS - 1) * len(self._data.train) * self._epochs}

    def _held_out(self, name: str) -> tuple[Score, Charge]:
        """Return a score of the predictions of the cross-validation."""
        probabilities, charge = self.probabilities()
        labels = self._labels()
        if name == "label_quality":
            return label_quality(labels, probabilities), charge
        if name == "contrastive":
            graph = neighbours(self._embeddings(), NEIGHBOURS)
            return contrastive(probabilities, graph), charge
        shares = np.bincount(labels, minlength=probabilities.shape[1]) / labels.size
        own = probabilities[np.arange(labels.size), labels].astype(np.float64)
        return pvi(np.log(np.clip(own, 1e-300, 1.0)), np.log(shares[labels])), charge

    # ------------------------------------------------------------------ what is kept

    def _arrays(self, what: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return arrays from memory or the folder, or compute and keep them, in one process."""
        if what in self._held:
            return self._held[what]
        if what in self._failed:  # again for every method otherwise
            raise Failed(self._failed[what])
        try:
            self._held[what] = self._kept(what, compute)
        except Failed as error:
            self._failed[what] = str(error)
            raise
        return self._held[what]

    def _kept(self, what: str, compute: Callable[[], Arrays]) -> Arrays:
        if self._folder is None:
            return compute()
        path = pilot_path(self._folder, self._seed, what)
        path.parent.mkdir(parents=True, exist_ok=True)
        identity = self._identity()
        with FileLock(path.with_suffix(".lock")):
            found = _read(path)
            if str(found.pop("identity", "")) != identity:
                found = compute()
                save_arrays(path, {**found, "identity": np.array(identity)})
        return found

    def _identity(self) -> str:
        """Return a hash of all that the run depends on."""
        data = self._data
        digest = hashlib.blake2b(digest_size=8)
        facts = (_VERSION, data.digest, len(data.train), self._epochs, self._batch_size, self._seed)
        digest.update(repr(facts).encode())
        for array in (data.origin, data.rows, data.labels()):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _labels(self) -> NDArray[np.int64]:
        labels = self._data.labels()
        if labels is None:
            raise Lacking("needs classes, and the targets of the data are floats")
        return labels

    def _embeddings(self) -> NDArray[np.float32]:
        found = self._data.embeddings()
        if found is None:
            raise Lacking("needs embeddings: give `embeddings` to the task")
        return found

    # ------------------------------------------------------------------ what is computed

    def _dynamics(self, source: Source, fields: tuple[str, ...]) -> Arrays:
        """Train the pilot, and return every score of a source as of its own epoch."""
        entries = {name: entry for name, entry in SCORES.items() if entry.source == source}
        at = {
            name: epochs_of(entry.fraction, self._epochs, windows=entry.windows)
            for name, entry in entries.items()
        }
        self._labels()
        size = len(self._data.train)
        dynamics = TrainingDynamics(
            size,
            max(self._data.n_classes, 2),
            fields=fields,
            window=max(3 if "tdds" in fields else 2, window_of(self._epochs)),
        )

        def record(indices: torch.Tensor, outputs: torch.Tensor, targets: torch.Tensor) -> None:
            dynamics.update(indices.to(outputs.device), outputs, targets)

        found: Arrays = {}
        last = max(at.values())
        for epoch, _ in self._trained(self._data.train, "bench pilot", last, record):
            for name, entry in entries.items():
                if epoch != at[name]:
                    continue
                found[name] = dynamics.scores([name], missing="nan")[name].values
                for each in _AT_ANY if source == "pilot" else ():
                    values = dynamics.scores([each], missing="nan")[each].values
                    found[_EPOCH.format(name=each, fraction=entry.fraction)] = values
        return found

    def _gradients(self, name: str) -> NDArray[np.float64]:
        """Train the first epochs of the pilot again, and return the norms of its gradients."""
        task = self._data.task
        self._labels()
        epochs = epochs_of(SCORES[name].fraction, self._epochs)
        model = [
            model for _, model in self._trained(self._data.train, "bench pilot", epochs)
        ][-1]  # fmt: skip

        def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return task.losses(outputs, targets).mean()

        found = []
        for _, batch in self._data.train.to(self._device).all_rows():
            pair = isinstance(batch, tuple | list) and len(batch) == 2  # noqa: PLR2004
            if task.forward is not None or not pair or not isinstance(batch[0], torch.Tensor):
                raise Lacking(f"needs batches (input, target) of tensors for {name}")
            last = name == "grand_last_layer"
            found.append(grand(model, loss, batch[0], batch[1], last_layer=last).values)
        return np.concatenate(found)

    def _cross_validated(self) -> Arrays:
        """Train a model on all folds but one, for each fold, and predict the samples of that."""
        labels, part = self._labels(), self._data.train
        folds = _folds(labels, int(key(self._seed, 0, "bench folds")), FOLDS)
        found: NDArray[np.float32] = np.zeros(
            (labels.size, max(self._data.n_classes, 2)), np.float32
        )
        for fold in range(FOLDS):
            held = np.flatnonzero(folds == fold)
            others = part.take(np.flatnonzero(folds != fold))
            *_, (_, model) = self._trained(others, f"bench fold {fold}", self._epochs)
            model.eval()
            for rows, batch in part.to(self._device).rows(held):
                with torch.no_grad():
                    outputs, _ = self._data.task.outputs(model, batch)
                found[rows.cpu().numpy()] = _softmax(outputs)
        return {"probabilities": found}

    def _half_losses(self) -> Arrays:
        """Train a model on each half, and return the losses of the other half's samples under it.

        Both see half of the data, so they take as many samples as one run on all.
        """
        labels, part = self._labels(), self._data.train.to(self._device)
        halves = _folds(labels, int(key(self._seed, 0, "bench halves")), 2)
        found: NDArray[np.float32] = np.full(labels.size, np.nan, np.float32)
        for half in range(2):
            held = np.flatnonzero(halves == half)
            others = self._data.train.take(np.flatnonzero(halves != half))
            if not len(others):
                raise Lacking(f"needs samples in both halves, got {labels.size} in all")
            *_, (_, model) = self._trained(others, f"bench half {half}", self._epochs)
            found[held] = Scorer(self._data.task, model, part, self._device)(held)
        return {"irreducible": found}

    def _trained(
        self,
        part: Part,
        purpose: str,
        epochs: int,
        record: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None] | None = None,
    ) -> Iterator[tuple[int, torch.nn.Module]]:
        """Train on all samples of a part; yield the number of epochs done, and the model.

        The schedule is that of a run of E epochs, also if fewer are trained.
        """
        task, seed = self._data.task, int(key(self._seed, 0, purpose))
        part = part.to(self._device)
        model = task.built_model(seed).to(self._device)
        scorer = Scorer(task, model, part, self._device)
        batch_size = min(self._batch_size, len(part))
        job = Job("pilot", 1.0, self._seed, 1.0, self._epochs, self._epochs, batch_size)
        bill = Bill(job, len(part), scorer, Clock(self._device), Clock(self._device), {})
        loop = Loop(task, model, part, batch_size, scorer, bill, record)
        sampler = ShuffleSampler(len(part), seed=seed)
        plan = TrainingPlan(lambda epoch: sampler, self._epochs)
        for epoch in range(epochs):
            try:
                loop.epoch(plan, epoch)
            except Failed as error:
                raise Failed(f"in the pilot run: {error}") from error
            yield epoch + 1, model


def pilot_path(folder: Path, seed: int, what: str = "dynamics") -> Path:
    """Return the file of the scores of a pilot run."""
    return folder / _FOLDER / f"seed{seed}-{what}.npz"


def read_pilot(folder: Path, seed: int) -> Arrays:
    """Return what is kept of the pilot run of a seed; empty if there is none.

    Parameters
    ----------
    folder : Path
        Folder of the results.
    seed : int
        The seed.

    Returns
    -------
    dict of str to float64 array of shape (N,)
        Scores of the training samples by name, among them "confidence", "variability" and
        "correctness" over the whole run, for a data map. Names with "@" are as of a fraction of
        the run.
    """
    found = _read(pilot_path(folder, seed))
    found.pop("identity", None)
    return found


def _read(path: Path) -> Arrays:
    """Return the arrays of a file; empty if there is none, or it is damaged."""
    damaged = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
    with (
        contextlib.suppress(*damaged),
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as kept,
    ):
        return {name: kept[name] for name in kept.files}
    return {}


def _folds(labels: NDArray[np.int64], seed: int, count: int) -> NDArray[np.int64]:
    """Return the fold of each sample, random and even within each class, int64 (N,)."""
    order = ShuffleSampler(labels.size, seed=seed).indices(0)
    by_class = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(labels.size, np.int64)
    folds[by_class] = np.arange(labels.size) % count
    return folds


def _softmax(outputs: torch.Tensor) -> NDArray[np.float32]:
    """Return probabilities (B, C) of logits (B, C), or of one logit, (B, 1) or (B,)."""
    logits = outputs.float().reshape(len(outputs), -1)
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    array: NDArray[np.float32] = logits.softmax(1).cpu().numpy()
    return array
