"""Shows which index of terminologies is in force, what others there are, and what is not understood here."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.evidence.storage import Decision
from cds_hooks.evidence.storage.queries import charts_of, list_decisions
from cds_hooks.people.governance.terminology import REPLAY, REPORT, SUFFIX, mapping_name, whole_indexes
from cds_hooks.people.pages.server import PageServer
from fhir.mapping.understanding import READ_KINDS, Understanding, concepts_of, understand_chart
from fhir.record.lean_chart import facts_as_json
from fhir.terminology.imported import Source, WrongIndex, in_use, sources

_DECISIONS: Final = 300
_SHOWN: Final = 50


class IndexReplay(Struct, frozen=True):
    """What `cds-hooks replay --against` wrote of an index: decisions, and cards by rule that would change."""

    decisions: int = 0
    not_replayed: int = 0
    by_card: dict[str, dict[str, int]] = {}

    @property
    def cards(self) -> list[tuple[str, int, int]]:
        """Each rule or kind of card with how many more and fewer there would be, most changes first."""
        rows = [(name, counts.get("more", 0), counts.get("fewer", 0)) for name, counts in self.by_card.items()]
        return sorted(rows, key=lambda row: (-row[1] - row[2], row[0]))[:_SHOWN]


class IndexRow(Struct, frozen=True):
    """An index: its name, what it was made of, how it stands (in force, before, there, gone), and what it changes."""

    name: str
    sources: tuple[Source, ...]
    standing: str
    differences: tuple[tuple[str, int], ...]
    replay: IndexReplay | None


class _Terminology:
    def __init__(self, server: PageServer) -> None:
        self._server = server

    def show(self) -> Response:
        """Show the page; its forms are taken at /rules, as all acts are."""
        releases = self._server.components.releases
        released = releases.current
        url = self._server.settings.database_url
        entries = unread_entries(url, list_decisions(url, _DECISIONS))
        return self._server.page(
            "terminology/terminology.html",
            indexes=self._indexes(released.terminologies),
            in_use=in_use().index,
            mappings=sorted(released.mappings.items()),
            entries=entries[:_SHOWN],
            total=len(entries),
            most=_DECISIONS,
            waiting=[act for act in releases.waiting_for_second() if act.kind in ("mapping", "terminology")],
            can_act=self._server.approvals is not None,
        )

    def _indexes(self, acted: list[str]) -> list[IndexRow]:
        folder, whole = self._server.settings.terminology, whole_indexes(self._server.settings)
        rows = []
        for name in dict.fromkeys((*reversed(acted), *whole)):
            read: tuple[Source, ...] = ()
            if folder is not None and name in whole:
                with suppress(WrongIndex):
                    read = sources(folder / f"{name}{SUFFIX}")
            standing = "in force" if acted and name == acted[-1] else "before" if name in acted else "there"
            standing = standing if name in whole else "gone or changed"
            beside = folder / name if folder is not None else None
            rows.append(IndexRow(name, read, standing, _differences(beside), _replay(beside)))
        return rows


def _differences(beside: Path | None) -> tuple[tuple[str, int], ...]:
    """How many differences of each kind from our tables the report of an index has."""
    report = beside.with_suffix(REPORT) if beside is not None else None
    if report is None or not report.is_file():
        return ()
    with report.open(encoding="utf-8", newline="") as lines:
        return tuple(Counter(row.get("how") or "" for row in csv.DictReader(lines)).most_common())


def _replay(beside: Path | None) -> IndexReplay | None:
    if beside is None:
        return None
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(beside.with_suffix(REPLAY).read_bytes(), type=IndexReplay)
    return None


def routes(server: PageServer) -> list[Route]:
    """Return the address of the page."""
    return [server.route("/terminology", _Terminology(server).show)]


# Which codes and words of this site are not understood, ranked by how many decisions met them


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
