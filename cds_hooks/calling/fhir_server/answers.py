"""FHIR documents that the server answers with."""

from collections.abc import Sequence
from typing import Any

from cds_hooks.calling.chart import Resource
from cds_hooks.calling.matching import parameters_of

Json = dict[str, Any]


def outcome(code: str, text: str) -> Json:
    """An OperationOutcome for an error."""
    issue = {"severity": "error", "code": code, "details": {"text": text}, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def searchset(base: str, total: int, page: Sequence[Resource], links: dict[str, str]) -> Json:
    """One page of a search."""
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
    }
    if page:
        bundle["entry"] = [
            {
                "fullUrl": f"{base}/{each['resourceType']}/{each.get('id')}",
                "resource": each,
                "search": {"mode": "match"},
            }
            for each in page
        ]
    return bundle


def capability_statement(base: str, kinds: Sequence[str], date: str) -> Json:
    """What the server can do, at /metadata."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "implementation": {"description": "Charts on disk, for tests", "url": base},
        "rest": [{"mode": "server", "resource": [_ability(kind) for kind in kinds]}],
    }


def _ability(kind: str) -> Json:
    types = {"id": "token", "token": "token", "patient": "reference", "date": "date"}
    return {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [
            {"name": name, "type": types[parameter.kind]} for name, parameter in parameters_of(kind).items()
        ],
    }
