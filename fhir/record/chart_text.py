"""Text as a chart has it: how long it may be, and how it is shown or quoted where it is not Markdown.

It is data of others. It may hold HTML, Markdown, signs that nobody sees and signs that turn the direction of
writing, and it may be endless. For the details of cards, which are Markdown, `cards/text.py` escapes it.
"""

import unicodedata
from typing import Annotated, TypeAlias

from msgspec import Meta

LONGEST_TEXT = 2000
"""The most characters of one text of a chart; `fhir/record/reading.py` cuts a longer one and says so.

The longest text of the sample charts has 426.
"""

ChartText: TypeAlias = Annotated[str, Meta(max_length=LONGEST_TEXT)]
"""A text as it was charted: the decoder checks its length, so no reader is ever handed an endless one."""

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
