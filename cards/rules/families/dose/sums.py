"""What the patient would get of a drug, and which maximum dose that goes over.

The daily dose is the sum of the draft and of what is taken beside it. The order that the draft renews, and another
order of the same product, are replaced by it and do not count.
"""

import math
import re

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.families.dose.excess import TEN_FOLD, TOLERANCE, Excess, is_of_cytostatic
from cards.rules.families.dose.knowledge import ADULT_YEARS, LIMITS, PLAUSIBLE_DOSES, WORDS, Limit, PlausibleDose, says
from cards.rules.families.dose.rows import (
    age_for,
    has_no_dose,
    is_dose,
    limits_of_order,
    limits_of_route,
    measure_of,
    per_hour_of,
    rows_for,
    steps_of,
)
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication, is_beside, is_other_name, order_text
from fhir.mapping.medications.administration import Measure, in_a_day
from fhir.mapping.medications.daily_dose import DailyDose, instructions_of
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.stays import is_inpatient
from fhir.mapping.weights import largest_plausible_kg
from fhir.terminology.analytes import ANALYTES

TIMES_RECOMMENDED = 3.0
"""A dose over so many times FDA's recommended maximum is taken for an error of writing."""
# FDA's figures are for each kilogram; children are given up to two or three times as much for each.
TIMES_RECOMMENDED_FOR_CHILD = 4.0
_FDA_WEIGHT_KG = 60.0


class Implausible(Struct, frozen=True):
    """A daily dose in mg that is far over FDA's recommended maximum, for a child that of the weight (`weight_kg`)."""

    row: PlausibleDose
    rxcui: str
    amount: float
    recommended_mg_day: float
    weight_kg: float | None = None

    @property
    def times(self) -> float:
        """How many times the recommended maximum it is."""
        return self.amount / self.recommended_mg_day * (1.0 + TOLERANCE)


class Judged(Struct, frozen=True):
    """What was found about a draft: the worst excess of each kind, and whether something that matters is not known."""

    excess: Excess | None
    is_unknown: bool
    slight: Excess | None
    """The worst that is so little over a limit, or over a lead, that nothing is to be said: it is not denied either."""
    under_tenth: Excess | None
    """The limit for each kilogram that a child's dose is nearest to, where it is under a tenth of each of them."""


def taken_beside(context: RuleContext, rxcui: str) -> list[CurrentMedication]:
    """Orders of the ingredient that go on beside the draft; single doses do not count."""
    return [medication for medication, _ in _with_daily_mg(context, rxcui) if is_beside(medication, context.drafted)]


def _with_daily_mg(context: RuleContext, rxcui: str) -> list[tuple[CurrentMedication, float | None]]:
    session, drafted = context.session, context.medication
    # Once for all drafts of one product: two hundred of them are not each added up with all others.
    return session.derive(
        ("taken beside", rxcui, drafted.rxnorm, drafted.rxcuis, drafted.strengths, drafted.is_slow_release),
        lambda: [
            (use, _high(use.dose, rxcui))
            for use in session.with_key(rxcui)
            if not use.dose.single and (use.drafted is not None or not _is_replaced(drafted, use.medication))
        ],
    )


def _is_replaced(drafted: MedicationIdentity, current: MedicationIdentity) -> bool:
    if is_other_name(drafted, current):
        return False
    if drafted.rxnorm is not None and drafted.rxnorm == current.rxnorm and drafted.strengths == current.strengths:
        return True
    same_drugs = drafted.rxcuis == current.rxcuis and None not in drafted.strengths
    return same_drugs and drafted.strengths == current.strengths and drafted.is_slow_release is current.is_slow_release


def _high(dose: DailyDose, rxcui: str) -> float | None:
    daily = dose.daily(rxcui)
    return daily.high if daily is not None else None


def total_mg(context: RuleContext, rxcui: str) -> tuple[float | None, bool]:
    """Milligrams a day of the draft and what is beside it (None: the draft's is not known), and whether it is all."""
    drafted_mg = _high(context.drafted.dose, rxcui)
    if drafted_mg is None:
        return None, False
    going_on = _with_daily_mg(context, rxcui)
    beside = [daily_mg for medication, daily_mg in going_on if is_beside(medication, context.drafted)]
    return drafted_mg + sum(amount for amount in beside if amount is not None), None not in beside


# Maximum doses


def judged(context: RuleContext) -> Judged:
    """Return the worst excess over a maximum dose, worked out once for each draft."""
    return context.session.derive(("dose", context.drafted), lambda: _judge(context))


def limited_rows(context: RuleContext) -> list[list[Limit]]:
    """Return the limits of the order's route and form for each of its ingredients that has some."""
    rows = (limits_of_order(rxcui, context) for rxcui in context.medication.rxcuis)
    return [limits for limits in rows if limits]


def _judge(context: RuleContext) -> Judged:
    excesses: list[Excess] = []
    is_unknown = not limited_rows(context)
    for rxcui in context.medication.rxcuis:
        # The limits are chosen by the age: without it nothing is known, unless there are none or any age chooses them.
        rows = limits_of_route(rxcui, context.medication) if context.age_years is None else []
        if rows and age_for(rows, context) is None:
            is_unknown = True
            continue
        for row, of_adult in rows_for(context, rxcui):
            excess = _excess(row, context, of_adult)
            is_unknown = is_unknown or (excess is None and not of_adult and not _is_measured_otherwise(row, context))
            if isinstance(excess, Excess):
                excesses.append(excess)
    excesses_over = [excess for excess in excesses if not excess.is_slight]
    worst, slight = (
        max(of_kind, key=lambda excess: excess.rank, default=None) for of_kind in (excesses_over, excesses)
    )
    return Judged(worst, is_unknown, slight if worst is None else None, _under_tenth(context))


def not_compared(context: RuleContext) -> tuple[str, ...]:
    """Return the ingredients of a child's draft that have limits, none of which is for its route, age and weight."""
    if context.age_years is None or context.age_years >= ADULT_YEARS:
        return ()
    known = [rxcui for rxcui in context.medication.rxcuis if rxcui in LIMITS]
    limited = [rxcui for rxcui in known if limits_of_route(rxcui, context.medication)] or known
    return tuple(LIMITS[rxcui][0].drug for rxcui in limited if not _is_compared(rxcui, context))


def _is_compared(rxcui: str, context: RuleContext) -> bool:
    return any(
        _is_for_this_weight(row, context) and _amount(row, context)[0] is not None and _is_meant(row, context)
        for row, of_adult in rows_for(context, rxcui)
        if not of_adult
    )


_AS_HEAVY_AS_GROWN_YEARS = 12


def _is_for_this_weight(row: Limit, context: RuleContext) -> bool:
    """Whether a child's limit is for its weight: not an amount for newborns and schoolchildren alike.

    A page that is no label (a lead) must name the children of school age or few years for it.
    """
    is_by_weight = row.per_kg or row.per_area or row.weight_from_kg is not None or row.weight_to_kg is not None
    if is_by_weight or (context.age_years or 0) >= _AS_HEAVY_AS_GROWN_YEARS:
        return True
    return row.ages.start >= (6 if row.is_lead else 1) or len(row.ages) <= (5 if row.ages.start else 2)


_PER_AREA = re.compile(
    r"(?P<count>\d{1,5}(?:[.,]\d{1,3})?) ?(?P<unit>m?g) ?/ ?m(?:2|²|\^2|\b(?!l|g|in))", re.IGNORECASE
)


def _per_area(context: RuleContext, amount: float | None) -> tuple[float | None, bool]:
    """Return milligrams for each square metre: as the order says it, with the body surface, or the largest plausible.

    The second value is whether that is all of it.
    """
    stated = _stated_per_area(context)
    area = body_surface_m2(context) or _largest_m2(context)
    is_whole = bool(stated) or body_surface_m2(context) is not None
    if amount is not None and area is not None:
        stated.append(amount / area)
    return max(stated, default=None), is_whole


def _stated_per_area(context: RuleContext) -> list[float]:
    """Return the milligrams for each square metre that the order names."""
    texts = [dosage.text[:500] for dosage in instructions_of(context.drafted.order)]
    quantities = [part.doseQuantity for dosage in instructions_of(context.drafted.order) for part in dosage.doseAndRate]
    texts += [f"{quantity.value} {quantity.code or quantity.unit}" for quantity in quantities if quantity is not None]
    return [
        float(match["count"].replace(",", ".")) * (1000.0 if match["unit"].lower() == "g" else 1.0)
        for match in _PER_AREA.finditer(" ".join(texts))
    ]


def body_surface_m2(context: RuleContext) -> float | None:
    """Body surface (Mosteller 1987) from the weight and the newest height; None where one of them is not known."""
    height, weight = context.session.record.newest("body_height"), context.weight_kg
    return math.sqrt(height.value * weight / 3600.0) if height is not None and weight else None


def _largest_kg(context: RuleContext) -> float | None:
    """Return the largest plausible weight at this age, an adult's too: what is over a limit at it is over it at any."""
    if context.age_years is not None and context.age_years >= ADULT_YEARS:
        return ANALYTES["body_weight"].plausible_high
    return largest_plausible_kg(context.session.record)


def _largest_m2(context: RuleContext) -> float | None:
    """Return the body surface of somebody of this weight, or the age's largest, who is as tall as a height may be."""
    weight = context.weight_kg or _largest_kg(context)
    return math.sqrt(ANALYTES["body_height"].plausible_high * weight / 3600.0) if weight else None


def _excess(row: Limit, context: RuleContext, of_adult: bool) -> Excess | bool | None:
    """Return the excess over this row; False where there is none or the row is not meant, None if that is not known."""
    amount, is_whole = _amount(row, context)
    if amount is None:
        return None
    if amount <= row.most * (1.0 + TOLERANCE):
        return False if is_whole else None
    is_once_too = amount >= TEN_FOLD * row.most and not (row.is_lead or is_of_cytostatic(row.rxcui))
    is_meant = _is_meant(row, context, is_once_too=is_once_too)
    if is_meant is not True:
        return is_meant
    is_alone = row.per_dose or row.unit != "mg"
    is_least = row.unit == "mg" and context.drafted.dose.daily(row.rxcui) is None
    has_open_end = _has_open_end(row, context)
    is_one_dose = is_least and not (is_whole or row.per_dose or row.per_hour or has_open_end)
    is_of_combination = is_least and bool(context.drafted.dose.least_per_dose)
    return Excess(
        row,
        amount,
        () if is_alone or is_least else tuple(taken_beside(context, row.rxcui)),
        of_adult,
        is_of_combination,
        _largest_kg(context) if row.per_kg and not context.weight_kg else None,
        _largest_m2(context) if row.per_area and body_surface_m2(context) is None else None,
        is_one_dose and not is_of_combination,
        has_open_end,
    )


def _has_open_end(row: Limit, context: RuleContext) -> bool:
    """Whether the limit of a day is passed only by a drip after a first dose of which nobody says how long it runs."""
    steps = steps_of(context)
    if row.per_dose or row.per_hour or row.per_kg or len(steps) < 2 or steps[-1].way != "drip" or steps[-1].hours:
        return False
    stated, _ = in_a_day(steps[:-1], measure_of(context, row))
    return stated is not None and stated <= row.most


def _amount(row: Limit, context: RuleContext) -> tuple[float | None, bool]:
    """Return what the row limits, in its unit, and whether that is all of it."""
    if row.per_hour:
        return per_hour_of(context, row), True
    if row.population == "first order" and (begun := _begun_with(row, context)) is not None:
        return begun, True
    if _is_no_dose(row, context):
        return None, False
    amount, is_whole = _dose_or_day(row, context)
    if row.per_area:
        return _per_area(context, amount)
    if amount is None and row.unit == "mg" and row.per_dose:
        surface, for_each_m2 = body_surface_m2(context), _stated_per_area(context)
        amount, is_whole = (max(for_each_m2) * surface, True) if surface and for_each_m2 else (None, False)
        caps = [most.high for most in context.drafted.dose.most_per_dose if most.rxcui == row.rxcui]
        amount = min(amount, *caps) if amount is not None and caps else amount
    if amount is not None and row.per_week and not context.drafted.dose.single:
        amount *= 7.0
    if amount is None:
        measure = measure_of(context, row)
        amount, is_whole = _of_steps(row, context, measure)
        if amount is not None or not row.per_kg:
            return amount, is_whole
        amount, is_whole = _of_steps(row, context, replace(measure, per_kg=False))
    if amount is not None and row.per_kg:
        weight = context.weight_kg
        if weight:
            return amount / weight, is_whole
        largest = _largest_kg(context)
        return (amount / largest, False) if largest is not None else (None, False)
    return amount, is_whole


def _begun_with(row: Limit, context: RuleContext) -> float | None:
    """Return what the first of several steps gives, in one dose or a day: it is begun with that and then raised."""
    dose = context.drafted.dose
    if dose.is_raised and row.unit == "mg":
        begun = dose.per_dose_of(row.rxcui) if row.per_dose else dose.daily(row.rxcui)
        return begun.low if begun is not None and not dose.as_needed else None
    steps = steps_of(context)
    given = steps[0].given(measure_of(context, row)) if len(steps) > 1 and steps[0].way == "dose" else None
    return given * (1.0 if row.per_dose else steps[0].times or 1.0) if given is not None else None


def _is_no_dose(row: Limit, context: RuleContext) -> bool:
    """Whether a limit of one dose has nothing to measure; of a cytostatic drug what runs for days is one dose."""
    return row.per_dose and not is_of_cytostatic(row.rxcui) and has_no_dose(context, row.rxcui)


def _dose_or_day(row: Limit, context: RuleContext) -> tuple[float | None, bool]:
    """Return one dose or the sum of a day as far as the order says it, in the unit of the row."""
    dose = context.drafted.dose
    if row.unit != "mg":
        activity = dose.activity if dose.activity is not None and dose.activity.unit == row.unit else None
        return (activity.per_dose if row.per_dose else activity.per_day) if activity is not None else None, True
    if row.per_dose:
        single_dose = dose.per_dose_of(row.rxcui)
        amount, is_whole = single_dose.high if single_dose is not None else None, True
    else:
        amount, is_whole = context.session.derive(
            ("daily dose", context.drafted, row.rxcui), lambda: total_mg(context, row.rxcui)
        )
    if amount is not None:
        return amount, is_whole
    least = dose.least_per_dose if row.per_dose else dose.least_per_day
    return next((mass.high for mass in least if mass.rxcui == row.rxcui), None), False


def _of_steps(row: Limit, context: RuleContext, measure: Measure) -> tuple[float | None, bool]:
    """Return the largest dose of the steps of an order, or what they give in a day."""
    if not row.per_dose:
        return least_in_a_day(context, measure)
    doses = [step.given(measure) for step in steps_of(context) if is_dose(step, row.rxcui, context)]
    return max((dose for dose in doses if dose is not None), default=None), False


def _is_measured_otherwise(row: Limit, context: RuleContext) -> bool:
    """Whether the order is read in what other rows limit: a drip by its rate and no dose, mEq and no mmol."""
    activity = context.drafted.dose.activity
    if row.unit != "mg" and activity is not None and activity.unit != row.unit:
        return any(limit.unit == activity.unit for limit in LIMITS[row.rxcui])
    is_rate = not row.per_hour and _is_no_dose(row, context)
    return is_rate and any(step.speed(measure_of(context, row)) for step in steps_of(context))


def least_in_a_day(context: RuleContext, measure: Measure) -> tuple[float | None, bool]:
    """Return what the steps of an order give in a day whose frequency or end it does not say, and whether it is all.

    One dose at least, and none where the order says how often: then something else of it is not known.
    """
    dose, steps = context.drafted.dose, steps_of(context)
    if any(step.way == "drip" for step in steps):
        return in_a_day(steps, measure)
    if dose.times_per_day is not None or dose.single:
        return None, False
    given = dose.per_dose_of(measure.rxcui) if measure.unit == "mg" and not measure.per_kg else None
    if given is not None:
        return given.high, False
    return (in_a_day(steps, measure)[0], False) if len(context.medication.rxcuis) == 1 else (None, False)


def _is_meant(row: Limit, context: RuleContext, *, is_once_too: bool = False) -> bool | None:
    """Whether condition, setting and population are those of the row; `is_once_too`: no single dose is so high."""
    if row.setting == "not inpatient" and is_inpatient(context.session.record):
        return False
    words = row.setting.removeprefix("not ")
    if words in WORDS and says(words, _words_and_rates(context)) is row.setting.startswith("not "):
        return False
    is_often = is_once_too or (context.drafted.dose.times_per_day is not None and not context.drafted.dose.single)
    if row.population in ("continued", "daily") and not is_often:
        return False
    if row.population == "daily" and not is_once_too and (context.times_per_week or 0.0) < 5.0:
        return False
    if row.population == "first order" and context.new_start is not True:
        return False
    if context.session.medications_beside(context.drafted, row.without_taken):
        return False
    if row.without_condition and context.has_condition(row.without_condition) is not False:
        return False
    return context.has_condition(row.condition) if row.condition else True


def _words_and_rates(context: RuleContext) -> str:
    parts = (part for dosage in instructions_of(context.drafted.order) for part in dosage.doseAndRate)
    units = (part.rateQuantity.code or part.rateQuantity.unit for part in parts if part.rateQuantity is not None)
    return " ".join([context.medication.words, order_text(context.drafted.order), *units])


_UNDER = 0.1


def _under_tenth(context: RuleContext) -> Excess | None:
    """Return the nearest limit for each kilogram where a child's dose is under a tenth of each of them.

    A single dose is left out, because a test dose is small, and so is a combination.
    """
    rxcuis = context.medication.rxcuis
    is_child = context.age_years is not None and context.age_years < ADULT_YEARS
    if not is_child or context.weight_kg is None or context.drafted.dose.single or len(rxcuis) != 1:
        return None
    rows = [row for row, of_adult in rows_for(context, rxcuis[0]) if row.per_kg and not (of_adult or row.condition)]
    doses = [Excess(row, amount, ()) for row in rows if (amount := _amount(row, context)[0])]
    nearest = max(doses, key=lambda dose: dose.times, default=None)
    is_under = nearest is not None and len(doses) == len(rows) and nearest.times < _UNDER
    return nearest if is_under else None


def wants_weight(context: RuleContext) -> bool:
    """Whether the drug has limits for each kilogram, this is a child, and no weight is known that can be used."""
    if context.weight_kg is not None or largest_plausible_kg(context.session.record) is None:
        return False
    rows = (row for rxcui in context.medication.rxcuis for row in limits_of_route(rxcui, context.medication))
    return any(row.per_kg for row in rows)


def labelled_from(context: RuleContext) -> Limit | None:
    """Return the row that says from which age the drug is labeled, where the patient is younger."""
    age = context.age_years
    rows = (row for rxcui in context.medication.rxcuis for row in limits_of_route(rxcui, context.medication))
    return next(
        (row for row in rows if row.labelled_from is not None and age is not None and age < row.labelled_from), None
    )


# Doses that cannot be meant


def implausible(context: RuleContext) -> tuple[Implausible | None, bool]:
    """Return the ingredient with the daily dose furthest over FDA's recommended maximum, and whether one is unknown."""
    return context.session.derive(("implausible", context.drafted), lambda: _implausible(context))


def _implausible(context: RuleContext) -> tuple[Implausible | None, bool]:
    # What is injected, or runs in by a rate, is left out: FDA's figures are those of oral use for nearly all drugs. So
    # is a single dose of a drug that has limits of its own: the figures are of what is taken for months, and a loading
    # dose is more.
    implausible_doses: list[Implausible] = []
    is_unknown = False
    weight = context.weight_kg
    is_child = context.age_years is not None and context.age_years < ADULT_YEARS
    weight = weight if is_child and weight is not None and weight < _FDA_WEIGHT_KG else None
    times = TIMES_RECOMMENDED if weight is None else TIMES_RECOMMENDED_FOR_CHILD
    runs = any(step.rates for step in steps_of(context)) and not context.medication.dose_form
    for rxcui in () if context.medication.is_injected or runs else context.medication.rxcuis:
        row = PLAUSIBLE_DOSES.get(rxcui)
        limits = [limit for limit, _ in rows_for(context, rxcui)]
        is_limited = row is not None and not all(limit.per_kg or limit.per_week or limit.condition for limit in limits)
        if row is None or (context.drafted.dose.single and is_limited):
            continue
        amount = _high(context.drafted.dose, rxcui)
        is_unknown = is_unknown or amount is None
        if amount is None and not is_limited:
            amount, _ = least_in_a_day(context, Measure(context.medication, rxcui, "mg", False, context.weight_kg))
        recommended = row.recommended_mg_day * (weight / _FDA_WEIGHT_KG if weight is not None else 1.0)
        # Where a child is given more than that, its own row measures the dose.
        is_measured = is_child and _most_of_child_mg(context, rxcui) > recommended
        if amount is not None and amount > times * recommended and not is_measured:
            implausible_doses.append(Implausible(row, rxcui, amount, recommended, weight))
    return max(implausible_doses, key=lambda dose: dose.times, default=None), is_unknown


def _most_of_child_mg(context: RuleContext, rxcui: str) -> float:
    """Return the highest daily dose that a row gives for a child of this age and weight, and 0 where none does."""
    rows = [row for row, of_adult in rows_for(context, rxcui) if not (of_adult or row.per_dose or row.per_week)]
    weight = context.weight_kg or 0.0
    return max((row.most * (weight if row.per_kg else 1.0) for row in rows if row.unit == "mg"), default=0.0)


def plausible_doses_of(medication: MedicationIdentity) -> int:
    """How many ingredients have a recommended maximum; FDA's figures are those of oral use."""
    return 0 if medication.is_injected else sum(rxcui in PLAUSIBLE_DOSES for rxcui in medication.rxcuis)
