"""What the watch says of the hook calls of clients, as figures for the report of `cds-hooks monitor`."""

from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from cds_hooks.events.declaration import Declaration
from cds_hooks.events.inbox import BUCKET_SECONDS, Inbox
from cds_hooks.events.watch.running import CLIENT, EXPECTED, stored_incidents
from models_onnx.monitoring.figure import Figure, State

_VOLUMES: Final = frozenset({"silent", "low", "flapping", "fewer", "flood", "resend", "sender"})


def watched_calls(
    declaration: Declaration, last: date, days: int, at: datetime | None
) -> tuple[frozenset[str], list[Figure]]:
    """Return the clients whose calls the watch judged at the end of a window, and its incidents of them as figures.

    The window is the `days` up to and with `last`; `at` ends it earlier.
    """
    if not declaration.file.is_file():
        return frozenset(), []
    end = int((at or datetime.combine(last + timedelta(days=1), time.min, UTC)).timestamp() // BUCKET_SECONDS)
    start = int(datetime.combine(last - timedelta(days=days - 1), time.min, UTC).timestamp() // BUCKET_SECONDS)
    with closing(Inbox(declaration.file)) as inbox:
        rows = inbox.query(
            "SELECT DISTINCT feed FROM counts WHERE name = ? AND bucket >= ? AND bucket < ?",
            (EXPECTED, end - 86_400 // BUCKET_SECONDS, end),
        )
        incidents = stored_incidents(inbox)
    clients = frozenset(name.removeprefix(CLIENT) for (name,) in rows if name.startswith(CLIENT))
    figures: list[Figure] = []
    for incident in incidents:
        closed = end if incident.closed is None else incident.closed
        is_open = closed >= end
        if incident.kind not in _VOLUMES or incident.opened >= end or closed < start:
            continue
        since = datetime.fromtimestamp(incident.since * BUCKET_SECONDS, UTC).isoformat(" ", "minutes")[:16]
        state: State = "act" if is_open and incident.severity != "information" else "watch"
        text = f"{incident.cause}, since {since} UTC; /interfaces has what to check."
        figures += [
            Figure(
                feed.removeprefix(CLIENT), "all services", "feed", incident.kind, state, 0, 0, incident.ratio, 1.0, text
            )
            for feed in incident.feeds
            if feed.startswith(CLIENT)
        ]
    return clients, figures
