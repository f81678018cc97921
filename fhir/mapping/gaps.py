"""The gaps of a chart: what of the data that was asked for arrived and cannot be used.

Gaps belong to the chart: they follow from its content and from what was asked for, not from the questions of a call.
"""

from collections.abc import Callable, Iterable
from typing import Final

from fhir.mapping.allergies import refused_allergies
from fhir.mapping.conditions import refused_problems
from fhir.mapping.medications.active import refused_orders
from fhir.mapping.weights import refused_weights
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal

_REFUSED: Final[tuple[tuple[str, Callable[[PatientRecord], Iterable[Refusal]]], ...]] = (
    ("AllergyIntolerance", refused_allergies),
    ("Condition", refused_problems),
    ("MedicationRequest", refused_orders),
    ("body_weight", refused_weights),
)
"""What is understood of a resource type or an analyte, and refuses some of it."""


def gaps(record: PatientRecord) -> tuple[Refusal, ...]:
    """Return what was asked for and cannot be used, each once, in an order that no question changes."""
    return record.derive(_gaps)


def _gaps(record: PatientRecord) -> tuple[Refusal, ...]:
    found = [refusal for what, refused in _REFUSED if record.was_requested(what) for refusal in refused(record)]
    return tuple(dict.fromkeys((*record.refusals, *found)))
