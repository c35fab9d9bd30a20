"""The English of the project: words to avoid, and what to write instead.

Read are docstrings, messages, help texts, the READMEs and the pages of `docs`. Code in backticks,
examples, quoted titles and names of parameters are not prose.
"""

import ast
import re
from bisect import bisect_right
from pathlib import Path

import sampling

from . import for_each, nodes_of

PACKAGE = Path(sampling.__file__).parent
ROOT = PACKAGE.parent
TEXTS = [
    ROOT / "README.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
FILES = [*sorted(PACKAGE.rglob("*.py")), *TEXTS]

WORDS = {  # regular expression, a space for any white space -> what to write instead
    r"(re)?deal(s|t|ing|er)?": "yield, draw; drawn",
    r"(a|the|which|what|its|their|that) part of": "fraction, share, subset",
    r"(?<!\bin\s)(?<!\binto\s)(?<!take\s)(?<!takes\s)(?<!decimal\s)places?": (
        "position, index, rank"
    ),
    r"(look|looks|looked|looking) at": "evaluate, check, use",
    r"(a|last|the|worth a) look": "evaluation, update",
    r"rising|falling|(rises|falls|rose|fell)": "ascending, descending; increases, decreases",
    r"(go|goes|going|gone|went) on": "resume, continue",
    r"by lot": "at random",
    r"(hang|hangs|hung) on": "depend on",
    r"(bring|brings|brought|bringing)( \w+){0,8} together": "synchronize, all-reduce, gather",
    r"meets?(?! (a|its|the|their|this|that|every) (target|budget|aim|limit|rule|condition))": (
        "synchronize (ranks), share a batch (samples), satisfy (a condition)"
    ),
    r"(come|comes|came|at|brought) home": "are copied to the host, on the host",
    r"besides?": "in addition to; next to, for files",
    r"anew|afresh": "again, independently",
    r"(take|takes|took|taken|taking) note": "record",
    r"(take|takes|took|taken|taking) up(?! to)": "apply, accept, add",
    r"whoever|nobody|anybody|who (has|gives|is|reads)": "the sample, no sample, which cluster",
    r"rests? (a|the|each|one) (sample|samples)|watch(es)? (it|them) on": "exclude, monitor",
    r"stop(s|ped)? bending": "converges, has converged",
    r"(loss|losses) counts?|counts? (less|more|nothing|1)|counts? for (less|more)": "loss weight",
    r"(leave|leaves|left|leaving)( \w+){0,3} out": (
        "exclude (from an epoch), drop (from a selection), omit; must not be given"
    ),
    r"(tell|tells|told|telling)( \w+){0,4} apart": "distinguish, significantly different",
    r"told of": "receives, counts",
    r"stood|(it|that) stands": "replaces",
    r"(let|lets|letting) (it|them|that|what \w+) through": "keep, pass",
    r"the whole of": "all of, the whole",
    r"none at all|nothing at all": "none, nothing",
    r"of (ours|yours|theirs|hers)|(is|are) (ours|yours)": "an addition of this package, your own",
    r"for ever": "forever, permanently",
    r"for good|for certain": "permanently, certain to be",
    r"in so many words|as ever|in one go": "explicitly, as usual, at a time",
    r"(come|comes|came|coming) (round|about)": "is repeated",
    r"starved?|died? out|dies out": "is never drawn",
}
HELP = {  # of the help of an option
    r"^(Of|Or|In|For|To|With|As|By) ": "a phrase with its noun: Seed of every random decision.",
}
HEADINGS = {  # of README.md
    r"^#+ (One|Two|Three|Four|Five|Six|Seven) \w+$": "what the section is for: Install",
}
EXCEPT = {  # file -> uses that stay; names of random streams are skipped everywhere
    "sampling/samplers/batches/_token_budget.py": ["places from lengths"],  # a name in saved states
    # names of arguments and options
    "sampling/cli/_dedup.py": ["--beside"],
    "sampling/cli/_export.py": ["--beside"],
    "sampling/cli/_report.py": ["--beside"],
    "sampling/cli/_embed.py": ["--beside"],
    "sampling/cli/_select.py": ["--beside"],
    "sampling/distributed/__init__.py": ["meet    "],
    "sampling/io/_export.py": ["order, beside, replace"],
    "sampling/io/_inputs.py": ["(beside, in a command --beside)"],
    "sampling/io/_table.py": [
        "path, embeddings, beside",
        "beside must name each file once",
        "(beside, in a command --beside)",
    ],
    "sampling/kernels/_groups.py": ["dealt (M,)"],
    "sampling/kernels/_pace.py": ["<= place <", "(key, place)", "size, places, fronts"],
    "sampling/selection/pipeline/_plan.py": ["embeddings, beside, within"],
}

RANDOM_STREAMS = {"_rng.key", "_rng.subkey", "_rng.generator"}


def expression_of(words):
    """Return the pattern of words of a list, and the list's entries by group name."""
    flexible = {f"w{at}": (each.replace(" ", r"\s+"), words[each]) for at, each in enumerate(words)}
    parts = [f"(?P<{name}>{each})" for name, (each, _) in flexible.items()]
    return "|".join(parts), {name: instead for name, (_, instead) in flexible.items()}


PATTERN, INSTEAD = expression_of(WORDS)
PATTERN = re.compile(rf"\b(?:{PATTERN})\b")  # of lower case: 3 times as fast as IGNORECASE


def name_of(path):
    return str(path.relative_to(ROOT))


def blank(pattern, text, flags=0):
    """Overwrite what matches by spaces, so that line numbers stay."""
    return re.sub(pattern, lambda found: re.sub(r"\S", " ", found[0]), text, flags=flags)


def prose_of(docstring):
    """Return a docstring without code, examples, quotations and names of parameters."""
    text = blank(r"``?[^`]*``?", docstring)
    text = blank(r"^ *(>>>|\.\.\.) .*$", text, re.MULTILINE)
    text = blank(r'"[^"]{0,200}"', text)
    return blank(r"^ *[\w*]+(, [\w*]+)*(?= *: )", text, re.MULTILINE)


def texts_of(path):
    """(line, prose, patterns in addition to the words) of each text of a file."""
    if path.suffix == ".md":
        text = blank(r"^```.*?^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        return [(1, blank(r"`[^`\n]*`", text), HEADINGS)]
    docstrings, helps, skipped = roles_of(path)
    found = []
    for node in nodes_of(path):
        if id(node) in skipped:
            continue
        extra = HELP if id(node) in helps else {}
        if isinstance(node, ast.JoinedStr):
            parts = [each.value if isinstance(each, ast.Constant) else "{}" for each in node.values]
            found.append((node.lineno, "".join(parts), extra))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            text = prose_of(node.value) if id(node) in docstrings else node.value
            found.append((node.lineno, text, extra))
    return found


def roles_of(path):
    """Nodes by identity: docstrings, help texts, and what is no text of its own."""
    docstrings, helps, skipped = set(), set(), set()
    for node in nodes_of(path):
        if isinstance(node, ast.Expr):
            docstrings.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            skipped |= {id(each) for each in node.values}
        elif isinstance(node, ast.Call):
            helps |= {id(each.value) for each in node.keywords if each.arg == "help"}
            if ast.unparse(node.func) in RANDOM_STREAMS:
                skipped |= {id(each) for each in ast.walk(node)}
    return docstrings, helps, skipped


def found_in(path):
    """Return "line: the words: what to write instead" of each use."""
    name, uses, allowed = name_of(path), [], []
    for line, text, extra in texts_of(path):
        for phrase in EXCEPT.get(name, ()):
            pattern = re.escape(phrase).replace(r"\ ", r"\s+")
            allowed += [phrase] if re.search(pattern, text) else []
            text = blank(pattern, text)  # noqa: PLW2901  # without what is allowed
        hits = [(each, INSTEAD[each.lastgroup]) for each in PATTERN.finditer(text.lower())]
        for pattern, instead in extra.items():
            hits += [(each, instead) for each in re.finditer(pattern, text, re.MULTILINE)]
        starts = [at.end() for at in re.finditer("\n", text)]
        uses += [(line + bisect_right(starts, hit.start()), hit[0], to) for hit, to in hits]
    stale = [f"EXCEPT names {each!r}" for each in EXCEPT.get(name, ()) if each not in allowed]
    return [f"line {at}: {' '.join(words.split())!r}: {to}" for at, words, to in uses] + stale


@for_each(FILES, name_of)
def test_words_are_those_of_the_field(path):
    """Short sentences, the paper's term first; each use on the left of the list is named."""
    assert not found_in(path), "\n  " + "\n  ".join(found_in(path))
