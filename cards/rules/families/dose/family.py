"""Doses: the placeholders, conditions and corrections that only these rules use."""

import math
import re
from collections.abc import Iterator

import msgspec

from cards.extension import Fact
from cards.rules.conditions.condition import SAME_DRUG, Condition, Truth, flag, medications_beside, needs
from cards.rules.conditions.words.numbers import WEIGHT
from cards.rules.conditions.words.patient import CONDITIONS
from cards.rules.engine.family import Correction, Family, TableRow, lab_placeholder
from cards.rules.families.dose.knowledge import ADULT_YEARS, EVIDENCE, Limit
from cards.rules.families.dose.sums import (
    FAR_OVER,
    FAR_OVER_PER_KG,
    FAR_OVER_TARGET,
    TEN_FOLD,
    TEN_FOLD_NARROW,
    TIMES_RECOMMENDED,
    TIMES_RECOMMENDED_FOR_CHILD,
    Excess,
    ages_of_limits,
    body_surface_m2,
    implausible,
    judged,
    labelled_from,
    limits_of,
    limits_of_route,
    plausible_doses_of,
    rows_for,
    total_mg,
    wants_weight,
)
from cards.rules.language.rule import Evidence, OrderChange, Sig
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication
from cards.text import capitalized, format_dose, format_number
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.weights import format_kg, judged_weight
from fhir.terminology.conditions import CONDITION_GROUPS

_METHOTREXATE = "6851"
_LEAD = "The limit is from a page that follows the label, not from the label: check it there."
_LEAST = "The order does not say of which ingredient the mass is; counted is the least that it can be."
_OLDEST_NAMED = 150
_UNITS = {"unit": "units", "meq": "mEq", "mmol": "mmol"}
_FORMS = {"immediate": "immediate release", "slow": "extended release", "12 h": "SR", "24 h": "XL"}


# Words


def _over_maximum(context: RuleContext) -> Truth:
    judgement = judged(context)
    return True if judgement.excess is not None else None if judgement.is_unknown else False


def _maximum_is_firm(context: RuleContext) -> Truth:
    excess = judged(context).excess
    return excess.is_firm if excess is not None else None


def _is_far_over(context: RuleContext) -> Truth:
    excess = judged(context).excess
    return excess.is_far_over if excess is not None else None


def _is_ten_fold_maximum(context: RuleContext) -> Truth:
    excess = judged(context).excess
    return excess.is_ten_fold if excess is not None else None


def _is_ten_fold_recommended(context: RuleContext) -> Truth:
    dose, is_unknown = implausible(context)
    return dose.times >= TEN_FOLD if dose is not None else None if is_unknown else False


def _dose_facts(context: RuleContext) -> list[Fact]:
    excess = judged(context).excess
    if excess is None:
        return []
    drafted_fact = Fact("daily_dose", _amount(context) or "", excess.amount, source=context.drafted.draft.name)
    beside = [_fact_beside(medication, excess.limit.rxcui, context) for medication in excess.beside]
    weight = context.number_facts("weight_kg") if excess.limit.per_kg or excess.limit.per_area else []
    return [
        drafted_fact,
        *weight,
        *beside,
        *(context.condition_facts(excess.limit.condition) if excess.limit.condition else []),
    ]


def _fact_beside(medication: CurrentMedication, rxcui: str, context: RuleContext) -> Fact:
    """Return the fact of an order with its daily dose: the same beside every draft of the ingredient."""

    def fact() -> Fact:
        daily = medication.dose.daily(rxcui)
        words, name = medication.medication.plain_words, medication.medication.name
        text = f"{words}, {format_dose(daily.high)} mg/day" if daily is not None else words
        return Fact("medication", text, name, None, medication.since, medication.source)

    return context.session.derive((_fact_beside, id(medication), rxcui), fact)


def _far_over(context: RuleContext) -> Truth:
    excess, is_unknown = implausible(context)
    return True if excess is not None else None if is_unknown else False


def _is_one_instruction(context: RuleContext) -> Truth:
    return len(context.drafted.order.dosageInstruction) <= 1


_DEPOT = re.compile(
    r"decanoate|enanthate|palmitate|pamoate|microsphere|lauroxil|long[- ]acting|depot|benzathine|bicillin"
    r"|sustenna|trinza|hafyera|maintena|asimtufii|aristada|consta\b|rykindo|perseris|uzedy|relprevv|sublocade|brixadi"
    r"|methylprednisolone acetate|depo-?(?:medrol|provera|subq)|valerate|cypionate|relday|\blar\b|soluspan"
    r"|acuphase|(?:extended|prolonged)[- ]release (?:inj|susp)|procaine\b",
    re.IGNORECASE,
)


def _is_depot(context: RuleContext) -> Truth:
    medication = context.medication
    words = f"{medication.dose_form or ''} {medication.words}"
    return _DEPOT.search(words) is not None or (medication.is_injected and medication.is_slow_release)


_ONE_MG_PER_ML = re.compile(r"(?<![\d.,])1 ?mg ?/ ?(?:1 ?)?ml\b|\b1 ?: ?1[, ]?000\b", re.IGNORECASE)


def _is_one_mg_per_ml(context: RuleContext) -> Truth:
    return _ONE_MG_PER_ML.search(f"{context.medication.dose_form or ''} {context.medication.words}") is not None


_THREE_QUARTERS = re.compile(r"\b0?[.,]75 ?%|\b7[.,]5 ?mg ?/ ?ml\b", re.IGNORECASE)


def _is_three_quarters_percent(context: RuleContext) -> Truth:
    return _THREE_QUARTERS.search(f"{context.medication.dose_form or ''} {context.medication.words}") is not None


_CONCENTRATED = re.compile(r"\bu[- ]?500\b|\b500 ?(?:\[?i?u(?:nt)?\]?|units?) ?/ ?ml\b", re.IGNORECASE)


def _is_concentrated(context: RuleContext) -> Truth:
    return _CONCENTRATED.search(f"{context.medication.dose_form or ''} {context.medication.words}") is not None


_SALT = re.compile(r"\b(?:23\.4|14\.6) ?%|\b(?:234|146) ?mg ?/ ?ml\b|\b(?:4|2\.5) ?m?eq ?/ ?ml\b", re.IGNORECASE)
_DILUTED = re.compile(r"\b(?:add|added|dilut\w*|mixed|tpn|parenteral|admixture|bag|in \d+ ?(?:ml|l))\b", re.IGNORECASE)


def _is_undiluted_salt(context: RuleContext) -> Truth:
    order = context.drafted.order
    sigs = " ".join(dosage.text or "" for dosage in order.dosageInstruction)[:1000]
    words = f"{context.medication.dose_form or ''} {context.medication.words}"
    return _SALT.search(words) is not None and _DILUTED.search(f"{words} {sigs}") is None


# Of 2 to 7.5 %; 0.9 % is as salty as blood, and a concentrate is a rule of its own.
_HYPERTONIC = re.compile(r"\b(?:2|3|5|7\.5) ?%|\bhypertonic|\bhyperton", re.IGNORECASE)
_WATER = re.compile(r"\bd5w\b|\bd5 ?water|\b5 ?%|\b50 ?(?:mg|g) ?/ ?(?:ml|l)\b", re.IGNORECASE)


def _is_hypertonic_salt(context: RuleContext) -> Truth:
    words = f"{context.medication.dose_form or ''} {context.medication.words}"
    return len(context.medication.rxcuis) == 1 and _HYPERTONIC.search(words) is not None


def _is_water(context: RuleContext) -> Truth:
    words = f"{context.medication.dose_form or ''} {context.medication.words}"
    has_salt = re.search(r"sodium|nacl|saline|ringer|natri", words, re.IGNORECASE) is not None
    return len(context.medication.rxcuis) == 1 and not has_salt and _WATER.search(words) is not None


def _names_a_day(context: RuleContext) -> Truth:
    return bool(context.drafted.dose.on_days)


def _weight_gap(context: RuleContext) -> str:
    """Why no weight is used: "the weight on record is of 2025-09-18 (9 kg)"."""
    judged = judged_weight(context.session.record)
    if judged.implausible is not None and judged.used is None:
        weight = judged.implausible
        return f"the weight on record cannot be right ({format_kg(weight)} on {weight.time.text[:10]})"
    if judged.too_old is not None:
        return f"the weight on record is too old ({format_kg(judged.too_old)} on {judged.too_old.time.text[:10]})"
    return "no weight on record"


def _weight_wanted(context: RuleContext) -> Truth:
    is_known = context.age_years is not None and context.session.record.was_requested("body_weight")
    return wants_weight(context) if is_known else None


def _why_unknown(context: RuleContext) -> tuple[str, str] | None:
    """Why a maximum dose could not be compared."""
    if not judged(context).is_unknown:
        return None
    age = context.age_years
    if age is None:
        return "age-missing", "no birth date on record."
    rows = [row for rxcui in context.medication.rxcuis for row, of_adult in rows_for(context, rxcui) if not of_adult]
    if any(total_mg(context, row.rxcui)[0] is None for row in rows):
        return context.why_no_dose()
    if any(row.per_area for row in rows) and body_surface_m2(context) is None:
        return "weight-missing", "the body surface is not known: no weight or no height on record."
    if context.weight_kg is None and any(row.per_kg for row in rows):
        if not context.session.record.was_requested("body_weight"):
            return "weight-missing", "the weight did not come with the call."
        return "weight-missing", f"{_weight_gap(context)}."
    if any(not total_mg(context, row.rxcui)[1] for row in rows):
        return "dose-not-known", "the dose of another order of the drug is not known."
    return "conditions-missing", "the problem list is not known."


# Placeholders


def _excess(context: RuleContext) -> Excess | None:
    return judged(context).excess


def _over_drug(context: RuleContext) -> str | None:
    excess = _excess(context)
    return excess.limit.drug if excess is not None else None


def _unit(limit: Limit) -> str:
    name = _UNITS.get(limit.unit, limit.unit)
    mass = f"{name}/kg" if limit.per_kg else f"{name}/m2" if limit.per_area else name
    if limit.per_hour:
        return f"{mass} an hour"
    return f"{mass} a dose" if limit.per_dose else f"{mass} a week" if limit.per_week else f"{mass}/day"


def _amount(context: RuleContext) -> str | None:
    excess = _excess(context)
    if excess is None:
        return None
    limit, number = excess.limit, len(excess.beside)
    amount_text = format_number(excess.amount, [limit.most], 2 if limit.per_kg else 1 if excess.amount >= 1 else 4)
    orders = "the other order" if number == 1 else f"{number} other orders"
    is_at_largest = excess.largest_kg is not None or excess.largest_m2 is not None
    least = "at least " if excess.is_least or is_at_largest else ""
    return f"{least}{amount_text} {_unit(limit)}{f' with {orders}' if number else ''}"


def _most(context: RuleContext) -> str | None:
    excess = _excess(context)
    if excess is None:
        return None
    limit = excess.limit
    form = f" ({_FORMS[limit.form]})" if limit.form else ""
    where = f" in {CONDITION_GROUPS[limit.condition].meaning.lower()}" if limit.condition else ""
    phrase = "the maximum of" if excess.is_firm else "the usual maximum of"
    if excess.of_adult:
        phrase = "the adult maximum of" if limit.is_for_adults else f"the maximum from {limit.ages.start} years on of"
    elif limit.population == "first order":
        phrase = "the usual maximum first dose of"
    return f"{phrase} {format_number(limit.most, decimals=2)} {_unit(limit)}{form}{where}"


def _note(context: RuleContext) -> str:
    excess = _excess(context)
    if excess is None:
        return ""
    area = body_surface_m2(context)
    notes = [f"{capitalized(excess.limit.note)}." if excess.limit.note else ""]
    notes += [_LEAST] if excess.is_least else []
    if excess.largest_kg is not None:
        weight = f"{capitalized(_weight_gap(context))}: counted with {format_number(excess.largest_kg)} kg"
        notes.append(f"{weight}, the largest plausible weight at this age.")
    if excess.largest_m2 is not None:
        surface = f"{format_number(excess.largest_m2, decimals=2)} m2, the largest plausible one"
        notes.append(f"The body surface is not known: counted with {surface}.")
    notes += [f"Body surface {format_number(area, decimals=2)} m2."] if area and excess.limit.per_area else []
    notes += [_LEAD] if excess.limit.page else []
    return " ".join(filter(None, notes))


def _times_maximum(context: RuleContext) -> str | None:
    excess = _excess(context)
    return _whole(excess.times) if excess is not None else None


def _times_recommended(context: RuleContext) -> str | None:
    dose, _ = implausible(context)
    return _whole(dose.times) if dose is not None else None


def _whole(times: float) -> str:
    return f"{math.floor(times):,}"


def _labelled_age(context: RuleContext) -> str | None:
    row = labelled_from(context)
    return str(row.labelled_from) if row is not None else None


def _written(context: RuleContext) -> str | None:
    excess, _ = implausible(context)
    return f"{format_dose(excess.amount)} mg/day" if excess is not None else None


def _recommended(context: RuleContext) -> str | None:
    excess, _ = implausible(context)
    if excess is None:
        return None
    weight = f" at {format_number(excess.weight_kg)} kg" if excess.weight_kg is not None else ""
    return f"{format_dose(excess.recommended_mg_day)} mg/day{weight}"


def _implausible_drug(context: RuleContext) -> str | None:
    excess, _ = implausible(context)
    return excess.row.drug if excess is not None else None


def _micrograms_meant(context: RuleContext) -> str:
    return " Micrograms meant?" if micrograms(context) is not None else ""


def _how_often(context: RuleContext) -> str | None:
    """ "3 times a day", "once a day", "7 times a week", "every 24 hours" as it is ordered, on average."""
    week = context.times_per_week
    if week is None:
        return None
    day = week / 7.0
    if week < 7.0:
        return "once a week" if week == 1.0 else f"{format_number(week)} times a week"
    words = {1.0: "once", 2.0: "twice"}.get(day)
    return f"{words or f'{format_number(day)} times'} a day"


# Evidence of the row


def _row_evidence(context: RuleContext) -> tuple[Evidence, ...]:
    excess = _excess(context)
    row = excess.limit if excess is not None else labelled_from(context)
    if row is None:
        return ()
    evidence = EVIDENCE[row.source]
    return (msgspec.structs.replace(evidence, section=row.page) if row.page else evidence,)


# Corrections

_OFTEN = {1: "once", 2: "twice", 3: "three times", 4: "four times"}


def _each_mg(context: RuleContext) -> float | None:
    """Milligrams of one dose where it is exactly known, of one drug alone and not as needed."""
    dose, rxcuis = context.drafted.dose, context.medication.rxcuis
    single_dose = dose.per_dose_of(rxcuis[0]) if len(rxcuis) == 1 and not dose.as_needed else None
    return single_dose.high if single_dose is not None and single_dose.low == single_dose.high else None


def _unit_mg(context: RuleContext) -> float | None:
    """Return the strength of one tablet or capsule; None where the product does not say."""
    strength = context.medication.strengths[0]
    return strength.milligrams if strength is not None and strength.per == "unit" else None


def to_maximum(context: RuleContext) -> OrderChange | None:
    """As often as ordered, with the largest dose of whole units that keeps the sum within the maximum.

    Never for a first order: the maximum is no dose to begin with.
    """
    excess, single_mg, times = _excess(context), _each_mg(context), context.times_per_day
    if excess is None or excess.of_adult or excess.limit.page or single_mg is None or times not in _OFTEN:
        return None
    limit = excess.limit
    has_no_room = limit.unit != "mg" or limit.per_kg or limit.per_dose or limit.per_week or excess.times >= FAR_OVER
    if has_no_room or context.new_start is not False:
        return None
    daily_mg = single_mg * times
    room_mg = (excess.limit.most - (excess.amount - daily_mg)) / times
    unit = _unit_mg(context)
    dose = math.floor(room_mg / unit + 1e-9) * unit if unit else room_mg
    if not 0.0 < dose < single_mg or (not unit and dose != int(dose)):
        return None
    return OrderChange(sig=_sig(dose, int(times)))


def _sig(dose: float, times: int) -> Sig:
    return Sig(f"{format_dose(dose)} mg {_OFTEN[times]} daily", dose, times_per_day=times)


def tenth(context: RuleContext) -> OrderChange | None:
    """Offer a tenth of a dose far over its limit, as often as ordered: within the limit, and not under a tenth of it.

    One zero too many or a decimal point too far right makes ten times the dose that was meant.
    """
    excess, single_mg, times = _excess(context), _each_mg(context), context.times_per_day
    if excess is None or single_mg is None or times not in _OFTEN or excess.beside:
        return None
    is_guess = excess.of_adult or excess.limit.population == "first order"
    if is_guess or excess.limit.unit != "mg" or not FAR_OVER_TARGET <= excess.times <= TEN_FOLD:
        return None
    dose, unit = single_mg / 10.0, _unit_mg(context)
    is_whole = unit is None or math.isclose(dose / unit, round(dose / unit))
    return OrderChange(sig=_sig(dose, int(times))) if is_whole else None


def micrograms(context: RuleContext) -> OrderChange | None:
    """Return the same number in micrograms if that is from a twentieth of FDA's recommended maximum to all of it."""
    excess, _ = implausible(context)
    single_mg, times = _each_mg(context), context.times_per_day
    if excess is None or single_mg is None or times not in _OFTEN:
        return None
    milligrams = excess.amount / 1000.0
    if not excess.recommended_mg_day / 20.0 <= milligrams <= excess.recommended_mg_day:
        return None
    text = f"{format_number(single_mg)} micrograms {_OFTEN[int(times)]} daily"
    return OrderChange(sig=Sig(text, single_mg / 1000.0, times_per_day=int(times)))


def _times_daily(times: int, words: str = "") -> Correction:
    """Return the ordered dose so many times a day."""

    def change(context: RuleContext) -> OrderChange | None:
        single_mg = _each_mg(context)
        text = f"{format_dose(single_mg)} mg {_OFTEN[times]} daily{words}" if single_mg is not None else ""
        return OrderChange(sig=Sig(text, single_mg, times_per_day=times)) if single_mg is not None else None

    return change


_MOST_METHOTREXATE_MG = 25.0


def _once_weekly(context: RuleContext) -> OrderChange | None:
    """Return the ordered dose once a week on Monday; a dose of methotrexate over 25 mg is no weekly one."""
    single_mg = _each_mg(context)
    if single_mg is None or (context.medication.has(_METHOTREXATE) and single_mg > _MOST_METHOTREXATE_MG):
        return None
    text = f"{format_dose(single_mg)} mg once weekly on Monday"
    return OrderChange(sig=Sig(text, single_mg, times_per_week=1, weekday="mon", is_written=True))


_SUM = frozenset({"dose", "maximum", "active"})
_ALONE = frozenset({"dose"})
_WORDS: tuple[Condition, ...] = (
    flag(
        "over_maximum",
        _over_maximum,
        "one dose, or the sum a day of the draft and what is taken beside it, is over a row of limits.csv",
        _SUM,
        _dose_facts,
        medications_beside([SAME_DRUG]) | WEIGHT | CONDITIONS | needs("Encounter", analytes=("body_height",)),
    ),
    flag("maximum_is_firm", _maximum_is_firm, "the source of that row gives a maximum and no target", _SUM),
    flag(
        "far_over_maximum",
        _is_far_over,
        f"it is {FAR_OVER:g} times the limit and more, {FAR_OVER_TARGET:g} times a target or a usual first dose,"
        f" {FAR_OVER_PER_KG:g} times a limit for each kilogram",
        _SUM,
    ),
    flag(
        "ten_fold_maximum",
        _is_ten_fold_maximum,
        f"it is {TEN_FOLD:g} times the limit and more, {TEN_FOLD_NARROW:g} times of a drug with a narrow range",
        _SUM,
    ),
    flag(
        "ten_fold_recommended",
        _is_ten_fold_recommended,
        f"the draft gives {TEN_FOLD:g} times FDA's recommended maximum a day and more",
        _ALONE,
    ),
    flag(
        "weight_wanted",
        _weight_wanted,
        "the drug has a limit for each kilogram, and the child no weight of the last 90 days that can be right",
        frozenset({"age", "maximum"}),
        needs=WEIGHT,
    ),
    flag(
        "weight_implausible",
        lambda context: judged_weight(context.session.record).implausible is not None,
        "the newest weight cannot be right at this age or beside those before it",
        needs=WEIGHT,
    ),
    flag(
        "under_labelled_age",
        lambda context: None if context.age_years is None else labelled_from(context) is not None,
        "the patient is younger than a row of limits.csv says the drug is labelled from",
        frozenset({"age"}),
        lambda context: context.number_facts("age_years"),
    ),
    flag(
        "far_over",
        _far_over,
        f"the draft gives more than {TIMES_RECOMMENDED:g} times FDA's recommended maximum a day (plausibility.csv), for"
        f" a child more than {TIMES_RECOMMENDED_FOR_CHILD:g} times that of its weight",
        _ALONE,
        lambda context: context.number_facts("daily_dose_mg"),
    ),
    flag("one_instruction", _is_one_instruction, "the order has one dosage instruction"),
    flag("one_mg_per_ml", _is_one_mg_per_ml, "the words of the drug say 1 mg/mL or 1:1000"),
    flag("three_quarters_percent", _is_three_quarters_percent, "the words of the drug say 0.75 % or 7.5 mg/mL"),
    flag("u_500", _is_concentrated, "the words of the drug say 500 units/mL"),
    flag("undiluted_salt", _is_undiluted_salt, "it is a concentrate, and no words of the order dilute it"),
    flag("hypertonic_salt", _is_hypertonic_salt, "it is a salt solution of 2 to 7.5 %"),
    flag("water", _is_water, "it is glucose of 5 % without salt, which is as good as water"),
    flag("depot", _is_depot, "the words or the form of the drug say that it is a depot injection"),
    flag("day_named", _names_a_day, "the order names a day of the week"),
)


def _rows_of(medication: MedicationIdentity) -> Iterator[TableRow]:
    for limit in (row for rxcui in medication.rxcuis for row in limits_of_route(rxcui, medication)):
        last, span = limit.ages[-1], "at every age"
        if limit.ages.start or last < ADULT_YEARS:
            span = f"{limit.ages.start} to {last} years" if last < _OLDEST_NAMED else f"from {limit.ages.start} years"
        weights = [f"from {limit.weight_from_kg:g} kg"] if limit.weight_from_kg is not None else []
        weights += [f"up to {limit.weight_to_kg:g} kg"] if limit.weight_to_kg is not None else []
        circumstances = (
            limit.route,
            _FORMS.get(limit.form, limit.form),
            limit.population,
            limit.condition,
            limit.setting,
        )
        without = [f"without {limit.without_condition}"] if limit.without_condition else []
        about = ", ".join([limit.drug, span, *weights, *filter(None, circumstances), *without])
        unit = f"{_UNITS.get(limit.unit, limit.unit)}{'/kg' if limit.per_kg else '/m2' if limit.per_area else ''}"
        how_often = (
            "an hour"
            if limit.per_hour
            else "in one dose"
            if limit.per_dose
            else "a week"
            if limit.per_week
            else "a day"
        )
        note = f" ({limit.note})" if limit.note else ""
        says = (
            f"{'at most' if limit.is_firm else 'usually at most'} {format_number(limit.most)} {unit} {how_often}{note}"
        )
        yield TableRow(about.replace("_", " "), says, EVIDENCE[limit.source])


FAMILY = Family(
    "dose",
    placeholders={
        "sodium": lab_placeholder("sodium", [130, 145], 7),
        "over_drug": _over_drug,
        "amount": _amount,
        "most": _most,
        "note": _note,
        "times": _times_maximum,
        "times_recommended": _times_recommended,
        "labelled_age": _labelled_age,
        "weight_gap": lambda context: capitalized(_weight_gap(context)) if _weight_wanted(context) else None,
        "far_drug": _implausible_drug,
        "written": _written,
        "recommended": _recommended,
        "micrograms_meant": _micrograms_meant,
        "how_often": _how_often,
        "duration": lambda context: None if context.duration_days is None else format_number(context.duration_days),
    },
    longest={
        "sodium": "sodium 145.5 mmol/L on 2026-11-20",
        "over_drug": "chlorpheniramine",
        "amount": "12,800.5 mg/day with the other order",
        "most": "the usual maximum first dose of 4,000 mg/day (extended release)",
        "times": "1,000",
        "times_recommended": "1,000",
        "labelled_age": "18",
        "weight_gap": "The weight on record cannot be right (140.5 kg on 2026-11-20)",
        "far_drug": "mycophenolate mofetil",
        "written": "120,000.5 mg/day",
        "recommended": "24,000 mg/day at 12.5 kg",
        "micrograms_meant": " Micrograms meant?",
        "how_often": "12.5 times a week",
        "duration": "365",
    },
    conditions=_WORDS,
    gaps={"maximum": _why_unknown},
    changes={
        "to_maximum": to_maximum,
        "micrograms": micrograms,
        "tenth": tenth,
        "once_daily": _times_daily(1),
        "once_daily_with_food": _times_daily(1, " with food"),
        "twice_daily": _times_daily(2),
        "once_weekly": _once_weekly,
    },
    ages={"dose-max": ages_of_limits},
    covers={"dose-max": limits_of, "dose-plausible": plausible_doses_of},
    evidence={"dose-max": _row_evidence},
    rows={"dose-max": _rows_of},
)
