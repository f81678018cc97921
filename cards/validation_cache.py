"""Remembers by digest which orders are valid FHIR, so that signing does not check again what selection checked.

Nothing clinical is remembered: every order is judged anew on every call.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from fhir.record.datatypes import write_decimal

ValidationFault: TypeAlias = tuple[str, str]
"""Where a resource breaks FHIR, and how; never a value."""

_MOST: Final = 256
_MOST_SHAPES: Final = 4096
_encoder: Final = msgspec.json.Encoder(enc_hook=write_decimal)


class ValidationCache:
    """The faults of the orders of one patient, user and client, by digest. Only digests and places are kept."""

    __slots__ = ("_faults", "used")

    def __init__(self) -> None:
        self._faults: dict[bytes, frozenset[ValidationFault]] = {}
        self.used = 0

    def faults(
        self, resource: dict[str, Any], prove: Callable[[dict[str, Any]], set[ValidationFault]]
    ) -> frozenset[ValidationFault]:
        """What `prove` finds wrong with the resource, or found when it was the same but for its own id."""
        same = {name: value for name, value in resource.items() if name != "id"}
        digest = hashlib.sha256(_encoder.encode((same, type(resource.get("id")).__name__))).digest()
        known = self._faults.get(digest)
        if known is None:
            known = frozenset(prove(resource))
            if len(self._faults) < _MOST:
                self._faults[digest] = known
        else:
            self.used += 1
        return known

    def new_faults(self, resource: dict[str, Any], original: dict[str, Any]) -> frozenset[ValidationFault]:
        """Where the resource is no valid FHIR R4B, but for the faults that the original has already."""
        faults = self.faults(resource, _known_faults)
        return faults - self.faults(original, _known_faults) if faults and original else faults


# What is valid whoever it names and whenever it is: references and dates of the one form that always is. A day beyond
# the 28th stays as it is, as not every month has it.
_REFERENCE: Final = re.compile(rb'"reference":"(Patient|Practitioner|Encounter|Medication)/[A-Za-z0-9.-]{1,64}"')
_DATE: Final = re.compile(rb'"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])(?=["T])')
_TIME: Final = re.compile(rb'T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d)"')


class ValidShapes:
    """The faults of orders by their shape, for the whole process: that a shape is valid FHIR is true for everyone.

    The shape is the order without its own id, with one patient, visit and date in place of all. Only its digest is
    kept, and the places of its faults; 4,096 shapes, which is about 1 MB, are kept, and then all are forgotten.
    Proving one order takes 150 to 500 µs, finding its shape 15.
    """

    __slots__ = ("_faults",)

    def __init__(self) -> None:
        self._faults: dict[bytes, frozenset[ValidationFault]] = {}

    def faults(
        self, resource: dict[str, Any], prove: Callable[[dict[str, Any]], set[ValidationFault]]
    ) -> frozenset[ValidationFault]:
        """What `prove` finds wrong with the resource, or found in another of the same shape."""
        digest = hashlib.sha256(shape_of(resource)).digest()
        known = self._faults.get(digest)
        if known is None:
            if len(self._faults) >= _MOST_SHAPES:
                self._faults.clear()
            known = self._faults[digest] = frozenset(prove(resource))
        return known


def shape_of(resource: dict[str, Any]) -> bytes:
    """The JSON of the resource in which its id, usual references and dates are the same as in any other.

    >>> shape_of({"id": "a", "authoredOn": "2026-11-20", "subject": {"reference": "Patient/7"}})
    b'[{"authoredOn":"D","subject":{"reference":"Patient"}},"str"]'
    """
    same = {name: value for name, value in resource.items() if name != "id"}
    text = _encoder.encode((same, type(resource.get("id")).__name__))
    return _TIME.sub(b'T"', _DATE.sub(b'"D', _REFERENCE.sub(rb'"reference":"\1"', text)))


# What is proven: FHIR R4B by the models of fhir.resources


def load_fhir_models() -> None:
    """Load the FHIR models now (a third of a second) instead of with the first suggestion."""
    _model("MedicationRequest")
    _faults({})


_shapes: Final = ValidShapes()


def _known_faults(resource: dict[str, Any]) -> set[ValidationFault]:
    return set(_shapes.faults(resource, _faults))


def _faults(resource: dict[str, Any]) -> set[ValidationFault]:
    """Where the resource breaks FHIR R4B, and how; without the values."""
    from pydantic import ValidationError  # the library takes a while to load and most answers need no suggestion

    try:
        _model(str(resource.get("resourceType", "MedicationRequest"))).model_validate(resource)
    except ValidationError as error:
        return {(".".join(map(str, one["loc"])), one["type"]) for one in error.errors(include_url=False)}
    return set()


def _model(kind: str) -> Any:
    from fhir.resources.R4B.medicationrequest import MedicationRequest
    from fhir.resources.R4B.servicerequest import ServiceRequest

    return {"MedicationRequest": MedicationRequest, "ServiceRequest": ServiceRequest}[kind]
