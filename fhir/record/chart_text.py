"""Text as a chart has it: how long it may be, how it is shortened, and how it is shown where it is not Markdown.

It is data of others. It may hold HTML, Markdown, signs that nobody sees and signs that turn the direction of
writing, and it may be endless. For the details of cards, which are Markdown, `cards/text.py` escapes it.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

LONGEST_TEXT = 2000
"""The most characters of one text of a chart; `fhir/record/record.py` cuts a longer one and says so.

The longest text of the sample charts has 426.
"""

ChartText: TypeAlias = Annotated[str, Meta(max_length=LONGEST_TEXT)]
"""A text as it was charted: the decoder checks its length, so no reader is ever handed an endless one."""

_RUN: Final = re.compile(r"\s{2,}")
_SPACES: Final = (b" ", b"\\n", b"\\t", b"\\r", b"\\f")
_MANY_ESCAPES: Final = 1000
"""From here on looking at each escape takes longer than looking for each pair of them."""
# White space beyond ASCII, in UTF-8: U+0085, U+00A0, U+1680, U+2000 to U+205F, U+3000.
_LEADS: Final = (
    (b"\xc2", (b"\xc2\x85", b"\xc2\xa0")),
    (b"\xe1", (b"\xe1\x9a\x80",)),
    (b"\xe2", (b"\xe2\x80", b"\xe2\x81")),
    (b"\xe3", (b"\xe3\x80\x80",)),
)


def may_hold_runs(raw: bytes) -> bool:
    """Whether a text in this JSON may hold white space beside white space, which `collapse_runs` then collapses.

    No reader of text is then asked about a run of blanks, for which a pattern such as `\\s+$` takes quadratic time. The
    usual body has no line break and is looked through for two blanks only: 16 µs for 68 KB. One sign is looked for ten
    times as fast as two, and so it is looked for first.
    """
    lines = raw.split(b"\n") if b"\n" in raw and (b"\n " in raw or b"\n\t" in raw) else [raw]
    if any(b"  " in line.strip() for line in lines) if len(lines) > 1 else b"  " in raw:
        return True
    if b"\\" in raw and _may_hold_escaped_runs(raw):
        return True
    return not raw.isascii() and any(lead in raw and any(sign in raw for sign in signs) for lead, signs in _LEADS)


def _may_hold_escaped_runs(raw: bytes) -> bool:
    """The same of white space that is written as an escape, such as a line break in a text."""
    if raw.count(b"\\") > _MANY_ESCAPES:
        spaces = [space for space in _SPACES if space in raw]
        return b"\\u" in raw or any(first + second in raw for first in spaces for second in spaces)
    start = raw.find(b"\\")
    while start >= 0:
        after = start + 2
        if raw[start + 1 : after] == b"u":
            return True
        if raw[start:after] in _SPACES and (raw[start - 1 : start] == b" " or raw.startswith(_SPACES, after)):
            return True
        start = raw.find(b"\\", after)
    return False


def collapse_runs(value: Any) -> Any:
    """Return the same JSON value with the runs of white space in its texts collapsed.

    A run with a line break becomes a line break, any other a blank.

    >>> collapse_runs({"text": "1  tablet \\n\\n daily"})
    {'text': '1 tablet\\ndaily'}
    """
    return map_texts(lambda text: _RUN.sub(_shorter_run, text), value)


def map_texts(change: Callable[[str], str], value: Any) -> Any:
    """Return the same JSON value with every text changed; names of members stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [map_texts(change, element) for element in value]
    if isinstance(value, dict):
        return {name: map_texts(change, element) for name, element in value.items()}
    return value


def _shorter_run(run: re.Match[str]) -> str:
    return "\n" if "\n" in run[0] or "\r" in run[0] else " "


LIMIT = 80
"""The longest inserted string in code points; what is cut off is marked with an ellipsis."""

# Cc control, Cf format (bidi overrides, zero-width), Cs surrogates, Co private use: none of them is a clinician's word.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co"})
_ANGLES = str.maketrans("<>", "‹›")
_QUOTED = 20


def plain(text: str, limit: int = LIMIT) -> str:
    """The text on one line for a summary or a label, which are not Markdown.

    >>> plain("Metformin\\u202e\\n <b>500</b> mg")
    'Metformin ‹b›500‹/b› mg'
    """
    if text.isprintable() and len(text) <= limit and "<" not in text and ">" not in text:
        return " ".join(text.split())
    if not text.isprintable():  # nothing that is printable is unseen, nor white space other than the blank
        text = "".join(" " if sign.isspace() else sign for sign in text if sign.isspace() or not _is_unseen(sign))
    line = " ".join(text.split()).translate(_ANGLES)
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip(' ,;:')}…"


def without_hidden(text: str) -> str:
    """The text without the signs that nobody sees; line breaks stay.

    >>> without_hidden("a\\u202eb\\nc")
    'ab\\nc'
    """
    if text.isprintable():
        return text
    return "".join(sign for sign in text if sign in "\n\t" or not (_is_unseen(sign) or sign in "\u2028\u2029"))


def quoted(text: str, limit: int = _QUOTED) -> str:
    """The text in quotation marks, for a sentence that says what was charted.

    Not `repr`: it would double a backslash of the chart, and write the name of a sign that nobody sees.

    >>> quoted("mg<b>\\u202e")
    "'mg‹b›'"
    """
    return f"'{plain(text, limit)}'"


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSEEN
