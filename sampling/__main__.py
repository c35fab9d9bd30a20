"""`python -m sampling`, and the command `sampling`."""

from ._interrupt import run


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130, from the first import on."""
    run(_command)


def _command() -> None:
    from .cli import app  # seconds of imports, which may be interrupted too

    app()


if __name__ == "__main__":  # a test run that looks for doctests imports this file too
    main()
