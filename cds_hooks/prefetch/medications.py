"""Finds the Medications that orders refer to and that did not come with the call."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from cds_hooks.prefetch import Templates
from cds_hooks.protocol.request import CDSRequest
from fhir.client.query import Search, escaped
from fhir.record.datatypes import Reference
from fhir.record.resources import Bundle, Medication, MedicationDispense, MedicationRequest, MedicationStatement

REFERRED_MEDICATIONS_KEY: Final = "(medications referred to)"
"""Under which they stand beside the prefetch; no client's key, for it is no key of a template either."""

MOST_MEDICATIONS: Final = 200
"""Of them in one search."""

ORDER_TYPES: Final = frozenset({"MedicationRequest", "MedicationStatement", "MedicationDispense"})
_READ: Final = frozenset({MedicationRequest, MedicationStatement, MedicationDispense, Medication})


class _Draft(Struct, frozen=True):
    resourceType: str | None = None
    id: Any = None
    medicationReference: Reference | None = None


class _DraftEntry(Struct, frozen=True):
    fullUrl: Any = None
    resource: _Draft | None = None


class _Drafts(Struct, frozen=True):
    entry: tuple[_DraftEntry, ...] = ()


_drafts = msgspec.json.Decoder(_Drafts)


def has_missing_medications(request: CDSRequest, templates: Templates) -> bool:
    """Whether a FHIR server came with the call, and an order refers to a Medication that did not."""
    return (
        request.fhir_authorization is not None
        and any(template.resource in ORDER_TYPES for template in templates)
        and bool(missing_medications(request, request.prefetch))
    )


def missing_medications(request: CDSRequest, values: Mapping[str, Any]) -> list[str]:
    """The ids of Medications that are referred to and not there, in order of appearance."""
    there: set[str] = set()
    referred: list[Reference] = []
    for resource in _resources(values.values()):
        if isinstance(resource, Medication):
            there.add(resource.id or "")
            referred += [part.itemReference for part in resource.ingredient if part.itemReference is not None]
        elif resource.medicationReference is not None:
            referred.append(resource.medicationReference)
    for entry in _draft_entries(request):
        draft = entry.resource
        if draft is not None and draft.resourceType == "Medication":
            there |= {str(draft.id), str(entry.fullUrl).rsplit("/", 1)[-1]}
        elif draft is not None and draft.medicationReference is not None:
            referred.append(draft.medicationReference)
    wanted = dict.fromkeys(identity for each in referred if (identity := _medication_id(each)))
    return [each for each in wanted if each not in there]


def medication_search(ids: list[str]) -> Search:
    """One search for all of them; `_id` is in the restricted subset of queries."""
    return Search("Medication", (("_id", ",".join(escaped(each) for each in ids)), ("_count", str(len(ids)))))


def _resources(values: Iterable[Any]) -> Iterator[Any]:
    """Orders, statements and Medications; a chart has hundreds of other resources beside them."""
    for value in values:
        if type(value) is Bundle:
            for entry in value.entry:
                if type(entry.resource) in _READ:
                    yield entry.resource
        elif type(value) in _READ:
            yield value


def _medication_id(reference: Reference) -> str:
    """The id of the Medication on a server; empty for `#…`, which is inside the resource itself, and for a `urn:`."""
    *_, kind, identity = ["", *(reference.reference or "").split("/_history/", 1)[0].split("/")]
    return identity if kind == "Medication" else ""


def _draft_entries(request: CDSRequest) -> tuple[_DraftEntry, ...]:
    raw = getattr(request.context, "draft_orders", None) or getattr(request.context, "medications", None)
    try:
        return _drafts.decode(raw).entry if raw is not None else ()
    except msgspec.DecodeError:
        return ()  # the service says what is wrong with its drafts
