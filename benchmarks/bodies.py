"""Request bodies of a wanted size, as a client would fill a service's prefetch templates from one chart."""

import re
from collections.abc import Sequence
from itertools import accumulate, takewhile, zip_longest
from typing import Any

import orjson

from benchmarks.charts import Patient, charted_at
from benchmarks.connection import NUMBER_MARK
from cds_hooks.tools.kit.simulator.chart import Chart, Resource
from cds_hooks.tools.kit.simulator.request import build_request

_LIMIT = re.compile(r"&_count=\d+")
_NOT_RESULTS_SHARE = 0.15  # of a body: conditions, medications and the like; the rest is labs and vitals
_FIRST_INSTANCE = "5ca1ab1e-0000-4000-8000-000000000000"

Entry = dict[str, Any]
Request = dict[str, Any]


def build_body(
    service: dict[str, Any], patient: Patient, filler: Sequence[Resource] = (), target_bytes: int = 0
) -> bytes:
    """Return the request for a discovery entry: the patient's own resources and as much of the filler as there is room.

    The filler's results are taken newest first. A part of the body is conditions, medications and the like. The limits
    of the templates (`_count`) are not kept, as the page size is the client's choice. A chart with too little gives a
    smaller body. Raises ChartError where the hook needs what the chart does not have.
    """
    request = build_request(without_limits(service), Chart([*patient.resources, *filler]), patient.drafts)
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


def _encoded(request: Request) -> bytes:
    return with_marked_ids({**request, "hookInstance": _FIRST_INSTANCE})


def without_limits(service: dict[str, Any]) -> dict[str, Any]:
    """Return the discovery entry with templates that ask for every resource of their kind, not the newest so many.

    Results by name keep their number: they are not a page of a larger answer.
    """
    queries = service["prefetch"].items()
    return service | {
        "prefetch": {key: query if key == "namedResults" else _LIMIT.sub("", query) for key, query in queries}
    }


def _cut(searches: dict[str, list[Entry]], room: int) -> dict[str, list[Entry]]:
    """Return the newest results over all searches and the first entries of the others that have room together."""
    results = [(key, entry) for key, entries in searches.items() for entry in entries if _is_result(entry)]
    results.sort(key=lambda pair: charted_at(pair[1]["resource"]), reverse=True)
    others = {key: [entry for entry in entries if not _is_result(entry)] for key, entries in searches.items()}
    # The first entry of every search, then the second: not all have dates.
    rows = zip_longest(*([(key, entry) for entry in entries] for key, entries in others.items()))
    in_turn = [pair for row in rows for pair in row if pair is not None]
    kept = _first(results, room - _size(_first(in_turn, int(room * _NOT_RESULTS_SHARE))))
    cut: dict[str, list[Entry]] = {key: [] for key in searches}
    for key, entry in [*kept, *_first(in_turn, room - _size(kept))]:
        cut[key].append(entry)
    return cut


def _is_result(entry: Entry) -> bool:
    return bool(entry["resource"]["resourceType"] == "Observation")


def _first(pairs: list[tuple[str, Entry]], room: int) -> list[tuple[str, Entry]]:
    sizes = accumulate(_bytes(entry) for _, entry in pairs)
    return pairs[: sum(1 for _ in takewhile(lambda size: size <= room, sizes))]


def _size(pairs: list[tuple[str, Entry]]) -> int:
    return sum(_bytes(entry) for _, entry in pairs)


def _bytes(entry: Entry) -> int:
    """Its length as JSON with its comma and the mark of its patient's id."""
    return len(orjson.dumps(entry)) + 1 + len(_SUFFIX)


# Ids that can change from call to call

_SUFFIX = f"--{NUMBER_MARK}"


def with_marked_ids(request: Request) -> bytes:
    """Return the request with a number (`connection.ChangingRequest`) behind the patient's id and references to it.

    So all that is about the patient differs from call to call, to the byte.
    """
    patient = request["context"]["patientId"]
    text = orjson.dumps(request).decode()
    for before in ('"', "Patient/"):
        text = text.replace(f'{before}{patient}"', f'{before}{patient}{_SUFFIX}"')
    return text.encode()
