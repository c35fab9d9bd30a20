"""Benchmark of samplers: accuracy of each method at a given training cost, on real models.

Run it with `sampling bench` on the command line, or from Python:

>>> from sampling import bench
>>> settings = bench.Settings("digits", methods=("full", "rs2"), keep=(0.5,))
>>> benchmark = bench.prepare(settings)  # doctest: +SKIP
>>> results = benchmark.run()  # doctest: +SKIP
>>> bench.write_report(results, benchmark.folder)  # doctest: +SKIP
"""

from ._compare import Difference, differences
from ._report import method_table, table, write_report
from ._run import Benchmark, Settings, prepare
from ._store import Results
from ._train import Run

__all__ = [
    "Benchmark",
    "Difference",
    "Results",
    "Run",
    "Settings",
    "differences",
    "method_table",
    "prepare",
    "table",
    "write_report",
]
