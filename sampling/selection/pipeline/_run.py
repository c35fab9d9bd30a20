"""Run the stages of a plan in sequence, saving the result of each."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from ... import _check
from ..._check import _labels
from ..._checkpoint import checkpoint, key_of, remove_checkpoints
from ..._files._json import json_text, key_words
from ..._files._paths import Output, check_folder, check_outputs, json_kind, written_whole
from ..._files._remote import is_remote
from ..._warning import warn
from ...clustering import clustering_outputs, neighbour_outputs
from ...engine import current, facts
from ...io import (
    Table,
    Watch,
    check_export,
    columns_text,
    digest,
    digests,
    export_rows,
    load_selection,
    paths_read,
    save_selection,
    selection_outputs,
)
from ...record import BAD, Selection
from ...types import Indices
from ..core._estimate import LONG, said
from ..core._exact import exact
from ..core._registry import made_by, takes
from ..core._select import ids_of
from ._from_table import select_from
from ._notes import notes_of
from ._shared import Shared, SharedClusters, SharedNeighbours
from ._stage import Stage, refuse_no_id, refuse_no_rows, rows_named, said_of, stage_named
from ._within import everything, excluded, filtered, lifted

__all__ = ["check_work", "run_plan"]

_CLUSTERS = 2  # version of `kmeans`: since 2 sums are combined block by block
_FILTERS = 3  # version of what conditions mean: since 2 none holds of NaN, since 3 none rounds
_HOW = ("folder", "replace", "progress")  # of an export, what changes none of its rows
_MANIFEST = json_kind("the manifest of a plan", "plan", "stages")


class RunnablePlan(Protocol):
    """What a run reads of a `SelectionPlan`."""

    @property
    def table(self) -> str | os.PathLike[str] | Sequence[str | os.PathLike[str]]: ...
    @property
    def stages(self) -> Sequence[Stage]: ...
    @property
    def embeddings(self) -> str | None: ...
    @property
    def beside(self) -> Sequence[str | Path]: ...
    @property
    def subsets(self) -> list[str | Path]: ...
    @property
    def ids(self) -> str | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def on_bad(self) -> str: ...
    @property
    def max_memory(self) -> int | str | None: ...
    @property
    def clusters(self) -> Mapping[str, Any] | None: ...
    @property
    def neighbours(self) -> Mapping[str, Any] | None: ...
    @property
    def export(self) -> Mapping[str, Any] | None: ...
    @property
    def reads_embeddings(self) -> bool: ...
    def check_arguments(self) -> None: ...
    def open(
        self, scratch: Path | None = None, contents: Sequence[Mapping[str, Any]] | None = None
    ) -> Table: ...
    def subset(self, size: int, inputs: Mapping[str, Any] | None = None) -> Selection | None: ...
    def check(self, names: Sequence[str], table: Table) -> None: ...
    def estimates_of(self, table: Table) -> list[dict[str, Any]]: ...
    def warnings(self) -> list[str]: ...
    def description(self) -> dict[str, Any]: ...
    def identity(self) -> dict[str, Any]: ...


def run_plan(plan: RunnablePlan, work: Path, say: Callable[[str], None] | None) -> Selection:
    """Run a plan; see `SelectionPlan.run`."""
    table = check_work(plan, work)
    needs = plan.estimates_of(table)  # refuses a plan that does not fit the table's values
    for each in plan.warnings():
        warn(each)
    work.mkdir(parents=True, exist_ok=True)
    seconds = sum(each["seconds"] for each in needs)
    if say is not None and seconds >= LONG:
        say(f"estimate: {said(seconds, max(each['memory'] for each in needs))}")
    run = Run(plan, work, say or (lambda _: None))
    found = run.stages()
    cut = {name: found.info[name] for name in ("cut", "threshold") if _has_cut(found.info)}
    final = replace(
        found,
        method="plan",
        arguments=plan.description(),
        info={"stages": run.manifest["stages"], **run.inputs, **cut},
        ids=run.ids_of(found.indices),
        row_ids=run.every_id(),
    )
    run.watch.compare()
    save_selection(final, work / "selection.parquet", dropped=True)
    if plan.export is not None:
        with run.measured("export", len(final)) as entry:
            owners = run.manifest["exports"]
            done = export_rows(final, plan.table, beside=plan.beside, owners=owners, **plan.export)
            entry |= {"after": done["rows"], "shards": len(done["shards"])}
    remove_checkpoints(work)  # of other plans
    return final


def _has_cut(info: Mapping[str, Any]) -> bool:
    """Return whether scores and a threshold determine a selection; see `at_threshold`."""
    return isinstance(info.get("cut"), dict)


def _in_range(threshold: Any, interval: str) -> bool:
    """Return whether the similarities that an earlier run found are enough for a threshold."""
    try:
        _check.number("threshold", threshold, interval)
    except (TypeError, ValueError):
        return False
    return True


def check_work(plan: RunnablePlan, work: Path) -> Table:
    """Refuse outputs that a run cannot or must not write; see `SelectionPlan.check_outputs`.

    The table is returned. The folder of the export comes last, after all that is wrong in the plan.
    """
    plan.check_arguments()
    reads = paths_read([*_check.paths("table", plan.table), *plan.beside])
    reads += [Path(each) for each in plan.subsets]
    outputs = _outputs(plan, work)
    check_folder(work, reads, files=[Path(path).name for path, _ in outputs])
    check_folder(work / "scratch", reads)
    if work.is_dir():
        check_outputs(outputs, reads)
    table = plan.open()
    plan.check(table.names, table)
    if plan.export is None:
        return table
    export = {name: value for name, value in plan.export.items() if name != "progress"}
    chosen = Path(export["folder"]).resolve()
    for own in (work.resolve(), work.resolve() / "scratch"):
        if own == chosen or chosen in own.parents:
            raise ValueError(
                f"[export] must have a folder of its own, got {export['folder']}, in which {own} is"
            )
    with said_of("[export]"):
        check_export(
            plan.table,
            beside=plan.beside,
            owners=_owners(plan, manifest_in(work)),
            weighted=any(stage.gives_weights for stage in plan.stages),
            made=work,
            **export,
        )
    return table


def _owners(plan: RunnablePlan, old: dict[str, Any]) -> list[str]:
    """Return the owners of exports of this plan: the current plan, then its earlier versions.

    An earlier version is the same plan over the same files, or a plan run in the same folder.
    """
    if plan.export is None:
        return list(old.get("exports", []))
    given = [*_check.paths("table", plan.table), *plan.beside]
    tables = [os.fspath(each) if is_remote(each) else str(Path(each).resolve()) for each in given]
    asked = {name: plan.export[name] for name in plan.export if name not in _HOW}
    own = digest_of([plan.identity(), tables, exact(asked)])
    return list(dict.fromkeys([own, *old.get("exports", [])]))


def manifest_in(work: Path) -> dict[str, Any]:
    """Return the manifest of a run in its folder; empty if there is none."""
    path = work / "manifest.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(
            f"{path} must be a manifest, got: {error}: remove it, or name another folder"
        ) from error
    whole = isinstance(found, dict) and all(
        isinstance(each, kind)
        for name, kind in (("earlier", dict), ("stages", dict), ("exports", str))
        for each in _check.listed(name, found.get(name, ()))
    )
    if not whole:
        raise ValueError(
            f"{path} must be a manifest, got a file of another kind: remove it, or name another "
            "folder"
        )
    return found


def _outputs(plan: RunnablePlan, work: Path) -> list[Output]:
    """Return all output files of a run except those in `scratch` and the export."""
    names = [f"{number}-{stage.name}" for number, stage in enumerate(plan.stages, 1)]
    kept = [
        selection_outputs(work / f"{name}.parquet", dropped=True) for name in (*names, "selection")
    ]
    found = [*chain.from_iterable(kept), (work / "manifest.json", _MANIFEST)]
    if plan.clusters is not None:
        found += clustering_outputs(work / "clusters.parquet")
    if plan.neighbours is not None:
        found += neighbour_outputs(work / "num_neighbours.parquet")
    return found


@dataclass
class Run:
    """State shared by the stages of a run."""

    plan: RunnablePlan
    work: Path
    say: Callable[[str], None]
    manifest: dict[str, Any] = field(default_factory=dict)
    by_column: dict[str, Any] = field(default_factory=dict)  # names of the groups, and codes (N,)

    def __post_init__(self) -> None:
        old = manifest_in(self.work)
        tables = [self.plan.table, *self.plan.beside]
        self.watch = Watch([*_check.paths("table", self.plan.table), *self.plan.beside])
        self.manifest = {
            "plan": self.plan.description(),
            "warnings": self.plan.warnings(),
            "inputs": [],
            "stages": [],
            "exports": _owners(self.plan, old),
            "engine": facts(current()),
        }
        earlier = [*old.get("earlier", []), *old.get("stages", [])]
        self.known = {each["key"]: each for each in earlier if each.get("key")}
        with self.measured("read", None) as entry:
            first, *others = [digests(table) for table in tables]
            self.manifest["inputs"] = [*first, *(each for table in others for each in table)]
            self.inputs = {"inputs": first, **({"beside": others} if others else {})}
            if self.plan.subsets:
                self.manifest["within"] = [digest(each) for each in self.plan.subsets]
            with said_of("[read]"):
                self.table = self.plan.open(self.work / "scratch", first)
            if len(self.table.embedding_columns) > 1 and self.plan.reads_embeddings:
                entry["embedding_columns"] = columns_text(self.table.embedding_columns)
                self.say(f"embeddings: {entry['embedding_columns']}")
            for name in sorted({stage.group_column or "" for stage in self.plan.stages} - {""}):
                self.by_column[name] = _labels.grouped(name, self.table.labels(name))
            entry["after"] = self.table.size
            entry |= self._groups(np.arange(self.table.size))
        self.without_id = np.zeros(self.table.size, np.bool_)  # a row that is dropped may be so
        if self.plan.ids is not None:
            self.without_id = self.table.values(self.plan.ids).is_null().to_numpy()
        self.shared: dict[str, Shared] = {}
        self.reached: dict[str, Indices] = {}
        if self.plan.clusters is not None:
            self.shared["clusters"] = SharedClusters(
                self.table, self.plan.clusters, self.plan.seed, self.plan.max_memory, self.made
            )
        if self.plan.neighbours is not None:
            self.shared["num_neighbours"] = SharedNeighbours(
                self.table, self.plan.neighbours, self.made
            )

    def _groups(self, rows: Indices) -> dict[str, Any]:
        """Return the number of rows of each group, by column, if stages have groups."""
        if not self.by_column:
            return {}
        found: dict[str, dict[str, int]] = {}
        for column, (names, codes) in self.by_column.items():
            counts = np.bincount(codes[rows], minlength=len(names))
            words = key_words(names.tolist())
            found[column] = dict(zip(words, counts.tolist(), strict=True))
        return {"groups": found}

    def _reusable(self, known: dict[str, Any] | None) -> bool:
        """Return whether the files of a result exist unchanged.

        A stage of another plan with the same name, run in the same folder, replaces them.
        """
        files: dict[str, str] = (known or {}).get("files") or {}
        return bool(files) and all(
            (self.work / name).is_file() and digest(self.work / name) == then
            for name, then in files.items()
        )

    def _files(self, path: Path) -> dict[str, str]:
        """Return the digests of the files of a result: a file, and those next to it."""
        names = [path.name, *(f"{path.stem}.{each}.parquet" for each in ("dropped", "centers"))]
        return {name: digest(self.work / name) for name in names if (self.work / name).is_file()}

    # ------------------------------------------------------------------ stages

    def stages(self) -> Selection:
        """Run all stages, or read their results from an earlier run."""
        now = self._readable()
        for number, stage in enumerate(self.plan.stages, 1):
            self._reach(stage, now)
            key = self._key(number)
            path = self.work / f"{number}-{stage.name}.parquet"
            known = self.known.get(key)
            if known is not None and self._reusable(known):
                now = load_selection(path)
                self._done({**known, **self._groups(now.indices), "reused": True})
                continue
            alive = np.sort(now.indices)
            if self._rethresholded(stage, path, number, len(now)):
                now = load_selection(path)
                continue
            with stage_named(number, stage):
                self._refuse_none(stage, alive)
                if stage.method != "filter":
                    self.check_ids(alive)
                settings = self._settings(stage, alive)  # clusters are made here, by themselves
            pairs = self._key(number, pairs=True)
            with self.measured(stage.name, len(now), key, pairs) as entry:
                with stage_named(number, stage):
                    with (
                        self._unfinished(path, key),
                        rows_named(self.table, stage, alive, self.plan.ids),
                    ):
                        found = self._stage(stage, alive, settings)
                    now = lifted(found, alive, now, stage.name)
                if _has_cut(now.info) and self.plan.ids is not None:
                    now = replace(now, row_ids=self.every_id())
                self._save(now, path, stage, entry)
        return now

    def _save(self, now: Selection, path: Path, stage: Stage, entry: dict[str, Any]) -> None:
        """Write the selection of a stage, and complete its entry of the manifest."""
        info = {name: each for name, each in now.info.items() if name not in self.inputs}
        save_selection(replace(now, info={**info, **self.inputs}), path, dropped=True)
        entry |= {
            "method": stage.method,
            "after": len(now),
            "rules": now.summary()["rules"],
            "info": info,
            "files": self._files(path),
            **self._groups(now.indices),
        }

    def _rethresholded(self, stage: Stage, path: Path, number: int, before: int) -> bool:
        """Write the selection of a stage of which only the threshold differs from an earlier run.

        The similarities that the earlier run found are in its file; no rows are compared. False if
        there is no such file, or the threshold does not determine the selection.
        """
        pairs = self._key(number, pairs=True)
        known = (each for each in self.known.values() if pairs and each.get("pairs") == pairs)
        if not any(_has_cut(each.get("info", {})) and path.name in each["files"]
                   and self._reusable(each) for each in known):  # fmt: skip
            return False
        found = load_selection(path)
        cut, threshold = found.info["cut"], stage.settings["threshold"]
        if not _in_range(threshold, cut["range"]) or (cut["named"] and found.row_ids is None):
            return False
        with self.measured(stage.name, before, self._key(number), pairs) as entry:
            with stage_named(number, stage):
                again = found.rethreshold(threshold, self.table.embeddings)
            entry["rethresholded"] = True
            self._save(again, path, stage, entry)
        return True

    def _readable(self) -> Selection:
        """Return the input rows of the first stage: all, or those that are finite."""
        size = self.table.size
        within = self.plan.subset(size, self.inputs)
        found = everything(size) if within is None else within
        if self.plan.on_bad == "drop" and self.plan.reads_embeddings:
            embeddings: Any = self.table.embeddings
            bad = _check.bad_rows(embeddings)
            if bad is not None:
                found = excluded(found, bad, BAD)
        return replace(found, ids=None, row_ids=None, shorten=None, recut=None, earlier=None)

    def check_ids(self, rows: Indices) -> None:
        """Refuse rows of the table, of shape (n,), that have no id though the plan names one."""
        refuse_no_id(self.plan.ids or "", rows[self.without_id[rows]])

    def ids_of(self, rows: Indices) -> Any:  # array (n,), or None
        """Return the ids of rows of the table, of shape (n,), which all have one."""
        if self.plan.ids is None:
            return None
        self.check_ids(rows)
        return ids_of(self.table.take(rows).column(self.plan.ids), rows.size)

    def every_id(self) -> Any:  # array (N,), or None
        """Return the ids of all rows; None if there are none, or some row has none."""
        return None if self.without_id.any() else self.ids_of(np.arange(self.table.size))

    def _refuse_none(self, stage: Stage, alive: Indices) -> None:
        """Refuse to choose among no rows: say who left none."""
        if alive.size or stage.method == "filter":
            return
        entries = self.manifest["stages"]
        at = next(
            i for i, each in enumerate(entries) if each["after"] == 0 or i == len(entries) - 1
        )
        names = [each.name for each in self.plan.stages]
        name = entries[at]["name"]
        who = f"stage {names.index(name) + 1} ({name})" if name in names else "[read]"
        refuse_no_rows(who)

    def _stage(self, stage: Stage, alive: Indices, settings: dict[str, Any]) -> Selection:
        """Run one stage over the remaining rows, numbered among them."""
        table = self.table if alive.size == self.table.size else self.table.take(alive)
        if stage.method == "filter":
            return filtered(table, stage)
        ids = {} if self.plan.ids is None else {"ids": self.plan.ids}
        return select_from(
            table,
            stage.method,
            stage.budget,
            columns={**ids, **stage.columns},
            settings=settings,
        )

    def _reach(self, stage: Stage, now: Selection) -> None:
        """Record the rows of the first stage that uses a shared result: it is computed on these."""
        for name in self.shared:
            if name not in self.reached and self._uses(stage, name):
                self.reached[name] = np.sort(now.indices)

    def _uses(self, stage: Stage, name: str) -> bool:
        return name not in stage.settings and takes(stage.method, name)

    def _settings(self, stage: Stage, alive: Indices) -> dict[str, Any]:
        """Return the settings of a stage, including shared results."""
        shared: dict[str, Any] = {"seed": self.plan.seed}
        if self.plan.on_bad != "raise":
            shared["on_bad"] = self.plan.on_bad
        if self.plan.max_memory is not None:
            shared["max_memory"] = self.plan.max_memory
        for name, made in self.shared.items():
            if self._uses(stage, name):
                shared[name] = made.of(alive)
        return {**shared, **stage.settings}

    def made(self, name: str, given: Any, make: Any, load: Any) -> tuple[Any, Indices]:
        """Return a shared result, computed or read from an earlier run, and its rows."""
        alive = self.reached[name]
        key = digest_of([name, exact(given), self.plan.seed, self.plan.max_memory, _sum(alive),
                         self.plan.embeddings, self.manifest["inputs"],
                         *([_CLUSTERS] if name == "clusters" else [])])  # fmt: skip
        path = self.work / f"{name}.parquet"
        known = self.known.get(key)
        if known is not None and self._reusable(known):
            self._done({**known, "reused": True})
            return load(path), alive
        with self.measured(name, alive.size, key) as entry:
            entry["after"] = alive.size
            with self._unfinished(path, key), rows_named(self.table, None, alive, self.plan.ids):
                found = make(alive, path, entry)
            entry["files"] = self._files(path)
            return found, alive

    def _unfinished(self, path: Path, key: str | None) -> AbstractContextManager[None]:
        """Return a context that keeps the unfinished work of a result in a folder next to it."""
        return checkpoint(path.with_name(f".{path.name}.part"), key_of(key, self.plan.max_memory))

    # ------------------------------------------------------------------ the manifest

    def measured(
        self, name: str, before: int | None, key: str | None = None, pairs: str | None = None
    ) -> _Measured:
        """Return a context that records the time and memory of its block."""
        own = {} if pairs is None else {"pairs": pairs}
        return _Measured(self, {"name": name, "before": before, "key": key, **own})

    def _key(self, number: int, *, pairs: bool = False) -> str | None:
        """Return the key of a stage's result: the table, the plan up to it, and the methods.

        Clusters and neighbours are included from the first stage that uses them.

        pairs : all but the threshold of the stage; None if it has none
        """
        stages, shared = self.plan.stages[:number], self.plan.identity()
        shared["stages"] = shared["stages"][:number]
        if pairs:
            settings = dict(shared["stages"][-1]["settings"])
            if settings.pop("threshold", None) is None:
                return None
            shared["stages"][-1] = {**shared["stages"][-1], "settings": settings}
        for name, table in (("clusters", "clusters"), ("num_neighbours", "neighbours")):
            if not any(self._uses(stage, name) for stage in stages):
                shared[table] = None
        rules = [_FILTERS] if any(stage.method == "filter" for stage in stages) else []
        methods = [made_by(stage.method) for stage in stages]
        within = [self.manifest["within"]] if "within" in self.manifest else []
        return digest_of([shared, methods, self.manifest["inputs"], *rules, *within])

    def _done(self, entry: dict[str, Any]) -> None:
        self.manifest["stages"].append(entry)
        done = {each["key"] for each in self.manifest["stages"]}
        self.manifest["earlier"] = [self.known[key] for key in self.known if key not in done]
        with written_whole(self.work / "manifest.json", _MANIFEST) as beside:
            beside.write_text(json_text(self.manifest, indent=1, ordered=True) + "\n")
        before = "" if entry.get("before") is None else f"{entry['before']:,} -> "
        again = "read again, " if entry.get("reused") else ""
        again = "no row compared again, " if entry.get("rethresholded") and not again else again
        for line in notes_of(entry.get("info", {})):
            self.say(f"{entry['name']}: {line}")
        self.say(
            f"{entry['name']}: {before}{entry['after']:,} rows ({again}{entry['seconds']:.1f} s, "
            f"{entry['peak_memory'] / 2**30:.2f} GiB)"
        )


@dataclass
class _Measured:
    """Time and peak memory of a block, recorded in the manifest if it succeeds.

    Results from a table that has changed meanwhile are not recorded: the digests are those of the
    old one.
    """

    run: Run
    entry: dict[str, Any]
    began: float = 0.0

    def __enter__(self) -> dict[str, Any]:
        _forget_peak()
        self.began = perf_counter()
        return self.entry

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.run.watch.compare()
            self.entry["seconds"] = perf_counter() - self.began
            self.entry["peak_memory"] = _peak_memory()
            self.run._done(self.entry)


def digest_of(what: Any) -> str:  # JSON values
    """Return a digest of JSON values, such as those that a result depends on."""
    text = json.dumps(what, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _sum(rows: Indices) -> str:
    return hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).hexdigest()


def _forget_peak() -> None:
    """Reset the peak memory, if the system allows."""
    path = Path("/proc/self/clear_refs")
    try:
        path.write_text("5", encoding="ascii")
    except OSError:  # otherwise it is the peak of the whole run
        return


def _peak_memory() -> int:
    """Return the peak resident memory in bytes."""
    path = Path("/proc/self/status")
    if path.is_file():
        for line in path.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
