"""The command line: parse, call, print. Packages are loaded by the command that needs them."""

from ._bench import bench, contracts
from ._cluster import cluster
from ._dedup import dedup
from ._export import export
from ._score import score
from ._select import inspect, methods, select
from ._shared import app

__all__ = ["app", "main"]

for _command in (select, score, cluster, dedup, inspect, export, methods, bench, contracts):
    app.command()(_command)  # in the order of the help


def main() -> None:
    """Run the command line."""
    app()
