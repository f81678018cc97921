"""Answers prefetch templates from a chart on disk, as a client's FHIR server would."""

from typing import Any
from urllib.parse import parse_qsl, unquote

from cds_hooks.calling.chart import Chart, Resource

_DATES = ("effectiveDateTime", "authoredOn", "performedDateTime", "recordedDate", "onsetDateTime", "dateAsserted")


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
    path, _, parameters = query.partition("?")
    if not parameters:
        kind, _, identity = path.partition("/")
        return next((r for r in chart.resources if r.get("resourceType") == kind and r.get("id") == identity), None)
    found = [resource for resource in chart.resources if resource.get("resourceType") == path]
    limit = None
    for name, value in parse_qsl(parameters):
        if name == "_count":
            limit = int(value)
        elif name == "_sort":
            found.sort(key=_date, reverse=value.startswith("-"))
        elif name in ("code", "status"):
            found = [resource for resource in found if _has_token(resource, name, unquote(value))]
    found = found[:limit]
    medications = _medications_of(chart, found)
    entries = [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} if r.get("id") else {"resource": r} for r in found]
    entries += [{"resource": medication, "search": {"mode": "include"}} for medication in medications]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}


def _date(resource: Resource) -> str:
    for name in _DATES:
        if isinstance(resource.get(name), str):
            return str(resource[name])
    period = resource.get("effectivePeriod") or resource.get("period") or {}
    return str(period.get("start") or "")


def _has_token(resource: Resource, name: str, tokens: str) -> bool:
    wanted = set(tokens.split(","))
    value = resource.get(name)
    if isinstance(value, str):
        return value in wanted
    codings = (value or {}).get("coding") or []
    return any(
        f"{coding.get('system', '')}|{coding.get('code')}" in wanted or coding.get("code") in wanted
        for coding in codings
    )


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
