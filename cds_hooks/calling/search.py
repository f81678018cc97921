"""Answers prefetch templates from a chart on disk, as a client's FHIR server would."""

from datetime import date
from typing import Any

from cds_hooks.calling.chart import Chart, Resource
from cds_hooks.calling.matching import BadSearch, find
from cds_hooks.prefetch.tokens import NoValue, Values, filled
from fhir.client.errors import NotAQuery
from fhir.client.query import Query, Read


def prefetch_from(chart: Chart, templates: dict[str, str], context: dict[str, Any], today: date) -> dict[str, Any]:
    """A value for every template that can be filled: a resource, a searchset Bundle, or None for a read in vain.

    One after another, as a later one may need what an earlier one brought (CDS Hooks 3.0). A key whose tokens have no
    value here is left out, as clients do.
    """
    found: dict[str, Any] = {}
    for key, template in templates.items():
        try:
            query = filled(template, Values(context, today, found))
        except (NoValue, NotAQuery):
            continue
        found[key] = _answer(chart, query)
    return found


def _answer(chart: Chart, query: Query) -> Any:
    if isinstance(query, Read):
        wanted = (query.type, query.id)
        return next((r for r in chart.resources if (r.get("resourceType"), r.get("id")) == wanted), None)
    pairs = [(name, value) for name, value in query.parameters if _usable(query.type, name, value)]
    limit = next((int(value) for name, value in pairs if name == "_count"), None)
    found = find(chart.resources, query.type, pairs)[:limit]
    medications = _medications_of(chart, found)
    entries = [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} if r.get("id") else {"resource": r} for r in found]
    entries += [{"resource": medication, "search": {"mode": "include"}} for medication in medications]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}


def _usable(kind: str, name: str, value: str) -> bool:
    """Whether the parameter can be searched by; a chart has one patient, so nothing is looked for by that."""
    if name in ("patient", "subject"):
        return False
    try:
        find((), kind, [(name, value)])
    except BadSearch:
        return False
    return True


def _medications_of(chart: Chart, resources: list[Resource]) -> list[Resource]:
    """The Medications that the resources refer to: most servers send them along with the orders."""
    wanted = {str((resource.get("medicationReference") or {}).get("reference", "")) for resource in resources} - {""}
    if not wanted:
        return []
    pool = {f"Medication/{r.get('id')}": r for r in chart.resources if r.get("resourceType") == "Medication"}
    found: dict[str, Resource] = {}
    while wanted:
        name = wanted.pop()
        medication = pool.get(name) or pool.get(f"Medication/{name.rsplit(':', 1)[-1]}")
        if medication is None or name in found:
            continue
        found[name] = medication
        for ingredient in medication.get("ingredient") or []:
            wanted.add(str((ingredient.get("itemReference") or {}).get("reference", "")))
    return list(found.values())
