"""Request bodies of a wanted size, as a client would fill a service's prefetch templates from one chart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import orjson

from benchmarks.charts import Patient, charted_at
from benchmarks.connection import NUMBER_MARK
from cds_hooks.kit.simulator.chart import Chart, Resource
from cds_hooks.kit.simulator.request import build_request

_ENOUGH = 0.98
_LIMIT = re.compile(r"&_count=\d+")
_NOT_RESULTS_SHARE = 0.15  # of a body: conditions, medications and the like; the rest is labs and vitals
# Elements that no service reads: a small body does without them.
_NOT_NEEDED = ("meta", "text", "fullUrl", "identifier", "telecom", "address", "communication", "issued", "search")
_FIRST_INSTANCE = "5ca1ab1e-0000-4000-8000-000000000000"

Entry = dict[str, Any]
Request = dict[str, Any]


def build_body(
    service: dict[str, Any], patient: Patient, filler: Sequence[Resource] = (), target_bytes: int = 0
) -> bytes:
    """Return the request for a discovery entry: the patient's own resources and as much of the filler as there is room.

    The filler's results are taken newest first. A part of the body is conditions, medications and the like. Where that
    is not enough the limits of the templates (`_count`) are not kept: the page size is the client's choice. A chart
    with too little gives a smaller body. Raises ChartError where the hook needs what the chart does not have.
    """
    body = _build_body(service, patient, filler, target_bytes)
    if len(body) > _ENOUGH * target_bytes:
        return body
    return _build_body(without_limits(service), patient, filler, target_bytes)


def small_body(
    service: dict[str, Any], patient: Patient, target_bytes: int, alike: Callable[[bytes], bool]
) -> bytes | None:
    """Find the smallest request with the same kind of answer (`alike`) that single removals give, or the first to fit.

    None where even the patient's own resources do not give that answer.
    """
    request = _slim(build_request(service, Chart(patient.resources), patient.drafts))
    if not alike(_encoded(request)):
        return None
    for smaller in _without_one_entry(request):
        if len(_encoded(request)) <= target_bytes:
            break
        if alike(_encoded(smaller())):
            request["prefetch"] = smaller()["prefetch"]
    return _encoded(request)


def _encoded(request: Request) -> bytes:
    return orjson.dumps(with_marked_ids({**request, "hookInstance": _FIRST_INSTANCE}))


def without_limits(service: dict[str, Any]) -> dict[str, Any]:
    """Return the discovery entry with templates that ask for every resource of their kind, not the newest so many."""
    return service | {"prefetch": {key: _LIMIT.sub("", query) for key, query in service["prefetch"].items()}}


# A body of a size


def _build_body(service: dict[str, Any], patient: Patient, filler: Sequence[Resource], target_bytes: int) -> bytes:
    request = build_request(service, Chart([*patient.resources, *filler]), patient.drafts)
    prefetch: dict[str, Any] = request["prefetch"]
    searches = {key: bundle["entry"] for key, bundle in prefetch.items() if bundle and bundle.get("entry")}
    own_ids = {id(resource) for resource in patient.resources}
    dispatched = set(request["context"].get("dispatchedOrders", ()))

    def is_own(entry: Entry) -> bool:
        resource = entry["resource"]
        return id(resource) in own_ids or f"{resource['resourceType']}/{resource.get('id')}" in dispatched

    own_entries = {key: [entry for entry in entries if is_own(entry)] for key, entries in searches.items()}
    other_entries = {key: [entry for entry in entries if not is_own(entry)] for key, entries in searches.items()}
    room = target_bytes - len(_encoded({**request, "prefetch": prefetch | own_entries}))
    for key, entries in _cut(other_entries, room).items():
        entries = own_entries[key] + entries
        prefetch[key] = {**prefetch[key], "total": len(entries), "entry": entries} if entries else None
    return _encoded(request)


def _cut(searches: dict[str, list[Entry]], room: int) -> dict[str, list[Entry]]:
    results = {key: entries for key, entries in searches.items() if _holds_results(entries)}
    remaining = {key: entries for key, entries in searches.items() if key not in results}
    kept_for_others = _size(_some_of_each(remaining, int(room * _NOT_RESULTS_SHARE)))
    results = _newest(results, room - kept_for_others)
    return {**results, **_some_of_each(remaining, room - _size(results))}


def _holds_results(entries: list[Entry]) -> bool:
    return bool(entries) and entries[0]["resource"]["resourceType"] == "Observation"


def _newest(searches: dict[str, list[Entry]], room: int) -> dict[str, list[Entry]]:
    """Return the newest entries over all searches that have room together, each where it was."""
    pairs = [(key, entry) for key, entries in searches.items() for entry in entries]
    pairs.sort(key=lambda pair: charted_at(pair[1]["resource"]), reverse=True)
    return _first(pairs, list(searches), room)


def _some_of_each(searches: dict[str, list[Entry]], room: int) -> dict[str, list[Entry]]:
    """Return the first entry of every search, then the second, as long as there is room: not all have dates."""
    rows = zip_longest(*([(key, entry) for entry in entries] for key, entries in searches.items()))
    return _first([pair for row in rows for pair in row if pair is not None], list(searches), room)


def _first(pairs: list[tuple[str, Entry]], keys: list[str], room: int) -> dict[str, list[Entry]]:
    cut: dict[str, list[Entry]] = {key: [] for key in keys}
    for key, entry in pairs:
        room -= _bytes(entry)
        if room < 0:
            return cut
        cut[key].append(entry)
    return cut


def _size(searches: dict[str, list[Entry]]) -> int:
    return sum(_bytes(entry) for entries in searches.values() for entry in entries)


def _bytes(entry: Entry) -> int:
    """Its length as JSON with its comma and the marks of its ids (its own, its patient's and its visit's)."""
    return len(orjson.dumps(entry)) + 1 + 3 * len(_SUFFIX)


# The smallest body


def _slim(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _slim(element) for name, element in value.items() if name not in _NOT_NEEDED}
    return [_slim(element) for element in value] if isinstance(value, list) else value


def _without_one_entry(request: Request) -> Iterator[Callable[[], Request]]:
    """For every entry of every search, from the last: what makes the request (as it is then) without it."""
    for key, bundle in request["prefetch"].items():
        for number in reversed(range(len((bundle or {}).get("entry") or ()))):
            yield lambda key=key, number=number: _without(request, key, number)  # type: ignore[misc]


def _without(request: Request, key: str, number: int) -> Request:
    bundle = request["prefetch"][key]
    entries = bundle["entry"][:number] + bundle["entry"][number + 1 :]
    bundle_left = {**bundle, "total": len(entries), "entry": entries} if entries else None
    return {**request, "prefetch": {**request["prefetch"], key: bundle_left}}


# Ids that can change from call to call

_SUFFIX = f"--{NUMBER_MARK}"
_WITH_ID = frozenset({"id", "reference", "fullUrl", "patientId", "encounterId", "selections", "dispatchedOrders"})


def with_marked_ids(request: Request) -> Request:
    """Put a number (`connection.ChangingRequest`) behind each resource's id and each reference to it in the request."""
    ids = set(_ids_of(request))
    marked: Request = _marked(request, ids, "")
    return marked


def _ids_of(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for element in value:
            yield from _ids_of(element)
    elif isinstance(value, dict):
        if "resourceType" in value and isinstance(value.get("id"), str):
            yield value["id"]
        for name, element in value.items():
            if name != "contained":
                yield from _ids_of(element)


def _marked(value: Any, ids: set[str], name: str) -> Any:
    if isinstance(value, dict):
        return {member: _marked(element, ids, member) for member, element in value.items()}
    if isinstance(value, list):
        return [_marked(element, ids, name) for element in value]
    if name in _WITH_ID and isinstance(value, str) and re.split("[/:]", value)[-1] in ids:
        return value + _SUFFIX
    return value
