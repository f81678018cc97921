"""The patient's own order as a limit: how many times the dose of the order that is active the new order gives.

The two are compared in milligrams or units a day, of the one ingredient that both hold, where they are given in the
same way and both doses are known. Of a range or as needed the end counts that makes the change smaller.
"""

import math
import re
from typing import Final, NamedTuple

from cards.rules.conditions.condition import (
    LIMITS,
    MEDICATION_LISTS,
    Condition,
    Predicate,
    Spec,
    Truth,
    compared,
    comparison,
    flag,
    members,
)
from cards.rules.engine.family import Placeholder, written
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication
from cards.text import format_dose, format_number
from fhir.mapping.medications.daily_dose import DailyDose
from fhir.mapping.medications.identity import MedicationIdentity


class DoseChange(NamedTuple):
    """What a day the draft gives and the active order gave, each from its lowest to its highest, in `unit`."""

    new: tuple[float, float]
    before: tuple[float, float]
    unit: str

    @property
    def times(self) -> float:
        """How many times the dose before it is: over 1 at least so much more, under 1 at least so much less."""
        if self.new[0] >= self.before[1]:
            return self.new[0] / self.before[1]
        return min(self.new[1] / self.before[0], 1.0) if self.before[0] > 0 else 1.0


def dose_change(context: RuleContext) -> DoseChange | None:
    """Return the change from the partner that is looked at to the draft; None where the two cannot be compared."""
    if not context.partners:
        return None
    partner = context.partners[0]
    shared = [rxcui for rxcui in context.medication.rxcuis if partner.medication.has(rxcui)]
    is_comparable = (
        len(shared) == 1 and _NOT_COMPARED.isdisjoint(shared) and _is_given_alike(context.medication, partner)
    )
    if not is_comparable or context.drafted.dose.single or partner.dose.single or partner.drafted is not None:
        return None
    return _in_milligrams(context.drafted.dose, partner.dose, shared[0]) or _in_units(
        context.drafted.dose, partner.dose
    )


def _is_given_alike(drafted: MedicationIdentity, partner: CurrentMedication) -> bool:
    other = partner.medication
    # Insulin is injected, also where an order does not say so.
    is_alike = "insulin" in drafted.classes or drafted.is_injected is other.is_injected
    return drafted.systemic is not False and other.systemic is not False and is_alike


def _in_milligrams(drafted: DailyDose, partner: DailyDose, rxcui: str) -> DoseChange | None:
    new, before = drafted.daily(rxcui), partner.daily(rxcui)
    if new is None or before is None or before.high <= 0 or new.is_per_hour or before.is_per_hour:
        return None
    return DoseChange((new.low or new.high, new.high), (before.low, before.high), "mg")


def _in_units(drafted: DailyDose, partner: DailyDose) -> DoseChange | None:
    new, before = drafted.activity, partner.activity
    if new is None or before is None or new.unit != before.unit or not new.per_day or not before.per_day:
        return None
    return DoseChange((new.per_day, new.per_day), (before.per_day, before.per_day), _UNITS.get(new.unit, new.unit))


# Regular insulin and NPH are one ingredient, which acts for hours or for a day.
_NOT_COMPARED = frozenset({"253182"})
_UNITS = {"unit": "units", "meq": "mEq"}


def _read(spec: Spec) -> Predicate:
    compare, limits = comparison(spec["dose_times_before"])

    def test(context: RuleContext) -> Truth:
        change = dose_change(context)
        if change is None:
            return None if context.partners and context.drafted.dose.certainty == "unknown" else False
        return compare(change.times)

    return Predicate(test, lambda context: context.number_facts("daily_dose_mg"), frozenset({"active", "dose"}), limits)


# A new course against a flare, a load and a change that a step of the order explains are meant.
_MEANT = re.compile(
    r"\b(?:load\w*|bolus|burst|pulse|stress|flare|exacerbation|relapse|rejection|taper\w*|titrat\w*|then)\b",
    re.IGNORECASE,
)


def _gives_reason(context: RuleContext) -> Truth:
    order = context.drafted.order
    texts = [dosage.text for dosage in order.dosageInstruction]
    reasons = [reason.words for reason in order.reasonCode]
    return bool(reasons) or any(_MEANT.search(text[:500]) for text in texts)


def _amount(amount: tuple[float, float], unit: str) -> str:
    return f"{format_dose(amount[1]) if unit == 'mg' else format_number(amount[1])} {unit}/day"


def _times_before(change: DoseChange) -> str:
    """Return how many times the dose of the active order the draft gives, at least."""
    is_range = change.new[0] != change.new[1] or change.before[0] != change.before[1]
    return f"{'at least ' if is_range else ''}{format_number(math.floor(change.times * 10 + 1e-6) / 10)}"


PLACEHOLDERS: Final = {
    "new_amount": Placeholder(
        written(dose_change, lambda change: _amount(change.new, change.unit)), "12,000.5 units/day"
    ),
    "times_before": Placeholder(written(dose_change, _times_before), "at least 12.5"),
    "amount_before": Placeholder(
        written(dose_change, lambda change: _amount(change.before, change.unit)), "12,000.5 units/day"
    ),
}
WORDS = (
    Condition(
        "dose_times_before",
        "the draft gives so many times the daily dose of the active order of the same drug, given in the same way",
        _read,
        members((), **LIMITS),
        lambda spec: compared("times the daily dose of the active order", spec["dose_times_before"]),
        MEDICATION_LISTS,
    ),
    flag("reason_given", _gives_reason, "the order gives a reason, or its words say a load, a course or a step"),
)
