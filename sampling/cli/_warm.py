"""The command that compiles before anything has to wait for it."""

import typer

from ._shared import FAILED, AsJson, Debug, answer, bars, refusals


def warm(as_json: AsJson = False, debug: Debug = False) -> None:
    """Compile all kernels and keep them, so that no later process has to.

    Without it the first batch, the first `reduce` and the first plan of a fresh installation wait
    for a compiler, seconds each. What is compiled is kept in NUMBA_CACHE_DIR, else next to the
    package, else in the user's cache folder, for this type of processor and these versions of
    Python and numba. When a container image is built, run it as a step, with NUMBA_CACHE_DIR set
    as it will be at run time; the folder may be read-only then. The exit code is 1 if no folder
    can be written.

    sampling warm

    NUMBA_CACHE_DIR=/opt/kernels sampling warm
    """
    with refusals(debug):
        import warnings

        with warnings.catch_warnings(), bars() as progress:
            warnings.simplefilter("ignore")  # of small inputs; what is not kept is said below
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
                print("no folder of the cache can be written: nothing is kept; set NUMBA_CACHE_DIR")
        if not found.kept:
            raise typer.Exit(FAILED)
