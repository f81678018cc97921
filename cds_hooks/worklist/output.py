"""A worklist as CSV, and as FHIR R4: a List whose entries are Tasks, in one Bundle."""

from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from cards.extension import WorklistEntry
from cds_hooks.web.files import csv_of
from cds_hooks.worklist.worklist import Worklist, WorklistRow
from fhir.terminology.analytes import LOINC

_HEADER = (
    "place", "client", "patient", "tests", "codes", "purposes", "because", "risk", "risk_of",
    "days_since_contact", "priority", "reason", "decisions",
)  # fmt: skip


def worklist_csv(worklist: Worklist) -> bytes:
    """Return one line per patient, in the order of the list."""
    return csv_of([_HEADER, *(_line(rank, row) for rank, row in enumerate(worklist.rows, 1))])


def _line(rank: int, row: WorklistRow) -> list[Any]:
    """Return the columns of one patient."""
    return [
        rank,
        row.client,
        row.patient,
        "; ".join(entry.test for entry in row.entries),
        "; ".join(entry.code for entry in row.entries),
        "; ".join(entry.purpose for entry in row.entries),
        "; ".join(entry.because for entry in row.entries),
        row.risk,
        row.risk_of,
        round(row.days, 2),
        round(row.priority, 4),
        row.reason,
        "; ".join(row.decisions),
    ]


def worklist_bundle(worklist: Worklist, now: datetime) -> bytes:
    """Return a Bundle with the List, whose entries are in the order of the list, and one Task for each thing to order.

    Two lists of one day (UTC) name the same thing by the same id, so that the second one replaces the first.
    """
    moment = now.astimezone(UTC).isoformat(timespec="seconds")
    tasks = [_task(row, entry, moment) for row in worklist.rows for entry in row.entries]
    listed = {
        "resourceType": "List",
        "status": "current",
        "mode": "snapshot",
        "title": "Tests and vaccines to order, in order of priority",
        "date": moment,
        "note": [{"text": f"{worklist.others} more patients are beyond the capacity of this list."}],
        **({"entry": [{"item": {"reference": url}} for url, _ in tasks]} if tasks else {"emptyReason": _NIL}),
    }
    entries = [(_url("list", moment[:10]), listed), *tasks]
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": moment,
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
    }
    return orjson.dumps(bundle, option=orjson.OPT_INDENT_2) + b"\n"


_NIL = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "nilknown"}]}


def _task(row: WorklistRow, entry: WorklistEntry, moment: str) -> tuple[str, dict[str, Any]]:
    code: dict[str, Any] = {"text": f"Consider ordering: {entry.test}"}
    if entry.code:
        code["coding"] = [{"system": LOINC, "code": entry.code, "display": entry.test}]
    return _url(row.client, row.patient, entry.test, moment[:10]), {
        "resourceType": "Task",
        "status": "draft",
        "intent": "proposal",
        "code": code,
        "description": row.reason,
        "for": {"reference": f"Patient/{row.patient}"},
        "authoredOn": moment,
        "reasonCode": {"text": f"Missing for {entry.purpose} ({entry.because})"},
    }


def _url(*parts: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, ' '.join(parts))}"
