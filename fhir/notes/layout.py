"""The layout of a note: wrapped lines, headings with what they say of what stands under them, sentences.

All of it keeps the length of the text, so that places in what is read are places in the note.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

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
    r"(?:(?:^|(?<=[.;\n]))[ *]*|(?<=  )\**)(?P<name>[A-Za-z][A-Za-z/&' -]{0,38}?)[ ]?(?::|(?= - ))", re.MULTILINE
)
_BARE_HEADING = re.compile(r"^[ *]*(?P<name>[A-Za-z][A-Za-z/&' -]{2,38})$", re.MULTILINE)
_LEADING_HEADING = re.compile(r"^(?P<name>PMHx?|PSHx?|FHx?|DHx?|SHx?|Rx|Meds|Allergies|ALL)(?= )", re.MULTILINE)

_HEADINGS: Final[Mapping[str, str]] = {
    name: kind
    for kind, names in {
        "family": "fh|fhx|family history|fam hx|family hx|family|fam history",
        "past": "pmh|pmhx|past medical history|past history|medical history|background|problem list|problems|past hx"
        "|personal history|comorbidities|co-morbidities|past medical hx|pmh per nh|pmhx per nh|pmh per gp|b/g",
        "operations": "psh|pshx|past surgical history|surgical history|previous operations|operations",
        "indication": "indication|indications|clinical details|clinical information|clinical history|hx|clinical|reason"
        "|reason for exam|pre-op dx|pre-op diagnosis|preop dx|request|history|clinical indication|exam indication"
        "|clinical question|question|clinical data|clinical info|preoperative diagnosis",
        "advice": "safety net|safety netting|safety-net|return if|call for|call if|advice|return precautions|red flags"
        "|return for|seek help if|worsening advice|return to ed for|return to ed if|call us for"
        "|come back if"
        "|advised to return if|call 911 for|call 999 for|instructions|patient instructions",
        "allergies": "allergies|allergy|all|adverse reactions|drug allergies|intolerances|allergies/intolerances|adrs",
        "drugs": "meds|medications|medication|rx|dh|dhx|drugs|drug history|current treatment|current medication"
        "|current medications|current meds|home meds|home medications|d/c meds|discharge meds|discharge medications"
        "|regular meds|regular medications|ttos|tto|tta|ttas|treatment|discharge medication|dc meds|medication list"
        "|meds on discharge|medications on discharge|takes|pt is taking|is taking|taking|regular medication|continue"
        "|current|new meds|new|new medications|started|continued|changed|meds unchanged|otc|prn",
        "stopped": "stopped|previous|discontinued|previous treatment|past meds|stop|meds stopped|previously tried"
        "|stopped meds|discontinued meds|medications stopped|past treatment|previous medication|tried|d/c'd|ceased"
        "|previous meds|past medications|medication stopped|not taking|is not taking|not currently taking"
        "|no longer taking",
        "held": "held|withheld|on hold|hold|meds held|suspended|medications held|held meds",
        "never": "avoid|do not give|contraindicated|must not have",
        "plan": "plan|p|a/p|rec|recommendations|recommendation|management|actions|to do|imp/plan|follow up|f/u|gp to"
        "|actions for gp|gp actions|next steps|plan of care",
        "other": "impression|imp|dx|diagnosis|diagnoses|assessment|o/e|exam|findings|comment|labs|bloods|obs|vitals|sh"
        "|social|pc|hpc|hpi|cc|interval|course|final dx|micro|macro|conclusion|subjective|objective|s|o|a|results|ix"
        "|investigations|social history|observations|examination|summary|hospital course|ros|skin|note|final diagnosis"
        "|presenting complaint|principal diagnosis|diagnosis on discharge|data|test results|imaging|ecg|ct head|cxr"
        "|pe|physical|physical exam|physical examination|on exam|gen|general|heent|cv|cvs|resp|abd|neuro|msk|ext"
        "|extremities|lungs|chest|heart|neck|vs|vital signs|oncology|gastro|renal|derm|ophthalmology|psych|id"
        "|psych review|endo|haem|heme|pulm|gi|gu|fen|cards|cardiology|respiratory|neurology|nephrology|dermatology"
        "|haematology|patient|the patient|our patient",
    }.items()
    for name in names.split("|")
}
_OF_ONE_LINE: Final = frozenset({"family", "advice", "indication", "allergies", "stopped", "held", "never"})


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
            kind = _HEADINGS.get(name)
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


def _joined(text: str) -> str:
    """Return the text with a space for the end of each line that only the width of a page ended."""

    def join(match: re.Match[str]) -> str:
        before = text.rfind("\n", 0, match.start()) + 1
        return " " if match.start() - before > _LONG_LINE else "\n"

    return _WRAPPED.sub(join, text)
