"""`python -m sampling`."""

from .cli import main

if __name__ == "__main__":  # a test run that looks for doctests imports this file too
    main()
