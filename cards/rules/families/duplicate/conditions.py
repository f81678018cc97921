"""Compares orders: whether two are of one product, how long they run side by side, and their daily sum of a drug.

Acetaminophen beyond the limit is brought back to 3 g.
"""

import re

from cards.extension import Fact
from cards.rules.conditions.condition import (
    Condition,
    Predicate,
    Spec,
    Truth,
    compared,
    floor_comparison,
    medications_beside,
    members,
    only,
)
from cards.rules.language.rule import OrderChange, Sig
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication
from cards.text import format_dose, format_number
from fhir.mapping.medications.daily_dose import DailyDose
from fhir.mapping.medications.dosage import CARRIERS
from fhir.mapping.medications.identity import MedicationIdentity

_SLOW = re.compile(r"\b(extended|sustained|prolonged|controlled|24 ?hr|12 ?hr|xr|er|sr|xl|la|cr)\b", re.IGNORECASE)

_FLUSH = re.compile(r"flush|lock|dwell|irrigat|priming|dialys", re.IGNORECASE)


def is_slow(medication: MedicationIdentity) -> bool:
    """Whether its form or its words say that it releases slowly."""
    return _SLOW.search(f"{medication.dose_form or ''} {medication.words}") is not None


def is_other_release(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether one of them releases slowly and the other does not."""
    return is_slow(first) is not is_slow(second)


def is_other_way(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether they are given in different ways: on the skin and by mouth, by mouth and injected."""
    if (first.systemic is False) is not (second.systemic is False):
        return True
    return first.is_injected is not second.is_injected


def is_topical_and_swallowed(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether one acts where it is put and the other is taken by mouth; a flush of a catheter is neither."""
    local, systemic = (first, second) if first.systemic is False else (second, first)
    flush = _FLUSH.search(f"{local.words} {local.route or ''}") is not None
    return local.systemic is False and systemic.systemic is not False and not systemic.is_injected and not flush


def drug_codes(medication: MedicationIdentity) -> frozenset[str]:
    """The RxNorm codes of its drugs without the saline or glucose that carries them in an infusion."""
    return frozenset(medication.rxcuis) - CARRIERS or frozenset(medication.rxcuis)


def is_same_product(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether they are the same drugs of the same strength given in the same way; a strength not stated fits."""
    if first.rxnorm is not None and first.rxnorm == second.rxnorm:
        return True
    if drug_codes(first) != drug_codes(second) or is_other_way(first, second) or is_other_release(first, second):
        return False
    mine = dict(zip(first.rxcuis, first.strengths, strict=True))
    theirs = dict(zip(second.rxcuis, second.strengths, strict=True))
    pairs = ((mine[rxcui], theirs[rxcui]) for rxcui in drug_codes(first))
    return all(mine_ is None or theirs_ is None or mine_ == theirs_ for mine_, theirs_ in pairs)


def overlap_days(context: RuleContext) -> float:
    """Days that the draft and the partner run together; without a known end as long as the other one does."""
    dose = context.drafted.dose
    drafted_days = 1.0 if dose.single else dose.duration_days
    partner_days = context.session.days_left(context.partners[0])
    return min(drafted_days if drafted_days is not None else float("inf"), partner_days)


ACETAMINOPHEN = "161"
MOST_MG = 4000.0
_GOAL_MG, _LARGEST_DOSE_MG = 3000.0, 1000.0


def counted(context: RuleContext, rxcui: str) -> list[CurrentMedication]:
    """What holds the ingredient beside the draft, without the order that the draft renews or changes."""
    beside = context.session.medications_beside(context.drafted, (rxcui,))
    return [
        medication
        for medication in beside
        if medication.drafted is not None or not is_same_product(context.medication, medication.medication)
    ]


def _high(dose: DailyDose, rxcui: str) -> float | None:
    daily = dose.daily(rxcui)
    return daily.high if daily is not None else None


def total_mg(context: RuleContext, rxcui: str) -> tuple[float, bool]:
    """Milligrams a day of the draft and what is taken beside it, and whether that is all of it."""
    doses = [_high(medication.dose, rxcui) for medication in counted(context, rxcui) if not medication.dose.single]
    doses.append(_high(context.drafted.dose, rxcui))
    return sum(dose for dose in doses if dose is not None), None not in doses


def _daily_total_mg(spec: Spec) -> Predicate:
    inner = only(spec, "daily_total_mg")["daily_total_mg"]
    rxcui = str(inner["ingredient"]["rxcui"])
    compare, limits = floor_comparison(inner, "ingredient")

    def test(context: RuleContext) -> Truth:
        return compare(*total_mg(context, rxcui)) if context.medication.has(rxcui) else False

    def facts(context: RuleContext) -> list[Fact]:
        drafted_facts = context.number_facts("daily_dose_mg") if context.ingredient.rxcui == rxcui else []
        return [*drafted_facts, *(_dose_fact(medication, rxcui) for medication in counted(context, rxcui))]

    return Predicate(test, facts, frozenset({"active", "dose", "drug_dose"}), limits)


def _dose_fact(medication: CurrentMedication, rxcui: str) -> Fact:
    high = _high(medication.dose, rxcui)
    dose_text = f", {format_number(high)} mg/day" if high is not None else ""
    return Fact(
        "medication",
        f"{medication.medication.plain_words}{dose_text}",
        medication.medication.name,
        None,
        medication.since,
        medication.source,
    )


def to_three_grams(context: RuleContext) -> OrderChange | None:
    """Fewer or smaller doses of the same product, so that the sum is at most 3 g; None where it cannot be."""
    if context.medication.rxcuis != (ACETAMINOPHEN,):
        return None
    known_mg, is_whole = total_mg(context, ACETAMINOPHEN)
    drafted_mg = _high(context.drafted.dose, ACETAMINOPHEN)
    if drafted_mg is None or not is_whole:
        return None
    room_mg = _GOAL_MG - (known_mg - drafted_mg)
    unit = _unit_mg(context)
    choices = [
        (dose * times, times, dose)
        for dose in (unit, 2 * unit)
        for times in (1, 2, 3, 4)
        if dose <= _LARGEST_DOSE_MG and dose * times <= room_mg
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
    lambda spec: medications_beside([str(spec["daily_total_mg"]["ingredient"]["rxcui"])]),
)
