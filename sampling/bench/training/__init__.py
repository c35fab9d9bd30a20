"""Runs of the benchmark."""
