"""The conformance kit: the contract of a sampler, as checks that anyone can run.

>>> from sampling.samplers import ShuffleSampler
>>> from sampling.testing import check_sampler
>>> def shuffle(size=103, **options):
...     return ShuffleSampler(size, **options)
>>> report = check_sampler(shuffle, only=["C5", "C8", "R1"])
>>> print(report)
shuffle: 3 pass

Check a sampler
    check_sampler               all checks, or some
    check_batch_sampler         of a batch sampler
    parametrize_with_checks     in pytest, one test for each sampler and check
    Report, Result, Check       results of all checks; of one; and a check
    ContractError               raised if one fails

Every sampler in every loader, as `sampling contracts` runs it
    cells, Cell                 the cases
    run_cells                   runs them
    matrix_table                the results as a table
    write_matrix, read_matrix   the same as a file
    matrix_outputs              which file, for `io.check_outputs`
"""

from __future__ import annotations

from . import (  # noqa: F401  # register their checks
    _any_loader,
    _batches,
    _dataloader,
    _ranks,
    _restart,
    _stateful,
)
from ._matrix import (
    Cell,
    cells,
    matrix_outputs,
    matrix_table,
    read_matrix,
    run_cells,
    write_matrix,
)
from ._outcomes import ContractError
from ._pytest import parametrize_with_checks
from ._registry import Check
from ._report import Report, Result, check_batch_sampler, check_sampler

__all__ = [
    "Cell",
    "Check",
    "ContractError",
    "Report",
    "Result",
    "cells",
    "check_batch_sampler",
    "check_sampler",
    "matrix_outputs",
    "matrix_table",
    "parametrize_with_checks",
    "read_matrix",
    "run_cells",
    "write_matrix",
]
