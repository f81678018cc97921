"""Which resources a FHIR search finds: the parameters that prefetch templates use, as FHIR R4 defines them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from cds_hooks.calling.chart import Resource
from fhir.record.time import parse_time

Kind = Literal["id", "patient", "token", "date"]
Interval = tuple[float, float]


class BadSearch(ValueError):
    """A parameter that this type does not have, or a value that it cannot have; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter: how it is compared, and the elements that it looks at."""

    kind: Kind
    elements: tuple[str, ...]


_ID: Final = Parameter("id", ("id",))
_PATIENT: Final = Parameter("patient", ("subject", "patient"))
_STATUS: Final = Parameter("token", ("status",))
_CODE: Final = Parameter("token", ("code",))
_CATEGORY: Final = Parameter("token", ("category",))
_CLINICAL: Final = Parameter("token", ("clinicalStatus",))
_MEDICATION: Final = Parameter("token", ("medicationCodeableConcept",))


def _date(*elements: str) -> Parameter:
    return Parameter("date", elements)


_OF_EVERY: Final = {"_id": _ID, "patient": _PATIENT, "subject": _PATIENT, "status": _STATUS}
# FHIR R4, the search parameters of each type
_OF_TYPE: Final[Mapping[str, Mapping[str, Parameter]]] = {
    "Patient": {"_id": _ID},
    "Medication": {"_id": _ID, "code": _CODE, "status": _STATUS},
    "Observation": {
        "code": _CODE,
        "category": _CATEGORY,
        "date": _date("effectiveDateTime", "effectivePeriod", "effectiveInstant"),
    },
    "Condition": {
        "code": _CODE,
        "category": _CATEGORY,
        "clinical-status": _CLINICAL,
        "onset-date": _date("onsetDateTime", "onsetPeriod"),
        "recorded-date": _date("recordedDate"),
    },
    "MedicationRequest": {"code": _MEDICATION, "authoredon": _date("authoredOn")},
    "MedicationStatement": {
        "code": _MEDICATION,
        "category": _CATEGORY,
        "effective": _date("effectiveDateTime", "effectivePeriod"),
    },
    "AllergyIntolerance": {
        "code": _CODE,
        "category": _CATEGORY,
        "clinical-status": _CLINICAL,
        "date": _date("recordedDate"),
    },
    "Encounter": {"date": _date("period")},
    "Procedure": {"code": _CODE, "category": _CATEGORY, "date": _date("performedDateTime", "performedPeriod")},
    "ServiceRequest": {"code": _CODE, "category": _CATEGORY, "authored": _date("authoredOn")},
}
_ALONE: Final = frozenset({"Patient", "Medication"})


def parameters_of(kind: str) -> Mapping[str, Parameter]:
    """The search parameters of a resource type."""
    own = _OF_TYPE.get(kind, {})
    return own if kind in _ALONE else {**_OF_EVERY, **own}


def find(resources: Iterable[Resource], kind: str, query: Iterable[tuple[str, str]]) -> list[Resource]:
    """The resources of a type that fit every parameter, sorted; `_count` is left to who makes the pages.

    BadSearch names the parameter that cannot be used.
    """
    known = parameters_of(kind)
    found = [resource for resource in resources if resource.get("resourceType") == kind]
    order: list[tuple[Parameter, bool]] = []
    for name, value in query:
        if name == "_count":
            if not value.isdigit() or int(value) < 1:
                raise BadSearch("_count is a number of at least 1")
        elif name == "_sort":
            order = [_sort_key(each, known) for each in value.split(",")]
        elif name not in known:
            raise BadSearch(f"{kind} is not searched by {name} here; by {', '.join(sorted(known))}")
        else:
            fits = _test(known[name], value)
            found = [resource for resource in found if fits(resource)]
    for parameter, newest_first in reversed(order):
        found.sort(key=lambda resource: _sortable(resource, parameter, newest_first))
    return found


def _sort_key(name: str, known: Mapping[str, Parameter]) -> tuple[Parameter, bool]:
    parameter = known.get(name.removeprefix("-"))
    if parameter is None or parameter.kind not in ("date", "id"):
        raise BadSearch(f"results are not sorted by {name} here")
    return parameter, name.startswith("-")


def _sortable(resource: Resource, parameter: Parameter, newest_first: bool) -> tuple[bool, float, str]:
    if parameter.kind == "id":
        return False, 0.0, str(resource.get("id"))
    intervals = list(_intervals(resource, parameter))
    if not intervals:
        return True, 0.0, ""  # without a date: last
    return False, -max(each[1] for each in intervals) if newest_first else min(each[0] for each in intervals), ""


def _test(parameter: Parameter, value: str) -> Callable[[Resource], bool]:
    if parameter.kind == "date":
        compare = _date_test(value)
        return lambda resource: any(compare(each) for each in _intervals(resource, parameter))
    wanted = _values(value)
    if parameter.kind == "id":
        return lambda resource: resource.get("id") in wanted
    if parameter.kind == "patient":
        ids = {each.rsplit("/", 1)[-1] for each in wanted}
        return lambda resource: any(each in ids for each in _patients(resource, parameter))
    return lambda resource: any(_is_token(coding, each) for coding in _codings(resource, parameter) for each in wanted)


def _values(text: str) -> list[str]:
    """The alternatives between commas; a comma after a backslash is part of a value."""
    values, current = [], ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            current += next(characters, "")
        elif character == ",":
            values.append(current)
            current = ""
        else:
            current += character
    return [*values, current]


def _patients(resource: Resource, parameter: Parameter) -> Iterator[str]:
    for element in parameter.elements:
        reference = resource.get(element)
        text = reference.get("reference") if isinstance(reference, dict) else None
        if isinstance(text, str):
            yield text.rsplit("/", 1)[-1]


def _codings(resource: Resource, parameter: Parameter) -> Iterator[tuple[str, str]]:
    for element in parameter.elements:
        value = resource.get(element)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield "", each
            elif isinstance(each, dict):
                for coding in each.get("coding") or []:
                    yield str(coding.get("system") or ""), str(coding.get("code") or "")


def _is_token(coding: tuple[str, str], wanted: str) -> bool:
    system, bar, code = wanted.rpartition("|")
    if not bar:
        return coding[1] == wanted
    return coding[0] == system and code in ("", coding[1])


# Dates: an element and a value are both intervals (R4, search, section 3.1.1.4.5)


def _date_test(text: str) -> Callable[[Interval], bool]:
    prefix, moment = (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)
    wanted = _interval(moment)
    if wanted is None or prefix not in _COMPARE:
        raise BadSearch("a date is a FHIR date with one of eq, lt, gt, ge and le, or none, before it")
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
            found = _interval(value)
        elif isinstance(value, dict):
            start, end = _interval(str(value.get("start"))), _interval(str(value.get("end")))
            found = (start[0] if start else float("-inf"), end[1] if end else float("inf"))
        else:
            continue
        if found is not None:
            yield found


def _interval(text: str) -> Interval | None:
    """From its start to just after its end, in seconds since 1970; None where it is no FHIR date."""
    time = parse_time(text.replace(" ", "+"))  # an offset's plus that came unescaped in an address
    if time is None:
        return None
    start = datetime.fromtimestamp(0, UTC) + timedelta(seconds=time.instant)
    if time.precision == "year":
        end = start.replace(year=start.year + 1)
    elif time.precision == "month":
        end = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        end = start + timedelta(days=1 if time.precision == "day" else 0, seconds=int(time.precision == "instant"))
    return time.instant, (end - datetime.fromtimestamp(0, UTC)).total_seconds()
