"""What was understood of each entry of the chart that an answer was given, from the chart that is recorded."""

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from cds_hooks.storage import Decision
from cds_hooks.storage.queries import charts_of
from fhir.mapping.understanding import READ_KINDS, Understanding, understand_chart
from fhir.record.lean_chart import facts_as_json

_MOST: Final = 200


class UnderstoodEntries(Struct, frozen=True):
    """The entries that are shown, what was not understood first, and how many there are of both kinds."""

    readings: tuple[Understanding, ...]
    count: int
    not_understood: int


def understood_entries(url: str, decision: Decision) -> UnderstoodEntries | None:
    """Return what is read, by the tables of today, of the entries of a decision; None where its chart is not kept."""
    chart = charts_of(url, [decision.id]).get(decision.id)
    if chart is None:
        return None
    resources = facts_as_json(chart, decision.patient, datetime.fromtimestamp(decision.decided_at / 1e6, UTC))
    readings = [reading for reading in understand_chart(resources) if reading.kind in READ_KINDS - {"Medication"}]
    ordered = sorted(readings, key=lambda reading: reading.understood)
    unread = sum(not reading.understood for reading in readings)
    return UnderstoodEntries(tuple(ordered[:_MOST]), len(readings), unread)
