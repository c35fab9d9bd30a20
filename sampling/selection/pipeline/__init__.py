"""Plans: selectors one after another over a table on disk, with a manifest and resumption.

_plan  the plan, as data     _stage       a stage of it, as data     _filter  filters of rows
_run   the run of a plan     _from_table  one selector on a table    _shared  shared clusters
"""
