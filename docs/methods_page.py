"""Writes `docs/methods.md`, the page of all methods, from the registries.

    python docs/methods_page.py

A test compares the page with them.
"""

import re
from pathlib import Path

from sampling._entry import cell, table
from sampling._functions import FUNCTIONS
from sampling.batch_selection._registry import SELECTORS
from sampling.samplers import _registry as samplers
from sampling.samplers.mixture._registry import UPDATERS
from sampling.scores._registry import SCORES
from sampling.selection import methods
from sampling.weighting._registry import WEIGHTINGS

PAGE = Path(__file__).parent / "methods.md"

HEAD = """\
# From paper to name

Every method of the package, with its paper, what it needs, our verdict, and one line of evidence.
The verdict is *recommended* (begin with it), *control* (compare with it) or *replication* (it is
here to repeat a paper). The evidence is from the tables of `benchmarks/README.md`, which state the
commands; "not measured" means that we have no table with the method. In the site, a name links to
its page of the reference, which states order, cost, effect on the gradient and source. Written by
`python docs/methods_page.py` from the registries.
"""


def page() -> str:
    """Return the page."""
    batches = [n for n, each in samplers.SAMPLERS.items() if each.module.startswith("batches.")]
    draws = [name for name in samplers.SAMPLERS if name not in batches]
    parts = {
        "Samplers": (
            "What is drawn next, from `sampling.samplers`. *Loss weight* is the default; "
            '`objective="sampled"` or `"original"` selects the mean over the drawn samples or over '
            "the data.",
            samplers.table(draws),
        ),
        "Batch samplers": (
            "Where the draws are cut into batches, from `sampling.samplers`; for "
            "`DataLoader(batch_sampler=...)`.",
            samplers.table(batches),
        ),
        "Shares of a mixture": (
            "From `sampling.samplers`: rules that change the shares of the sources of a "
            "`MixtureSampler` during a run; see [mixtures](mixtures.md).",
            table("Updater", UPDATERS),
        ),
        "Rows of a large batch": (
            "From `sampling.batch_selection`: `SelectiveForward` scores a large batch and trains "
            "on the rows that are selected. Scoring costs a forward pass.",
            table("Selector", SELECTORS),
        ),
        "Loss weights": (
            "From `sampling.weighting`, for `reduce(losses, indices, ..., weighting=f)`; see "
            "[weighting](weighting.md).",
            table("Weighting", WEIGHTINGS),
        ),
        "Offline selectors": (
            "From `sampling.selection`: which samples to keep, before training. *Smaller budgets*: "
            "whether `picked.head(m)` is the selection of m rows.",
            selectors(),
        ),
        "Scores": (
            "From `sampling.scores`: how hard, wrong or useful each sample is, for the selectors "
            "and samplers above. `TrainingDynamics` records a run, and returns all of its scores.",
            table("Score", SCORES),
        ),
        "Labels to buy, quotas, learnt weights and the rest": (
            "Methods that are none of these, with their packages; see [labels](labeling.md), "
            "[loss weights](reweighting.md), [mixtures](mixtures.md) and [corpora](corpora.md).",
            table("Name", FUNCTIONS),
        ),
    }
    return HEAD + "".join(
        f"\n## {name}\n\n{about}\n\n{rows}\n" for name, (about, rows) in parts.items()
    )


def selectors() -> str:
    """Return the table of the offline selectors."""
    heads = ("Selector", "For", "Reads", "Smaller budgets", "Weights")
    heads = (*heads, "Source", "Verdict", "Evidence")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for each in methods().values():
        found, head = each.entry, "`head`" if each.ranked else "select again"
        given = (found.use, each.needs, head, each.weights, found.source)
        cells = [cell(text) for text in (*given, found.verdict, found.evidence)]
        rows.append(f"| `{each.name}` | {' | '.join(cells)} |".replace("|  ", "| "))
    return "\n".join(rows)


def linked(page: str) -> str:
    """Return the page with links of names to the reference, for the site."""
    package, lines = "", []
    for line in page.split("\n"):
        found = re.search(r"`sampling\.(\w+)`", line)
        package = found[1] if found and not line.startswith("|") else package
        named = re.match(r"\| `((\w+)[\w.]*)` \|", line)
        if named:
            whole = named[1] if named[1] in FUNCTIONS else f"{package}.{named[2]}"
            link = f"[`{named[1]}`](api/{whole}.md)"
            line = line.replace(f"`{named[1]}`", link, 1)
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
