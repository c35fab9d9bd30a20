"""What a page of a report consists of, for tests: tags, what it fetches, ids and texts."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "use", "path", "rect", "wbr"}
FETCHES = {"src", "srcset", "poster", "action", "data", "xlink:href", "background", "formaction"}
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "a", "svg", "defs", "path", "header", "div",
    "h1", "h2", "h3", "button", "p", "main", "section", "nav", "ul", "li", "i", "b", "details",
    "summary", "use", "figure", "figcaption", "desc", "clippath", "rect", "g", "text", "table",
    "caption", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "footer", "script", "span",
    "img", "br", "wbr",
}  # fmt: skip


class Reader(HTMLParser):
    """What a page consists of; fails on an end tag that has no start."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched, self.ids, self.refs, self.open = set(), [], [], set(), []
        self.text = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name == "id":
                self.ids.append(value)
            elif name == "href":
                assert value.startswith("#"), value
                self.refs.add(value[1:])
            elif name == "aria-labelledby":
                self.refs |= set(value.split())
            elif name in FETCHES:
                self.fetched.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def titles(text):
    return re.findall(r'<h2 id="([\w-]+)-h">', text)
