"""Makes chart text and numbers ready for a card: no markup, bounded length, no rounding across a limit."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from fhir.record.datatypes import LIMIT
from fhir.record.datatypes import first_few as first_few
from fhir.record.datatypes import plain as plain
from fhir.terminology.package_tables import package_rows

_MARKUP = re.compile(r"[\\`*_{}\[\]#|~!&@]")
# GFM makes links of bare addresses; a backslash inside them stops that and is not shown.
_BARE_ADDRESS = re.compile(r"(?i)(://|\bwww\.)")


def escape(text: str, limit: int = LIMIT) -> str:
    """Return the text on one line for a detail: as `plain`, and nothing in it can become Markdown, HTML or a link.

    >>> escape("**see** [here](http://x.test)")
    '\\\\*\\\\*see\\\\*\\\\* \\\\[here\\\\](http:\\\\/\\\\/x.test)'
    """
    line = plain(text, limit)
    if _MARKUP.search(line):
        line = _MARKUP.sub(r"\\\g<0>", line)
    if "://" not in line and "www." not in line.lower():
        return line
    return _BARE_ADDRESS.sub(lambda match: match[0].replace("/", "\\/").replace(".", "\\."), line)


def capitalized(text: str) -> str:
    """Return the text with its first letter as a capital; the other letters stay.

    >>> capitalized("no INR in 90 days"), capitalized("")
    ('No INR in 90 days', '')
    """
    return f"{text[:1].upper()}{text[1:]}"


def decapitalized(text: str) -> str:
    """Return the text with a small first letter, for the inside of a sentence.

    >>> decapitalized("Lipid panel")
    'lipid panel'
    """
    return f"{text[:1].lower()}{text[1:]}"


def joined(names: Sequence[str], word: str = "and") -> str:
    """Return the names as in a sentence.

    >>> joined(["warfarin", "aspirin", "ibuprofen"]), joined(["TSH", "ALT"], "or")
    ('warfarin, aspirin and ibuprofen', 'TSH or ALT')
    """
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


_ACTION = re.compile(
    r"(?:(?:If|Before|For|From|On a renewal|In an|In type|In shock|Over|Under|When|Where|Otherwise|Without)\b"
    r"[^;:]*?,? )?(?<!\bis )(?<!\bthe )(?<!\ba )"
    r"(?:add|adjust|advise|ask|assess|avoid|begin|bring|calculate|call|cancel|change|check|choose|confirm|"
    r"consider|continue|control|correct|count|decide|delay|discuss|do|double|end|enroll|enter|exclude|"
    r"express|find|flush|follow|give|halve|have|hold|infuse|interrupt|keep|leave|limit|look|lower|measure|"
    r"monitor|name|never|offer|order|pause|plan|prefer|raise|reduce|refer|repeat|replace|"
    r"restart|restore|review|see|shorten|start|stop|switch|take|taper|tell|test|time|treat|use|vaccinate|"
    r"wait|watch|weigh|withhold|write)\b(?! (?:stops|of|was|were|is|are)\b)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"(?:After|Also|Both|Else|If|Not|Or|Otherwise|Some|The first|Then|With(?:out)?)\b")
_NEXT_SENTENCE = re.compile(r"(?<=[.?!])(?<!\bSt\.) (?=[A-Z“])(?![^()]*\))")
_THEN_ACT = re.compile(rf"[;:] (?={_ACTION.pattern})", re.IGNORECASE)
_BY_WHOM = re.compile(
    rf"(?:Beers|Boxed warning|CDC|FDA|Guideline|Label)(?: \d{{4}})?: {_ACTION.pattern}", re.IGNORECASE
)
"""As in "FDA: pause the statin"."""
_OF_THE_FACT = re.compile(r"\b(?:it|patient|them|this|which)\b")
_SHORT = 5


def is_action(sentence: str) -> bool:
    """Return whether a sentence begins with what to do.

    >>> is_action("Check the ECG."), is_action("Order stops clopidogrel"), is_action("If both continue, give a PPI.")
    (True, False, True)
    """
    return _ACTION.match(sentence) is not None


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; what stands in brackets is no sentence of its own."""
    return _NEXT_SENTENCE.split(text.strip())


def actions_last(text: str) -> tuple[str, str]:
    """Return the sentences that say what is so, and those that say what to do, with what goes on from these.

    >>> actions_last("Choose another drug. Otherwise halve the dose. Children died of it.")
    ('Children died of it.', 'Choose another drug. Otherwise halve the dose.')
    """
    parts: tuple[list[str], list[str]] = [], []
    is_of_action = False
    for sentence in filter(None, (part for whole in sentences(text) for part in _in_two(whole))):
        is_asked = is_action(sentence) or _BY_WHOM.match(sentence) is not None
        is_of_action = is_asked or (is_of_action and _GOES_ON.match(sentence) is not None)
        parts[is_of_action].append(sentence)
    return " ".join(parts[0]), " ".join(parts[1])


def _in_two(sentence: str) -> list[str]:
    """Return a fact and what to do about it as two sentences ("The label contraindicates it; ask the oncologist.")."""
    first, *rest = _THEN_ACT.split(sentence, maxsplit=1)
    if not rest or is_action(first) or first.count("(") != first.count(")"):
        return [sentence]
    is_one = sentence[len(first)] == ":" and (len(first.split()) < _SHORT or _OF_THE_FACT.search(rest[0]))
    return [sentence] if is_one else [f"{first}.", capitalized(rest[0])]


UNITS: Final = {row["ucum"]: row["sign"] for row in package_rows("cards", "unit_signs.csv")}
"""UCUM units whose sign is not what a clinician writes."""

_SPELT = re.compile(
    rf"(?<=\d) ?({'|'.join(re.escape(ucum) for ucum in sorted(UNITS, key=len, reverse=True))})(?![\w/\[{{])"
)

_MOST_DECIMALS = 6
_ROUNDING_ERROR = 1e-9


def format_number(value: float, limits: Iterable[float] = (), decimals: int = 1) -> str:
    """Return the number with so many decimals, or as many as keep it on its side of every limit.

    >>> format_number(28.0), format_number(26.699), format_number(29.96, [30]), format_number(2000)
    ('28', '26.7', '29.96', '2,000')
    """
    bounds = tuple(limits)
    sides = [(value > limit, value < limit) for limit in bounds]
    for places in range(decimals, _MOST_DECIMALS):
        rounded = round(value, places)
        if [(rounded > limit, rounded < limit) for limit in bounds] == sides:
            return _text(rounded, places)
    return _text(value, _MOST_DECIMALS)


def format_dose(milligrams: float, limits: Iterable[float] = ()) -> str:
    """Return a dose with all its digits; with one decimal where it has more than four, as a sum or a quotient may.

    >>> format_dose(0.0625), format_dose(1.25, [0.125]), format_dose(1300.0), format_dose(33.333333)
    ('0.0625', '1.25', '1,300', '33.3')
    >>> format_dose(1e300)  # a key that was held down
    'over 1,000,000,000'
    """
    if milligrams > 1e9:
        return "over 1,000,000,000"
    is_exact = abs(milligrams - round(milligrams, 4)) < _ROUNDING_ERROR
    return format_number(milligrams, limits, 4 if is_exact or milligrams < 1 else 1)


def unit(ucum: str) -> str:
    """Return the unit as a clinician writes it."""
    return UNITS.get(ucum, ucum)


def with_unit_signs(text: str) -> str:
    """Return the text with the UCUM units behind its numbers as a clinician writes them.

    >>> with_unit_signs("148 mm[Hg]"), with_unit_signs("138 10*3/uL"), with_unit_signs("39 mL/min/{1.73_m2} (40 kg)")
    ('148 mmHg', '138 ×10³/µL', '39 mL/min/1.73 m² (40 kg)')
    """
    return _SPELT.sub(lambda match: f" {UNITS[match[1]]}".rstrip(), text)


def _text(value: float, places: int) -> str:
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
