"""FHIR searches over a chart: which resources a query finds, and the answers to prefetch templates."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from cds_hooks.tools.kit.simulator.chart import Resource
from cds_hooks.tools.kit.simulator.templates import fill

Interval = tuple[str, str]

EHR_BASE: Final = "https://ehr.example/fhir"
"""The address of the FHIR server of an invented EHR, which nobody can call."""


class InvalidSearch(ValueError):
    """A parameter that this type does not have, or a value that it cannot have; the message is a sentence."""


_SUBJECT: Final = "subject patient beneficiary participant"
_REFERENCES: Final = {"patient": _SUBJECT, "subject": _SUBJECT, "practitioner": "practitioner"}
_TOKENS: Final = {
    "_id": "id",
    "category": "category",
    "clinical-status": "clinicalStatus",
    "code": "code medicationCodeableConcept",
    "status": "status",
    "type": "type",
    "use": "use",
    "vaccine-code": "vaccineCode",
}
_DATES: Final = {
    "authored": "authoredOn authored",
    "authored-on": "authoredOn",
    "authoredon": "authoredOn",
    "created": "created",
    "date": "effectiveDateTime effectivePeriod effectiveInstant performedDateTime performedPeriod "
    "occurrenceDateTime recordedDate period start date",
    "effective": "effectiveDateTime effectivePeriod",
    "effective-time": "effectiveDateTime effectivePeriod",
    "onset-date": "onsetDateTime onsetPeriod",
    "recorded-date": "recordedDate",
}
PARAMETERS: Final[Mapping[str, Sequence[str]]] = {
    name: elements.split() for name, elements in (_REFERENCES | _TOKENS | _DATES).items()
}
"""The elements at which a parameter looks. It means the same of every type that the templates of services ask for."""


def find_resources(resources: Iterable[Resource], kind: str, query: Iterable[tuple[str, str]]) -> list[Resource]:
    """Return the resources of a type that fit every parameter, sorted; `_count` is left to who makes the pages.

    InvalidSearch names the parameter that cannot be used.
    """
    matches = [resource for resource in resources if resource.get("resourceType") == kind]
    order: list[str] = []
    for name, value in query:
        if name == "_count":
            if not value.isdecimal() or int(value) < 1:
                raise InvalidSearch("_count must be a number of at least 1")
        elif name == "_sort":
            order = value.split(",")
        elif name not in PARAMETERS:
            raise InvalidSearch(f"{kind} is not searched by {name} here; by {', '.join(sorted(PARAMETERS))}")
        else:
            fits = _date_test(name, value) if name in _DATES else _token_test(name, value)
            matches = [resource for resource in matches if fits(resource)]
    for name in reversed(order):
        _sort(matches, name)
    return matches


def _sort(matches: list[Resource], name: str) -> None:
    """Sort by a date, those without one last."""
    parameter = name.removeprefix("-")
    if parameter not in _DATES:
        raise InvalidSearch(f"sorting by {name} is not supported here")
    if name.startswith("-"):
        matches.sort(key=lambda each: max((end for _, end in _intervals(each, parameter)), default=""), reverse=True)
    else:
        matches.sort(key=lambda each: min((start for start, _ in _intervals(each, parameter)), default="~"))


_ALTERNATIVE: Final = re.compile(r"(?:^|,)((?:\\.|[^,])*)", re.DOTALL)


def _token_test(name: str, text: str) -> Callable[[Resource], bool]:
    """Compare with the alternatives between commas; a comma after a backslash is part of a value."""
    values = {re.sub(r"\\(.?)", r"\1", value, flags=re.DOTALL) for value in _ALTERNATIVE.findall(text)}
    wanted = {value.rsplit("/", 1)[-1] for value in values} if name in _REFERENCES else values
    return lambda resource: any(not wanted.isdisjoint(forms) for forms in _forms(resource, name))


def _forms(resource: Resource, name: str) -> Iterator[tuple[str, ...]]:
    """Yield each code, coding or reference in the forms in which a search may name it."""
    for element in PARAMETERS[name]:
        value = resource.get(element)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item, f"|{item}"
            elif isinstance(item, dict):
                for coding in item.get("coding") or []:
                    system, code = coding.get("system") or "", coding.get("code") or ""
                    yield code, f"{system}|{code}", f"{system}|"
                reference = item.get("actor", item)
                if isinstance(reference, dict) and isinstance(reference.get("reference"), str):
                    yield (reference["reference"].rsplit("/", 1)[-1],)


# Dates: an element and a value are both intervals (R4, search, section 3.1.1.4.5), written so that they sort as texts.


def _date_test(name: str, text: str) -> Callable[[Resource], bool]:
    prefix, moment = (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)
    wanted = _interval(moment)
    if wanted is None or prefix not in _COMPARE:
        raise InvalidSearch("a date is a FHIR date with one of eq, lt, gt, ge and le, or none, before it")
    compare = _COMPARE[prefix]
    return lambda resource: any(compare(interval, wanted) for interval in _intervals(resource, name))


_COMPARE: Final[Mapping[str, Callable[[Interval, Interval], bool]]] = {
    "eq": lambda there, wanted: wanted[0] <= there[0] and there[1] <= wanted[1],
    "gt": lambda there, wanted: there[1] > wanted[1],
    "lt": lambda there, wanted: there[0] < wanted[0],
    "ge": lambda there, wanted: there[1] > wanted[0],
    "le": lambda there, wanted: there[0] < wanted[1],
}


def _intervals(resource: Resource, name: str) -> Iterator[Interval]:
    for element in PARAMETERS[name]:
        value = resource.get(element)
        if isinstance(value, str) and (interval := _interval(value)):
            yield interval
        elif isinstance(value, dict):
            start, end = _interval(str(value.get("start"))), _interval(str(value.get("end")))
            yield start[0] if start else "", end[1] if end else "~"


def _interval(text: str) -> Interval | None:
    """Return a FHIR date from its start to its end: `2026-03` ends after all that begin with it; None for another text.

    A time of day is of UTC. One without an offset, which FHIR forbids, counts as its whole day.
    """
    day, _, clock = text.partition("T")
    try:
        date.fromisoformat(f"{day}-01-01"[:10])
        moment = datetime.fromisoformat(text.replace(" ", "+")) if clock else None  # an unescaped plus of an offset
        start = moment.astimezone(UTC).isoformat()[:19] if moment and moment.tzinfo else day
    except (ValueError, OverflowError):
        return None
    return start, f"{start}~"


def prefetch_from(
    resources: Sequence[Resource], templates: Mapping[str, Any], context: Mapping[str, Any], today: date
) -> Resource:
    """Return a value for every template that can be filled: a resource, a searchset Bundle, or None for a read in vain.

    A key whose tokens have no value here is left out, as clients do.
    """
    queries = {key: fill(template, context, today) for key, template in templates.items() if isinstance(template, str)}
    return {key: answer_query(query, resources, EHR_BASE) for key, query in queries.items() if query is not None}


def answer_query(query: str, resources: Sequence[Resource], base: str) -> Resource | None:
    """Return what a FHIR server at `base` answers: a resource (None: there is none) or a searchset Bundle.

    Parameters that it cannot search by are ignored, as lenient servers do: then more is found, never less.
    """
    path, _, search = query.partition("?")
    if not search and "/" in path:
        kind, _, identity = path.partition("/")
        return read_resource(resources, kind, identity)
    pairs = usable_parameters(path, parse_qsl(search))
    limit = next((int(value) for name, value in pairs if name == "_count"), None)
    matches = find_resources(resources, path, pairs)[:limit]
    return searchset(base, matches, included=medications_of(resources, matches))


def read_resource(resources: Iterable[Resource], kind: str, identity: str) -> Resource | None:
    """Return the resource of this type and id; None where there is none."""
    return next((r for r in resources if r.get("resourceType") == kind and r.get("id") == identity), None)


def searchset(
    base: str, matches: Sequence[Resource], total: int | None = None, included: Collection[Resource] = ()
) -> Resource:
    """Return the Bundle for a search, or for one page of `total` matches; an empty one has no `entry`."""
    entries = [_entry(base, resource, "match") for resource in matches]
    entries += [_entry(base, resource, "include") for resource in included]
    bundle: Resource = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(matches) if total is None else total,
    }
    return bundle | ({"entry": entries} if entries else {})


def _entry(base: str, resource: Resource, mode: str) -> Resource:
    address = f"{base}/{resource['resourceType']}/{resource['id']}" if resource.get("id") else None
    entry = {"resource": resource, "search": {"mode": mode}}
    return {"fullUrl": address} | entry if address else entry


def usable_parameters(kind: str, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the parameters of a search by which the type can be searched here."""
    return [(name, value) for name, value in pairs if _usable(kind, name, value)]


def _usable(kind: str, name: str, value: str) -> bool:
    """Return whether the parameter can be searched by; a chart has one patient, so nothing is looked for by that."""
    if name in ("patient", "subject"):
        return False
    try:
        find_resources((), kind, [(name, value)])
    except InvalidSearch:
        return False
    return True


def medications_of(resources: Iterable[Resource], orders: Iterable[Resource]) -> list[Resource]:
    """Return the Medications that the orders refer to: most servers send them along."""
    waiting = {str((order.get("medicationReference") or {}).get("reference", "")) for order in orders} - {""}
    if not waiting:
        return []
    pool = {f"Medication/{r.get('id')}": r for r in resources if r.get("resourceType") == "Medication"}
    medications: dict[str, Resource] = {}
    while waiting:
        name = waiting.pop()
        medication = pool.get(name) or pool.get(f"Medication/{name.rsplit(':', 1)[-1]}")
        if medication is None or name in medications:
            continue
        medications[name] = medication
        for ingredient in medication.get("ingredient") or []:
            waiting.add(str((ingredient.get("itemReference") or {}).get("reference", "")))
    return list(medications.values())
