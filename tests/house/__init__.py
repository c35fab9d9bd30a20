"""Rules of the house: each is one test, which walks all it holds for and names every breach."""

import ast
import functools


def for_each(cases, name_of):
    """Turn a check of one case into a test of all: one report a rule, each breach on its line.

    One test for each file and rule was 4,951 items, and most of their time was pytest's.
    """

    def decorate(check):
        def test():
            breaches = []
            for case in cases:
                try:
                    check(case)
                except Exception as error:  # noqa: PERF203  # all of them are wanted
                    breaches.append(f"{name_of(case)}: {type(error).__name__}: {error}")
            assert not breaches, "\n".join(breaches)

        test.__name__, test.__doc__, test.__module__ = (
            check.__name__,
            check.__doc__,
            check.__module__,
        )
        return test

    return decorate


@functools.cache
def tree_of(path):
    """Return the syntax tree of a file, parsed once."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes_of(path):
    """Return all nodes of a file's tree."""
    return tuple(ast.walk(tree_of(path)))
