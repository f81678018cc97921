"""What a sentence for clinicians must not have: the checks of the lints over rules and services."""

import re
from collections.abc import Iterator

from cards.rules.patient.measurements import name_of
from fhir.terminology.analytes import ANALYTES

MOST_WORDS = 40
"""The longest sentence: clinical words are long but known to their readers, long sentences slow everybody."""

LONGEST_HEADLINE = 100
"""So many characters are read at a glance; the protocol allows 139 (docs/adding/sentences.md)."""

MOST_WORDS_BEFORE_WHY = 60
"""So many words of a card about one finding say what is found and what to do; the reasons stand after them."""

_NO_UNIT = frozenset({"inr", "ph_arterial", "gcs_total", "phq2", "phq9", "gad7", "mmse", "pain_score", "egfr"})
_WITH_UNIT = sorted({name_of(key) for key in ANALYTES if key not in _NO_UNIT}, key=len, reverse=True)

_NUMBER_WITH_DIGITS = re.compile(r"\d+\.\d{4,}(?! ?mg\b)")
_EGFR = re.compile(r"\beGFR \d[\d.,]*(?= on | \(|;)")
_VALUE = re.compile(rf"\b(?:{'|'.join(map(re.escape, _WITH_UNIT))}) \d[\d.,]* on \d{{4}}", re.IGNORECASE)
_UCUM = re.compile(r"\\?\[(?:Hg|IU|degF|lb_av|in_i)|\b10\\?\*\d|\{[^}]*\}|/uL\b(?<!×10³/µL)(?<=\*3/uL)")
_ONE_OF_MANY = re.compile(
    r"(?<![\d.,/-])1 (?:days|doses|weeks|months|years|hours|points|stays|visits|emergency visits|outpatient visits|"
    r"interactions|conditions|tablets|results|drugs|orders|values|others|partners|cards|rules|bands)\b"
)
_AUTHOR = re.compile(
    r"stay silent|\bthis rule\b|\bour (?:table|tables|reading|list)\b|\bthe list used here\b|\ba site may\b|"
    r"\b[Tt]his card (?:is (?:for|shown)|uses)\b|(?-i:\bIn palliative or hospice care\b)|\bin the override\b|"
    r"\bneeds the same decision\b|\bof the same kind: (?!with\b)|"
    r"\bCLARIFICATION|\bthe rule (?:speaks|fires|wakes)|\b(?:fires|wakes)\b|\bWarning, because\b",
    re.IGNORECASE,
)
_PROGRAM = re.compile(r"(?<![\w/\[(-])[a-z]+(?:_[a-z0-9]+)+\b(?!\))")
_RIDDLE = re.compile(
    r"(?<![Tt]here )\bis no (?!longer\b)|\bof which\b|\b[Ii]s (?:it|this) (?:meant|the )|"
    r"\bit can come back\b|\bNot meant\b|"
    r"\bpage (?:that follows|after) the label\b|\bif it must be\b|\bcan hardly be meant\b|\bbegun\b(?= in pregnancy)|"
    r"\bPlease check\b|\bSwitch\?|\btoo (?:much|little) of it\b|\b(?:more|less) of one of the two\b|"
    r"\bRange: \d|\bwhich of them is right\b|\bharm adds up\b|\bis no way out\b|\bnothing is said\b|\bnot every\b|"
    r"\bone level lower\b|\bfor a vein\b"
)
"""Words that a reader has to solve (docs/adding/sentences.md)."""
BRITISH = re.compile(
    r"[a-z]*(?:aemi[ac]|\bhaem|paediatr|oesoph|(?<!angi)oedema|pnoea|oestr(?!ogel)|anaesth|rrhoea|foet|tumour|colour|"
    r"behaviour|labour|centre\b|programme\b|labelled|(?:organ|recogn|immun|summar|sensit)is(?:e|ing|ation))[a-z]*",
    re.IGNORECASE,
)
"""Cards, pages, docstrings and comments are in American English, as labels are; a document keeps its own title."""
_TWICE = re.compile(r"\b([A-Za-z]{2,}) \1\b")
_PUNCTUATION = re.compile(r" [,;]|,,|[a-z)]\.[A-Z][a-z]|\?\.|!\.|(?<!\.)\.\.(?!\.)|\( | \)|\bNone\b")
_SENTENCE = re.compile(r"(?<=[.?!:;])\s+|\n")
_LINK = re.compile(r"\]\([^)]*\)")


def faults(text: str) -> list[str]:
    """What is wrong with a text that a clinician reads, each with the words where it stands."""
    without_links = _LINK.sub("]", text.replace("**", ""))
    quoted = without_links.endswith(": not used.")  # a refused value, as it was charted
    return [one for one in _faults(without_links) if not (quoted and one.startswith("a unit"))]


def _faults(text: str) -> Iterator[str]:
    for what, pattern in (
        ("too many digits", _NUMBER_WITH_DIGITS),
        ("eGFR without its unit", _EGFR),
        ("a value without its unit", _VALUE),
        ("a unit as a machine writes it", _UCUM),
        ("one of many", _ONE_OF_MANY),
        ("a note of the author", _AUTHOR),
        ("a name of the program", _PROGRAM),
        ("a riddle", _RIDDLE),
        ("British spelling", BRITISH),
        ("a word twice", _TWICE),
        ("punctuation", _PUNCTUATION),
    ):
        for found in pattern.finditer(text):
            yield f"{what}: {found[0]!r} in {text[:160]!r}"
    for sentence in _SENTENCE.split(text):
        words = len(sentence.split())
        if words > MOST_WORDS and sentence.count(", ") < words / 8:
            yield f"{words} words: {sentence[:160]!r}"


_REFUSED = re.compile(
    r"(?:Not now|Not now \(pregnancy\)|Contraindicated|Check first): ([A-Z][^.:()]*?)(?: because of.*?)?\."
)
_NAMED = re.compile(
    r"(?m)^\d+ vaccines? (?:is|are) due: ([^.]*)|to catch up: ([^.]*)|^- \*\*([^*(,;]+?)(?: \(|, dose|[;*])"
)
_LISTED = re.compile(r"(?:no valid dose|Shared decision|Order(?: to catch up)?):? ([^.]*)")


def contradictions(summary: str, detail: str, labels: list[str]) -> set[str]:
    """The vaccines that a card's headline or list of what is due names and no button offers, or that it forbids."""
    groups = [name for found in _NAMED.findall(f"{summary}\n{detail}") for text in found for name in _names(text)]
    offered = ", ".join(labels)
    refused = {name for text in _REFUSED.findall(f"{summary}\n{detail}") for name in _names(text)}
    listed = {name for text in _LISTED.findall("\n".join([detail, *labels])) for name in _names(text)}
    return {name for name in groups if name not in offered} | (refused & {*listed, *groups})


def _names(text: str) -> list[str]:
    return [name for part in text.split(" and ")[0].split(", ") if (name := re.sub(r" dose \d+$", "", part))]
