"""Judges the watch on generated feeds: whether a planted incident is found in time, as one, and closed again."""

from collections.abc import Iterable
from typing import Any

from cds_hooks.add_ons.events.watch.history import STEPS_A_DAY
from cds_hooks.add_ons.events.watch.incidents import Topology
from cds_hooks.add_ons.events.watch.watching import Watch
from tests.cds_hooks.add_ons.events.feeds import ZONE, Month

TOPOLOGY = Topology(
    {
        **dict.fromkeys(("lab-core", "lab-poc", "lab-micro", "lab-reference", "radiology"), "lab engine"),
        **dict.fromkeys(("clinic-a", "clinic-b"), "clinic network"),
    },
    {"lab-core": "adt", "pharmacy": "adt"},
)


def watched(month: Month, names: Iterable[str]) -> Watch:
    """Return the watch at the end of a month."""
    tables = {name: month.feed(name) for name in names}
    planned = dict.fromkeys(tables, month.planned())
    watch = Watch(dict.fromkeys(tables, ZONE), month.first, TOPOLOGY, (), month.holidays(), planned)
    for step in range(month.steps):
        watch.step({name: table[step] for name, table in tables.items()})
    return watch


def judge_incident(month: Month) -> dict[str, Any]:
    """Return what the watch makes of a month with a planted incident."""
    event, row = month.event, month.event.fields
    watch = watched(month, sorted(event.feeds))
    origin = month.first + month.before
    start = origin + event.start + (24 if event.downtime >= 0 else 0)
    mine = [
        incident
        for incident in watch.incidents.all
        if start - 1 <= incident.opened <= origin + event.end + 2 * STEPS_A_DAY
    ]
    first = min((incident.opened for incident in mine), default=None)
    delay = None if first is None else (first + 1 - start) * 5
    return {
        "id": row["id"],
        "found": delay is not None and delay <= float(row["detect_within_min"]),
        "incidents": [incident.cause for incident in mine],
        "closed": bool(mine) and all(incident.closed is not None for incident in mine),
    }
