"""The report of a selection: one page for the person who reviews it before rows are deleted.

    from sampling.reports import write_selection_report

    write_selection_report("subset.parquet", "corpus/", "report.html")

The page states what was dropped, by which stage and rule, what it did to groups, scores and the
coverage of the embeddings, and shows examples.

Reports
    write_selection_report      of a selection
    write_plan_report           of a plan that was run
    selection_report_outputs    which file, for `io.check_outputs`
"""

from __future__ import annotations

from ._write import selection_report_outputs, write_plan_report, write_selection_report

__all__ = ["selection_report_outputs", "write_plan_report", "write_selection_report"]
