"""Answers prefetch templates from a chart on disk, as a client's FHIR server would."""

from typing import Any
from urllib.parse import parse_qsl

from cds_hooks.calling.chart import Chart, Resource
from cds_hooks.calling.matching import BadSearch, find


def prefetch_from(chart: Chart, templates: dict[str, str], context: dict[str, Any]) -> dict[str, Any]:
    """A value for every template: a resource, a searchset Bundle, or None where a read finds nothing."""
    return {key: _answer(chart, _filled(template, context)) for key, template in templates.items()}


def _filled(template: str, context: dict[str, Any]) -> str:
    filled = template
    for name, value in context.items():
        if isinstance(value, str):
            filled = filled.replace("{{context." + name + "}}", value)
    return filled


def _answer(chart: Chart, query: str) -> Any:
    kind, _, parameters = query.partition("?")
    if not parameters:
        kind, _, identity = kind.partition("/")
        return next((r for r in chart.resources if r.get("resourceType") == kind and r.get("id") == identity), None)
    pairs = [(name, value) for name, value in parse_qsl(parameters) if _usable(kind, name, value)]
    limit = next((int(value) for name, value in pairs if name == "_count"), None)
    found = find(chart.resources, kind, pairs)[:limit]
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
