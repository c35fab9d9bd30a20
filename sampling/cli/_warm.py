"""The command that compiles all kernels in advance."""

from __future__ import annotations

import typer

from ._shared import FAILED, AsJson, Debug, answer, bars, refusals


def warm(as_json: AsJson = False, debug: Debug = False) -> None:
    """Compile and cache all kernels, so that later processes do not wait for a compiler.

    Otherwise the first batch, the first `reduce` and the first plan of a new installation wait
    seconds each for compilation. The cache is in NUMBA_CACHE_DIR, else next to the package, else in
    the user's cache folder, and is specific to the processor type and the versions of Python and
    numba. To build a container image, run this command as a step, with NUMBA_CACHE_DIR set as at
    run time; the folder may then be read-only. The exit code is 1 if no folder is writable.

    sampling warm

    NUMBA_CACHE_DIR=/opt/kernels sampling warm
    """
    with refusals(debug):
        import warnings

        with warnings.catch_warnings(), bars() as progress:
            warnings.simplefilter("ignore")  # of small inputs; a missing cache is reported below
            from .. import _warm

            found = _warm.warm(progress)
        if as_json:
            answer(vars(found) | {"folders": list(found.folders)})
        else:
            print(f"{found.kernels} kernels: {found.compiled} variants compiled, "
                  f"{found.loaded} found in the cache")  # fmt: skip
            for folder in found.folders:
                print("cache:", folder)
            if not found.kept:
                print("no cache folder is writable: nothing is saved; set NUMBA_CACHE_DIR")
        if not found.kept:
            raise typer.Exit(FAILED)
