"""Benchmark of samplers: accuracy of each method at a given training cost, on real models.

Run it with `sampling bench` on the command line, or from Python:

>>> from sampling import bench
>>> settings = bench.Settings("digits", methods=("full", "rs2"), keep=(0.5,))
>>> benchmark = bench.prepare(settings)  # doctest: +SKIP
>>> results = benchmark.run()  # doctest: +SKIP
>>> bench.write_report(results, benchmark.folder)  # doctest: +SKIP

Run it
    Settings                    every field is an option of `sampling bench`
    prepare, Benchmark          checks all that can fail early; ready to run
    Task                        data, model and training of your own
    method_table                all methods, and what they require

In your training script, for `sampling bench --command`
    sampler, seed, num_epochs   of this run; plain shuffling and the defaults without the command
    report                      the result of this run

Results
    read_results, Results, Run  those in a folder; of all runs; of one
    table                       the table of the command
    verdicts                    compares methods, seed by seed
    Verdict, Evaluation         of one row; of all rows
    write_report                a page, figures and tables
"""

# Where things are
#   _settings, _benchmark     what is asked for, and its runs, done once each
#   script/                   a training script of the user's own, run by command
#   tasks/                    where data and models come from
#   methods/                  what is compared
#   training/                 one run
#   results/                  what is kept of runs
#   statistics/               what follows from them
#   reports/                  tables, plots and the page

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late

if TYPE_CHECKING:
    from ._benchmark import Benchmark as Benchmark
    from ._benchmark import prepare as prepare
    from ._settings import Settings as Settings
    from .reports._terminal import method_table as method_table
    from .reports._terminal import table as table
    from .reports._write import write_report as write_report
    from .results._run import Run as Run
    from .results._store import Results as Results
    from .results._store import read_results as read_results
    from .results._verdicts import verdicts as verdicts
    from .script._report import report as report
    from .script._sampler import num_epochs as num_epochs
    from .script._sampler import sampler as sampler
    from .script._sampler import seed as seed
    from .statistics import Evaluation as Evaluation
    from .statistics import Verdict as Verdict
    from .tasks._task import Task as Task

_FILES = {
    "Benchmark": "_benchmark",
    "Evaluation": "statistics",
    "Results": "results._store",
    "Run": "results._run",
    "Settings": "_settings",
    "Task": "tasks._task",
    "method_table": "reports._terminal",
    "num_epochs": "script._sampler",
    "prepare": "_benchmark",
    "read_results": "results._store",
    "report": "script._report",
    "sampler": "script._sampler",
    "seed": "script._sampler",
    "table": "reports._terminal",
    "Verdict": "statistics",
    "verdicts": "results._verdicts",
    "write_report": "reports._write",
}
__all__ = sorted(_FILES)  # noqa: PLE0605  # one list

__getattr__, __dir__ = late(__name__, _FILES)
