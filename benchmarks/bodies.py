"""Request bodies of a wanted size, as a client would fill the service's prefetch templates from one chart."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any

import orjson

from benchmarks.charts import Window, charted_at
from cds_hooks.calling.dates import shifted
from cds_hooks.calling.request import build_request

_ENOUGH = 0.98
_LIMIT = re.compile(r"&_count=\d+")
_NOT_RESULTS_SHARE = 0.15  # of a body: conditions, medications and the like; the rest is labs and vitals

Entry = dict[str, Any]


def build_body(service: dict[str, Any], window: Window, target_bytes: int) -> bytes:
    """The hook's request for a service (its discovery entry): what its templates find, cut to a size, newest first.

    Part of it is conditions, medications and the like; they also fill what labs and vitals leave, as templates limit
    those by `_count`. Where that is not enough the limits are not kept: the page size is the client's choice. A target
    of 0 gives the Patient only and null for every other key; a chart with too little gives a smaller body.
    """
    body = _build_body(service, window, target_bytes)
    return body if len(body) > _ENOUGH * target_bytes else _build_body(_without_limits(service), window, target_bytes)


def _without_limits(service: dict[str, Any]) -> dict[str, Any]:
    return service | {"prefetch": {key: _LIMIT.sub("", query) for key, query in service["prefetch"].items()}}


def _build_body(service: dict[str, Any], window: Window, target_bytes: int) -> bytes:
    request = build_request(service, window.chart, [])
    found: dict[str, Any] = request["prefetch"]
    searches = {key: bundle["entry"] for key, bundle in found.items() if bundle and bundle["resourceType"] == "Bundle"}
    room = target_bytes - len(orjson.dumps({**request, "prefetch": found | dict.fromkeys(searches)}))
    for key, entries in _cut(searches, room).items():
        found[key] = {**found[key], "total": len(entries), "entry": entries} if entries else None
    return orjson.dumps(shifted(request, window.days))


def _cut(searches: dict[str, list[Entry]], room: int) -> dict[str, list[Entry]]:
    results = {key: entries for key, entries in searches.items() if _holds_results(entries)}
    others = {key: entries for key, entries in searches.items() if key not in results}
    kept_for_others = _size(_some_of_each(others, int(room * _NOT_RESULTS_SHARE)))
    results = _newest(results, room - kept_for_others)
    return {**results, **_some_of_each(others, room - _size(results))}


def _holds_results(entries: list[Entry]) -> bool:
    return bool(entries) and entries[0]["resource"]["resourceType"] == "Observation"


def _newest(searches: dict[str, list[Entry]], room: int) -> dict[str, list[Entry]]:
    """The newest entries over all searches that have room together, each where it was."""
    pairs = [(key, entry) for key, entries in searches.items() for entry in entries]
    pairs.sort(key=lambda pair: charted_at(pair[1]["resource"]), reverse=True)
    return _first(pairs, list(searches), room)


def _some_of_each(searches: dict[str, list[Entry]], room: int) -> dict[str, list[Entry]]:
    """The first entry of every search, then the second of every one, as long as there is room: not all have dates."""
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
    return len(orjson.dumps(entry)) + 1  # and its comma
