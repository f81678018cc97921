"""The views of a record in tests: everything that is on record, taken by the follower of a server."""

from typing import Any

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.record_views import open_follower
from cds_hooks.settings import Settings


def follow(url: str, **settings: Any) -> Views:
    """The views of the record as it is now; `settings` as a site sets them."""
    follower = open_follower(Settings(database_url=url, **settings))
    follower.catch_up()
    return follower.views
