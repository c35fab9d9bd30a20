"""The site: pages in Markdown, and the API reference from the docstrings.

    pip install -c constraints.txt -e '.[docs]'
    sphinx-build -W --keep-going -b html docs docs/_build/html
    sphinx-build -b linkcheck docs docs/_build/linkcheck    needs a network

The pages in `docs/api` are written by `api_pages.py`, from `__all__` of each package.
"""

import re
import sys
from pathlib import Path
from typing import Any

import sampling

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from api_pages import write_api_pages  # noqa: E402  # they lie next to this file
from methods_page import linked  # noqa: E402

write_api_pages(HERE / "api")

project = "sampling"
author = "The sampling developers"
copyright = author  # noqa: A001  # the name that Sphinx reads
version = release = sampling.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_parser"]
exclude_patterns = ["_build", "examples"]
default_role = "py:obj"  # `name` is a link if there is such a public name
suppress_warnings = ["ref.python"]  # attributes of one name in several classes

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings state types and shapes
numpydoc_show_class_members = False  # autodoc lists them
numpydoc_class_members_toctree = False

linkcheck_timeout = 20  # seconds
linkcheck_retries = 2

html_theme = "pydata_sphinx_theme"
html_title = "sampling"
html_static_path = ["_static"]
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
}

_QUOTED = re.compile(r"(``.*?``|`[^`]*`)")


def escape_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape the bars of formulas such as |x - y|, which reStructuredText would substitute."""
    example = False
    for at, line in enumerate(lines):
        example = line.strip().startswith(">>>") or (example and bool(line.strip()))
        if not example and "|" in line:
            parts = _QUOTED.split(line)
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            lines[at] = "".join(parts)


def link_methods(app: Any, name: str, source: list[str]) -> None:
    """Link the names of the page of all methods."""
    if name == "methods":
        source[0] = linked(source[0])


def setup(app: Any) -> None:
    """Connect to Sphinx."""
    app.connect("source-read", link_methods)
    app.connect("autodoc-process-docstring", escape_bars)
