"""The daily sum of a drug over all orders, and acetaminophen brought back to 3 g."""

from cards.extension import Fact
from cards.rules.conditions.condition import Condition, Predicate, Spec, Truth, floor_comparison, members, only
from cards.rules.conditions.wording import compared
from cards.rules.conditions.words.medications import MEDICATIONS
from cards.rules.families.duplicate.same_product import is_same_product
from cards.rules.language.rule import OrderChange, Sig
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication
from cards.text import format_dose, format_number, plain
from fhir.mapping.medications.daily_dose import DailyDose

ACETAMINOPHEN = "161"
MOST_MG = 4000.0
_GOAL_MG, _LARGEST_DOSE_MG = 3000.0, 1000.0


def counted(context: RuleContext, rxcui: str) -> list[CurrentMedication]:
    """What holds the ingredient beside the draft, without the order that the draft renews or changes."""
    beside = context.session.medications_beside(context.drafted, (rxcui,))
    return [one for one in beside if one.drafted is not None or not is_same_product(context.medication, one.medication)]


def _high(dose: DailyDose, rxcui: str) -> float | None:
    daily = dose.daily(rxcui)
    return daily.high if daily is not None else None


def total_mg(context: RuleContext, rxcui: str) -> tuple[float, bool]:
    """Milligrams a day of the draft and what is taken beside it, and whether that is all of it."""
    doses = [_high(one.dose, rxcui) for one in counted(context, rxcui) if not one.dose.single]
    doses.append(_high(context.drafted.dose, rxcui))
    return sum(one for one in doses if one is not None), None not in doses


def _daily_total_mg(spec: Spec) -> Predicate:
    inner = only(spec, "daily_total_mg")["daily_total_mg"]
    rxcui = str(inner["ingredient"]["rxcui"])
    compare, limits = floor_comparison(inner, "ingredient")

    def test(context: RuleContext) -> Truth:
        return compare(*total_mg(context, rxcui)) if context.medication.has(rxcui) else False

    def facts(context: RuleContext) -> list[Fact]:
        own = context.number_facts("daily_dose_mg") if context.ingredient.rxcui == rxcui else []
        return [*own, *(_dose_fact(one, rxcui) for one in counted(context, rxcui))]

    return Predicate(test, facts, frozenset({"active", "dose", "drug_dose"}), limits)


def _dose_fact(one: CurrentMedication, rxcui: str) -> Fact:
    high = _high(one.dose, rxcui)
    said = f", {format_number(high)} mg/day" if high is not None else ""
    return Fact("medication", f"{plain(one.medication.words)}{said}", one.medication.name, None, one.since, one.source)


def to_three_grams(context: RuleContext) -> OrderChange | None:
    """Fewer or smaller doses of the same product, so that the sum is at most 3 g; None where it cannot be."""
    if context.medication.rxcuis != (ACETAMINOPHEN,):
        return None
    known, is_whole = total_mg(context, ACETAMINOPHEN)
    own = _high(context.drafted.dose, ACETAMINOPHEN)
    if own is None or not is_whole:
        return None
    left = _GOAL_MG - (known - own)
    unit = _unit_mg(context)
    choices = [
        (dose * times, times, dose)
        for dose in (unit, 2 * unit)
        for times in (1, 2, 3, 4)
        if dose <= _LARGEST_DOSE_MG and dose * times <= left
    ]
    if not choices:
        return None
    _, times, dose = max(choices)
    often = {1: "once a day", 2: "twice a day"}.get(times, f"{times} times a day")
    return OrderChange(sig=Sig(f"{format_dose(dose)} mg {often}", dose, times_per_day=times))


def _unit_mg(context: RuleContext) -> float:
    """The strength of one unit of the product, 500 mg where it does not say."""
    strength = context.medication.strengths[0]
    milligrams = strength.milligrams if strength is not None and strength.per == "unit" else None
    return milligrams or 500.0


DAILY_TOTAL = Condition(
    "daily_total_mg",
    "milligrams a day of `ingredient` in the draft and everything beside it are over `gt`; true as soon as the known "
    "part is",
    _daily_total_mg,
    members(("ingredient", "gt"), ingredient={"$ref": "#/$defs/drug"}, gt={"type": "number"}),
    lambda spec: compared(f"mg a day of {spec['daily_total_mg']['ingredient']['name']} in all", spec["daily_total_mg"]),
    MEDICATIONS,
)
