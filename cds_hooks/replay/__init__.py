"""Decisions of the record computed again: the same, or what differs and why; and what another version would have said.

Model scores, equations and vaccine forecasts are computed from the values that every decision records. Where the site
keeps requests (`CDS_KEEP_REQUESTS`), the whole call is answered again by the same functions that answered it.
"""

from cds_hooks.replay.replaying import Replayer, Verdict
from cds_hooks.replay.site import Site, open_site

__all__ = ["Replayer", "Site", "Verdict", "open_site"]
