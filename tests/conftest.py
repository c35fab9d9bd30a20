"""Settings of the whole suite."""

import gc
import signal

import numpy as np
import pytest
from numba import config

from sampling import _numba


def pytest_configure():
    """Let Ctrl-C reach the processes that tests start: a shell's background jobs ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _numba.use()  # kernels, whatever is tested first; their twins are tested by name
    gc.disable()  # while modules are imported and tests made: what they leave stays anyway


def pytest_collection_finish():
    """Collect garbage from here on, and look through what the tests make alone."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _wrapping_integers():
    """Let unsigned integers wrap silently when kernels run as plain Python (NUMBA_DISABLE_JIT=1).

    Compiled kernels wrap without a word; numpy's scalars warn, and warnings are errors here.
    """
    with np.errstate(over="ignore" if config.DISABLE_JIT else "warn"):
        yield
