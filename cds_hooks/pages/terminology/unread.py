"""Which codes and words of this site are not understood, ranked by how many decisions met them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from cds_hooks.hold_back.terminology import mapping_name
from cds_hooks.storage import Decision
from cds_hooks.storage.queries import charts_of
from fhir.mapping.understanding import READ_KINDS, Understanding, concepts_of, understand_chart
from fhir.record.lean_chart import facts_as_json

_AT_ONCE: Final = 50
_LONGEST: Final = 80
"""Characters of words that are shown and may be mapped: longer ones are notes on one patient."""
_USED_AS: Final[Mapping[str, str]] = {
    "AllergyIntolerance": "allergen",
    "Immunization": "vaccine",
    "Observation": "analyte",
    "MedicationRequest": "drug",
    "MedicationStatement": "drug",
    "MedicationDispense": "drug",
    "MedicationAdministration": "drug",
}
"""What rules use a kind of resource as; all others are a group of conditions."""


class UnreadEntry(Struct):
    """A code or words that are not understood: where, in how many decisions, of which services, and what as."""

    name: str
    kind: str
    words: str
    system: str
    code: str
    used_as: str
    decisions: int = 0
    services: tuple[str, ...] = ()


def unread_entries(url: str, decisions: Iterable[Decision]) -> list[UnreadEntry]:
    """Return what is not understood of these decisions' charts and drafts by what is in force now, the commonest first.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    counted: dict[tuple[str, str], UnreadEntry] = {}
    source = iter(decisions)
    while batch := list(islice(source, _AT_ONCE)):
        charts = charts_of(url, [decision.id for decision in batch])
        for decision in batch:
            if (chart := charts.get(decision.id)) is None:
                continue
            decided_at = datetime.fromtimestamp(decision.decided_at / 1e6, UTC)
            resources = [*_drafts(decision.basis), *facts_as_json(chart, decision.patient, decided_at)]
            for entry in {(entry.kind, entry.name): entry for entry in _of_resources(resources)}.values():
                entry_counted = counted.setdefault((entry.kind, entry.name), entry)
                entry_counted.decisions += 1
                entry_counted.services = tuple(sorted({*entry_counted.services, decision.service}))
    return sorted(counted.values(), key=lambda entry: (-entry.decisions, entry.kind, entry.name))


def _drafts(basis: bytes) -> list[dict[str, Any]]:
    """Return the drafted orders of a decision."""
    drafts = (msgspec.json.decode(basis).get("orders") or {}).get("drafts") or []
    return [entry["resource"] for entry in drafts["entry"]] if isinstance(drafts, dict) else list(drafts)


def _of_resources(resources: list[dict[str, Any]]) -> Iterator[UnreadEntry]:
    for resource, reading in zip(resources, understand_chart(resources), strict=True):
        if reading.kind in READ_KINDS - {"Medication"} and not reading.understood:
            yield from _of_resource(resource, reading)


def _of_resource(resource: dict[str, Any], reading: Understanding) -> Iterator[UnreadEntry]:
    """Yield the first code of a resource, else its words where they are short."""
    used_as = _USED_AS.get(reading.kind, "group")
    for concept in concepts_of(resource, "code", "medicationCodeableConcept", "vaccineCode"):
        words = concept.words if len(concept.words) <= _LONGEST else ""
        for coding in concept.coding:
            if coding.code and coding.system:
                name = mapping_name(coding.system, coding.code)
                yield UnreadEntry(name, reading.kind, words, coding.system, coding.code, used_as)
                return
        if words:
            yield UnreadEntry(mapping_name(None, words), reading.kind, words, "", "", used_as)
            return
