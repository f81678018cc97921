"""Hostile words planted in every text of a chart, and what is wrong with an answer or a page that shows them.

The words try to be a link, an image, HTML, emphasis, code, a heading, a table or another line; they hide characters,
turn the direction of writing, or never end. Each has the word `zqx`, so that a test can see that it came out at all.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any, Final

from markdown_it import MarkdownIt

from cards.card import SUMMARY_LIMIT

Json = Any

WORD = "zqx"
HOST = "e.vil"
HOSTILE_WORDS: dict[str, str] = {
    "link": f"[{WORD}](http://{HOST}/a)",
    "image": f"![{WORD}](https://{HOST}/a.png)",
    "script": f"<script>{WORD}()</script>",
    "attribute": f"\"><img src=x onerror='{WORD}()'>",
    "emphasis": f"**{WORD}** __{WORD}__ *{WORD}* _{WORD}_ ~~{WORD}~~",
    "code": f"`{WORD}` ``{WORD}``",
    "blocks": f"\n\n# {WORD}\n\n> {WORD}\n\n---\n\n1. {WORD}\n\n    {WORD}\n",
    "table": f"\n\n| {WORD} | b |\n|---|---|\n| {WORD} | d |\n",
    "backslashes": f"C:\\{WORD} \\[{WORD}\\](http://{HOST}) \\\\*{WORD}\\\\*",
    "addresses": f"{WORD} http://{HOST}/b www.{HOST} {WORD}@{HOST} <http://{HOST}/c> javascript:{WORD}()",
    "reference": f"[{WORD}][1]\n\n[1]: http://{HOST}/d",
    "entities": f"&lt;b&gt;{WORD}&lt;/b&gt; &#60;i&#62;{WORD} &amp;",
    "hidden": f"{WORD}\u202e{WORD}\u2066{WORD}\u200b\u200d\ufeff\x07\x1b[31m\x7f\x85\u2028\u2029{WORD}",
    "templates": f"{{{{ {WORD} }}}} {{% raw %}} {{drug}} %s {{0}} ${{{WORD}}}",
    "endless": f"{WORD} " * 4_000,
}

# fmt: off
_TEXTS = frozenset((
    "text", "display", "description", "title", "name", "family", "given", "prefix", "suffix", "patientInstruction",
    "valueString", "comment", "lotNumber", "serialNumber", "manufacturer", "deviceName", "modelNumber", "city", "line",
    "note",
))
# fmt: on
_DATE = re.compile(r"\d{4}-\d\d(-\d\d|$)")


Way = Callable[[Json, str, str], bool]


def _is_date(_holder: Json, _key: str, value: str) -> bool:
    return _DATE.match(value) is not None


WAYS: dict[str, Way] = {
    "behind": lambda _holder, _key, _value: False,
    "before": lambda _holder, _key, _value: False,
    "units": lambda holder, key, _: key in ("unit", "code") and ("value" in holder or "unit" in holder),
    "periods": lambda _holder, key, _: key in ("periodUnit", "durationUnit", "comparator"),
    "ids": lambda holder, key, _: key == "id" and holder.get("resourceType") not in (None, "Patient"),
    "kinds": lambda _holder, key, value: key == "resourceType" and value not in ("Patient", "Bundle"),
    "statuses": lambda _holder, key, _: key in ("status", "intent", "gender", "criticality", "category"),
    "codes": lambda holder, key, _: key in ("code", "system") and "value" not in holder,
    "dates": _is_date,
}
"""Where the words stand: behind the texts, before them (a name is then not read), or behind these values as well."""


def planted(value: Json, words: str, way: str) -> Json:
    """The resources with the words in every text, beside every code, on every reference, and where `WAYS` says."""
    if isinstance(value, list):
        return [planted(each, words, way) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _planted_member(value, key, words, way) for key in value}
    if "reference" in found:
        found.setdefault("display", words)
    if "coding" in found:
        found.setdefault("text", words)
    return found


def _planted_member(holder: Json, key: str, words: str, way: str) -> Json:
    value = holder[key]
    if key in _TEXTS and _is_text(value):
        return _joined(value, words, before=way == "before")
    if isinstance(value, str):
        return f"{value}{words[:60]}" if WAYS[way](holder, key, value) else value
    return planted(value, words, way)


def _is_text(value: Json) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _joined(value: Json, words: str, before: bool) -> Json:
    if isinstance(value, list):
        return [_joined(each, words, before) for each in value]
    return f"{words} {value}" if before else f"{value} {words}"


_GFM = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_OURS = {
    "paragraph", "text", "inline", "strong", "bullet_list", "list_item", "softbreak", "hardbreak", "link",
}  # fmt: skip
# What GFM makes a link of without a sign of Markdown.
_BARE = re.compile(rf"(?:https?|ftp)://{re.escape(HOST)}|\bwww\.{re.escape(HOST)}|[\w.+-]+@{re.escape(HOST)}")
# A backslash before a sign is an escape; before a letter it can only be the chart's own.
_ESCAPE = re.compile(r"\\[!-/:-@\[-`{-~]")
_TAG = re.compile(r"<[a-z!/?]", re.IGNORECASE)


def faults_of_answer(answer: Json, words: str, *, is_markdown: bool = True) -> list[str]:
    """What is live, hidden or written wrong in the answer to a call with these words in its chart."""
    cards = answer["cards"]
    found = [fault for card in cards for fault in _card_faults(card, words, is_markdown)]
    own = {name: value for name, value in answer.items() if name not in ("cards", "systemActions")}
    return found + [fault for text in _strings(own) for fault in plain_faults(text, words)]


def _card_faults(card: Json, words: str, is_markdown: bool) -> Iterator[str]:
    detail = card.get("detail", "")
    yield from markdown_faults(detail, words) if is_markdown else plain_faults(detail, words)
    if len(card["summary"]) > SUMMARY_LIMIT:
        yield f"a summary of {len(card['summary'])} characters"
    for link in card.get("links", ()):
        if HOST in link["url"]:
            yield f"a link: {link['url']}"
    for text in _strings({name: value for name, value in card.items() if name != "detail"}):
        yield from plain_faults(text, words)


def _strings(value: Json) -> Iterator[str]:
    """Every text but resources that go back as they came, and the references and keys by which a program finds them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in ("resource", "source", "subject") or (isinstance(each, dict) and name == "source"):
                yield from _strings(each)


def markdown_faults(detail: str, words: str) -> Iterator[str]:
    """What is wrong with a detail: it is rendered as a client that knows all of GFM, and HTML, would."""
    yield from _hidden(detail)
    for token in _tokens(detail):
        kind = token.type.removesuffix("_open").removesuffix("_close")
        if kind not in _OURS:
            yield f"{kind} in {detail[:3000]!r}"
        if kind == "link" and HOST in str(token.attrGet("href")):
            yield f"a link in {detail[:3000]!r}"
    shown = "".join(token.content for token in _tokens(detail) if token.type in ("text", "softbreak"))
    if _BARE.search(re.sub(_ESCAPE, "\x00", detail)):
        yield f"a bare address in {detail[:3000]!r}"
    if "strong" in {token.type.removesuffix("_open") for token in _tokens(detail)}:
        yield from (f"emphasis in {detail[:3000]!r}" for text in _strong(detail) if text == WORD)
    yield from _escapes(shown, words)


def _tokens(detail: str) -> Iterator[Any]:
    for token in _GFM.parse(detail):
        yield token
        yield from token.children or ()


def _strong(detail: str) -> Iterator[str]:
    text: str | None = None
    for token in _tokens(detail):
        if token.type == "strong_open":
            text = ""
        elif token.type == "strong_close" and text is not None:
            yield text
            text = None
        elif text is not None and token.type == "text":
            text += token.content


def plain_faults(text: str, words: str) -> Iterator[str]:
    """What is wrong with a text that is not Markdown: HTML, hidden characters, the backslashes of Markdown."""
    yield from _hidden(text)
    if _TAG.search(text):
        yield f"HTML in {text[:300]!r}"
    yield from _escapes(text, words)


def _escapes(shown: str, words: str) -> Iterator[str]:
    """Backslashes before signs that the chart did not have there."""
    charted = set(_ESCAPE.findall(words))
    for found in _ESCAPE.findall(shown):
        if found not in charted:
            yield f"a backslash that is shown, {found!r}, in {shown[:300]!r}"


def _hidden(text: str) -> Iterator[str]:
    for sign in set(text) - {"\n"}:
        if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
            yield f"the hidden character {sign!r} in {text[:300]!r}"


_OWN_ACTION: Final = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}#(?:answer-\d+|asked|replay)|\.\./decisions#found"
)
_OWN_INPUT: Final = frozenset({
    "aria-describedby", "aria-invalid", "autocomplete", "id", "inputmode", "maxlength", "name", "required", "type",
    "value",
})  # fmt: skip


_OWN_SCRIPT: Final = re.compile(r"\.\./static/[a-z]+\.js\?v=[0-9a-f]{12}")
"""The script of a page that asks what another value would change; it is a file of ours."""


class _Page(HTMLParser):
    """Collects what a page loads, links to or runs, and its visible text.

    The page of a decision has forms of its own: they post to the decision itself or ask for the
    patient's others, and only in them are inputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.text: list[str] = []
        self._is_in_form = False

    def handle_endtag(self, tag: str) -> None:
        self._is_in_form = self._is_in_form and tag != "form"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = tag == "form" and _OWN_ACTION.fullmatch(dict(attrs).get("action") or "") is not None
        self._is_in_form = own or (self._is_in_form and tag != "form")
        own = own or (tag == "input" and self._is_in_form and {name for name, _ in attrs} <= _OWN_INPUT)
        own = own or (tag == "script" and _OWN_SCRIPT.fullmatch(dict(attrs).get("src") or "") is not None)
        if tag in ("script", "img", "iframe", "object", "embed", "form", "input", "i") and not own:
            self.faults.append(f"<{tag}> {attrs}")
        for name, value in attrs:
            if name.startswith("on") or WORD in name:
                self.faults.append(f"<{tag} {name}>")
            if name in ("href", "src", "action", "style") and (HOST in (value or "") or WORD in (value or "")):
                self.faults.append(f"<{tag} {name}={value!r}>")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def faults_of_page(page: str, words: str) -> list[str]:
    """What is live, hidden or written wrong on an HTML page."""
    reader = _Page()
    reader.feed(page)
    reader.close()
    shown = "".join(reader.text)
    return [*reader.faults, *_hidden(page.replace("\t", " ")), *_escapes(shown, words)]


def shows(answer: Json) -> bool:
    """Whether words of the chart came back in a card or beside it."""
    return any(WORD in text for text in _strings({"cards": answer["cards"], "extension": answer.get("extension")}))
