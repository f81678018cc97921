"""Reads the amounts that a sig names: doses, counts of tablets and rates, and over how long they run."""

import re
from typing import TypeVar

from msgspec import Struct, structs

from fhir.mapping.medications.sig_frequency import MOMENT_SIGNS, NUMBER, UNIT
from fhir.mapping.medications.sig_languages import has_sign
from fhir.terminology.dosing import DoseUnit, dose_unit

_AMOUNT = re.compile(
    # "two 500 mg tablets", "1 x 500 mg"; else "500 mg", "1-2 tablets", "0.5 to 1 tab"
    rf"(?<![\w./#])(?:(?P<count>{NUMBER}) (?:x )?(?={NUMBER} ?(?:mg|mcg|g|ug|µg)\b))?"
    rf"(?P<low>{NUMBER})(?: ?(?:-|to|or) ?(?P<high>{NUMBER}))? ?(?P<unit>{UNIT})(?![\w])"
    # "15 mg/kg", "30 mg/kg/day", "30 mg per kg per day"
    r"(?P<by_weight> ?(?:/|per) ?kg\b(?:(?: ?/ ?| per )(?P<span>dose|day|d|24 ?h(?:ours|rs|r)?"
    r"|h(?:(?:ou)?r)?|min(?:ute)?)\b)?)?"
    # What a patch gives off and how fast an infusion runs: "25 mcg/hr", "1 mg/min".
    r"(?P<rate>(?: ?/ ?| per )(?:h(?:(?:ou)?r)?|min(?:ute)?)\b)?"
    r"(?! ?/ ?(?:\d|d?l\b|ml|m2))"
)
_ON_BOTH_SIDES = re.compile(r" ?(?:(?:in|into|to|per|via)? ?(?:each|both)|per) (?:nostrils?|nares|naris|eyes?|ears?)\b")
# Over how long a dose runs; "for" and "x" say when a drip ends.
_OVER = re.compile(
    r"\b(?:(?P<drip>for|x|für|per)|over|during|in|über|ueber|sur|en|durante) (?:the (?:first|next) )?"
    r"(?P<count>\d{1,3}(?:\.\d{1,2})?)(?: ?(?:-|to) ?(?P<most>\d{1,3}(?:\.\d{1,2})?))? ?-?"
    r"(?P<unit>s(?:ec\w*|ek\w*)?\b|h(?:ou|eu|o)?r?|std|stunde|or[ae]\b|min)"
)
_IN_HOURS = {"s": 1 / 3600.0, "se": 1 / 3600.0, "mi": 1 / 60.0}
# "1 tablet in the morning, 1 at noon and 2 at bedtime": a count of what was named before.
_COUNTED_ON = re.compile(
    rf"(?P<joined>(?:\band|[,;&+]|\bplus) ?)?(?<![\w./-])(?<!at )(?P<count>{NUMBER}) (?=(?:nightly|qhs|qam|qpm|hs"
    r"|(?:at|in|every|each|before|with) (?:the )?(?:bed ?time|night|morning|noon|midday|breakfast|lunch|dinner|supper"
    r"|evening|afternoon|am|pm))\b)"
)
_HOUR = re.compile(r"\bat \d")
_TOTAL = re.compile(r" ?(?:in )?total\b")
SPEED = re.compile(r"(?:\bat|\brate(?: of)?|speed|\bthan|\bmax\w*\.?|exceed\w*|\bgive|push|geschwindigkeit):? $")
"""What stands before a rate that says how fast a dose is given."""
DRIP = re.compile(
    r"infus|perfus|\bdrip\b|\bgtt\b|continuous|\bpca\b|\bbag\b|premix|\bin \d+ ?ml\b|driver|\bcsci\b|pumpe"
)
"""What says of an order, in its words or its product's, that it runs and is not injected."""
_MINUTE = 1 / 1440.0
_VERB = re.compile(r"\b(?:take|give|use|apply|inhale|inject|insert|place|chew|swallow|dissolve|sig)\b:?")


class DoseAmount(Struct, frozen=True, gc=False):
    """The amount of one administration, or of a rate: `low` to `high` of a unit."""

    low: float
    high: float
    unit: DoseUnit


class SigAmount(DoseAmount, frozen=True, gc=False):
    """How much at a time; `start` and `end` are where the words say it.

    `milligrams` are what the words say further on that these are: "3 tablets daily (600 mg)". Whether they are depends
    on the product.
    """

    start: int
    end: int
    milligrams: tuple[float, float] | None = None


AnyAmount = TypeVar("AnyAmount", bound=DoseAmount)


def amounts_in(text: str, start: int = 0) -> list[SigAmount]:
    """Return every amount that plain words name, doses and rates, from left to right."""
    amounts = []
    for match in _AMOUNT.finditer(text, start):
        unit = _unit(match)
        if unit is not None:
            count = float(match["count"]) if match["count"] else 1.0
            count *= 2.0 if _ON_BOTH_SIDES.match(text, match.end()) else 1.0
            low = float(match["low"]) * count
            high = float(match["high"]) * count if match["high"] else low
            amounts.append(SigAmount(min(low, high), max(low, high), unit, match.start(), match.end()))
    return amounts


def doses_in(text: str) -> list[SigAmount]:
    """Return the amounts that are taken: behind the verb where one stands there, each said once, and no speed."""
    verb = _VERB.search(text)
    amounts = amounts_in(text, verb.end()) if verb is not None else []
    if all(
        map(is_rate, amounts)
    ):  # "4 mL swish and swallow", "10 mg IV, give at 1 mg/min": the dose is before the verb
        amounts = amounts_in(text)
    # "2 g at 100 mL/hr" says how fast, beside how much.
    amounts = [amount for amount in amounts if not _is_speed(text, amount)] or amounts
    return _without_restatement(text, amounts)


def is_rate(amount: DoseAmount) -> bool:
    """Whether it is so much in an hour or a minute."""
    return amount.unit.span_days is not None and amount.unit.span_days < 1.0


def _is_speed(text: str, amount: SigAmount) -> bool:
    is_injected = amount.unit.span_days == _MINUTE and not (DRIP.search(text) or "titrat" in text)
    return is_rate(amount) and (is_injected or SPEED.search(text, 0, amount.start) is not None)


def counted_on(text: str, amounts: list[SigAmount]) -> list[SigAmount] | None:
    """Return the amounts with the counts that go on from them; None where it is not clear what is counted."""
    counts = list(_COUNTED_ON.finditer(text)) if amounts and has_sign(text, MOMENT_SIGNS) else []
    if not counts:
        return amounts
    unit = amounts[0].unit
    are_before = all(amount.start < counts[0].start() for amount in amounts)
    # "1 (500 mg) … and 2 …": of a mass it is not said whether the number is of milligrams or of tablets.
    if not are_before or unit.kind == "mg" or _HOUR.search(text) or not all(count["joined"] for count in counts):
        return None
    values = [(float(count["count"]), count) for count in counts]
    return amounts + [
        SigAmount(value, value, unit, match.start("count"), match.end("count")) for value, match in values
    ]


def _unit(match: re.Match[str]) -> DoseUnit | None:
    if match["by_weight"]:
        span = match["span"] or "dose"
        span = "min" if span.startswith("min") else "h" if span.startswith("h") else "dose" if span == "dose" else "day"
        return dose_unit(f"{match['unit']}/kg/{span}")
    if match["rate"]:
        return dose_unit(f"{match['unit']}/{'min' if 'min' in match['rate'] else 'h'}")
    return dose_unit(match["unit"])


def _without_restatement(text: str, sig_amounts: list[SigAmount]) -> list[SigAmount]:
    """Drop a mass in brackets or right after a count: "1 tablet (500 mg)", "1 tab 500 mg", "500 mg (1 tab)"."""
    kept: list[SigAmount] = []
    pairs = len(sig_amounts) > 2
    for amount in sig_amounts:
        repeated = _said_once(text, kept[-1], amount, of_several=pairs) if kept else None
        if repeated is None:
            kept.append(amount)
        else:
            kept[-1] = repeated
    return kept


_THEN_IN_BRACKETS = re.compile(r"[a-z][a-z0-9 ]*\((?:= ?)?")
_CLOSED = re.compile(r"(?: total)?\)")


def _said_once(text: str, first: SigAmount, second: SigAmount, *, of_several: bool) -> SigAmount | None:
    """Return the one amount that two of them say; None where they are two."""
    between = text[first.end : second.start].strip()
    kinds = {first.unit.kind, second.unit.kind}
    is_beside = between in ("(", "=")
    counted, mass = (first, second) if second.unit.kind == "mg" else (second, first)
    if first.unit.by_weight != second.unit.by_weight and len(kinds) == 1 and (is_beside or between == "(="):
        # "15 mg/kg (1,050 mg)": what this patient is given is said, too.
        chosen = second if first.unit.by_weight else first
    elif kinds == {"mL", "activity"} and is_beside:
        chosen = first if first.unit.kind == "activity" else second
    elif kinds == {"mL", "mg"} and is_beside and first.unit.kind == "mL":
        chosen = second  # A mass after a volume is what is in all of it: "20 mL (200 mg)".
    elif kinds == {"unit", "mg"} and _THEN_IN_BRACKETS.fullmatch(between):
        # "3 tablets daily (600 mg)", "1 tablet daily (20 mg total)", "600 mg daily (3 tablets)"
        is_mass = not mass.unit.by_weight and mass.unit.span_days is None
        if first.milligrams is not None or not is_mass or not _CLOSED.match(text, second.end):
            return None
        milligrams = (mass.low * mass.unit.factor, mass.high * mass.unit.factor)
        return structs.replace(first, low=counted.low, high=counted.high, unit=counted.unit, milligrams=milligrams)
    elif between not in ("", "(", "=", ",") or len(kinds) == 1 or mass.unit.kind != "mg":
        return None
    elif mass.unit.span_days is not None and counted.unit.kind in ("patch", "unit"):
        chosen = counted
    elif _TOTAL.match(text, mass.end):
        chosen = mass
    else:
        # One tablet that holds so much is that much. Of more than one it is not said whether each or all, and among
        # several amounts all are counted alike.
        chosen = mass if counted.high == counted.low == 1.0 and not of_several else counted
    return SigAmount(chosen.low, chosen.high, chosen.unit, first.start, second.end)


def given_in(days: float, rate: AnyAmount) -> AnyAmount:
    """Return what a rate gives in so many days."""
    share = days / (rate.unit.span_days or 1.0)
    unit = structs.replace(rate.unit, span_days=None)
    return structs.replace(rate, low=rate.low * share, high=rate.high * share, unit=unit)


def hours_in(text: str, *, is_drip: bool, times: float | None = None) -> float | None:
    """Return the hours over which a dose runs, or for which a drip does; the longer end of a range."""
    for match in _OVER.finditer(text):
        hours = float(match["most"] or match["count"]) * _IN_HOURS.get(match["unit"][:2], 1.0)
        # "q6h for 24 hours" is a course, "for 1 hour 3 times daily" is not: it ends before the next one.
        is_short = times is not None and hours * times <= 24.0
        if is_drip or is_short or not match["drip"] or match["unit"][:2] in _IN_HOURS:
            return hours or None
    return None
