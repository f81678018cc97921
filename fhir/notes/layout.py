"""The layout of a note: wrapped lines, headings with what they say of what stands under them, sentences.

All of it keeps the length of the text, so that places in what is read are places in the note.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from fhir.terminology.package_tables import package_rows

# Signs that nobody sees, and signs that turn the direction of a line.
_HIDDEN = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]")
_SAME_LENGTH: Final = str.maketrans(
    {"\u00a0": " ", "\u2019": "'", "\t": " ", "\r": "\n", "#": "ƒ", "–": "-", "—": "-", "→": ">"}
)
_WRAPPED = re.compile(r"(?<=[^\s.:;])\n(?=[ ]{0,4}[a-z])")
_SALUTATION = re.compile(r"^[ ]*Dear [^,.:;\n]{1,40}(?=[,\n])", re.MULTILINE)
"""It names whom a letter is for, who is nobody that the letter is about."""
_LONG_LINE: Final = 60
_HEADING = re.compile(
    r"(?:(?:^|(?<=[.;\n]))[ *]*|(?<=  )\**)(?P<name>[A-Za-z][A-Za-z/&' -]{0,48}?)[ ]?(?::|(?= - ))", re.MULTILINE
)
_BARE_HEADING = re.compile(r"^[ *]*(?P<name>[A-Za-z][A-Za-z/&' -]{2,48})$", re.MULTILINE)
# "STOP taking these medications", "Medicines discontinued during admission", "HOLD until follow-up"
_ENDED_MEDICATIONS: Final = re.compile(
    r"(?:(?P<held>hold|held|with(?:hold|held)|paused?)|stop|stopped|discontinued?|ceased?|do not (?:take|continue))"
    r"(?: taking| using)?(?: (?:all(?: of)?|these|the|following|your|home|old|temporarily))*"
    r"(?: (?:med(?:ication|icine)?s?|drugs|treatments?))?(?: (?:until|at|on|during|from) [a-z -]+)?"
    r"|(?:med(?:ication|icine)?s?|drugs|treatments?) (?:to (?:be )?)?"
    r"(?:(?P<to_hold>hold|held|withheld|paused?)|stop|stopped|discontinued?|ceased?)"
    r"(?: (?:during|at|on|before|prior to|this) [a-z -]+)?"
)
_LEADING_HEADING = re.compile(r"^(?P<name>PMHx?|PSHx?|FHx?|DHx?|SHx?|Rx|Meds|Allergies|ALL)(?= )", re.MULTILINE)

_HEADINGS: Final[Mapping[str, str]] = {
    name: row["kind"] for row in package_rows("fhir.notes", "headings.csv") for name in row["names"].split("|")
}
_OF_ONE_LINE: Final = frozenset(
    {"family", "advice", "indication", "operations", "allergies", "stopped", "held", "never"}
)


class Layout(Struct, frozen=True):
    """A note in the spelling that is read, the place of each section with its kind, and its sentences."""

    text: str
    starts: tuple[int, ...]
    kinds: tuple[str, ...]

    def section_at(self, offset: int) -> str:
        """Return the kind of the section that holds a place; "" before the first heading and where none is known."""
        position = bisect_right(self.starts, offset) - 1
        return self.kinds[position] if position >= 0 else ""


def read_layout(note: str) -> Layout:
    """Return the lines and sections of a note; what nobody sees becomes a space."""
    text = _HIDDEN.sub(lambda match: " " * len(match[0]), note).translate(_SAME_LENGTH)
    text = _SALUTATION.sub(lambda match: " " * len(match[0]), text)
    text = _joined(text)
    headings: dict[int, tuple[int, str]] = {}
    for pattern in (_HEADING, _BARE_HEADING, _LEADING_HEADING):
        for match in pattern.finditer(text):
            name = " ".join(match["name"].lower().split())
            kind = _HEADINGS.get(name) or _of_ended_medications(name)
            if kind is not None:
                headings[match.start("name")] = (match.end(), kind)
    starts: list[int] = []
    kinds: list[str] = []
    offsets = sorted(headings)
    for offset, following in zip(offsets, (*offsets, len(text))[1:], strict=True):
        content, kind = headings[offset]
        starts.append(offset)
        kinds.append(kind)
        end = text.find("\n\n" if not text[content:following].partition("\n")[0].strip() else "\n", content, following)
        if kind in _OF_ONE_LINE and 0 <= end < following:
            starts.append(end)
            kinds.append("")
    return Layout(text, tuple(starts), tuple(kinds))


def _of_ended_medications(heading: str) -> str | None:
    """Return "stopped" or "held" where a heading says so of the medications under it."""
    match = _ENDED_MEDICATIONS.fullmatch(heading)
    if match is None:
        return None
    return "held" if match["held"] or match["to_hold"] else "stopped"


def _joined(text: str) -> str:
    """Return the text with a space for the end of each line that only the width of a page ended."""

    def join(match: re.Match[str]) -> str:
        before = text.rfind("\n", 0, match.start()) + 1
        return " " if match.start() - before > _LONG_LINE else "\n"

    return _WRAPPED.sub(join, text)
