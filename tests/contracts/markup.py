"""A page read as a browser reads it, and what is wrong with it: structure, labels, anything that could run."""

import dataclasses
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise

_VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "path", "rect", "line", "circle", "use"})
_LOADS = frozenset({"src", "srcset", "data", "poster", "action", "formaction", "xlink:href"})


@dataclass
class Element:
    """One element with its attributes and all the text inside it."""

    tag: str
    attributes: dict[str, str]
    path: tuple[str, ...]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """The elements of a page in the order in which they begin."""

    html: str
    elements: list[Element] = dataclasses.field(default_factory=list)
    unbalanced: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[Element] = []
        self.feed(self.html)
        self.close()
        self.unbalanced += [f"<{element.tag}> is not closed" for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, tuple(parent.tag for parent in self._open))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1].tag == tag:
            self._open.pop()
        else:
            self.unbalanced.append(f"</{tag}> closes {self._open[-1].tag if self._open else 'nothing'}")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        """Return the elements of these kinds."""
        return [element for element in self.elements if element.tag in tags]

    @property
    def text(self) -> str:
        """Everything a reader sees or hears, white space made single."""
        return " ".join(next(element.text for element in self.elements if element.tag == "body").split())

    def row(self, *words: str) -> str:
        """Return the first table row in which all of these stand, its cells parted by bars."""
        rows: list[list[str]] = []
        for element in self.all("tr", "th", "td"):
            if element.tag == "tr":
                rows.append([])
            else:
                rows[-1].append(" ".join(element.text.split()))
        return next(row for cells in rows if all(word in (row := " | ".join(cells)) for word in words))


def faults(html: str) -> list[str]:
    """Sentences about everything that a page of ours must not be; empty when it is as it should be."""
    page = Page(html)
    return [
        *page.unbalanced,
        *_frame(page),
        *_tables(page),
        *_references(page),
        *_drawings(page),
        *_what_could_run(page),
    ]


def _frame(page: Page) -> list[str]:
    sentences = []
    if page.html.partition("\n")[0] != "<!doctype html>":
        sentences.append("does not begin with its doctype")
    if [element.attributes.get("lang") for element in page.all("html")] != ["en"]:
        sentences.append("html has no lang")
    if len(page.all("h1")) != 1:
        sentences.append(f"{len(page.all('h1'))} h1")
    if len(page.all("main")) != 1 or len(page.all("title")) != 1:
        sentences.append("not exactly one main and one title")
    levels = [int(element.tag[1]) for element in page.all("h1", "h2", "h3", "h4")]
    if any(after - before > 1 for before, after in pairwise(levels)):
        sentences.append(f"heading levels jump: {levels}")
    sentences += [
        f"h{level} is empty"
        for level, element in zip(levels, page.all("h1", "h2", "h3", "h4"), strict=True)
        if not element.text.strip()
    ]
    return sentences


def _tables(page: Page) -> list[str]:
    heads = page.all("th")
    sentences = [f"a th without scope: {head.text!r}" for head in heads if not head.attributes.get("scope")]
    sentences += [f"a th that says nothing: {head.path}" for head in heads if not head.text.strip()]
    if len(page.all("table")) != len(page.all("caption")):
        sentences.append("a table without caption")
    # CSS makes blocks of the rows on a phone, and only a role keeps them rows for a screen reader
    sentences += [
        f"a table of class {table.attributes['class']} without its role"
        for table in page.all("table")
        if {"rows", "stack"} & set(table.attributes.get("class", "").split())
        and table.attributes.get("role") != "table"
    ]
    return sentences


def _references(page: Page) -> list[str]:
    identities = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    sentences = [f"id {name} stands twice" for name in {name for name in identities if identities.count(name) > 1}]
    for element in page.elements:
        for attribute in ("aria-labelledby", "aria-describedby", "for"):
            if element.attributes.get(attribute) not in (None, *identities):
                sentences += [f"{attribute} names {element.attributes[attribute]}, which is not there"]
        target = element.attributes.get("href", "")
        if target.startswith("#") and target[1:] not in identities:
            sentences.append(f"a link to {target}, which is not there")
    sentences += ["an empty link" for element in page.all("a") if not element.text.strip()]
    sentences += ["a details without summary" for _ in range(len(page.all("details")) - len(page.all("summary")))]
    fields = page.all("input", "select", "textarea")
    controls = {field.attributes.get("id", "") for field in fields if field.attributes.get("type") != "hidden"}
    labelled = {element.attributes.get("for", "") for element in page.all("label")}
    return sentences + [f"control {name} has no label" for name in controls - labelled]


def _drawings(page: Page) -> list[str]:
    return [
        "a drawing that neither is hidden nor has words"
        for element in page.all("svg")
        if element.attributes.get("aria-hidden") != "true"
        and not (element.attributes.get("role") == "img" and element.attributes.get("aria-label"))
    ]


def _is_own(script: Element) -> bool:
    return (
        not script.text
        and re.fullmatch(r"(\.\./)*static/[a-z]+\.js\?v=[0-9a-f]+", script.attributes.get("src", "")) is not None
    )


def _what_could_run(page: Page) -> list[str]:
    forbidden = page.all("style", "iframe", "object", "embed", "base", "foreignobject")
    sentences = [f"<{element.tag}>" for element in forbidden]
    sentences += ["<script> that is no file of ours" for element in page.all("script") if not _is_own(element)]
    for element in page.elements:
        for name, value in element.attributes.items():
            if name == "style" or name.startswith("on"):
                sentences.append(f"{name}={value!r} on <{element.tag}>")
            loads = name in _LOADS or (name == "href" and element.tag in ("link", "use", "image"))
            if loads and ("://" in value or value.startswith("//")):
                sentences.append(f"<{element.tag}> loads {value}")
            if name == "href" and ":" in value and not value.startswith(("https://", "http://")):
                sentences.append(f"a link to {value}")
    return sentences
