"""Reads the record as tests ask for it."""

from itertools import islice

from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.queries import DecisionFilter, find_decisions


def list_decisions(url: str, limit: int = 20, service: str | None = None, outcome: str | None = None) -> list[Decision]:
    """Return the newest decisions first, of one service or outcome where given."""
    return list(islice(find_decisions(url, DecisionFilter(service=service, outcome=outcome), limit), limit))
