"""Declares what the rules about diseases and values that forbid a drug use beside the common words.

The rules are the JSON files beside it, their rows the tables; `cards/rules/engine/family.py` says what a family is.
"""

import re
from typing import Final

from cards.extension import Fact
from cards.rules.conditions.condition import flag, number
from cards.rules.conditions.words.numbers import WEIGHT, needs_of_lab
from cards.rules.engine.family import Family, Placeholder, for_drug
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import dated, measurement_fact
from cards.text import capitalized, format_number
from fhir.mapping.conditions import problems_of
from fhir.record.measurement import Measurement

_GAS_DAYS, _POTASSIUM_DAYS, _CALCIUM_DAYS, _ALBUMIN_DAYS = 30, 30, 30, 90
_ALBUMIN_G_DL, _CALCIUM_OF_ALBUMIN = 4.0, 0.8
"""The correction of KDOQI 2003, guideline 6: so many mg/dL of calcium for each g/dL of albumin under 4."""


def _with_pco2(context: RuleContext) -> str:
    """Return the value after " with ", and nothing where no value is known."""
    measurement = context.session.lab("pco2_arterial", _GAS_DAYS)
    return f" with {dated(measurement)}" if measurement is not None else ""


def _enough_potassium(context: RuleContext) -> str:
    measurement = context.session.lab("potassium", _POTASSIUM_DAYS)
    return f"{capitalized(dated(measurement))} is not low; none may be needed." if measurement is not None else ""


def _corrected_calcium(context: RuleContext) -> tuple[float, bool]:
    """Return calcium in mg/dL, corrected where albumin is known and low, and whether calcium is known."""
    calcium, albumin = context.session.lab("calcium", _CALCIUM_DAYS), _low_albumin(context)
    if calcium is None:
        return 0.0, False
    lost = _ALBUMIN_G_DL - albumin.value if albumin is not None else 0.0
    return calcium.value + _CALCIUM_OF_ALBUMIN * lost, True


def _low_albumin(context: RuleContext) -> Measurement | None:
    albumin = context.session.lab("albumin", _ALBUMIN_DAYS)
    return albumin if albumin is not None and albumin.value < _ALBUMIN_G_DL else None


def _calcium_facts(context: RuleContext) -> list[Fact]:
    return [*context.lab_facts("calcium", _CALCIUM_DAYS), *context.lab_facts("albumin", _ALBUMIN_DAYS)]


def _after_correction(context: RuleContext) -> str:
    """Return the corrected calcium as a sentence, and nothing where nothing is corrected."""
    albumin = _low_albumin(context)
    if albumin is None:
        return ""
    value = format_number(_corrected_calcium(context)[0], decimals=2)
    return f"Corrected for {dated(albumin)} calcium is {value} mg/dL."


_LOWER_GI: Final = re.compile(
    r"\brect(?:al|um)\b|hematochezia|brbpr|\b(?:lower g(?:i|astro)|lgi)|\ban(?:us|al)\b|\bcolon(?:ic)?\b"
    r"|diverticul|hemorrhoid|blood(?:y| in) (?:stool|feces)",
    re.IGNORECASE,
)
_UPPER_GI: Final = re.compile(
    r"upper|\bugib?\b|ha?ematemesis|mela?ena|vomit|coffee|gastri[ct]|stomach|duoden|o?esophag|ulcer(?!ative)|varic",
    re.IGNORECASE,
)
_NO_SOURCE: Final = re.compile(
    r"\b(?:after|following|s/p|status post|history of|h/o)\b.{0,40}?"
    r"(?:resection|colectomy|surgery|polypectomy|cancer|carcinoma|polyps)",
    re.IGNORECASE,
)
"""A disease or an operation of before, which is not said to be what bleeds."""


def _is_upper_gi(context: RuleContext) -> bool:
    """Whether one of the entries for a bleed or ulcer of the gut may be of its upper part; STOPP H8 asks for that."""
    texts = [fact.text for fact in context.condition_facts("gi_bleed_or_ulcer")]
    texts += [hit.words for hit in problems_of(context.session.record, ("gi_bleed_or_ulcer",))]
    return context.has_condition("peptic_ulcer") or not all(map(_is_lower_gi, texts))


def _is_lower_gi(text: str) -> bool:
    """Whether an entry names the lower gut as what bleeds, and not the upper."""
    return _UPPER_GI.search(text) is None and _LOWER_GI.search(_NO_SOURCE.sub("", text)) is not None


_ENOXAPARIN: Final = "67108"
_ADULT_YEARS: Final = 18
_HEPARIN_UNITS_A_DAY, _ENOXAPARIN_MG_ONCE, _ENOXAPARIN_MG_TWICE = 15_000, 40, 30
_ONCE_MG_PER_KG, _TWICE_MG_PER_KG = 1.0, 0.75
"""The labels prevent a thrombosis with heparin 5,000 units two or three times a day and enoxaparin 40 mg once or 30 mg
twice. The lowest treatment doses of the enoxaparin label are 1 mg/kg once (section 2.3, severe renal impairment) and
0.75 mg/kg twice (2.4, from 75 years on): an amount of a day under these prevents also in a heavy patient."""


def _is_prevention_dose(context: RuleContext) -> bool:
    """Whether a heparin is given to an adult in a dose that prevents a thrombosis; one that is not read does not."""
    if context.age_years is None or context.age_years < _ADULT_YEARS:
        return False
    if context.ingredient.rxcui != _ENOXAPARIN:
        activity = context.drafted.dose.activity
        units = activity.per_day if activity is not None and activity.unit == "unit" else None
        return units is not None and units <= _HEPARIN_UNITS_A_DAY
    each, times, a_day = context.dose_mg, context.times_per_day, context.daily_dose_mg
    if each is None or times is None or a_day is None:
        return False
    per_kg, per_kg_a_day = context.dose_mg_per_kg or 0.0, context.dose_mg_per_kg_per_day
    if per_kg_a_day is not None and per_kg_a_day < _ONCE_MG_PER_KG:
        return True
    if times <= 1:
        return max(each, a_day) <= _ENOXAPARIN_MG_ONCE and per_kg < _ONCE_MG_PER_KG
    return times <= 2 and each <= _ENOXAPARIN_MG_TWICE and per_kg < _TWICE_MG_PER_KG


def _prevention_facts(context: RuleContext) -> list[Fact]:
    return [*context.number_facts("times_per_day"), *context.number_facts("daily_dose_mg")]


_PLATELETS_LEAST, _COUNT_DAYS, _FALL_SECONDS = 100.0, 7, 30 * 86_400
"""The labels of heparins stop them where the count falls below 100. That the count of before is at most 30 days older,
and the newest a week old, is the project's own choice."""


def _platelets_before_fall(context: RuleContext) -> Measurement | None:
    """Return the newest count of at least 100 before one under 100; None where platelets did not fall below it."""
    newest = context.session.lab("platelets", _COUNT_DAYS)
    if newest is None or newest.side is not None or newest.value >= _PLATELETS_LEAST:
        return None
    earlier = context.session.record.measurements_since("platelets", newest.time.instant - _FALL_SECONDS)
    return next((count for count in earlier if count.side is None and count.value >= _PLATELETS_LEAST), None)


def _fall_facts(context: RuleContext) -> list[Fact]:
    before = _platelets_before_fall(context)
    earlier = [measurement_fact(before, dated(before))] if before is not None else []
    return [*context.lab_facts("platelets", _COUNT_DAYS, (_PLATELETS_LEAST,)), *earlier]


def _earlier_platelets(context: RuleContext) -> str:
    before = _platelets_before_fall(context)
    return dated(before) if before is not None else "at least 100"


_CLASS_1C: Final = {
    "propafenone": "The label contraindicates heart failure.",
    "flecainide": "In CAST it raised deaths in patients with a damaged left ventricle.",
}

FAMILY = Family(
    "disease",
    conditions=(
        number(
            "corrected_calcium",
            "calcium in mg/dL, corrected for albumin,",
            _corrected_calcium,
            "calcium of the last 30 days compares so, corrected for albumin where albumin is known and under 4 g/dL",
            frozenset({"lab:calcium", "lab:albumin"}),
            _calcium_facts,
            needs_of_lab("calcium") | needs_of_lab("albumin"),
        ),
        flag(
            "prevention_dose",
            _is_prevention_dose,
            "a heparin for an adult in a dose that prevents a thrombosis",
            frozenset({"age"}),
            _prevention_facts,
            needs=WEIGHT,
        ),
        flag(
            "platelets_fell",
            lambda context: _platelets_before_fall(context) is not None,
            "platelets fell below 100 in the last 30 days",
            frozenset({"lab:platelets"}),
            _fall_facts,
            needs=needs_of_lab("platelets"),
        ),
        flag("upper_gi", _is_upper_gi, "the bleeding or ulcer may be of the upper gut", frozenset({"conditions"})),
    ),
    placeholders={
        "after_correction": Placeholder(
            _after_correction, "Corrected for albumin 3.55 g/dL on 2026-11-20 calcium is 10.55 mg/dL."
        ),
        "class1c_evidence": Placeholder(for_drug(_CLASS_1C)),
        "earlier_platelets": Placeholder(_earlier_platelets, "platelets 248.755 10*3/uL on 2026-11-20"),
        "enough_potassium": Placeholder(_enough_potassium),
        "with_pco2": Placeholder(_with_pco2, " with pCO2 48.755 mm[Hg] on 2026-11-20"),
    },
)
