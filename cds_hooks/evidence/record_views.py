"""What is kept of the record: the projections of every floor above it, which one follower fills."""

from sqlalchemy import URL

from cds_hooks.call.hold_back.history import RecordedHistories
from cds_hooks.evidence.decision_views.file import Views, views_file
from cds_hooks.evidence.decision_views.follow import Follower
from cds_hooks.evidence.monitor.book import Counts
from cds_hooks.evidence.monitor.card_counts import CardCounts
from cds_hooks.people.worklist.worklist import PatientWork
from cds_hooks.settings import Settings


def open_follower(configured: Settings, url: str | URL | None = None) -> Follower:
    """Return what follows the record at this URL, else the one that is set, into its file of views."""
    text = url or configured.database_url
    text = text.render_as_string(hide_password=False) if isinstance(text, URL) else text
    now = configured.clock
    return Follower(
        text,
        Views(views_file(configured, text)),
        (
            RecordedHistories(now),
            Counts(),
            CardCounts(),
            PatientWork(text, now),
        ),
    )
