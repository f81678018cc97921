"""Reads what a sig says that one dose and a day are at most: "max 3 g a day", "15 mg/kg (max 1 g/dose, 4 g/day)"."""

import re

from msgspec import Struct

from fhir.mapping.medications.sig_amounts import SigAmount
from fhir.mapping.medications.sig_frequency import NUMBER, UNIT, find_frequencies
from fhir.mapping.medications.sig_languages import has_sign
from fhir.terminology.dosing import dose_unit

_MAXIMUM = re.compile(
    rf"(?:max(?:imum)?\.?(?: (?:of|dose|daily|amount))*|not (?:to )?exceed(?:ing)?|not? more than|nte|mdd|limit)[: ]*"
    rf"(?P<high>{NUMBER})(?! ?(?:x|times?|doses?)\b) ?(?P<unit>{UNIT})?"
    r"(?: (?:of )?(?:acetaminophen|apap|tylenol))?"
    r"(?: ?(?:/|per|in|a|every|each|within)? ?(?:1 )?(?:24 ?h(?:ours|rs|r)?|d|day|daily)\b)?"
)
# What is for each kilogram or square metre of a patient, and the most of it: "(max 1 g/dose, 4 g/day)", "up to 2 mg".
_BY_SIZE = re.compile(r"(?:/|per) ?(?:kg|m(?:2|²|\^2))(?!\w)(?P<of_day> ?(?:/|per) ?(?:day|d|24 ?h)\b)?")
_OF_WHAT = (
    r"(?: ?(?:/|per|in|a|every|each|within|at)? ?(?:an? |one |1 )?(?:single )?(?:(?:24 ?h(?:ours|rs|r)?|d|day|daily)"
    r"|(?:dose|time|administration))\b)?"
)
_MOST = (
    rf"{NUMBER} ?(?:{UNIT})(?!\w)(?: ?(?:/|per) ?kg\b)?{_OF_WHAT}"
    r"(?! ?(?:/|per|an?|every) ?(?:kg|h(?:(?:ou)?r)?|min\w*|w(?:ee)?k|month|m2|m²|m\^2)(?!\w))"
)
_CAP = re.compile(
    r"\(?(?P<lead>\bup to|(?<!\d )\bcap(?:ped)?(?: (?:at|to|of))?|\bnot (?:to )?exceed(?:ing)?|\bnot? more than|\bnte"
    r"|\b(?:max(?:im\w*)?\.?|mdd|limit(?:ed)?)(?: (?:of|to|at|is|single|dose|daily|amount))*)[: ]*"
    rf"(?P<limits>{_MOST}(?:(?:,|;| or| and) ?(?:max\w*\.? )?{_MOST}){{0,2}})\)?"
)
_ONE_MOST = re.compile(
    rf"(?P<count>{NUMBER}) ?(?P<unit>{UNIT})(?P<by_weight> ?(?:/|per) ?kg\b)?(?P<of_what>{_OF_WHAT})"
)
_OF_ONE_DOSE = re.compile(r"\b(?:dose|time|administration)\b")
_MAXIMUM_SIGNS = ("max", "exceed", "more than", "nte", "mdd", "limit")
# A limit of one dose, of an hour or of a week is none of a day.
_OTHER_THAN_A_DAY = re.compile(
    r" ?(?:/|per|in|at|a|every|each|within)? ?(?:(?:an?|1|the) )?(?:dose|time|administration|h(?:(?:ou)?r)?|min(?:ute)?"
    r"|w(?:ee)?k|month|\d+ ?(?:h(?:(?:ou)?rs?)?|min(?:ute)?s?|days?|w(?:ee)?ks?))\b"
)
_HOURLY = re.compile(r"\d ?-?h(?:(?:ou)?r)? $")


def without_caps(text: str) -> tuple[str, SigAmount | None, SigAmount | None]:
    """Take out of words by weight or surface what one dose and what a day is at most, and return them beside the rest.

    What does not say of which of the two it is the most is that of a dose; behind how often it may be of a day, too.
    """
    size = _BY_SIZE.search(text) if has_sign(text, ("kg", "m2", "m²", "m^2")) else None
    if size is None:
        return text, None, None
    caps = [match for match in _CAP.finditer(text) if not (match["lead"] == "up to" and "kg" in match["limits"])]
    of_dose: list[SigAmount] = []
    of_day: list[SigAmount] = []
    rest = text
    for match in reversed(caps):
        rest = f"{rest[: match.start()]} {rest[match.end() :]}"
        is_behind = any(time.high >= 1.0 for time in find_frequencies(text[: match.start()]))
        for each in _ONE_MOST.finditer(match["limits"]):
            unit = dose_unit(f"{each['unit']}{'/kg' if each['by_weight'] else ''}")
            most = SigAmount(float(each["count"]), float(each["count"]), unit, *match.span()) if unit else None
            is_of_dose = _OF_ONE_DOSE.search(each["of_what"]) is not None
            is_of_day = not is_of_dose and bool(each["of_what"] or "daily" in match["lead"] or size["of_day"])
            if most is not None and not is_of_day:
                of_dose.append(most)
            if most is not None and (is_of_day or (is_behind and not is_of_dose and "kg" in size.group())):
                of_day.append(most)
    return rest, min(of_dose, key=_bounds, default=None), min(of_day, key=_bounds, default=None)


def _bounds(most: SigAmount) -> tuple[bool, float]:
    return most.unit.by_weight, most.high * most.unit.factor


def _maximum(match: re.Match[str]) -> SigAmount | None:
    unit = dose_unit(match["unit"]) if match["unit"] else None
    high = float(match["high"])
    return SigAmount(high, high, unit, match.start(), match.end()) if unit is not None else None


class StatedMaximum(Struct, frozen=True):
    """What words are without their maximum, and what that is: of one dose, or of a day; `match` has its number."""

    rest: str
    of_dose: SigAmount | None = None
    of_day: SigAmount | None = None
    match: re.Match[str] | None = None


def without_maximum(text: str) -> StatedMaximum:
    """Take the most that words say out of them; that of an hour or a week is none of a day."""
    match = _MAXIMUM.search(text) if has_sign(text, _MAXIMUM_SIGNS) else None
    if match is None:
        return StatedMaximum(text)
    rest = f"{text[: match.start()]} {text[match.end() :]}"
    other = _OTHER_THAN_A_DAY.match(text, match.end())
    if other or _HOURLY.search(text[: match.start()]):
        is_of_dose = other is not None and _OF_ONE_DOSE.search(other.group()) is not None
        return StatedMaximum(rest, of_dose=_maximum(match) if is_of_dose else None)
    return StatedMaximum(rest, of_day=_maximum(match), match=match)
