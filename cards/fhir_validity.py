"""Checks that a suggested order is valid FHIR R4B, by the models of fhir.resources.

The faults of an order are remembered by its shape, for the whole process: that a shape is valid FHIR is true for
everyone. Nothing clinical is remembered: every order is evaluated anew on every call.
"""

import hashlib
import re
from typing import Any, Final, TypeAlias

import msgspec

from fhir.record.datatypes import write_decimal

ValidationFault: TypeAlias = tuple[str, str]
"""Where a resource breaks FHIR, and how; never a value."""

_NOT_JUDGED: Final = ("an element of a type that the models cannot judge", "unjudged")
_MOST_SHAPES: Final = 4096
_encoder: Final = msgspec.json.Encoder(enc_hook=write_decimal)

# What is valid whoever it names and whenever it is: ids, references and dates of the one form that always is. A day
# beyond the 28th stays as it is, as not every month has it.
_REFERENCE: Final = re.compile(rb'"reference":"(Patient|Practitioner|Encounter|Medication)/[A-Za-z0-9.-]{1,64}"')
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_DATE: Final = re.compile(rb'"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])(?=["T])')
_TIME: Final = re.compile(rb'T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d)"')


def new_faults(resource: dict[str, Any], original: dict[str, Any]) -> frozenset[ValidationFault]:
    """Return where the resource is not valid FHIR R4B, without the faults that the original has already."""
    faults = _remembered.faults(resource)
    return faults - (_remembered.faults(original) - {_NOT_JUDGED}) if faults and original else faults


class ValidShapes:
    """The faults of orders by their shape: the order without its own id, with one patient, visit and date for all.

    Only the digest of a shape is kept, and the places of its faults; 4,096 shapes, which is about 1 MB, are kept, and
    then all are forgotten. Validating one order takes 150 to 500 µs, making its shape 15; without it an order-sign call
    with many suggestions takes 25 % longer (measured with the order-sign benchmark of commit f7238f1b).
    """

    __slots__ = ("_faults",)

    def __init__(self) -> None:
        self._faults: dict[bytes, frozenset[ValidationFault]] = {}

    def faults(self, resource: dict[str, Any]) -> frozenset[ValidationFault]:
        """Return what is wrong with the resource, or was with another of the same shape."""
        digest = hashlib.sha256(shape_of(resource)).digest()
        faults = self._faults.get(digest)
        if faults is None:
            if len(self._faults) >= _MOST_SHAPES:
                self._faults.clear()
            faults = self._faults[digest] = validate(resource)
        return faults


_remembered: Final = ValidShapes()


def shape_of(resource: dict[str, Any]) -> bytes:
    """Return the JSON of the resource in which its id, usual references and dates are the same as in any other.

    >>> shape_of({"id": "a", "authoredOn": "2026-11-20", "subject": {"reference": "Patient/7"}})
    b'[{"authoredOn":"D","subject":{"reference":"Patient"}},null]'
    """
    same = {name: value for name, value in resource.items() if name != "id"}
    logical_id = resource.get("id")
    is_usual = isinstance(logical_id, str) and _ID.fullmatch(logical_id) is not None
    text = _encoder.encode((same, None if is_usual else {"id": logical_id}))
    return _TIME.sub(b'T"', _DATE.sub(b'"D', _REFERENCE.sub(rb'"reference":"\1"', text)))


def load_fhir_models() -> None:
    """Load the FHIR models now (a third of a second) instead of with the first suggestion.

    The library loads the model of an element when it first meets one.
    """
    dose = {"doseAndRate": [{"doseQuantity": {"value": 1}}], "timing": {"repeat": {"frequency": 1}}}
    named = {"coding": [{"code": "1"}]}
    validate({"medicationCodeableConcept": named, "subject": {"display": "-"}, "dosageInstruction": [dose]})


def validate(resource: dict[str, Any]) -> frozenset[ValidationFault]:
    """Return where the resource breaks FHIR R4B, and how; without the values."""
    # The library takes a while to load, and most answers need no suggestion.
    from fhir.resources.R4B.medicationrequest import MedicationRequest
    from fhir.resources.R4B.servicerequest import ServiceRequest
    from pydantic import ValidationError

    model = ServiceRequest if resource.get("resourceType") == "ServiceRequest" else MedicationRequest
    try:
        model.model_validate(resource)
    except ValidationError as error:
        return frozenset(
            (".".join(map(str, error_entry["loc"])), error_entry["type"])
            for error_entry in error.errors(include_url=False)
        )
    except AttributeError:  # `"_text": "1.5"`, which the library takes for JSON
        return frozenset({_NOT_JUDGED})
    return frozenset()
