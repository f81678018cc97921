"""Decisions of the record computed again: the same, or what differs and why; and what another version would have said.

The whole call goes through the stages that answered it (`call/answer.py`), from the facts that its answer read,
which every decision keeps.
"""

from cds_hooks.evidence.replay.replaying import Replayer, Verdict
from cds_hooks.evidence.replay.site import ReplaySite, open_site

__all__ = ["ReplaySite", "Replayer", "Verdict", "open_site"]
