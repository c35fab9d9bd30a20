"""Results of runs, on disk and compared."""
