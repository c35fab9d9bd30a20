"""Links of all pages, without a network: they lead somewhere, to a heading that is there.

With a network, `sphinx-build -b linkcheck docs docs/_build/linkcheck` asks other people's sites.
"""

import functools
import importlib
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import sampling

ROOT = Path(sampling.__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
    *sorted(DOCS.glob("*.md")),
]
CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
ADDRESS = re.compile(r"\bhttps?://[^\s`'\"<>)\]]+")
OF_THE_PROJECT = re.compile(r"`(?:python |bash )?((?:benchmarks|docs|tests|\.ci)/[\w./-]*\w)")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@functools.cache
def prose(page):
    return CODE.sub("", page.read_text(encoding="utf-8"))


@functools.cache
def headings(page):
    """The anchors of a page, as GitHub and MyST make them."""
    text = prose(page)
    for file in re.findall(r"^```\{include\} (\S+)$", page.read_text(), re.MULTILINE):
        text += prose((page.parent / file).resolve())
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each).lower() for each in found)
    return {re.sub(r"[^\w\s-]", "", each).strip().replace(" ", "-") for each in plain}


@pytest.fixture(scope="module")
def reference():
    """The pages that `docs/conf.py` writes from the public names."""
    sys.path.insert(0, str(DOCS))
    try:
        packages = importlib.import_module("api_pages").PACKAGES
    finally:
        sys.path.remove(str(DOCS))
    modules = {name: importlib.import_module(f"sampling.{name}") for name in packages}
    public = {f"{name}.{each}" for name, module in modules.items() for each in module.__all__}
    return {f"{name}.md" for name in {"index", *packages, *public}}


def is_address(text):
    """Whether it is an https address of a host with a name."""
    parts = urlsplit(text)
    host = re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.hostname or "")
    return parts.scheme == "https" and bool(host) and parts.port is None and parts.username is None


@every_page
def test_links_lead_somewhere(page, reference):
    for link in LINK.findall(prose(page)):
        if "://" in link or link.startswith("mailto:"):
            assert is_address(link), link
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if target.parent == DOCS / "api":
            assert target.name in reference, link
            continue
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@every_page
def test_files_of_the_project_that_a_page_names_exist(page):
    for name in OF_THE_PROJECT.findall(prose(page)):
        assert name.startswith("docs/_build") or (ROOT / name).exists(), name


def test_every_address_is_well_formed():
    for path in [*PAGES, *ROOT.glob("*.cff"), *(ROOT / "sampling").rglob("*.py")]:
        for found in ADDRESS.findall(path.read_text(encoding="utf-8")):
            assert is_address(found.rstrip(".,;:")), f"{path}: {found}"


@pytest.mark.parametrize(
    "wrong",
    ["http://pytorch.org", "https://", "https:/pytorch.org", "https://a b.org", "ftp://x.y"],
)
def test_an_address_that_is_not(wrong):
    assert not is_address(wrong)


def test_no_page_is_left_out_of_the_site():
    """Every page of `docs` is in a table of contents."""
    listed = {"index"}
    for page in DOCS.glob("*.md"):
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.M | re.S):
            listed |= {line for line in block.splitlines() if line and not line.startswith(":")}
    assert {page.stem for page in DOCS.glob("*.md")} == listed - {"api/index"}
