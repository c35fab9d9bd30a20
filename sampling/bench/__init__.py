"""Which sampler, at which cost, keeps how much accuracy: real models, trained and compared.

`sampling bench` on the command line; here its parts:

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
