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
    floor_comparison,
    medications_beside,
    members,
    only,
)
from cards.rules.conditions.vocabulary import compared
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


def is_other_release(one: MedicationIdentity, other: MedicationIdentity) -> bool:
    """Whether one of them releases slowly and the other does not."""
    return is_slow(one) is not is_slow(other)


def is_other_way(one: MedicationIdentity, other: MedicationIdentity) -> bool:
    """Whether they are given in different ways: on the skin and by mouth, by mouth and injected."""
    if (one.systemic is False) is not (other.systemic is False):
        return True
    return one.is_injected is not other.is_injected


def is_topical_and_swallowed(one: MedicationIdentity, other: MedicationIdentity) -> bool:
    """Whether one acts where it is put and the other is taken by mouth; a flush of a catheter is neither."""
    local, systemic = (one, other) if one.systemic is False else (other, one)
    flush = _FLUSH.search(f"{local.words} {local.route or ''}") is not None
    return local.systemic is False and systemic.systemic is not False and not systemic.is_injected and not flush


def drug_codes(medication: MedicationIdentity) -> frozenset[str]:
    """The RxNorm codes of its drugs without the saline or glucose that carries them in an infusion."""
    return frozenset(medication.rxcuis) - CARRIERS or frozenset(medication.rxcuis)


def is_same_product(one: MedicationIdentity, other: MedicationIdentity) -> bool:
    """Whether they are the same drugs of the same strength given in the same way; a strength not stated fits."""
    if one.rxnorm is not None and one.rxnorm == other.rxnorm:
        return True
    if drug_codes(one) != drug_codes(other) or is_other_way(one, other) or is_other_release(one, other):
        return False
    mine = dict(zip(one.rxcuis, one.strengths, strict=True))
    theirs = dict(zip(other.rxcuis, other.strengths, strict=True))
    pairs = ((mine[rxcui], theirs[rxcui]) for rxcui in drug_codes(one))
    return all(mine_ is None or theirs_ is None or mine_ == theirs_ for mine_, theirs_ in pairs)


def overlap_days(context: RuleContext) -> float:
    """Days that the draft and the partner run together; without a known end as long as the other one does."""
    dose = context.drafted.dose
    own = 1.0 if dose.single else dose.duration_days
    left = context.session.days_left(context.partners[0])
    return min(own if own is not None else float("inf"), left)


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
    return Fact("medication", f"{one.medication.said}{said}", one.medication.name, None, one.since, one.source)


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
    lambda spec: medications_beside([str(spec["daily_total_mg"]["ingredient"]["rxcui"])]),
)
