"""A training script of the user's own in the benchmark: its sampler, its report, its runs.

_sampler, _report     the two lines in the script
_session, _files      what the process of a run knows, and the files by which it is told
_watch, _build        what is counted of the sampler, and the sampler of a method
_command              the runs, each in a process of its own
"""
