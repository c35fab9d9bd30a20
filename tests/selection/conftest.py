"""Settings of these tests."""

collect_ignore = ["outsider.py"]  # a doctest of it would register its selectors for all tests
