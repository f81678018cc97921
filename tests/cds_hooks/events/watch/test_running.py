"""The watch beside the feeds: what it keeps of incidents, folds and shows."""

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cds_hooks.events.inbox import Inbox
from cds_hooks.events.watch.incidents import Incident
from cds_hooks.events.watch.running import (
    fold_old_counts,
)
from tests.cds_hooks.events.watch.made import MONDAY


def opened(number: int = 7, **more: Any) -> Incident:
    return Incident(
        "silent",
        ["lab", "other"],
        "",
        "high",
        MONDAY - 40,
        MONDAY - 30,
        "volume",
        number=number,
        seen=MONDAY - 30,
        **more,
    )


def keep(inbox: Inbox, *incidents: Incident) -> None:
    with inbox.transaction() as connection:
        for incident in incidents:
            row = (incident.number, incident.opened, incident.closed, msgspec.json.encode(incident).decode())
            connection.execute("INSERT INTO incidents (number, opened, closed, content) VALUES (?, ?, ?, ?)", row)


@pytest.mark.parametrize(
    ("since", "closed", "is_accepted", "kept"),
    [
        (10, 20, False, [9, 21, 30]),
        (10, None, False, [9]),
        (10, 20, True, [9, 10, 20, 21, 30]),
        (0, 288 - 1, False, []),
    ],
)
def test_what_was_counted_in_an_incident_is_not_added(
    since: int, closed: int | None, is_accepted: bool, kept: list[int], tmp_path: Path
) -> None:
    day = 20_000 * 288
    incident = Incident(
        "low", ["lab"], "", "high", day + since, day + since + 1, "volume", number=1, is_accepted=is_accepted
    )
    incident.closed = None if closed is None else day + closed
    with closing(Inbox(tmp_path / "inbox.sqlite3")) as inbox:
        keep(inbox, incident)
        with inbox.transaction() as connection:
            for step in (9, 10, 20, 21, 30):
                for feed in ("lab", "adt"):
                    connection.execute("INSERT INTO counts VALUES (?, ?, 'duplicate', ?)", (feed, day + step, step))
        fold_old_counts(inbox, day + 3 * 288)
        totals = dict(inbox.query("SELECT feed, count FROM counts"))
    assert totals == {"adt": 90.0} | ({"lab": sum(kept)} if kept else {})
