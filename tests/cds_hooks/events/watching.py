"""Judges the watch on generated feeds: `python -m tests.cds_hooks.events.watching [--seed N] [--only inc-01,…]`.

Reported are the recall within the bound of each incident, the delay, whether one cause was one incident that was
closed again, and false incidents for each feed and month. The seeds of the shared data are for tuning; `--seed` adds a
number to them.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from cds_hooks.events.watch.history import STEPS_A_DAY
from cds_hooks.events.watch.incidents import Incident, Topology
from cds_hooks.events.watch.watching import Watch
from cds_hooks.settings import Settings
from tests.cds_hooks.events.feeds import ZONE, Month, clean_months, incident_months, level_months

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
    closed = [incident.closed for incident in mine if incident.closed is not None]
    return {
        "id": row["id"],
        "cause to name": row["cause_to_name"],
        "found": delay is not None and delay <= float(row["detect_within_min"]),
        "delay": delay,
        "bound": float(row["detect_within_min"]),
        "incidents": [
            f"{incident.cause} [{incident.severity}] at {5 * (incident.opened + 1 - start)}" for incident in mine
        ],
        "closed after hours": round((max(closed) - origin - event.end) / 12, 1)
        if len(closed) == len(mine) and closed
        else None,
        "others": [_described(incident, origin) for incident in watch.incidents.all if incident not in mine],
    }


def judge_clean(month: Month) -> dict[str, Any]:
    """Return which incidents the watch has in a month without one."""
    watch = watched(month, month.feeds)
    alarms = [incident for incident in watch.incidents.all if incident.severity != "information"]
    origin = month.first + month.before
    return {
        "id": month.event.fields["month"],
        "benign": month.event.benign,
        "false": [_described(incident, origin) for incident in alarms],
        "information": [_described(incident, origin) for incident in watch.incidents.all if incident not in alarms],
        "feeds": len(month.feeds),
    }


def _described(incident: Incident, origin: int) -> str:
    day = (incident.opened - origin) / STEPS_A_DAY
    return f"{incident.cause} [{incident.severity}] x{incident.ratio:.2f} on day {day:.2f}"


def main() -> None:
    """Print a line for each month, and the figures at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="added to every seed")
    parser.add_argument("--part", choices=("clean", "incidents", "levels", "all"), default="all")
    parser.add_argument("--only", default="", help="ids, with commas between them")
    options = parser.parse_args()
    folder: Path = Settings().data_dir / "events" / "feeds"
    only = set(options.only.split(",")) - {""}
    incidents: Iterable[Month] = (
        () if options.part not in ("incidents", "all") else incident_months(folder, options.seed)
    )
    clean: Iterable[Month] = () if options.part not in ("clean", "all") else clean_months(folder, options.seed)
    levels: Iterable[Month] = () if options.part not in ("levels", "all") else level_months(folder, options.seed)
    _summary(
        [_printed(judge_incident(month)) for month in incidents if not only or month.event.fields["id"] in only],
        [
            _printed(judge_clean(month))
            for month in (*clean, *levels)
            if not only or month.event.fields["month"] in only
        ],
    )


def _printed(line: dict[str, Any]) -> dict[str, Any]:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    return line


def _summary(incidents: list[dict[str, Any]], clean: list[dict[str, Any]]) -> None:
    figures: dict[str, Any] = {}
    if incidents:
        shares = [line["delay"] / line["bound"] for line in incidents if line["found"]]
        figures["recall"] = f"{len(shares)} of {len(incidents)}"
        figures["median delay as a share of the bound"] = round(median(shares), 2) if shares else None
        figures["one incident"] = sum(len(line["incidents"]) == 1 for line in incidents)
        figures["closed"] = sum(line["closed after hours"] is not None for line in incidents)
    if clean:
        months = sum(line["feeds"] for line in clean)
        figures["false incidents a feed and month"] = round(sum(len(line["false"]) for line in clean) / months, 4)
        figures["information entries"] = sum(len(line["information"]) for line in clean)
    _printed(figures)


if __name__ == "__main__":
    main()
