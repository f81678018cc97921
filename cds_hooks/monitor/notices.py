"""Tells others of incidents: a webhook once when one begins and once when it ends, and figures for Prometheus."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from cds_hooks.monitor.book import CountBook
from cds_hooks.notice_formats import post_notice
from models_onnx.artifact.files import write_whole
from models_onnx.monitoring.figure import Figure, Incident

_METRIC: Final = "cds_monitor_figures"


class NotTold(Exception):
    """The webhook did not take an event; the message is a sentence, and the next report tells it again."""


class Event(Struct):
    """What is sent: aggregates of a client, nothing of a patient."""

    event: Literal["opened", "closed"]
    at: str
    client: str
    family: str
    text: str = ""


def tell(book: CountBook, incidents: Sequence[Incident], url: str) -> list[Event]:
    """Send one event for each incident that began or ended since the last telling, and remember those that arrived.

    `url` is https, or http on this machine (`cds_hooks/settings/checks.py`).

    Raises:
        NotTold: An event was not taken with 2xx.
        RecordUnavailable: The book cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    open_before, current = (
        book.open_incidents(),
        {(incident.client, incident.family): incident for incident in incidents},
    )
    begun = [Event("opened", now, *key, current[key].text) for key in sorted(set(current) - open_before)]
    ended = [Event("closed", now, *key) for key in sorted(open_before - set(current))]
    for event in [*begun, *ended]:
        notice = {name: getattr(event, name) for name in event.__struct_fields__}
        key, is_over = f"{event.client} {event.family}", event.event == "closed"
        if fault := post_notice(url, notice, key, event.at, is_over=is_over):
            raise NotTold(f"the webhook {fault}; the next report tells the event again.")
        book.note_incident(event.client, event.family, is_open=not is_over)
    return [*begun, *ended]


def write_textfile(file: Path, figures: Sequence[Figure], incidents: Sequence[Incident]) -> None:
    """Write figures by state and incidents in the text format of Prometheus, for node_exporter's textfile collector.

    The file is replaced as a whole, so that a half-written one is never read.

    Raises:
        OSError: It cannot be written.
    """
    lines = [f"# HELP {_METRIC} Figures of the last monitor report by state.", f"# TYPE {_METRIC} gauge"]
    for (client, family, state), number in sorted(Counter((e.client, e.family, e.state) for e in figures).items()):
        lines.append(f'{_METRIC}{{client="{_label(client)}",family="{family}",state="{state}"}} {number}')
    lines += [
        "# HELP cds_monitor_incidents Incidents of the last monitor report.",
        "# TYPE cds_monitor_incidents gauge",
    ]
    lines += [f'cds_monitor_incidents{{client="{_label(e.client)}",family="{e.family}"}} 1' for e in incidents]
    lines += ["# HELP cds_monitor_reported_seconds When the last monitor report was made."]
    lines += ["# TYPE cds_monitor_reported_seconds gauge"]
    lines += [f"cds_monitor_reported_seconds {datetime.now(UTC).timestamp():.0f}"]
    write_whole(file, "\n".join(lines) + "\n")


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
