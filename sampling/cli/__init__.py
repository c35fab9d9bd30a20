"""The command line: parse, call, print. Packages are imported by the command that needs them."""

from __future__ import annotations

from .._interrupt import run as _run_command
from ._bench import bench
from ._chain import combine, explain, filter_, rethreshold
from ._cluster import cluster
from ._contracts import contracts
from ._dedup import dedup
from ._dedup_text import dedup_text
from ._embed import embed
from ._export import export
from ._report import report
from ._run import run
from ._score import score
from ._select import inspect, methods, select
from ._shared import app
from ._warm import warm

__all__ = ["app", "main"]

for _command in (
    embed,
    select,
    filter_,
    dedup,
    dedup_text,
    rethreshold,
    combine,
    explain,
    run,
    score,
    cluster,
    inspect,
    report,
    export,
    methods,
    bench,
    contracts,
    warm,
):
    app.command(_command.__name__.rstrip("_").replace("_", "-"))(_command)  # as in `--help`


def main() -> None:
    """Run the command line; Ctrl-C exits with code 130."""
    _run_command(app)
