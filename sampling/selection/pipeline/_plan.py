"""Plans: sequences of selectors over one table.

    read -> stage -> stage -> ... -> export

A plan is data, given as a TOML file or in Python. Every stage selects from the rows that the
previous stages kept; the resulting rows are numbered as in the table.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import reduce
from glob import escape, has_magic
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ... import _check
from ..._check._keywords import told
from ..._files._remote import is_remote
from ..._files._toml import read_toml
from ..._warning import warn
from ...clustering import check_kmeans, check_neighbours, kmeans, neighbours
from ...engine import named, use
from ...io import Table, export_rows, may_copy, open_table, refuse_other
from ...record import Selection, load_selection
from ...types import Indices
from ..core._budget import count_of
from ..core._estimate import characters_of, estimate_of, of_clusters, refuse_over
from ..core._exact import describe, exact
from ..core._memory import bytes_of
from ..core._registry import METHODS, takes
from ._from_table import check_groups, check_values
from ._run import check_work, run_plan
from ._stage import Stage, refuse_no_id, refuse_no_rows, rows_named, said_of, stage_named
from ._within import chosen, everything, excluded, filtered

__all__ = ["SelectionPlan"]

_OUTPUTS = {"export": "folder", "report": "path"}  # section -> its output
_OF_REPORT = {"path", "by", "text", "image", "layout", "examples", "seed"}


@told
@dataclass(frozen=True)
class SelectionPlan:
    """A table, and the stages that select from its rows.

    Parameters
    ----------
    table : str or pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `io.open_table`.
    stages : sequence of Stage
    embeddings : str, optional
        Column or tensor of the embeddings.
    beside : str or pathlib.Path, or sequence of them, default ()
        Tables with additional columns of the same rows, one path each.
    within : str or pathlib.Path, or sequence of them, optional
        Subset files of rows of this table: the first stage selects from the rows of any of them.
        Row numbers are those of the table. Weights and rules are kept of one file, not of several.
    without : str or pathlib.Path, or sequence of them, default ()
        Subset files of rows of this table that no stage selects from.
    ids : str, optional
        Column of the names of the rows.
    seed : int, default 0
        Seed of every stage without its own.
    on_bad : {"raise", "drop"}, default "raise"
        What to do about rows of embeddings that are not finite: "drop" does so before any stage.
        Also of every stage that does not say otherwise: what it does about scores.
    max_memory : int or str, optional
        Bytes, or text such as "4GiB": memory limit of each stage, in addition to the columns. A
        stage that needs more is refused before it starts; clusters are trained on as many rows as
        fit.
    clusters : mapping, optional
        Arguments of `clustering.kmeans`: one clustering, of the rows that reach the first stage
        that needs it, for all stages with an argument `clusters` and none of their own.
    neighbours : mapping, optional
        Arguments of `clustering.neighbours`: likewise one graph, for the stages with an argument
        `num_neighbours`.
    export : mapping, optional
        Arguments of `io.export_rows`: the selected rows are written to `folder`. By default with
        the columns of the table, or of the `beside` tables if it is .npy or safetensors; `columns`
        may name any.
    report : mapping, optional
        Arguments of `reports.write_selection_report`: `path`, and any of `by`, `text`, `image`,
        `layout`, `examples` and `seed`. `sampling run` writes it last; in Python,
        `reports.write_plan_report` does.
    engine : {"local", "ray"}, optional
        Where the stages run: in this process, or on a Ray cluster; see `sampling.engine`. By
        default where `engine.use` says. The results are the same.
    address : str, optional
        Of the cluster: "host:port", or "auto".

    Raises
    ------
    TypeError, ValueError
        If a value has the wrong type, or is out of range.

    Examples
    --------
    >>> import tempfile, numpy, pyarrow, pyarrow.parquet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = pyarrow.table({"loss": [0.1, 0.9, 0.5, 0.7], "kind": ["a", "b", "b", "b"]})
    ...     pyarrow.parquet.write_table(rows, Path(folder, "rows.parquet"))
    ...     plan = SelectionPlan(
    ...         Path(folder, "rows.parquet"),
    ...         [
    ...             Stage("filter", where=[["kind", "==", "b"]]),
    ...             Stage("top", 2, columns={"scores": "loss"}),
    ...         ],
    ...     )
    ...     plan.run(Path(folder, "work")).indices
    array([1, 3])
    """

    table: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    stages: Sequence[Stage]
    embeddings: str | None = None
    beside: Sequence[str | Path] = ()
    within: str | Path | Sequence[str | Path] | None = None
    without: str | Path | Sequence[str | Path] = ()
    ids: str | None = None
    seed: int = 0
    on_bad: str = "raise"
    max_memory: int | str | None = None
    clusters: Mapping[str, Any] | None = None
    neighbours: Mapping[str, Any] | None = None
    export: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    engine: str | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if not _tables(self.table):
            raise ValueError("table must name at least one file, got none")
        object.__setattr__(self, "beside", tuple(_check.paths("beside", self.beside)))
        object.__setattr__(self, "stages", tuple(_check.listed("stages", self.stages)))
        wrong = [stage for stage in self.stages if not isinstance(stage, Stage)]
        if wrong:
            raise TypeError(f"stages must hold Stage objects, got {wrong[0]!r}")
        _check.paths("without", self.without)
        if self.within is not None and not _check.paths("within", self.within):
            raise ValueError("within must name at least one subset file, got none: omit it")
        for name in ("embeddings", "ids"):
            if getattr(self, name) is not None:
                _check.text(name, getattr(self, name))
        object.__setattr__(self, "seed", _check.seed(self.seed))
        _check.choice("on_bad", self.on_bad, ("raise", "drop"))
        if self.max_memory is not None:
            bytes_of(self.max_memory, 0)
        if self.engine is not None or self.address is not None:
            named(self.engine, self.address)  # refuses other words
        for name in ("clusters", "neighbours", "export", "report"):
            if getattr(self, name) is not None:
                _check.mapping(name, getattr(self, name))

    @classmethod
    def read(cls, path: str | Path) -> SelectionPlan:
        """Read a plan from a TOML file; paths in it are relative to its folder.

        Parameters
        ----------
        path : str or pathlib.Path
            Tables [read] (table, embeddings, beside, within, without, ids, seed, on_bad,
            max_memory, engine, address), [clusters], [neighbours], [export], [report] as the
            arguments of `SelectionPlan`, and for each stage one [[stage]]: method, budget (which
            may be a percentage, "10%"), name, columns, where, and what else the method is to be
            given.

        Returns
        -------
        SelectionPlan

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        TypeError, ValueError
            If the file is not TOML in UTF-8, or holds unknown keys or values of the wrong type. The
            message names the file.
        """
        path = Path(path)
        given = read_toml(path)
        with said_of(str(path)):
            return cls.of(given, path.parent)

    @classmethod
    def of(cls, given: Mapping[str, Any], folder: str | Path = ".") -> SelectionPlan:
        """Return the plan described by a mapping of the same form as the TOML file.

        Parameters
        ----------
        given : mapping
        folder : str or pathlib.Path, default "."
            Folder of relative paths.

        Returns
        -------
        SelectionPlan
        """
        sections = {"read", "stage", "clusters", "neighbours", "export", "report"}
        _known("the plan", _check.mapping("the plan", given), sections)
        for name in sections - {"stage"}:
            if name in given:
                _check.mapping(f"[{name}]", given[name])
        reading, folder = dict(given.get("read", {})), Path(folder)
        _known("[read]", reading, {each.name for each in fields(cls)} - sections - {"stages"})
        if "table" not in reading:
            raise ValueError("[read] must name a table, got none")
        reading = {name: _placed(name, each, folder) for name, each in reading.items()}
        outputs: dict[str, Any] = {name: given.get(name) for name in _OUTPUTS}
        for name, key in _OUTPUTS.items():
            own = outputs[name]
            if own is not None:
                _check_output(name, own)
                outputs[name] = {**own, key: folder / _path(key, own[key])}
        if isinstance(given.get("stage"), Mapping):
            raise TypeError("stage must be a list of tables, got one table: write [[stage]]")
        own = {"method", "budget", "name", "columns", "where"}
        stages = []
        for number, stage in enumerate(_check.listed("stage", given.get("stage", ())), 1):
            if "method" not in _check.mapping(f"stage {number}", stage):
                raise ValueError(f"stage {number} must name a method, got none")
            settings = {name: value for name, value in stage.items() if name not in own}
            known = {name: value for name, value in stage.items() if name in own}
            with said_of(f"stage {number} ({stage.get('name') or stage['method']})"):
                share = known.get("budget")
                if isinstance(share, str) and share.strip().endswith("%"):
                    known["budget"] = _check.percentage("budget", share)
                stages.append(Stage(**known, settings=settings))
        return cls(
            **reading,
            stages=stages,
            clusters=given.get("clusters"),
            neighbours=given.get("neighbours"),
            **outputs,
        )

    def open(
        self,
        scratch: str | Path | None = None,
        contents: Sequence[Mapping[str, Any]] | None = None,
    ) -> Table:
        """Open the table.

        Parameters
        ----------
        scratch : str or pathlib.Path, optional
            Folder for a copy of embeddings from Parquet.
        contents : sequence of mapping, optional
            The `io.digests` of the table, if known.

        Returns
        -------
        Table
        """
        if not (self.reads_embeddings and may_copy(self.table)):
            scratch = None  # there is nothing to copy
        elif scratch is not None:
            found = open_table(self.table, embeddings=self.embeddings)
            scratch = scratch if found.has_embeddings else None
        return open_table(
            self.table,
            embeddings=self.embeddings,
            beside=self.beside,
            scratch=scratch,
            contents=contents,
        )

    @property
    def subsets(self) -> list[str | Path]:
        """Paths of the subset files that are read: `within`, then `without`."""
        within = () if self.within is None else self.within
        return [*_check.paths("within", within), *_check.paths("without", self.without)]

    def subset(self, size: int, inputs: Mapping[str, Any] | None = None) -> Selection | None:
        """Return the rows that the first stage selects from; None if these are all.

        Parameters
        ----------
        size : int
            Number of rows of the table.
        inputs : mapping, optional
            Digests of the table, from `io.inputs_of`: subsets of other tables are refused.

        Returns
        -------
        Selection or None

        Raises
        ------
        ValueError
            If a subset file is damaged, or of another table.
        """
        files = self.subsets
        if not files:
            return None
        with said_of("[read]"):
            count = len(files) - len(_check.paths("without", self.without))
            given = []
            for at, path in enumerate(files):
                found = load_selection(path)
                name = "within" if at < count else "without"
                if inputs is not None:
                    refuse_other(found, inputs, name=name)
                chosen(found, size, name)  # refuses one of another number of rows
                given.append(found)
            whole = reduce(or_, given[:count]) if count else everything(size)
            whole = chosen(whole, size)
            for path, each in zip(files[count:], given[count:], strict=True):
                whole = excluded(whole, each.mask(), f"in {Path(path).name}")
            return whole

    @property
    def reads_embeddings(self) -> bool:
        """Whether any stage uses embeddings; otherwise those in Parquet are not read."""
        made = self.clusters is not None or self.neighbours is not None
        return made or any(takes(stage.method, "embeddings") for stage in self.stages)

    def check(self, names: Sequence[str], table: Table | None = None) -> None:
        """Check the plan before the computation.

        Parameters
        ----------
        names : sequence of str
            Columns of the table.
        table : Table, optional
            The table itself, from `open`; if given, types are checked too.

        Raises
        ------
        ValueError, TypeError
            The message names the stage.
        """
        if not self.stages:
            raise ValueError("stages must not be empty, got none")
        if self.ids is not None and self.ids not in names:
            raise ValueError(f"ids must be one of {list(names)}, got {self.ids!r}")
        kind = None if table is None or self.ids is None else table.type_of(self.ids)
        if kind is not None and (pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise TypeError(f"ids must hold ints or strings, got {kind} in column {self.ids!r}")
        self.check_arguments()
        if table is not None:
            with said_of("[read]"):
                table.check_rows()
                if self.reads_embeddings:
                    table.check_embeddings()
            with said_of("[report]"):
                self._check_shown(table)
            self.check_bad(table.has_embeddings)
            self._check_made(table)
        size = None if table is None else table.size
        called = [stage.name for stage in self.stages]
        for number, stage in enumerate(self.stages, 1):
            with stage_named(number, stage):
                if called.count(stage.name) > 1:
                    raise ValueError(f"name must be of one stage only, got {stage.name!r} twice")
                stage.check(names, table, size=size, shared=self._shared())

    def _check_shown(self, table: Table) -> None:
        """Refuse columns of the report that the table does not have."""
        given = self.report or {}
        shown = [given[name] for name in ("text", "image") if given.get(name) is not None]
        for name in (*_check.words("by", given.get("by", ())), *shown):
            table.check_column(_check.text("column", name))

    def _shared(self) -> list[str]:
        """Return the arguments that the plan provides to stages."""
        given = {"clusters": self.clusters, "num_neighbours": self.neighbours}
        return [name for name, each in given.items() if each is not None]

    def _check_made(self, table: Table) -> None:
        """Refuse clusters and neighbours that cannot be computed, or that do not suit a stage."""
        if self.clusters is not None:
            with said_of("[clusters]"):
                check_kmeans(table, **self.clusters)
        if self.neighbours is not None:
            with said_of("[neighbours]"):
                check_neighbours(table, **self.neighbours)
        metric = (self.neighbours or {}).get("metric", "euclidean")
        for number, stage in enumerate(self.stages, 1):
            if self.neighbours is None or "num_neighbours" in stage.settings:
                continue
            if takes(stage.method, "num_neighbours"):
                known = METHODS[stage.method].parameters
                own = known["metric"].default if "metric" in known else "euclidean"
                own = stage.settings.get("metric", own)
                if own != metric:
                    with stage_named(number, stage):
                        raise ValueError(
                            f"metric must be that of [neighbours], {metric!r}, got {own!r}"
                        )

    def _check_values(self, table: Table) -> None:
        """Refuse what the values of columns, which are read one by one, show to fail.

        Numbers by group of every stage, and all columns of the first selector, which the rows reach
        that the filters before it leave; after it, which rows are left is not known.
        """
        known = not (self.on_bad == "drop" and table.has_embeddings)  # else which rows reach it
        known &= any(stage.method != "filter" for stage in self.stages)
        within = self.subset(table.size)
        alive, left_none = np.arange(table.size) if within is None else np.sort(within.indices), ""
        for number, stage in enumerate(self.stages, 1):
            with stage_named(number, stage):
                if stage.method == "filter":
                    if known:
                        alive = alive[filtered(_among(table, alive), stage).indices]
                        if not (alive.size or left_none):
                            left_none = f"stage {number} ({stage.name})"
                    continue
                if "groups" in stage.columns:
                    check_groups(table, stage.columns["groups"], stage.settings)
                if known:
                    if left_none:
                        refuse_no_rows(left_none)
                    self._check_reached(table, stage, alive)
                    known = False

    def _check_reached(self, table: Table, stage: Stage, alive: Indices) -> None:
        """Refuse what the values of the rows (n,) that reach a stage show to fail."""
        own = {"ids": self.ids} if self.ids is not None else {}
        reached = _among(table, alive)
        if self.ids is not None:
            refuse_no_id(self.ids, alive[reached.values(self.ids).is_null().to_numpy()])
        if alive.size < table.size:
            stage.check(table.names, reached, size=alive.size, shared=self._shared())
        settings = {"on_bad": self.on_bad, **stage.settings}
        with rows_named(table, stage, alive, self.ids):
            check_values(reached, stage.method, {**own, **stage.columns}, settings)

    def check_arguments(self) -> None:
        """Refuse arguments of clusters, neighbours and export that are unknown or have no effect.

        Raises
        ------
        ValueError
            The message names the argument.
        """
        for what, given, function in (
            ("clusters", self.clusters, kmeans),
            ("neighbours", self.neighbours, neighbours),
            ("export", self.export, export_rows),
        ):
            known = set(inspect.signature(function).parameters)
            own = {"embeddings", "selection", "source", "beside", "owners"}  # provided by the plan
            _known(f"[{what}]", given or {}, known - own)
        _known("[report]", self.report or {}, _OF_REPORT)
        with said_of("[report]"):
            given = self.report or {}
            _check.flag("examples", given.get("examples", True))
            _check.seed(given.get("seed", 0))
            _check.choice("layout", given.get("layout", "auto"), ("auto", "pca", "umap", "none"))
        for name in _OUTPUTS:
            if getattr(self, name) is not None:
                _check_output(name, getattr(self, name))
        self._check_shared()

    def check_bad(self, embeddings: bool) -> None:
        """Refuse to drop bad rows where there are no embeddings, and no stage takes it.

        Parameters
        ----------
        embeddings : bool
            Whether the table has embeddings.
        """
        embeddings = _check.flag("embeddings", embeddings)
        users = [each for each in self.stages if each.method != "filter"]
        if self.on_bad == "drop" and not embeddings and not users:
            raise ValueError(
                f"on_bad must be omitted without embeddings where all stages are filters, got "
                f"{self.on_bad!r}"
            )

    def _check_shared(self) -> None:
        """Refuse shared results that no stage would use."""
        if any(stage.method not in {*METHODS, "filter"} for stage in self.stages):
            return  # refused by `Stage.check`
        for what, given, argument in (
            ("clusters", self.clusters, "clusters"),
            ("neighbours", self.neighbours, "num_neighbours"),
        ):
            users = [s for s in self.stages if argument not in s.settings]
            if given is not None and not any(takes(stage.method, argument) for stage in users):
                raise ValueError(
                    f"[{what}] must be omitted if no stage takes {argument} from it, got it "
                    f"with {', '.join(stage.method for stage in self.stages)}"
                )

    def check_outputs(self, work: str | Path) -> None:
        """Refuse, before the computation, outputs that cannot or must not be written.

        Parameters
        ----------
        work : str or pathlib.Path
            The folder for `run`.

        Raises
        ------
        ValueError
            If the plan does not fit the table, as in `check`, which comes first. If an output would
            overwrite the table or a `beside` file, would be in the folder of one
            of these, or would overwrite a file that no plan wrote; if the arguments of the export
            do not fit the table.
        OSError
            If a folder cannot be written to.
        """
        check_work(self, Path(_path("work", work)))

    def estimates(self) -> list[dict[str, Any]]:
        """Estimate the cost of each stage, as if the stages before it dropped no additional rows.

        Returns
        -------
        list of dict
            For the clusters and each stage: "name", "rows" (an upper bound of the rows that reach
            it), "memory" in bytes, a bound, and "seconds", measured against the speed of this
            machine; see `estimate`.

        Raises
        ------
        ValueError
            If the plan does not fit the table.

        Notes
        -----
        More clusters than rows
            A UserWarning: as many are computed as there are rows.
        """
        table = self.open()
        self.check(table.names, table)
        wanted = (self.clusters or {}).get("n_clusters", 1)
        if wanted > table.size:
            warn(
                f"[clusters]: n_clusters must be at most the number of rows, {table.size}, got "
                f"{wanted}: as many clusters as rows are computed"
            )
        return self.estimates_of(table, probe=True)

    def estimates_of(self, table: Table, *, probe: bool = False) -> list[dict[str, Any]]:
        """Estimate the cost of each stage for a table that `check` has accepted.

        Parameters
        ----------
        table : Table
            From `open`.
        probe : bool, default False
            Whether to measure the speed of this machine in any case, and not only if the work is
            long.

        Returns
        -------
        list of dict
            See `estimates`.

        Raises
        ------
        ValueError
            If the values of the table, or the memory limit, do not fit the plan.
        """
        probe = _check.flag("probe", probe)
        shape = table.embeddings_shape if self.reads_embeddings else None
        within = self.subset(table.size)
        size = table.size if within is None else len(within)
        width = None if shape is None else shape[1]
        sure = self.on_bad == "raise"  # whether exactly this many rows reach the stage
        needs: list[dict[str, Any]] = []
        clusters = None if self.clusters is None else _Promised(self.clusters, size)
        if clusters is not None:
            n_iter, count = (self.clusters or {}).get("n_iter", 25), len(clusters.centers)
            memory, seconds = of_clusters(
                size, width or 1, count, n_iter, self.max_memory, probe=probe
            )
            needs.append({"name": "clusters", "rows": size, "memory": memory, "seconds": seconds})
        for number, stage in enumerate(self.stages, 1):
            need = {"name": stage.name, "rows": size, "memory": 0, "seconds": 0.0}
            if not size and stage.method != "filter":
                with stage_named(number, stage):
                    refuse_no_rows("[read]")
            if stage.method == "filter":
                sure = False
            else:
                settings = dict(stage.settings)
                if self.max_memory is not None:
                    settings.setdefault("max_memory", self.max_memory)
                if clusters is not None and takes(stage.method, "clusters"):
                    settings.setdefault("clusters", clusters)
                with stage_named(number, stage):
                    wide = self._characters(table, stage) or width
                    found = estimate_of(
                        stage.method, size, wide, settings, stage.budget, probe=probe
                    )
                    if sure and settings.get("max_memory") is not None:
                        refuse_over(found, bytes_of(settings["max_memory"], 0))
                    exactly = not {"costs", "groups"} & {*stage.columns, *stage.settings}
                    exactly &= METHODS[stage.method].fixed_size
                    sure &= exactly and stage.budget is not None
                    if stage.budget is not None and exactly:
                        size = count_of(stage.budget, size)
                need |= {"memory": found.memory, "seconds": found.seconds}
            needs.append(need)
        self._check_values(table)  # last: it reads columns
        return needs

    def _characters(self, table: Table, stage: Stage) -> int | None:
        """Return the average length of the texts of a stage; None if it reads no texts."""
        if METHODS[stage.method].needs != "texts":
            return None
        return characters_of(table.values(stage.columns.get("texts", "texts")))

    def warnings(self) -> list[str]:
        """List parts of the plan that are valid but probably not intended.

        Returns
        -------
        list of str
            One warning for each stage with `groups` whose group counts a later stage can undo: one
            that drops rows without groups, or with the groups of another column.

        Examples
        --------
        >>> kept = Stage("quota", 90, columns={"scores": "quality", "groups": "label"})
        >>> SelectionPlan("corpus", [kept, Stage("k_center", 50)]).warnings()[0][:52]
        'stage 2 (k_center) can undo the counts per label of '
        """
        found = []
        for number, stage in enumerate(self.stages, 1):
            column, undoing = stage.group_column, []
            if column is None:
                continue
            for later, other in enumerate(self.stages[number:], number + 1):
                if other.group_column == column:
                    break  # from here on the counts are those of the later stage
                undoing.append(f"stage {later} ({other.name})")
            if undoing:
                found.append(
                    f"{' and '.join(undoing)} can undo the counts per {column} of stage {number} "
                    f'({stage.name}): give columns = {{ groups = "{column}" }} to later stages, '
                    "or put it last"
                )
        return found

    def description(self) -> dict[str, Any]:
        """Return the plan as JSON values, without the locations of files."""
        return self._as(describe)

    def identity(self) -> dict[str, Any]:
        """Return the plan as complete JSON values: arrays and long lists by their content."""
        return self._as(exact)

    def _as(self, told: Callable[[Any], Any]) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "ids": self.ids,
            "embeddings": self.embeddings,
            "on_bad": self.on_bad,
            "max_memory": exact(self.max_memory),
            "clusters": told(self.clusters),
            "neighbours": told(self.neighbours),
            "stages": [
                {
                    "name": stage.name,
                    "method": stage.method,
                    "budget": exact(stage.budget),
                    "columns": dict(stage.columns),
                    "where": exact(stage.where),
                    "settings": told(dict(stage.settings)),
                }
                for stage in self.stages
            ],
        }

    def run(self, work: str | Path, progress: Any = None) -> Selection:
        """Run the stages, resuming an interrupted run.

        Parameters
        ----------
        work : str or pathlib.Path
            Folder for the selection of each stage, the clusters, a copy of the embeddings if they
            are in Parquet, `selection.parquet` and `manifest.json`: time, memory and counts of each
            stage, also by group if any stage has `groups`. Each of `warnings()` is recorded in the
            manifest, and issued as a UserWarning. While a stage takes long, its unfinished work is
            saved every 30 seconds in the hidden folder `.NUMBER-NAME.parquet.part`, from which the
            same plan resumes after a kill; the folder is removed when the stage is done.
        progress : callable, optional
            Called with one line of text after each stage.

        Returns
        -------
        Selection
            Selected rows of the table. `rules` name the stage that dropped a row, and its rule;
            `scores` are those of the last stage that scored the row; `weights` are the products
            over the stages that return weights.

        Raises
        ------
        ValueError
            If the plan does not fit the table; the message names the stage. If a file of the table
            changes while the plan runs. See also `check_outputs`.
        OSError
            If a folder cannot be written to, or is full.

        Notes
        -----
        Order
            An unchanged stage, with unchanged files and previous stages, is read from `work`
            instead of run again, if the files there are those that it wrote.
        Cost
            That of the stages. Embeddings in Parquet are read once, and copied to `work`.
        """
        work = Path(_path("work", work))
        with nullcontext() if self.engine is None else use(named(self.engine, self.address)):
            return run_plan(self, work, progress)


def _among(table: Table, rows: Indices) -> Table:
    """Return a table with these rows (n,), in ascending order; the table itself if they are all."""
    return table if rows.size == table.size else table.take(rows)


class _Promised:
    """Placeholder for clusters in estimates, which use only their number."""

    def __init__(self, given: Mapping[str, Any], size: int) -> None:
        self.centers = range(min(size, _check.integer("n_clusters", given.get("n_clusters"), 1)))


def _tables(given: Any) -> list[Any]:
    """Return the paths of a table."""
    if not isinstance(given, str | os.PathLike | Sequence):
        raise TypeError(f"table must be a path, or a list of paths, got {given!r}")
    return _check.paths("table", given)


def _placed(name: str, given: Any, folder: Path) -> Any:
    """Return a value of [read]; paths are those of the plan's folder."""
    if name in {"within", "without"}:
        return [folder / each for each in _check.paths(name, given)]
    if name not in {"table", "beside"}:
        return given
    listed = _tables(given) if name == "table" else _check.paths(name, given)
    found = [_below(folder, each) for each in listed]
    return found[0] if isinstance(given, str | os.PathLike) else found


def _below(folder: Path, given: Any) -> Any:  # a path
    """Return a path of a plan: relative to its folder, unless it is an address such as s3://..."""
    text = os.fspath(given)
    if is_remote(text) or text.startswith("file://"):
        return text
    if has_magic(text) and not os.path.lexists(folder / text):
        return Path(escape(str(folder))) / text
    return folder / text


def _check_output(name: str, given: Mapping[str, Any]) -> None:
    if _OUTPUTS[name] not in given:
        article = "a folder" if name == "export" else "a path"
        raise ValueError(f"[{name}] must name {article}, got none")


def _path(name: str, value: Any) -> Any:  # str or PathLike
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, got {value!r}")
    return value


def _known(what: str, given: Mapping[str, Any], names: set[str]) -> None:
    for name in given:
        if name not in names:
            raise ValueError(
                f"{what} must hold {', '.join(sorted(names))}, got {name!r}"
                f"{_check.closest(name, names)}"
            )
