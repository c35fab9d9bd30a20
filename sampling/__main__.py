"""`python -m sampling`, and the command `sampling`."""

from __future__ import annotations

from ._interrupt import run


def main() -> None:
    """Run the command line; Ctrl-C exits with code 130 at any time, even during imports."""
    run(_command)


def _command() -> None:
    from .cli import app  # these imports take seconds and may be interrupted too

    app()


if __name__ == "__main__":  # a test run that looks for doctests imports this file too
    main()
