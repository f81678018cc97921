"""The dose of a lifetime: what was given of a drug, with the first dose of the draft, for each square metre."""

from msgspec import Struct

from cards.rules.families.dose.knowledge import LIFETIME_MG_M2
from cards.rules.families.dose.sums import body_surface_m2
from cards.rules.patient.context import RuleContext
from cards.text import format_number
from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.medications.identity import identify
from fhir.record.resources import MedicationAdministration

_GIVEN = frozenset({"completed", "in-progress"})


class LifetimeDose(Struct, frozen=True):
    """Milligrams for each square metre, from how many administrations, and whether each of them said its dose."""

    mg_m2: float
    most_mg_m2: float
    count: int
    is_whole: bool


def lifetime_dose(context: RuleContext) -> LifetimeDose | None:
    """Return the dose of a lifetime of the draft's drug; None where a dose or the body surface is not known."""
    return context.session.derive(("lifetime dose", context.drafted), lambda: _computed(context))


def _computed(context: RuleContext) -> LifetimeDose | None:
    rxcui = next((rxcui for rxcui in context.medication.rxcuis if rxcui in LIFETIME_MG_M2), None)
    surface, record = body_surface_m2(context), context.session.record
    drafted = context.drafted.dose.per_dose_of(rxcui) if rxcui is not None else None
    if rxcui is None or surface is None or drafted is None or not record.was_requested("MedicationAdministration"):
        return None
    given = []
    for administration in record.facts(MedicationAdministration):
        identity = identify(administration, context.session.medications)
        if administration.status in _GIVEN and identity.has(rxcui):
            given.append(daily_dose(administration, identity).per_dose_of(rxcui))
    doses_mg = [dose.high for dose in given if dose is not None]
    total = (sum(doses_mg) + drafted.high) / surface
    return LifetimeDose(total, LIFETIME_MG_M2[rxcui], len(given), len(doses_mg) == len(given))


def is_over(context: RuleContext) -> bool | None:
    """Whether it is over what the label names; None where it may be, because a dose is not known."""
    dose = lifetime_dose(context)
    if dose is None:
        return None
    if dose.mg_m2 > dose.most_mg_m2:
        return True
    return False if dose.is_whole else None


def why_unknown(context: RuleContext) -> tuple[str, str]:
    """Say why the dose of a lifetime could not be compared."""
    if body_surface_m2(context) is None:
        return "weight-missing", "the body surface is not known: no weight or no height on record."
    if not context.session.record.was_requested("MedicationAdministration"):
        return "medications-missing", "what was given before did not come with the call."
    return "dose-not-known", "the dose of the draft or one that was given before is not known."


def dose_text(dose: LifetimeDose) -> str:
    """Return "at least 560 mg/m2"."""
    least = "" if dose.is_whole else "at least "
    return f"{least}{format_number(dose.mg_m2, [dose.most_mg_m2], 0)} mg/m2"


def count_text(dose: LifetimeDose) -> str:
    """Return "6 administrations"."""
    return f"{dose.count} administration{'' if dose.count == 1 else 's'}"
