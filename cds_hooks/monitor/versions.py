"""Whether a version of a model was in shadow long enough to be shown.

Least time and number of predictions in shadow before a canary: responsible-ai.md section 5.5 (7 days, 500 predictions).
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import DecisionFilter, find_decisions

LEAST_PREDICTIONS: Final = 500
LEAST_DAYS: Final = 7


def why_too_early(url: str, sha256: str, since: str, now: datetime) -> str | None:
    """Why a model that is in shadow since this ISO time should not show cards yet, in a sentence; None where it may.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    start = datetime.fromisoformat(since)
    days = (now - start.astimezone(UTC)).total_seconds() / 86_400
    if days < LEAST_DAYS:
        return f"it is in shadow for {days:.1f} of at least {LEAST_DAYS} days"
    wanted = DecisionFilter(since=int(start.timestamp() * 1e6), has_trials=False)
    counted = 0
    for _ in _computed(find_decisions(url, wanted), sha256):
        counted += 1
        if counted >= LEAST_PREDICTIONS:
            return None
    return f"it computed {counted} of at least {LEAST_PREDICTIONS} estimates in shadow"


def _computed(decisions: Iterable[Decision], sha256: str) -> Iterator[Any]:
    wanted = sha256.encode()
    return (decision for decision in decisions if wanted in decision.models)
