"""What is kept of the record: the projections of every floor above it, which one follower fills.

`python -m cds_hooks.evidence.record_views LOCK` follows for a server that has many calls, until the server ends.
"""

import os
import sys
from threading import Thread
from time import sleep

from sqlalchemy import URL

from cds_hooks.call.hold_back.history import RecordedHistories
from cds_hooks.evidence.decision_views.file import Views, views_file
from cds_hooks.evidence.decision_views.follow import POLL_SECONDS, Follower
from cds_hooks.evidence.monitor.book import Counts
from cds_hooks.evidence.monitor.card_counts import CardCounts
from cds_hooks.evidence.storage.content import use_site_keys
from cds_hooks.evidence.storage.database import kept_connections
from cds_hooks.people.worklist.worklist import PatientWork
from cds_hooks.settings import Settings, settings
from cds_hooks.telemetry.logs import configure_logs, failure_place, log


def open_follower(configured: Settings, url: str | URL | None = None) -> Follower:
    """Return what follows the record at this URL, else the one that is set, into its file of views."""
    text = url or configured.database_url
    text = text.render_as_string(hide_password=False) if isinstance(text, URL) else text
    now = configured.clock
    given = {"CONTENT_KEYS": configured.content_keys, "AS_OF": configured.as_of}
    environment = {f"CDS_{name}": str(value) for name, value in given.items() if value is not None}
    return Follower(
        text,
        Views(views_file(configured, text)),
        (
            RecordedHistories(now),
            Counts(),
            CardCounts(),
            PatientWork(text, now),
        ),
        __name__,
        {**environment, "CDS_DATABASE_URL": text},
    )


def _follow_for_server(lock: int) -> None:
    """Follow the record until the server ends, or for as long as the record and its views can be used."""
    configured = settings()
    configure_logs(configured.log_level)
    use_site_keys(configured)
    follower = open_follower(configured)
    follower.inherit(lock)
    Thread(target=_end_with_server, daemon=True).start()
    try:
        with kept_connections(configured.database_url):
            while True:
                follower.follow()
                sleep(POLL_SECONDS)
    except Exception as error:  # the server counts that this process ended, and begins again
        log().error("the record is not followed", error_type=type(error).__name__, **failure_place(error))
        sys.exit(1)


def _end_with_server() -> None:
    """End at once when the input does, also of a server that was killed; a batch that is begun is taken again."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    _follow_for_server(int(sys.argv[1]))
