"""Conditions that only the interaction rules use: times of a pair, NSAIDs, thiopurines, treatment doses, fluids."""

import re
from collections.abc import Iterator

from cards.extension import Fact
from cards.rules.conditions.condition import (
    DAYS,
    MEDICATION_LISTS,
    SELECTED,
    Condition,
    Predicate,
    Spec,
    Truth,
    flag,
    members,
    no_facts,
    number,
    selected,
    with_value,
)
from cards.rules.conditions.words.numbers import WEIGHT
from cards.rules.language.trigger import Selector
from cards.rules.patient.context import RuleContext, meant_name
from cards.rules.patient.orders import CurrentMedication, DraftMedication
from cards.text import format_dose, format_number
from fhir.mapping.medications.daily_dose import DailyDose, instructions_of
from fhir.mapping.medications.identity import MedicationIdentity, Order
from fhir.terminology.medications import CLASS_MEMBERS

_USES = frozenset({"active", "history"})


def _starts(context: RuleContext, days: float) -> list[bool | None]:
    """Whether the draft, and whether the partner, was begun in so many days; a renewal is not a beginning."""
    renews = context.drafted.order.priorPrescription is not None
    is_recent = False if renews else context.session.is_recent_start(context.medication, days)
    return [is_recent, *(context.session.is_recent_start(partner.medication, days) for partner in context.partners[:1])]


def _one_begun(days: float, context: RuleContext) -> Truth:
    answers = _starts(context, days)
    return True if True in answers else None if None in answers else False


def _both_unchanged(days: float, context: RuleContext) -> Truth:
    begun = _one_begun(days, context)
    return None if begun is None else not begun


ONE_BEGUN_WITHIN = with_value(
    "one_begun_within",
    DAYS,
    _one_begun,
    "one of the two begun within {} days".format,
    "one of the pair began in the last so many days",
    _USES,
    needs=MEDICATION_LISTS,
)
BOTH_UNCHANGED_FOR = with_value(
    "both_unchanged_for",
    DAYS,
    _both_unchanged,
    "both taken for over {} days".format,
    "neither of the pair began in the last so many days",
    _USES,
    needs=MEDICATION_LISTS,
)


def _any_new(spec: Spec) -> Predicate:
    inner = spec["any_new"]
    selector, days = Selector.read(inner["drugs"], systemic=True), float(inner["days"])

    def test(context: RuleContext) -> Truth:
        session = context.session
        medications = session.medications_beside(context.drafted, selector.keys)
        answers = [
            session.is_recent_start(medication.medication, days)
            for medication in medications
            if selector.matches(medication.medication)
        ]
        if selector.matches(context.medication):
            renews = context.drafted.order.priorPrescription is not None
            answers.append(False if renews else session.is_recent_start(context.medication, days))
        return True if True in answers else None if None in answers else False

    return Predicate(test, no_facts, _USES)


ANY_NEW = Condition(
    "any_new",
    "one of these `drugs`, drafted or taken, began in the last `days`",
    _any_new,
    members(("drugs", "days"), drugs=SELECTED, days=DAYS),
    lambda spec: f"{selected(spec['any_new']['drugs'])} begun within {spec['any_new']['days']} days",
    MEDICATION_LISTS,
)

NSAID = Selector(classes=frozenset({"nsaid"}), systemic=True)


# The two sides


def _pair(context: RuleContext) -> tuple[DraftMedication | CurrentMedication, ...]:
    """Return the draft and the partner that is looked at."""
    return context.drafted, *context.partners[:1]


# Other drafts


def _beside_drafted(spec: Spec) -> Predicate:
    selector = Selector.read(spec["beside_drafted"], systemic=True)

    def test(context: RuleContext) -> Truth:
        beside = context.session.medications_beside(context.drafted, selector.keys)
        return any(medication.drafted is not None and selector.matches(medication.medication) for medication in beside)

    return Predicate(test, uses=frozenset({"active"}))


BESIDE_DRAFTED = Condition(
    "beside_drafted",
    "such a drug is in another draft of the session",
    _beside_drafted,
    SELECTED,
    lambda spec: f"{selected(spec['beside_drafted'])} is drafted along with it",
    MEDICATION_LISTS,
)

# NSAIDs


def names_of(selector: Selector, context: RuleContext) -> list[str]:
    """Return such drugs by ingredient, drafted and taken."""
    drafted = selector.members(context.medication) if selector.matches(context.medication) else ()
    taken = (meant_name(selector, medication) for medication in context.current_medications(selector))
    return list(dict.fromkeys([*(member.name for member in drafted), *taken]))


NSAID_COUNT = number(
    "nsaid_count",
    "NSAIDs taken",
    lambda context: (len(names_of(NSAID, context)), True),
    "the number of systemic NSAIDs, drafted and taken, compares so",
    frozenset({"active"}),
    lambda context: context.medication_facts(NSAID),
    MEDICATION_LISTS,
)

# The usual daily dose: tables/high_dose_nsaid of the source, milligrams by ingredient.
_USUAL_MG = {"5640": 2400.0, "7258": 1000.0, "3355": 150.0, "41493": 15.0, "140587": 400.0}


def high_dose(context: RuleContext) -> tuple[str, float] | None:
    """Return the NSAID of the pair that is over its usual daily dose, with that dose."""
    for rxcui, name, daily in _nsaid_doses(context):
        if daily is not None and daily > _USUAL_MG[rxcui]:
            return name, daily
    return None


def _nsaid_doses(context: RuleContext) -> Iterator[tuple[str, str, float | None]]:
    for side in _pair(context):
        for ingredient in side.medication.ingredients:
            if ingredient.rxcui in _USUAL_MG and side.medication.systemic is not False:
                yield ingredient.rxcui, ingredient.name, side.dose.most_a_day(ingredient.rxcui)


def _is_high_dose(context: RuleContext) -> Truth:
    if high_dose(context) is not None:
        return True
    return None if any(daily is None for _, _, daily in _nsaid_doses(context)) else False


HIGH_DOSE_NSAID = flag(
    "high_dose_nsaid",
    _is_high_dose,
    "the NSAID is over its usual daily dose",
    frozenset({"active"}),
    needs=MEDICATION_LISTS,
)

# Thiopurines: band allopurinol of the source. Milligrams for each kilogram and day.
_REDUCED_MG_PER_KG = {"1256": 1.0, "103": 0.5}


def thiopurine(context: RuleContext) -> tuple[str, float | None]:
    """Return the thiopurine of the pair and its daily milligrams."""
    for side in _pair(context):
        for ingredient in side.medication.ingredients:
            if ingredient.rxcui in _REDUCED_MG_PER_KG:
                return ingredient.rxcui, side.dose.most_a_day(ingredient.rxcui)
    return "", None


def _is_reduced(context: RuleContext) -> Truth:
    rxcui, daily = thiopurine(context)
    weight = context.weight_kg
    if daily is None or not weight:
        return None
    return daily / weight <= _REDUCED_MG_PER_KG[rxcui]


def _thiopurine_facts(context: RuleContext) -> list[Fact]:
    rxcui, daily = thiopurine(context)
    weight = context.weight_kg
    if daily is None or not weight:
        return []
    text = f"{format_dose(daily)} mg/day, {format_number(daily / weight, [_REDUCED_MG_PER_KG[rxcui]], 2)} mg/kg"
    return [
        Fact("thiopurine_dose", text, daily, "mg/d", source=context.drafted.draft.name),
        *context.number_facts("weight_kg"),
    ]


THIOPURINE_DOSE_REDUCED = flag(
    "thiopurine_dose_reduced",
    _is_reduced,
    "azathioprine at most 1 mg/kg a day or mercaptopurine at most 0.5 mg/kg",
    frozenset({"active", "weight", "pair_dose"}),
    _thiopurine_facts,
    MEDICATION_LISTS | WEIGHT,
)

# Anticoagulants: rules/CLARIFICATIONS.md of the source, treatment_dose. Milligrams a day.
_HEPARIN, _DALTEPARIN = "5224", "67109"
_PROPHYLAXIS_MG = {"67108": 60.0, "321208": 2.5}
_DALTEPARIN_UNITS = 7500.0
_HEPARIN_UNITS = 22_500.0
"""Units of heparin under the skin a day that still prevent: 7,500 three times, of very heavy patients."""
_ARGATROBAN, _BIVALIRUDIN = "15202", "60819"
_ALWAYS_TREATMENT = CLASS_MEMBERS["vka"] | CLASS_MEMBERS["doac"] | {_ARGATROBAN, _BIVALIRUDIN}
_INFUSED = re.compile(
    r"infus|\bdrip\b|continuous|units?\s*/\s*(?:(?:kg\s*/\s*)?h|\d{3,4}\s*ml)|in (?:dextrose|sodium chloride|d5w|ns)\b",
    re.IGNORECASE,
)
_KEEPS_OPEN = re.compile(r"flush|\block\b|patency|arterial line", re.IGNORECASE)
_UNDER_SKIN = re.compile(r"sub-?\s?cut|\bs\.?c\b|\bsub-?q\b", re.IGNORECASE)
_UNITS = re.compile(r"(?<![\d,.])([\d,.]+)\s*(?:units?|\[?iu\]?|\[?anti-?xa\b.{0,12}units?)", re.IGNORECASE)


def is_treatment(medication: MedicationIdentity, dose: DailyDose, words: str) -> Truth:
    """Whether an anticoagulant is given in a treatment dose; None where the dose is not known."""
    answers = [_treats(code, medication, dose, words) for code in medication.rxcuis if code in _ANTICOAGULANTS]
    return True if True in answers else None if None in answers or not answers else False


_ANTICOAGULANTS = _ALWAYS_TREATMENT | {_HEPARIN, _DALTEPARIN, *_PROPHYLAXIS_MG}


def _treats(code: str, medication: MedicationIdentity, dose: DailyDose, words: str) -> Truth:
    if code in _ALWAYS_TREATMENT:
        return True
    if code == _HEPARIN:
        order_words = f"{medication.words} {words}"
        is_infused = bool(_INFUSED.search(order_words)) and not _KEEPS_OPEN.search(order_words)
        return is_infused or _is_over(_HEPARIN_UNITS, medication, dose) is True
    if code == _DALTEPARIN:
        return _is_over(_DALTEPARIN_UNITS, medication, dose)
    daily = dose.daily(code)
    return None if daily is None else daily.high > _PROPHYLAXIS_MG[code]


def _is_over(units_a_day: float, medication: MedicationIdentity, dose: DailyDose) -> Truth:
    if dose.activity is not None and dose.activity.unit == "unit" and dose.activity.per_day is not None:
        return dose.activity.per_day > units_a_day
    units = _UNITS.search(medication.words)
    if units is None or dose.times_per_day is None:
        return None
    return float(units[1].replace(",", "")) * dose.times_per_day > units_a_day


def order_treats(medication: MedicationIdentity, dose: DailyDose, order: Order) -> Truth:
    """Whether an order of an anticoagulant is one of a treatment dose, by its own instructions too."""
    return is_treatment(medication, dose, _instructions(order))


def _both_treat(context: RuleContext) -> Truth:
    answers = [order_treats(member.medication, member.dose, member.order) for member in _pair(context)]
    return False if False in answers else None if None in answers else True


def _is_injected(member: DraftMedication | CurrentMedication) -> bool:
    """Whether it is a heparin or fondaparinux that is infused or given under the skin: no flush, lock or bolus."""
    if _HEPARIN not in member.medication.rxcuis:
        return not {_DALTEPARIN, *_PROPHYLAXIS_MG}.isdisjoint(member.medication.rxcuis)
    words = f"{member.medication.words} {member.medication.route} {_instructions(member.order)}"
    is_under_skin = _UNDER_SKIN.search(words) and not _KEEPS_OPEN.search(words)
    return bool(is_under_skin) or order_treats(member.medication, member.dose, member.order) is True


def _instructions(order: Order) -> str:
    """Return the words and the timing of an order's instructions."""
    dosages = instructions_of(order)
    texts = [f"{dosage.text} {dosage.route.words if dosage.route else ''}" for dosage in dosages]
    rated = any(rate.rateQuantity or rate.rateRatio for dosage in dosages for rate in dosage.doseAndRate)
    return " ".join([*texts, "infusion" if rated else ""])


BOTH_TREATMENT_DOSES = flag(
    "both_treatment_doses",
    _both_treat,
    "both in treatment doses",
    frozenset({"active", "pair_dose"}),
    needs=MEDICATION_LISTS,
)

BOTH_INJECTED = flag(
    "both_injected",
    lambda context: all(map(_is_injected, _pair(context))),
    "both heparins or fondaparinux, and neither only keeps a line open",
    frozenset({"active", "pair_dose"}),
    needs=MEDICATION_LISTS,
)

# Potassium in a maintenance fluid: silent_when of the source.
_FLUID = re.compile(r"dextrose|sodium chloride|ringer|\bd5\b|\bd5w|\bns\b|plasma-?lyte|saline", re.IGNORECASE)


def _is_fluid(context: RuleContext) -> Truth:
    return any(
        "8591" in member.medication.rxcuis and bool(_FLUID.search(member.medication.words)) for member in _pair(context)
    )


MAINTENANCE_FLUID = flag(
    "maintenance_fluid",
    _is_fluid,
    "potassium in a maintenance fluid",
    frozenset({"active"}),
    needs=MEDICATION_LISTS,
)
