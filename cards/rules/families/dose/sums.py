"""What the patient would get of a drug, and which maximum dose that goes over.

The daily dose is the sum of the draft and of what is taken beside it. The order that the draft renews, and another
order of the same product, are replaced by it and do not count.
"""

import math
import re

from msgspec import Struct

from cards.rules.families.dose.knowledge import ADULT_YEARS, LIMITS, PLAUSIBLE_DOSES, Limit, PlausibleDose
from cards.rules.families.dose.rows import (
    age_for,
    dosages_of,
    first_step_mg,
    has_only_a_rate,
    infusion_hours,
    is_drip,
    lacks_form,
    limits_of_route,
    per_hour_of,
    rows_for,
    runs_all_day,
    runs_by_a_rate,
)
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication, is_beside, is_other_name
from fhir.mapping.medications.daily_dose import DailyDose
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.stays import is_inpatient
from fhir.mapping.weights import largest_plausible_kg
from fhir.record.resources import Encounter
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.medications import INGREDIENT_ROWS

# What is over by less than this is a rounding of the product.
_TOLERANCE = 1e-6
TIMES_RECOMMENDED = 3.0
"""A dose over so many times FDA's recommended maximum is taken for an error of writing."""
# FDA's figures are for each kilogram; children are given up to two or three times as much for each.
TIMES_RECOMMENDED_FOR_CHILD = 4.0
_FDA_WEIGHT_KG = 60.0


FAR_OVER = 2.0
"""A dose over so many times a limit that is not a firm maximum is taken for an error of writing."""
FAR_OVER_PER_KG = 1.5
"""The same of a limit for each kilogram, which is mostly that of a child."""
FAR_OVER_PER_AREA = 1.25
"""The same of a cytostatic drug, for each square metre or not."""
FAR_OVER_LEAD = 5.0
"""The same of a maximum that was read on no label: a ten-fold error of half the maximum, a usual dose, makes it."""
FAR_OVER_LEAD_PER_KG = 4.0
"""The same of such a maximum for each kilogram: a child's usual dose lies nearer to half of it, or under it."""
ROUNDING = 1.05
"""A dose under so many times a limit that is not a firm maximum is taken for a rounding to whole units or vials."""
ROUNDING_PER_KG = 1.1
"""The same of a dose by weight, which is rounded to the syringe or vial."""
UP_TO_USUAL = 2.0
"""Up to so many times an adult's usual amount of a day nothing is told: vancomycin by weight."""
ROUNDING_FIRST = 2.0
"""The same of the usual first dose, with which many begin twice as high."""
FAR_OVER_TARGET = 3.0
"""The same of a target or the usual first dose: many are given twice as much."""
TEN_FOLD = 10.0
"""A dose of so many times a maximum, whatever its source, can hardly be meant."""
TEN_FOLD_NARROW = 5.0
"""The same of a drug with a narrow range, and of a label's maximum: a ten-fold error of a usual dose makes it."""

TEN_FOLD_FIRST = 50.0
"""The same of a child's first dose: where the list is not complete, the order may be what it was raised to."""


class Excess(Struct, frozen=True):
    """A maximum dose that is exceeded: `amount` in the unit of the limit, `beside` what it adds up with."""

    limit: Limit
    amount: float
    beside: tuple[CurrentMedication, ...]
    of_adult: bool = False
    """The patient is a child and the limit that of adults: no row is about children of this age."""
    is_least: bool = False
    """The ordered mass is of a combination; the amount is what it is at least of this ingredient."""
    largest_kg: float | None = None
    """No weight is known: the amount is that at the largest plausible weight of the age."""
    largest_m2: float | None = None
    """No body surface is known: the amount is that at the largest plausible one."""
    is_one_dose: bool = False
    """The order does not say how often: one dose alone is over what a day or a week may have."""

    @property
    def times(self) -> float:
        """How many times the limit it is."""
        return self.amount / self.limit.most * (1.0 + _TOLERANCE)

    @property
    def is_firm(self) -> bool:
        """Whether the source gives a maximum and no target; that of adults is firm for a child, too.

        For each kilogram it is not: small children may be given more of it.
        """
        return self.limit.is_firm and not (self.of_adult and self.limit.per_kg)

    @property
    def is_far_over(self) -> bool:
        """Whether it is so far over that it can hardly be meant, whatever the source of the limit."""
        if self.limit.is_alarm or self.limit.is_usual_start:
            return self.is_ten_fold
        if self.limit.is_lead:
            return self.times >= (FAR_OVER_LEAD_PER_KG if self.limit.per_kg else FAR_OVER_LEAD)
        # What adults are usually given is the most of a day for a child, too: only adults may get up to twice that.
        if self.of_adult and self.limit.population != "first order":
            return self.times >= (FAR_OVER if self.limit.per_kg else ROUNDING)
        if (self.limit.per_area or self._is_of_cytostatic) and not self.limit.is_wide:
            return self.times >= FAR_OVER_PER_AREA
        if self.limit.per_kg and not self.limit.is_wide and self.limit.population != "first order":
            return self.times >= FAR_OVER_PER_KG
        is_first = self.limit.population == "first order" and not self.limit.is_narrow
        is_target = (
            (self.limit.is_wide or is_first or bool(self.limit.condition))
            and not self.limit.per_kg
            and not self.is_least
        )
        return self.times >= (FAR_OVER_TARGET if is_target else FAR_OVER)

    @property
    def _is_of_cytostatic(self) -> bool:
        """Whether the limit is that of a drug against cancer for a whole patient, and no usual first dose."""
        atc = INGREDIENT_ROWS[self.limit.rxcui].atc if self.limit.rxcui in INGREDIENT_ROWS else ()
        is_of_patient = not self.limit.per_kg and self.limit.population != "first order"
        return is_of_patient and bool(atc) and all(code.startswith("L01") for code in atc)

    @property
    def is_slight(self) -> bool:
        """Whether it is so little over a limit that is not a firm maximum that nothing is to be said."""
        if self.is_firm or self.is_far_over or self.is_ten_fold:
            return False
        if self.of_adult and self.limit.per_kg and not self.limit.is_for_adults:
            return True
        if self.limit.is_usual_start and self.limit.is_lead:
            return self.times < FAR_OVER_LEAD
        rounding = ROUNDING_PER_KG if self.limit.per_kg else ROUNDING
        least = ROUNDING_FIRST if self.limit.population == "first order" else rounding
        if self.limit.is_usual:
            return self.amount <= UP_TO_USUAL * self.limit.most * (1.0 + _TOLERANCE)
        is_rounding = self.amount < least * self.limit.most * (1.0 + _TOLERANCE)
        return self.limit.is_lead or self.limit.is_alarm or is_rounding

    @property
    def is_ten_fold(self) -> bool:
        """Whether it is so far over that it is mostly an error of unit, decimal point or number."""
        limit, is_first = self.limit, self.limit.population == "first order"
        if limit.is_usual_start:
            return False
        if limit.ten_fold_from is not None:
            return self.amount >= limit.ten_fold_from
        if is_first and limit.per_kg:
            return self.times >= TEN_FOLD_FIRST
        is_low = (limit.is_narrow and not is_first) or not (limit.is_lead or limit.is_wide or is_first)
        return self.times >= (TEN_FOLD_NARROW if is_low else TEN_FOLD)

    @property
    def _rank(self) -> tuple[bool, bool, bool, bool, float]:
        is_maximum = self.limit.population != "first order"
        is_ten_fold = self.is_ten_fold and (is_maximum or self.limit.is_alarm)
        return is_ten_fold, not self.limit.is_lead, self.is_firm or self.is_far_over, is_maximum, self.times


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
        return self.amount / self.recommended_mg_day * (1.0 + _TOLERANCE)


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


def _judge(context: RuleContext) -> Judged:
    excesses: list[Excess] = []
    is_unknown = False
    for rxcui in context.medication.rxcuis:
        # The limits are chosen by the age: without it nothing is known, unless there are none or any age chooses them.
        rows = limits_of_route(rxcui, context.medication) if context.age_years is None else []
        if rows and age_for(rows, context) is None:
            is_unknown = True
            continue
        is_unknown = is_unknown or lacks_form(context, rxcui)
        for row, of_adult in rows_for(context, rxcui):
            excess = _excess(row, context, of_adult)
            is_unknown = is_unknown or (excess is None and not of_adult and not _is_measured_otherwise(row, context))
            if isinstance(excess, Excess):
                excesses.append(excess)
    excesses_over = [excess for excess in excesses if not excess.is_slight]
    worst, slight = (
        max(of_kind, key=lambda excess: excess._rank, default=None) for of_kind in (excesses_over, excesses)
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
    texts = [dosage.text[:500] for dosage in dosages_of(context)]
    quantities = [part.doseQuantity for dosage in dosages_of(context) for part in dosage.doseAndRate]
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
    if amount <= row.most * (1.0 + _TOLERANCE):
        return False if is_whole else None
    is_meant = _is_meant(row, context)
    if is_meant is not True:
        return is_meant
    is_alone = row.per_dose or row.unit != "mg"
    is_least = row.unit == "mg" and context.drafted.dose.daily(row.rxcui) is None
    is_of_combination = is_least and bool(context.drafted.dose.least_per_dose)
    return Excess(
        row,
        amount,
        () if is_alone or is_least else tuple(taken_beside(context, row.rxcui)),
        of_adult,
        is_of_combination,
        _largest_kg(context) if row.per_kg and not context.weight_kg else None,
        _largest_m2(context) if row.per_area and body_surface_m2(context) is None else None,
        is_least and not row.per_dose and not is_of_combination,
    )


def _amount(row: Limit, context: RuleContext) -> tuple[float | None, bool]:
    """Return what the row limits, in its unit, and whether that is all of it."""
    dose = context.drafted.dose
    if row.unit != "mg":
        activity = dose.activity if dose.activity is not None and dose.activity.unit == row.unit else None
        given = (activity.per_dose if row.per_dose else activity.per_day) if activity is not None else None
        amount, is_whole = given, True
    elif row.per_dose:
        single_dose = dose.per_dose_of(row.rxcui)
        amount, is_whole = single_dose.high if single_dose is not None else None, True
    else:
        amount, is_whole = context.session.derive(
            ("daily dose", context.drafted, row.rxcui), lambda: total_mg(context, row.rxcui)
        )
    if amount is None and row.unit == "mg":
        least = dose.least_per_dose if row.per_dose else dose.least_per_day
        amount, is_whole = next((mass.high for mass in least if mass.rxcui == row.rxcui), None), False
    is_one_dose = amount is None and not (row.per_dose or row.per_hour)
    if is_one_dose:
        amount, is_whole = one_dose_mg(context, row.rxcui) if row.unit == "mg" else None, False
    if row.per_area:
        return _per_area(context, amount)
    if amount is None and row.unit == "mg" and row.per_dose:
        surface, for_each_m2 = body_surface_m2(context), _stated_per_area(context)
        amount, is_whole = (max(for_each_m2) * surface, True) if surface and for_each_m2 else (None, False)
    if amount is not None and row.per_week and not (dose.single or is_one_dose):
        amount *= 7.0
    is_rate = row.per_hour or (amount is None and not (row.per_dose or row.per_week) and runs_all_day(context))
    stated = per_hour_of(context, row) if is_rate else None
    if stated is not None:
        return stated * (1.0 if row.per_hour else 24.0), True
    if row.per_hour:
        an_hour = _runs_in_an_hour(context, row)
        if an_hour is not None or amount is None:
            amount, is_whole = an_hour, True
        else:
            amount /= infusion_hours(context) or math.inf
    if amount is not None and row.per_kg:
        weight = context.weight_kg
        if weight:
            return amount / weight, is_whole
        largest = _largest_kg(context)
        return (amount / largest, False) if largest is not None else (None, False)
    return amount, is_whole


def _is_measured_otherwise(row: Limit, context: RuleContext) -> bool:
    """Whether the order is read in what other rows limit: a drip by its rate and no dose, mEq and no mmol."""
    activity = context.drafted.dose.activity
    if row.unit != "mg" and activity is not None and activity.unit != row.unit:
        return any(limit.unit == activity.unit for limit in LIMITS[row.rxcui])
    if not row.per_dose or row.per_hour or not has_only_a_rate(context):
        return False
    return per_hour_of(context, row) is not None or _runs_in_an_hour(context, row) is not None


def _runs_in_an_hour(context: RuleContext, row: Limit) -> float | None:
    """Return what runs in an hour of a drip that is ordered by its volume: "15 mL/h" of a known concentration.

    For an alarm it is what the drip begins with, where the order gives a range.
    """
    if not (runs_all_day(context) or (infusion_hours(context) and runs_by_a_rate(context))):
        return None
    activity, daily = context.drafted.dose.activity, context.drafted.dose.daily(row.rxcui)
    if row.unit != "mg":
        a_day = activity.per_day if activity is not None and activity.unit == row.unit else None
    else:
        a_day = (row.is_alarm and daily.low) or daily.high if daily is not None else None
    return a_day / 24.0 if a_day is not None else None


def one_dose_mg(context: RuleContext, rxcui: str) -> float | None:
    """Return one dose of an order that does not say how often it is given: the patient gets at least that.

    None where the order says how often, and of a drip, whose bag is no dose.
    """
    dose = context.drafted.dose
    if dose.times_per_day is not None or dose.single or is_drip(context):
        return None
    given = dose.per_dose_of(rxcui)
    if given is None and len(context.medication.rxcuis) == 1:
        return first_step_mg(context)
    return given.high if given is not None else None


def _is_meant(row: Limit, context: RuleContext) -> bool | None:
    """Whether condition, setting and population are those of the row."""
    if row.setting == "outpatient" and not _is_outpatient(context):
        return False
    if row.setting == "not inpatient" and is_inpatient(context.session.record):
        return False
    is_often = context.drafted.dose.times_per_day is not None and not context.drafted.dose.single
    if row.population in ("continued", "daily") and not is_often:
        return False
    if row.population == "daily" and (context.times_per_week or 0.0) < 5.0:
        return False
    if row.population == "first order" and context.new_start is not True:
        return False
    if context.session.medications_beside(context.drafted, row.without_taken):
        return False
    if row.without_condition and context.has_condition(row.without_condition) is not False:
        return False
    return context.has_condition(row.condition) if row.condition else True


_OUTPATIENT = frozenset({"outpatient", "community", "discharge"})


def _is_outpatient(context: RuleContext) -> bool:
    """Whether the order or an open encounter is of an outpatient."""
    if _OUTPATIENT & context.drafted.categories:
        return True
    visits = context.session.record.facts(Encounter)
    return any(visit.class_code == "AMB" and visit.status == "in-progress" for visit in visits)


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
    rows = (row for rxcui in context.medication.rxcuis for row in LIMITS.get(rxcui, ()))
    return next(
        (row for row in rows if row.labelled_from is not None and age is not None and age < row.labelled_from), None
    )


# Doses that cannot be meant


def implausible(context: RuleContext) -> tuple[Implausible | None, bool]:
    """Return the ingredient whose daily dose is furthest over FDA's recommended maximum and whether a dose is unknown.

    What is injected is left out: FDA's figures are those of oral use for nearly all drugs. So is a single dose of a
    drug that has limits of its own: the figures are of what is taken for months, and a loading dose is more.
    """
    implausible_doses: list[Implausible] = []
    is_unknown = False
    weight = context.weight_kg
    is_child = context.age_years is not None and context.age_years < ADULT_YEARS
    weight = weight if is_child and weight is not None and weight < _FDA_WEIGHT_KG else None
    times = TIMES_RECOMMENDED if weight is None else TIMES_RECOMMENDED_FOR_CHILD
    for rxcui in () if context.medication.is_injected else context.medication.rxcuis:
        row = PLAUSIBLE_DOSES.get(rxcui)
        is_limited = row is not None and _is_limited_in_mg(context, rxcui)
        if row is None or (context.drafted.dose.single and is_limited):
            continue
        amount = _high(context.drafted.dose, rxcui)
        is_unknown = is_unknown or amount is None
        amount = one_dose_mg(context, rxcui) if amount is None and not is_limited else amount
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


def _is_limited_in_mg(context: RuleContext, rxcui: str) -> bool:
    return any(not (row.per_kg or row.per_week or row.condition) for row, _ in rows_for(context, rxcui))


def plausible_doses_of(medication: MedicationIdentity) -> int:
    """How many ingredients have a recommended maximum; FDA's figures are those of oral use."""
    return 0 if medication.is_injected else sum(rxcui in PLAUSIBLE_DOSES for rxcui in medication.rxcuis)
