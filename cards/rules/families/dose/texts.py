"""What the cards of doses say: the worst excess, its limit and weight in words, and the rows as pages show them."""

import math
import re
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from cards.rules.engine.family import Placeholder, TableRow, written
from cards.rules.families.dose import lifetime
from cards.rules.families.dose.excess import TEN_FOLD, Excess
from cards.rules.families.dose.knowledge import ADULT_YEARS, FORMS, Limit, evidence_of
from cards.rules.families.dose.rows import limits_of_route
from cards.rules.families.dose.sums import DraftDose, Implausible, body_surface_m2, dose_of
from cards.rules.patient.context import RuleContext
from cards.text import capitalized, format_dose, format_number
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.medications.sig_amounts import is_rate
from fhir.mapping.weights import format_kg, judged_weight
from fhir.terminology.conditions import CONDITION_GROUPS

_LEAD = "No label was read for this maximum."
_ONE_DOSE = "The order does not say how many a day: one dose was counted."
_OPEN_END = "The order does not say how long the infusion runs: a whole day was counted."
_LEAST = "The order does not say which ingredient its mass is of: the least possible dose was counted."
_PIECES = re.compile(r"\b(?:tab(?:let)?s?|cap(?:sule|let)?s?)\b", re.IGNORECASE)
_BY_TIME = re.compile(r"\ban hour\b|\ba minute\b")
_OLDEST_NAMED = 150
_UNITS = {"unit": "units", "meq": "mEq", "patch": "patches", "actuation": "actuations", "drop": "drops"}


def weight_gap(context: RuleContext) -> str:
    """Why no weight is used, where none is: "the weight on record is of 2025-09-18 (9 kg)"."""
    judged = judged_weight(context.session.record)
    if judged.implausible is not None:
        weight = judged.implausible
        return f"the weight on record cannot be right ({format_kg(weight)} on {weight.time.text[:10]})"
    if judged.too_old is not None:
        return f"the weight on record is too old ({format_kg(judged.too_old)} on {judged.too_old.time.text[:10]})"
    if context.session.record.lookup("body_weight").refused:
        return "the weight that came cannot be used"
    return "no weight on record"


def worst_excess(context: RuleContext) -> Excess | None:
    """Return the worst excess, or the limit that a child's dose is far under."""
    dose = dose_of(context)
    excess = dose.excess or dose.under_tenth
    return _by_the_hour(excess) if excess is not None and _runs_by_the_hour(excess.limit, dose) else excess


def _runs_by_the_hour(limit: Limit, dose: DraftDose) -> bool:
    """Whether a limit of a day that its source gives by time measures an order that says only what runs in an hour."""
    is_of_day = not (limit.per_dose or limit.per_hour or limit.per_week or limit.per_area)
    steps = dose.steps if is_of_day and _BY_TIME.search(limit.note) else ()
    return len(steps) == 1 and not steps[0].hours and bool(steps[0].rates) and all(map(is_rate, steps[0].rates))


def _by_the_hour(excess: Excess) -> Excess:
    limit = replace(excess.limit, most=excess.limit.most / 24.0, per_hour=True)
    return replace(excess, limit=limit, amount=excess.amount / 24.0)


def _micrograms_in(limit: Limit, context: RuleContext) -> float:
    """Return by what a limit and the amount over it are multiplied: what is small, or ordered so, is in micrograms."""
    return 1000.0 if limit.unit == "mg" and (limit.most < 0.1 or context.is_in_micrograms) else 1.0


def _unit(limit: Limit, context: RuleContext) -> str:
    name = "mcg" if _micrograms_in(limit, context) > 1 else _UNITS.get(limit.unit, limit.unit)
    mass, span = _for_size(name, limit), _span(limit)
    return f"{mass}/day" if span == "a day" else f"{mass} {span}"


def _for_size(name: str, limit: Limit) -> str:
    return f"{name}/kg" if limit.per_kg else f"{name}/m2" if limit.per_area else name


def _span(limit: Limit) -> str:
    if limit.per_hour:
        return "an hour"
    return "a dose" if limit.per_dose else "a week" if limit.per_week else "a day"


def amount(context: RuleContext) -> str | None:
    """Return "at least 15 mg/kg a dose with the other order" of the worst excess."""
    excess = worst_excess(context)
    if excess is None:
        return None
    limit, number = excess.limit, len(excess.beside)
    times = _micrograms_in(limit, context)
    ordered, most = excess.amount * times, limit.most * times
    is_quotient = (limit.per_kg or limit.per_area) and ordered <= 1e9  # more is a key that was held down
    amount_text = (
        format_number(ordered, [most], 2 if limit.per_kg else 1) if is_quotient else format_dose(ordered, [most])
    )
    orders = "the other order" if number == 1 else f"{number} other orders"
    is_at_largest = excess.largest_kg is not None or excess.largest_m2 is not None
    is_part = excess.is_least or excess.is_one_dose or is_at_largest or excess.lightest_kg is not None
    least = "at least " if is_part and not amount_text.startswith("over") else ""
    return f"{least}{_with_unit(amount_text, limit, context)}{f' with {orders}' if number else ''}"


def _with_unit(amount_text: str, limit: Limit, context: RuleContext) -> str:
    unit = _unit(limit, context)
    return f"{amount_text} {unit.replace('units', 'unit', 1) if amount_text == '1' else unit}"


def _most(context: RuleContext) -> str | None:
    excess = worst_excess(context)
    if excess is None:
        return None
    limit = excess.limit
    form = f" ({FORMS[limit.form]})" if limit.form else ""
    where = f" in {CONDITION_GROUPS[limit.condition].meaning.lower()}" if limit.condition else ""
    phrase = "the maximum of" if excess.is_firm else "the usual maximum of"
    if excess.of_adult:
        phrase = "the adult maximum of" if limit.is_for_adults else f"the maximum from {limit.ages.start} years on of"
    elif limit.is_alarm:
        phrase = "the usual dose of"
    elif limit.population == "first order":
        phrase = "the usual maximum first dose of"
    most = limit.most * _micrograms_in(limit, context)
    most_text = format_number(most, decimals=2 if most >= 1.0 else 3)
    return f"{phrase} {_with_unit(most_text, limit, context)}{form}{where}"


def _child_dosed(context: RuleContext) -> str:
    """Age and weight of a child before a limit by dose or day: one by weight says so itself."""
    excess = worst_excess(context)
    return context.child_words if excess is not None and not (excess.limit.per_kg or excess.limit.per_area) else ""


def _note(context: RuleContext) -> str:
    excess = worst_excess(context)
    if excess is None:
        return ""
    area = body_surface_m2(context)
    notes = [f"Maximum: {excess.limit.note}." if excess.limit.note else ""]
    notes += (
        ["No earlier order of it is on record: start low and raise it."]
        if excess.limit.population == "first order"
        else []
    )
    notes += [_LEAST] if excess.is_least else [_ONE_DOSE] if excess.is_one_dose else []
    notes += [_OPEN_END] if excess.has_open_end else []
    if counted := excess.largest_kg or excess.lightest_kg:
        weight = f"{capitalized(weight_gap(context))}: counted with {format_number(counted)} kg"
        notes.append(f"{weight}, {'less' if excess.lightest_kg else 'more'} than nearly everybody of this age weighs.")
    if excess.largest_m2 is not None:
        surface = f"{format_number(excess.largest_m2, decimals=2)} m2, the largest plausible one"
        ordered = f"{format_dose(excess.amount * excess.largest_m2)} {_UNITS.get(excess.limit.unit, excess.limit.unit)}"
        notes.append(f"The body surface is not known: {ordered} was counted with {surface}.")
    weight_used = context.session.weight
    is_maximum = excess.limit.per_kg and not excess.limit.is_alarm
    if is_maximum and excess.largest_kg is None and weight_used is not None:
        total, times = excess.limit.most * weight_used.value, _micrograms_in(excess.limit, context)
        mass = _unit(excess.limit, context).replace("/kg", "", 1)
        if times > 1 and total >= 1:  # the order is written in mg
            times, mass = 1.0, mass.replace("mcg", "mg", 1)
        kilograms = format_number(weight_used.value, decimals=2)
        notes.append(f"For {kilograms} kg the maximum is {format_dose(total * times)} {mass}.")
        years = weight_used.whole_days(context.session.record.as_of_epoch) // 365
        if years:
            age = "a year" if years == 1 else f"{years} years"
            notes.append(f"The weight is over {age} old: weigh before the dose.")
    notes += [f"Body surface {format_number(area, decimals=2)} m2."] if area and excess.limit.per_area else []
    notes += ["An order that this one replaces is not counted."] if excess.beside else []
    notes += [_LEAD] if excess.limit.is_lead and not excess.limit.is_alarm else []
    return " ".join(filter(None, notes))


def _whole(times: float) -> str:
    """Return it in words where a slip of the keyboard has made it a number that nobody reads, or infinite."""
    return f"{math.floor(times):,}" if times < 1_000_000 else "over a million"


def _recommended(excess: Implausible) -> str:
    weight = f" scaled to {format_number(excess.weight_kg)} kg" if excess.weight_kg is not None else ""
    return f"{format_dose(excess.recommended_mg_day)} mg/day{weight}"


def _times_maximum(excess: Excess) -> str:
    is_small = excess.limit.ten_fold_from is not None and excess.times < TEN_FOLD
    return f"{math.floor(excess.times * 10) / 10:g}" if is_small else _whole(excess.times)


def _implausible(context: RuleContext) -> Implausible | None:
    return dose_of(context).implausible[0]


def _how_often(context: RuleContext) -> str | None:
    """ "3 times a day", "once a day", "7 times a week", "every 3 weeks" as it is ordered, on average."""
    week = context.times_per_week
    if week is None:
        return None
    if week < 1.0:
        # A month has 4.3 weeks (30 days) or 4.4 (31).
        return "once a month" if 4.25 < 1.0 / week < 4.45 else f"every {format_number(1.0 / week)} weeks"
    day = week / 7.0
    if week < 7.0:
        return "once a week" if week == 1.0 else f"{format_number(week)} times a week"
    words = {1.0: "once", 2.0: "twice"}.get(day)
    return f"{words or f'{format_number(day)} times'} a day"


def rows_of(medication: MedicationIdentity) -> Iterator[TableRow]:
    """Yield the limits of the drug's route as pages show them."""
    for limit in (row for rxcui in medication.rxcuis for row in limits_of_route(rxcui, medication)):
        last, span = limit.ages[-1], "at every age"
        if limit.ages.start or last < ADULT_YEARS:
            span = f"{limit.ages.start} to {last} years" if last < _OLDEST_NAMED else f"from {limit.ages.start} years"
        weights = [f"from {limit.weight_from_kg:g} kg"] if limit.weight_from_kg is not None else []
        weights += [f"up to {limit.weight_to_kg:g} kg"] if limit.weight_to_kg is not None else []
        circumstances = (limit.route, FORMS.get(limit.form, ""), limit.population, limit.condition, limit.setting)
        without = [f"without {limit.without_condition}"] if limit.without_condition else []
        about = ", ".join([limit.drug, span, *weights, *filter(None, circumstances), *without])
        unit = _for_size(_UNITS.get(limit.unit, limit.unit), limit)
        note = f" ({limit.note})" if limit.note else ""
        most = "at most" if limit.is_firm else "usually at most"
        says = f"{most} {format_number(limit.most)} {unit} {_span(limit)}{note}"
        yield TableRow(about.replace("_", " "), says, evidence_of(limit))


def _error(context: RuleContext) -> str:
    """Return what a far too high dose mostly is; a number of tablets only of what comes in pieces."""
    is_counted = _PIECES.search(f"{context.medication.dose_form} {context.medication.words}") is not None
    return "unit, decimal point or number of tablets" if is_counted else "unit or decimal point"


def _ordered(context: RuleContext) -> str:
    """Return the amount a day that was read, where the headline gives it for each kilogram."""
    excess, daily = worst_excess(context), context.daily_dose_mg
    return f"Ordered: {format_dose(daily)} mg/day." if excess is not None and excess.limit.per_kg and daily else ""


PLACEHOLDERS: Final = {
    "ordered": Placeholder(_ordered),
    "over_drug": Placeholder(written(worst_excess, lambda excess: excess.limit.drug), "chlorpheniramine"),
    "amount": Placeholder(amount, "12,800.5 mg/day with the other order"),
    "most": Placeholder(_most, "the usual maximum first dose of 4,000 mg/day (extended release)"),
    "note": Placeholder(_note),
    "child_dosed": Placeholder(_child_dosed),
    "error": Placeholder(_error),
    "times": Placeholder(written(worst_excess, _times_maximum), "1,000"),
    "times_recommended": Placeholder(written(_implausible, lambda dose: _whole(dose.times)), "1,000"),
    "labelled_age": Placeholder(
        lambda context: str(row.labelled_from) if (row := dose_of(context).labelled_from) is not None else None, "18"
    ),
    "weight_gap": Placeholder(
        lambda context: capitalized(weight_gap(context)) if dose_of(context).wants_weight else None,
        "The weight on record cannot be right (140.5 kg on 2026-11-20)",
    ),
    "lifetime_dose": Placeholder(written(lifetime.lifetime_dose, lifetime.dose_text), "at least 1,560 mg/m2"),
    "lifetime_most": Placeholder(
        written(lifetime.lifetime_dose, lambda dose: f"{format_number(dose.most_mg_m2)} mg/m2"), "550 mg/m2"
    ),
    "lifetime_count": Placeholder(written(lifetime.lifetime_dose, lifetime.count_text), "12 administrations"),
    "far_drug": Placeholder(written(_implausible, lambda dose: dose.row.drug), "mycophenolate mofetil"),
    "written": Placeholder(
        written(_implausible, lambda dose: f"{format_dose(dose.amount)} mg/day"), "120,000.5 mg/day"
    ),
    "recommended": Placeholder(written(_implausible, _recommended), "24,000 mg/day scaled to 12.5 kg"),
    "how_often": Placeholder(_how_often, "12.5 times a week"),
    "duration": Placeholder(
        lambda context: None if context.duration_days is None else format_number(context.duration_days), "365"
    ),
}
"""What the texts of these rules may name."""
