"""Reads strengths in words, such as "500 MG", "10 MG/ML", "250 mg/5 mL", "0.05 MG/HR", "100 UNITS/ML"."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from fhir.terminology.package_tables import package_rows

_UNIT_ROWS: Final = package_rows("fhir.terminology", "tables/strength_units.csv")
MILLIGRAMS: Final = {row["text"]: float(row["milligrams"]) for row in _UNIT_ROWS if row["milligrams"]}
"""Milligrams in one of each unit of mass; the signs are those that UCUM and RxNorm write, and those of people."""
ACTIVITY_UNITS: Final = {row["text"]: row["amount"] for row in _UNIT_ROWS if row["amount"]}
"""Amounts that are not masses: kept in their own unit, never turned into milligrams."""
_PER: Final = {row["text"]: row["per"] for row in _UNIT_ROWS if row["per"]}
# "12,5 mg" and "0,025 mg" are decimals as most of Europe writes them. "1.000 mg" may be one or a thousand: not read.
_NUMBER = (
    r"0,\d{1,4}(?![\d,])|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3},\d{1,2}(?![\d,])"
    r"|(?![1-9]\d{0,2}\.000(?!\d))\d+(?:\.\d+)?|\.\d+"
)
_DECIMAL_COMMA = re.compile(r"0,\d{1,4}|\d{1,3},\d{1,2}")
_STRENGTH = re.compile(
    # "400 mg-57 mg/5 mL" is both in 5 mL.
    rf"(?<![\w.,])(?P<before>(?:(?:{_NUMBER})\s{{0,3}}(?:mg(?=\s?[-/]\s?[\d.]+\s?mg\s?(?:/|per)\s?[\d.]*\s?ml)\s?)?"
    rf"[-/]\s{{0,3}}){{0,4}})(?P<amount>{_NUMBER})\s*-?"
    r"(?P<unit>mcg|mg|µg|μg|ug|gm|kg|g|units?|unt|iu|u(?=\s*/)|meq|mmol|%)(?![a-z])"
    # Per a mass only as one of it, "0.01 MG/MG": "5 mg/325 mg" are two strengths.
    rf"(?:\s*(?:/|per)\s*(?:(?P<count>{_NUMBER})?\s*-?(?P<per>milliliter|ml|actuation|actuat|act|hour|hr|heure|hora|stunde"
    r"|std|tablet|tab|capsule|cap|puff|hub|bouffée|spray|inhalation|dose|patch|packet|suppository|h|l)s?"
    r"|(?P<mass>mg|gm|g))(?![a-z]))?",
    re.IGNORECASE,
)
# Drunk or injected, "4 %" is 4 g in 100 mL: the percentages of pharmacopoeias are of mass in volume for liquids.
_DRUNK = re.compile(
    r"inject|saft|sir[ou]p|syrup|sciroppo|jarabe|xarope|buvable|drank|\boral (?:sol|susp|drops|liquid)"
    r"|\b(?:sol|so?usp|sospens)\w*\.? oral|\bper os\b",
    re.IGNORECASE,
)
# "25.000 IE/50 ml": of units no point stands for a decimal before three digits. "30 unidades" alone may be a pack.
_UNITS_IN_WORDS = r"(?:einheit(?:en)?|eenhe(?:id|den)|unidad(?:e?s)?|unit(?:és?|es|à))"
_EUROPEAN_UNITS = re.compile(
    r"(?<![\w.,])(?P<number>\d{1,3}(?:\.\d{3})+|\d+)(?P<blank> ?)(?P<unit>i\.?e\b\.?|u\.?i\b\.?|e(?= ?/ ?\d* ?ml)"
    rf"|internat\w+ (?:units?|{_UNITS_IN_WORDS})\b|{_UNITS_IN_WORDS} interna\w+|{_UNITS_IN_WORDS}(?= ?/ ?\d* ?ml))",
    re.IGNORECASE,
)
_SHORT_UNITS: Final = {1000.0: "g", 1.0: "mg", 0.001: "mcg"}
_LONG_MASS = re.compile(
    r"(?P<before>\d\s{0,3}-?)(?P<unit>" + "|".join(name for name in MILLIGRAMS if "gram" in name) + r")(?!\w)",
    re.IGNORECASE,
)
_LISTED = re.compile(_NUMBER)
_UNIT = r"(?:mcg|mg|ug|µg|μg|gm|g|units?|unt|iu|meq)"
# "1-20 mg-mcg": the numbers first, then the unit of each.
_PAIRED = re.compile(
    rf"(?<![\w.,])(?P<numbers>(?:{_NUMBER})(?: ?[-/] ?(?:{_NUMBER})){{1,3}}) ?"
    rf"(?P<units>{_UNIT}(?: ?[-/] ?{_UNIT}){{1,3}})(?: ?(?:/|per) ?(?:(?P<count>{_NUMBER}) ?)?"
    r"(?P<per>ml|actuation|actuat|act|hour|hr|tablet|capsule|puff|spray|dose|h))?"
    r"(?![a-z])",
    re.IGNORECASE,
)
_UNITS = re.compile(_UNIT, re.IGNORECASE)


class Strength(Struct, frozen=True, gc=False):
    """The amount of one ingredient in a tablet, a millilitre, an hour or an actuation.

    `unit` is "mg" for every mass, else "unit", "meq", "mmol" or "%"; `per` is "unit" (one tablet, capsule, vial …),
    "mL", "h", "actuation" or "mg" (of ointment).
    """

    amount: float
    unit: str
    per: str = "unit"

    @property
    def milligrams(self) -> float | None:
        """Milligrams per `per`; None for units, milliequivalents and per cent."""
        return self.amount if self.unit == "mg" else None


class FoundStrength(Struct, frozen=True, gc=False):
    """A strength and where in the words it stands; `is_listed`: one of several with one unit, "20-12.5 mg"."""

    start: int
    end: int
    strength: Strength
    is_listed: bool = False


def number(text: str) -> float:
    """Return the number a person wrote, with thousands' or decimal commas.

    >>> number("1,000"), number(".5")
    (1000.0, 0.5)
    >>> number("0,025"), number("12,5")
    (0.025, 12.5)
    """
    return float(text.replace(",", "." if _DECIMAL_COMMA.fullmatch(text) else ""))


def find_strengths(words: str) -> Iterator[FoundStrength]:
    """Every strength in the words, from left to right.

    >>> [found.strength for found in find_strengths("Amoxicillin 250 mg/5 mL")]
    [Strength(amount=50.0, unit='mg', per='mL')]
    >>> [found.strength.amount for found in find_strengths("norethindrone-ethinyl estradiol 1-20 mg-mcg")]
    [1.0, 0.02]
    """
    words = _EUROPEAN_UNITS.sub(_in_units, with_short_units(words))
    lists = (
        (match, _LISTED.findall(match["numbers"]), _UNITS.findall(match["units"])) for match in _PAIRED.finditer(words)
    )
    paired = [match for match, numbers, units in lists if len(numbers) == len(units)]
    for match in paired:
        units = _UNITS.findall(match["units"])
        for amount, unit in zip(_LISTED.findall(match["numbers"]), units, strict=True):
            strength = _strength(match, amount, unit)
            if strength is not None:
                yield FoundStrength(match.start(), match.end(), strength, is_listed=True)
    for match in _STRENGTH.finditer(words):
        if any(pair.start() < match.end() and match.start() < pair.end() for pair in paired):
            continue
        listed = [*_LISTED.findall(match["before"]), match["amount"]]
        for amount in listed:
            strength = _strength(match, amount, match["unit"])
            if strength is not None and strength.unit == "%" and _DRUNK.search(words):
                strength = Strength(strength.amount * 10.0, "mg", "mL")
            if strength is not None:
                yield FoundStrength(match.start(), match.end(), strength, len(listed) > 1)


def with_short_units(words: str) -> str:
    """Return the words with a mass as "mg", "mcg" or "g" and as long as they were: "10 Mikrogramm", "10 microgramos".

    >>> with_short_units("10 Mikrogramm 1-0-1").split()
    ['10', 'mcg', '1-0-1']
    """
    return _LONG_MASS.sub(_in_short, words) if "gram" in words.casefold() else words


def _in_short(match: re.Match[str]) -> str:
    short = _SHORT_UNITS[MILLIGRAMS[match["unit"].lower()]]
    return f"{match['before']}{short}".ljust(len(match.group()))


def _in_units(match: re.Match[str]) -> str:
    """Return an activity with its unit in English, and as long as it was: places in the words stay what they are."""
    unit = "iu" if len(match["unit"]) > 1 else "u"
    return f"{match['number'].replace('.', '')}{match['blank']}{unit}".ljust(len(match.group()))


def read_strengths(words: str) -> list[Strength]:
    """Return the strengths in the words, from left to right."""
    return [strength.strength for strength in find_strengths(words)]


def _strength(match: re.Match[str], written: str, unit: str) -> Strength | None:
    unit = unit.lower().replace("μ", "µ")
    factor = MILLIGRAMS.get(unit)
    unit = "mg" if factor is not None else ACTIVITY_UNITS[unit]
    amount = number(written) * (factor or 1.0)
    per, count = "unit", number(match["count"]) if match["count"] else 1.0
    divisor = match["per"] or match.groupdict().get("mass")
    if divisor:
        per = _PER[divisor.lower()]
    if not amount or not count:
        return None
    if per == "L":
        per, count = "mL", count * 1000.0
    elif per == "g":
        per, count = "mg", count * 1000.0
    return Strength(amount / count, unit, per)
