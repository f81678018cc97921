"""Which rows of limits are about an order: by its route, its form, how it is given, the age and the weight."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from cards.rules.families.dose.knowledge import ADULT_YEARS, LIMITS, Limit
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import order_text
from fhir.mapping.medications.daily_dose import instructions_of
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.record.datatypes import Dosage

_TWELVE_HOURS = re.compile(r"\bsr\b|\b12 ?h(?:ou)?r|sustained", re.I)
_TWENTY_FOUR_HOURS = re.compile(r"\bxl\b|\b24 ?h(?:ou)?r", re.I)


DEPOT: Final = re.compile(
    r"decanoa+t|enanth?at|palmita+t|pamoat|extencilline|tardocillin|benzath?in"
    r"|microsphere|liposom|exparel|lauroxil|long[- ]acting|d[eé]p[oô]t|bicillin"
    r"|sustenna|trinza|hafyera|maintena|asimtufii|aristada|consta\b|rykindo|perseris|uzedy|relprevv|sublocade|brixadi"
    r"|methylprednisolone acetate|depo-?(?:medrol|provera|subq)|valerate|cypionate|relday|\blar\b|soluspan"
    r"|acuphase|(?:extended|prolonged)[- ]release (?:inj|susp)|procaine\b",
    re.IGNORECASE,
)
"""Words of what is injected and stays where it is put."""


def _fits_form(form: str, medication: MedicationIdentity) -> bool | None:
    """Whether a row for this form is meant; None where the order does not say the form."""
    if not form:
        return True
    words = f"{medication.dose_form} {medication.words}"
    if medication.is_injected and DEPOT.search(words):
        return form == "slow"
    if not medication.is_slow_release:
        return None if not medication.dose_form else form == "immediate"
    if form in ("immediate", "slow"):
        return form == "slow"
    patterns = {"12 h": _TWELVE_HOURS, "24 h": _TWENTY_FOUR_HOURS}
    forms = [form_name for form_name, pattern in patterns.items() if pattern.search(words)]
    return form in forms if forms else None


def _of_this_form(rows: list[Limit], medication: MedicationIdentity) -> Iterator[Limit]:
    """Yield the rows of the order's form. Where it does not say the form: of those that it may be only the highest.

    A row without a form is about every form that has no row: where the order may be of one of these, its limit counts.
    """
    possible: dict[object, Limit] = {}
    of_any_form = set()
    for row in rows:
        fits = _fits_form(row.form, medication)
        kind = (row.per_dose, row.per_kg, row.per_week, row.population, row.per_hour, row.per_area)
        if fits is True:
            of_any_form |= set() if row.form or row.condition or row.setting else {kind}
            yield row
        elif fits is None and not row.per_dose:
            highest = possible.get(kind, row)
            larger = row if row.most > highest.most else highest
            # A dose above the highest is above the firm one, too, where both are for the same patients.
            are_alike = (row.condition, row.setting) == (highest.condition, highest.setting)
            is_firm = row.is_firm or highest.is_firm if are_alike else larger.is_firm
            possible[kind] = replace(larger, is_firm=is_firm)
    yield from (row for kind, row in possible.items() if kind not in of_any_form)


_NEBULISED = re.compile(
    r"\bneb|n[eé]buli[sz]|aerosolterapia|verne[bv]el|inhalationslösung|fertiginhalat", re.IGNORECASE
)


_LOCAL_ROUTES = ("intrathecal", "flush")


_INTRAVENOUS = re.compile(r"\b(?:iv|ivpb|ivp|intravenous\w*|i\.v\.)", re.IGNORECASE)
_SWALLOWED = re.compile(r"\boral|by mouth|\bpo\b|\btab|\bcap|peroral", re.IGNORECASE)
# RxNorm has diltiazem, octreotide and dihydroergotamine by mouth, in doses far over those of their injections.
_SWALLOWED_TOO: Final = frozenset({"3443", "7617", "3418"})


def limits_of_route(rxcui: str, medication: MedicationIdentity) -> list[Limit]:
    """Return the rows of the order's route; a drug that is only injected is, whatever its order says."""
    rows = LIMITS.get(rxcui, ())
    written = medication.route.lower()
    words = f"{written} {medication.dose_form} {medication.words}".lower()
    # What is given into the epidural space is absorbed from there: more than is injected elsewhere it may not be.
    is_injected = medication.is_injected or "epidural" in words
    if medication.systemic is False and not is_injected:
        routes = {"nebulised" if _NEBULISED.search(words) else "aerosol"}
    else:
        is_injected |= all(row.route.startswith(("in", "flush")) for row in rows)
        routes = {"any", "injected" if is_injected else ""}
    routes |= {route for route in _LOCAL_ROUTES if route in words}
    routes |= {"intravenous"} if _INTRAVENOUS.search(written) else set()
    if _SWALLOWED.search(f"{written} {medication.dose_form}"):
        routes -= {"injected"}
    return [row for row in rows if row.route in routes or (row.route and written.startswith(row.route))]


def age_for(rows: Iterable[Limit], context: RuleContext) -> int | None:
    """Return the age in years by which these rows are chosen; None where it is not known well enough to choose.

    A year of birth alone leaves two ages: they are enough where both choose the same rows.
    """
    if context.age_years is not None or (bounds := context.session.record.age_bounds()) is None:
        return context.age_years
    least, most = bounds
    ranges = [range(ADULT_YEARS), *(row.ages for row in rows)]
    return least if all((least in ages) is (most in ages) for ages in ranges) else None


def rows_for(context: RuleContext, rxcui: str) -> Iterator[tuple[Limit, bool]]:
    """Yield the rows about this drug for the age, its route and form, and whether they are those of the older.

    A child for whom no row gives a dose is measured by the most that adults and older children are given; what is
    over an amount for each kilogram is information up to twice that, since small children may be given more of it.
    """
    medication, rows = context.medication, limits_of_route(rxcui, context.medication)
    age = age_for(rows, context)
    if age is not None and age >= ADULT_YEARS:  # those of other ages are for children, or beside them
        rows = [row for row in rows if age in row.ages]
    not_injected = [row for row in rows if row.route != "injected"]
    if len(not_injected) < len(rows) and not medication.is_injected:
        is_swallowed = _SWALLOWED.search(order_text(context.drafted.order)) is not None
        # "diltiazem 120 mg, 1 tablet twice daily"
        rows = not_injected if is_swallowed or lacks_form(context, rxcui) else rows
    rows = [row for row in rows if row.population != "one dose" or _is_given_in_doses(context)]
    rows = [row for row in rows if row.population != "drip" or _states_a_rate(context, row)]
    is_timed = infusion_hours(context) is not None or runs_all_day(context)
    rows = [row for row in rows if not row.per_hour or is_timed or per_hour_of(context, row)]
    # A nebuliser that runs on ("10 mg/h") is for a severe attack: the limits of single nebules do not measure it.
    rows = [row for row in rows if row.route != "nebulised" or per_hour_of(context, row) is None]
    fitting = [row for row in rows if age is not None and age in row.ages and _fits_weight(row, context)]
    for row in _of_this_form(fitting, medication):
        yield row, False
    if age is not None and age < ADULT_YEARS:
        of_own_age = {row.per_hour for row in fitting if not (row.per_kg or row.is_lead)}
        older = [row for row in rows if row not in fitting and row.per_hour not in of_own_age and _is_cap(row)]
        if not fitting:
            older = [row for row in rows if row.is_for_adults or (age < row.ages.start and _is_for_more(row))]
        elif all(row.is_lead for row in fitting):
            older += [
                row for row in rows if age < row.ages.start and row.per_kg and not row.is_lead and _is_for_more(row)
            ]
        for row in _of_this_form([row for row in older if not row.condition], medication):
            yield row, True


def lacks_form(context: RuleContext, rxcui: str) -> bool:
    """Whether it may be swallowed, is ordered for every day without a form or a route, and has limits of injections."""
    if rxcui not in _SWALLOWED_TOO:
        return False
    medication, dose = context.medication, context.drafted.dose
    is_said = bool(medication.route or medication.dose_form or medication.is_injected or medication.is_slow_release)
    return dose.times_per_day is not None and not (dose.single or is_said or is_drip(context))


def _is_cap(row: Limit) -> bool:
    """Whether an adult's maximum holds for a child whose own rows are for each kilogram: no child is given more."""
    is_amount = not (row.per_kg or row.per_area) and row.population != "first order"
    return row.is_for_adults and is_amount and not row.setting


def _is_for_more(row: Limit) -> bool:
    """Whether a row of older children tells something of a younger one: a first dose for each kilogram does not."""
    return not (row.per_kg and row.population == "first order")


_RUNS = re.compile(
    r"infus|drip|gtt\b|continuous|titrat|\bpca\b|\bbag\b|\bin \d+ ?ml\b|/ ?\d* ?h(?:ou)?r?\b|/ ?min|per hour",
    re.IGNORECASE,
)


def is_drip(context: RuleContext) -> bool:
    """Whether the order runs by a rate or names a bag, a drip or a titration, whose amount is no dose."""
    texts = [context.medication.words, *(dosage.text for dosage in dosages_of(context))]
    has_rate = any(rate.rateRatio or rate.rateQuantity for part in dosages_of(context) for rate in part.doseAndRate)
    return has_rate or any(_RUNS.search(text[:500]) is not None for text in texts)


_FIRST_STEP: Final = re.compile(
    r"^[^\d:]{0,30}(?P<count>\d{1,4}(?:[.,]\d{1,3})?) ?(?P<unit>mcg|mg|g)\b(?! ?/)"
    r"(?P<rest>.{0,60}?),? (?:then|followed by)\b",
    re.IGNORECASE,
)
_MG_OF: Final = {"mcg": 0.001, "mg": 1.0, "g": 1000.0}


def first_step_mg(context: RuleContext) -> float | None:
    """Return the mass with which words in steps begin: 6 of "6 mg now, then 0.6 mg in an hour"; None in a drip."""
    for dosage in dosages_of(context):
        match = _FIRST_STEP.search(dosage.text[:300])
        if match is not None and _RUNS.search(match["rest"]) is None:
            return float(match["count"].replace(",", ".")) * _MG_OF[match["unit"].lower()]
    return None


_AT_ONCE = re.compile(
    r"infiltra|nerve block|nervenblock|\bbolus|\bpush\b|\b(?:q|every|alle) ?\d{1,2} ?min", re.IGNORECASE
)


def _is_given_in_doses(context: RuleContext) -> bool:
    """Whether it is one dose, or one every so often, and no drip: a bag of a drip is not a dose."""
    dose, hours = context.drafted.dose, infusion_hours(context)
    if dose.single:
        return True
    is_at_once = any(_AT_ONCE.search(dosage.text[:500]) for dosage in dosages_of(context))
    is_dose = dose.times_per_day is not None or is_at_once
    return (is_dose if hours is None else hours <= 1.0) and not is_drip(context)


_OVER = re.compile(
    r"\b(?:over|during|in|über|ueber|sur|en|durante) (?P<count>\d{1,3}(?:[.,]\d{1,2})?)"
    r"(?: ?(?:-|–|to) ?(?P<most>\d{1,3}(?:[.,]\d{1,2})?))? ?-?(?P<unit>h(?:ou|eu|o)?r?|std|stunde|min)",
    re.IGNORECASE,
)


def infusion_hours(context: RuleContext) -> float | None:
    """Return the hours over which one dose runs, by its words or its timing; the longer of two that are named."""
    hours = []
    for dosage in dosages_of(context):
        match = _OVER.search(dosage.text[:500])
        if match is not None:
            count = float((match["most"] or match["count"]).replace(",", "."))
            hours.append(count / 60.0 if match["unit"].lower() == "min" else count)
        repeat = dosage.timing.repeat if dosage.timing is not None else None
        if repeat is not None and repeat.duration and repeat.durationUnit in ("min", "h"):
            hours.append(float(repeat.duration) / (60.0 if repeat.durationUnit == "min" else 1.0))
    return max(hours, default=None) or None


_IN_UNITS_OF_ROWS: Final = {
    "g": ("mg", 1000.0),
    **dict.fromkeys(("mcg", "ug", "µg"), ("mg", 0.001)),
    **dict.fromkeys(("ng", "nanogram"), ("mg", 1e-6)),
    "milliunit": ("unit", 0.001),
}
_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)"
_SPEED: Final = re.compile(
    rf"(?P<step>\bby )?(?<![\d.,])(?:(?P<least>{_NUMBER}) ?(?:-|–|to) ?)?(?P<count>{_NUMBER})"
    r" ?(?P<unit>mg|g|mcg|[uµ]g|ng|nanogram|meq|mmol|milliunit|unit)s?(?: ?pe)?(?P<by_weight> ?(?:/|per) ?kg)?"
    r" ?(?:/|per) ?(?P<span>h|min)",
    re.IGNORECASE,
)


def per_hour_of(context: RuleContext, row: Limit) -> float | None:
    """Return how much the order says to run in an hour, in the unit of the row; the most of several that are named.

    For an alarm the least of them: the rate at which it begins ("5-30 mcg/min"), and not how far it may be raised, nor
    by which steps. It is for each kilogram where the row is; the patient's weight makes the one of the other.
    """
    rates: list[float] = []
    steps: list[float] = []
    for match in _stated_rates(context, row):
        unit, rate = _in_unit_of_rows(match, "least" if row.is_alarm and match["least"] else "count")
        rate *= 1.0 if match["span"].lower() == "h" else 60.0
        of_kind = steps if match["step"] else rates
        if unit == row.unit and row.per_kg == bool(match["by_weight"]):
            of_kind.append(rate)
        elif unit == row.unit and context.weight_kg:
            of_kind.append(rate / context.weight_kg if row.per_kg else rate * context.weight_kg)
    return (min if row.is_alarm else max)(rates or steps, default=None)


def _in_unit_of_rows(match: re.Match[str], number: str = "count") -> tuple[str, float]:
    unit, factor = _IN_UNITS_OF_ROWS.get(match["unit"].lower(), (match["unit"].lower(), 1.0))
    return unit, float(match[number].replace(",", "")) * factor


def _stated_rates(context: RuleContext, row: Limit) -> Iterator[re.Match[str]]:
    """Yield the rates in structure and words; for a limit of drips without how fast one injection is pushed."""
    for dosage in dosages_of(context):
        text = dosage.text[:500]
        doses = [given.doseQuantity for given in dosage.doseAndRate if given.doseQuantity is not None]
        rates = [given.rateQuantity for given in dosage.doseAndRate if given.rateQuantity is not None]
        ranges = [given.rateRange for given in dosage.doseAndRate if given.rateRange is not None]
        words = [f"{quantity.value} {quantity.code or quantity.unit}" for quantity in (*doses, *rates)]
        for low, high in ((limits.low, limits.high) for limits in ranges):
            least = f"{low.value}-" if low is not None and low.value is not None else ""
            words += [f"{least}{high.value} {high.code or high.unit}"] if high is not None else []
        stated = " ".join(words)
        for part in (stated, *_NEXT_STEP.split(text)):
            order = f"{context.medication.words} {text if part is stated else part}"
            may_be_pushed = row.population == "drip" and _RUNS_ON.search(order) is None
            masses = [*_ONE_DOSE.finditer(part)] if may_be_pushed else []
            for match in _SPEED.finditer(part):
                if not any(_is_pushed(mass, match, row, context.weight_kg) for mass in masses):
                    yield match


_NEXT_STEP: Final = re.compile(r"\bthen\b|followed by|;", re.IGNORECASE)
_RUNS_ON: Final = re.compile(
    r"infus|drip|gtt\b|\bpca\b|\bbag\b|\bin \d+ ?ml\b|premix|(?<![\d.])(?:[5-9]\d|\d{3,4}) ?ml\b",
    re.IGNORECASE,
)
_ONE_DOSE: Final = re.compile(
    r"(?<![\d.,])(?P<count>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?) ?(?P<unit>mg|g|mcg|[uµ]g)(?P<by_weight> ?/ ?kg)?\b(?! ?/)",
    re.IGNORECASE,
)


_PUSH_MINUTES: Final = 30.0


def _is_pushed(dose: re.Match[str], rate: re.Match[str], row: Limit, weight_kg: float | None) -> bool:
    """Whether it is a dose that is given within minutes at this rate: "20 mg at 2 mg/min" is no drip of 120 mg/h.

    The rate of a dose that is twice the alarm of an hour is measured: it is no usual injection, not for anesthesia.
    """
    (unit, mass), (unit_of_rate, mass_a_minute) = _in_unit_of_rows(dose), _in_unit_of_rows(rate)
    if rate["span"].lower() == "h" or unit != unit_of_rate:
        return False
    if dose["by_weight"] and weight_kg is None:  # who is dosed by weight is injected; how much is not known
        return True
    kg = weight_kg or math.inf
    mass *= kg if dose["by_weight"] else 1.0
    mass_a_minute *= kg if rate["by_weight"] else 1.0
    return mass <= _PUSH_MINUTES * mass_a_minute and mass < 2.0 * (row.ten_fold_from or 10.0 * row.most)


_ENDS: Final = re.compile(r"\bbolus|\bpush\b|\bload|\bonce\b|\buntil\b|\b(?:over|for) \d", re.IGNORECASE)


def has_only_a_rate(context: RuleContext) -> bool:
    """Whether it is a drip whose order says how fast it runs, and no dose."""
    dose = context.drafted.dose
    has_dose = bool(dose.per_dose or dose.single) or dose.times_per_day is not None or infusion_hours(context)
    return not has_dose and is_drip(context)


def _states_a_rate(context: RuleContext, row: Limit) -> bool:
    """Whether it is a drip with a rate in the unit of the row, whatever dose, frequency or end stands beside it."""
    return runs_by_a_rate(context) or (is_drip(context) and per_hour_of(context, row) is not None)


_VOLUME_A_TIME: Final = re.compile(r"\d ?ml ?(?:/|per) ?(?:h|min)", re.IGNORECASE)


def runs_by_a_rate(context: RuleContext) -> bool:
    """Whether it is a drip without a dose whose day is that of its rate, with or without an end."""
    dose, parts = context.drafted.dose, dosages_of(context)
    has_rate = any(given.rateRatio or given.rateQuantity for part in parts for given in part.doseAndRate)
    has_rate = has_rate or any(_VOLUME_A_TIME.search(part.text[:500]) for part in parts)
    has_dose = dose.per_dose or dose.single or (dose.activity is not None and dose.activity.per_dose)
    return has_only_a_rate(context) or (has_rate and not has_dose)


_RUNS_WITHOUT_END: Final = re.compile(
    r"continuous(?:ly)? (?:iv |intravenous )?(?:infus|drip)|infus\w* continuous|^\W*(?:iv )?continuous(?: iv)?\W*$",
    re.IGNORECASE,
)
_WATCHED: Final = re.compile(
    r"monitor|\b[ae]kg|\be[ce]g|rhythm|telemetr|spo2|oximet|capno|\bbp\b|pressure|respirat|breath|watch|observ|cardiac|vital",
    re.IGNORECASE,
)


def runs_all_day(context: RuleContext) -> bool:
    """Whether it is a drip without an end: what runs in an hour runs in each of a day's.

    It has no dose, or says beside the amount of its bag that it goes on.
    """
    texts = [part.text[:500] for part in dosages_of(context)]
    dose = context.drafted.dose
    goes_on = dose.times_per_day is None and not (dose.single or infusion_hours(context))
    goes_on = goes_on and any(_RUNS_WITHOUT_END.search(text) and not _WATCHED.search(text) for text in texts)
    return (goes_on or has_only_a_rate(context)) and not any(_ENDS.search(text) for text in texts)


def dosages_of(context: RuleContext) -> tuple[Dosage, ...]:
    """Return the instructions of the drafted order."""
    return instructions_of(context.drafted.order)


def _fits_weight(row: Limit, context: RuleContext) -> bool:
    """Whether the row is for this weight; a row for a weight is for nobody whose weight is not known."""
    if row.weight_from_kg is None and row.weight_to_kg is None:
        return True
    weight = context.weight_kg
    return weight is not None and (row.weight_from_kg or 0.0) <= weight <= (row.weight_to_kg or math.inf)


def limits_of(medication: MedicationIdentity) -> int:
    """How many limits there are for the drug by its route and, where that is known, its form, at any age."""
    return len(ages_of_limits(medication))


def ages_of_limits(medication: MedicationIdentity) -> tuple[range, ...]:
    """Return the ages of these limits but those of an order that is given once, because most orders are not."""
    rows = (row for rxcui in medication.rxcuis for row in limits_of_route(rxcui, medication))
    return tuple(
        row.ages
        for row in rows
        if not (row.population == "one dose" or row.condition or row.per_hour)
        and _fits_form(row.form, medication) is not False
    )
