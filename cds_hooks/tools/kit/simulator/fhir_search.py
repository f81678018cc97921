"""FHIR searches over a chart: which resources a query finds, and the answers to prefetch templates."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from cds_hooks.tools.kit.simulator.chart import Resource
from cds_hooks.tools.kit.simulator.templates import fill

Kind = Literal["id", "patient", "token", "date"]
Interval = tuple[float, float]

EHR_BASE: Final = "https://ehr.example/fhir"
"""The address of the FHIR server of an invented EHR, which nobody can call."""


class InvalidSearch(ValueError):
    """A parameter that this type does not have, or a value that it cannot have; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter: how it is compared, and the elements that it looks at."""

    kind: Kind
    elements: tuple[str, ...]


_SUBJECT: Final = "subject patient beneficiary participant"
_ELEMENTS: Final[Mapping[Kind, Mapping[str, str]]] = {
    "id": {"_id": "id"},
    "patient": {"patient": _SUBJECT, "subject": _SUBJECT, "practitioner": "practitioner"},
    "token": {
        "category": "category",
        "clinical-status": "clinicalStatus",
        "code": "code medicationCodeableConcept",
        "status": "status",
        "type": "type",
        "use": "use",
        "vaccine-code": "vaccineCode",
    },
    "date": {
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
    },
}
PARAMETERS: Final[Mapping[str, Parameter]] = {
    name: Parameter(kind, tuple(elements.split()))
    for kind, names in _ELEMENTS.items()
    for name, elements in names.items()
}
"""FHIR R4: a search parameter means the same of every type that the templates of services ask for."""


def find_resources(resources: Iterable[Resource], kind: str, query: Iterable[tuple[str, str]]) -> list[Resource]:
    """Return the resources of a type that fit every parameter, sorted; `_count` is left to who makes the pages.

    InvalidSearch names the parameter that cannot be used.
    """
    matches = [resource for resource in resources if resource.get("resourceType") == kind]
    order: list[tuple[Parameter, bool]] = []
    for name, value in query:
        if name == "_count":
            if not value.isdecimal() or int(value) < 1:
                raise InvalidSearch("_count must be a number of at least 1")
        elif name == "_sort":
            order = [_sort_key(sort_name) for sort_name in value.split(",")]
        elif name not in PARAMETERS:
            raise InvalidSearch(f"{kind} is not searched by {name} here; by {', '.join(sorted(PARAMETERS))}")
        else:
            fits = _test(PARAMETERS[name], value)
            matches = [resource for resource in matches if fits(resource)]
    for parameter, newest_first in reversed(order):
        matches.sort(key=lambda resource: _sortable(resource, parameter, newest_first))
    return matches


def _sort_key(name: str) -> tuple[Parameter, bool]:
    parameter = PARAMETERS.get(name.removeprefix("-"))
    if parameter is None or parameter.kind != "date":
        raise InvalidSearch(f"sorting by {name} is not supported here")
    return parameter, name.startswith("-")


def _sortable(resource: Resource, parameter: Parameter, newest_first: bool) -> tuple[bool, float]:
    intervals = list(_intervals(resource, parameter))
    if not intervals:
        return True, 0.0  # without a date: last
    return (
        False,
        -max(interval[1] for interval in intervals) if newest_first else min(interval[0] for interval in intervals),
    )


def _test(parameter: Parameter, value: str) -> Callable[[Resource], bool]:
    if parameter.kind == "date":
        compare = _date_test(value)
        return lambda resource: any(compare(interval) for interval in _intervals(resource, parameter))
    wanted = _values(value)
    if parameter.kind == "id":
        return lambda resource: resource.get("id") in wanted
    if parameter.kind == "patient":
        ids = {reference.rsplit("/", 1)[-1] for reference in wanted}
        return lambda resource: any(patient in ids for patient in _patients(resource, parameter))
    tokens = set(wanted)  # looked up, because a template names hundreds of codes
    return lambda resource: any(not tokens.isdisjoint(forms) for forms in _codings(resource, parameter))


_ALTERNATIVE: Final = re.compile(r"(?:^|,)((?:\\.|[^,])*)", re.DOTALL)


def _values(text: str) -> list[str]:
    """Return the alternatives between commas; a comma after a backslash is part of a value."""
    return [re.sub(r"\\(.?)", r"\1", value, flags=re.DOTALL) for value in _ALTERNATIVE.findall(text)]


def _patients(resource: Resource, parameter: Parameter) -> Iterator[str]:
    for element in parameter.elements:
        value = resource.get(element)
        for item in value if isinstance(value, list) else [value]:
            reference = item.get("actor", item) if isinstance(item, dict) else None
            text = reference.get("reference") if isinstance(reference, dict) else None
            if isinstance(text, str):
                yield text.rsplit("/", 1)[-1]


def _codings(resource: Resource, parameter: Parameter) -> Iterator[tuple[str, ...]]:
    """Yield each coding, or code, in the forms in which a search may name it."""
    for element in parameter.elements:
        value = resource.get(element)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item, f"|{item}"
            elif isinstance(item, dict):
                for coding in item.get("coding") or []:
                    system, code = coding.get("system") or "", coding.get("code") or ""
                    yield code, f"{system}|{code}", f"{system}|"


# Dates: an element and a value are both intervals (R4, search, section 3.1.1.4.5)


def _date_test(text: str) -> Callable[[Interval], bool]:
    prefix, moment = (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)
    wanted = _interval(moment)
    if wanted is None or prefix not in _COMPARE:
        raise InvalidSearch("a date is a FHIR date with one of eq, lt, gt, ge and le, or none, before it")
    compare = _COMPARE[prefix]
    return lambda there: compare(there, wanted)


_COMPARE: Final[Mapping[str, Callable[[Interval, Interval], bool]]] = {
    "eq": lambda there, wanted: wanted[0] <= there[0] and there[1] <= wanted[1],
    "gt": lambda there, wanted: there[1] > wanted[1],
    "lt": lambda there, wanted: there[0] < wanted[0],
    "ge": lambda there, wanted: there[1] > wanted[0],
    "le": lambda there, wanted: there[0] < wanted[1],
}


def _intervals(resource: Resource, parameter: Parameter) -> Iterator[Interval]:
    for element in parameter.elements:
        value = resource.get(element)
        if isinstance(value, str):
            interval = _interval(value)
        elif isinstance(value, dict):
            start, end = _interval(str(value.get("start"))), _interval(str(value.get("end")))
            interval = (start[0] if start else float("-inf"), end[1] if end else float("inf"))
        else:
            continue
        if interval is not None:
            yield interval


_DATE: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


def _interval(text: str) -> Interval | None:
    """From its start to just after its end, in seconds since 1970; None where it is no FHIR date.

    A time of day without an offset, which FHIR forbids, counts as its whole day.
    """
    try:
        if "T" in text:
            moment = datetime.fromisoformat(text.replace(" ", "+"))  # the plus of an offset, unescaped in an address
            if moment.tzinfo is not None:
                return moment.timestamp(), moment.timestamp() + 1
        match = _DATE.fullmatch(text.partition("T")[0])
        return _calendar_interval(match[1], match[2], match[3]) if match else None
    except (ValueError, OverflowError):
        return None


def _calendar_interval(year: str, month: str | None, day: str | None) -> Interval:
    """Return the interval of a year, a month or a day."""
    start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    if day:
        end = start + timedelta(days=1)
    elif month:
        end = (start + timedelta(days=32)).replace(day=1)
    else:
        end = start.replace(year=start.year + 1)
    return start.timestamp(), end.timestamp()


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
