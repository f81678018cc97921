"""Whether the record can be written: when it last failed, why, and what the operator is told of it."""

import re
from collections.abc import Callable
from time import monotonic
from typing import Final

from cds_hooks.logs import log

_LOG_EVERY_SECONDS: Final = 10.0
_REMEMBERED_SECONDS: Final = 5.0
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9_.,:;/()*+-]+")


class RecordHealth:
    """Counts the decisions that could not be committed, and logs the cause at once and then every ten seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.failures = 0
        """Decisions and probes that could not be committed, since the process started."""
        self._clock = clock
        self._cause: str | None = None
        self._failed_at = 0.0
        self._logged_at: float | None = None

    @property
    def recent_failure(self) -> str | None:
        """Why the last commit failed, where that was in the last five seconds and none has succeeded since.

        A probe is smaller than a decision and may fit where a decision does not, so its success alone is not enough.
        """
        if self._cause is None or self._clock() - self._failed_at > _REMEMBERED_SECONDS:
            return None
        return self._cause

    def failed(self, cause: str, count: int = 1) -> None:
        """Call this when `count` decisions, or a probe, could not be committed."""
        now = self._clock()
        self.failures += count
        self._cause, self._failed_at = cause, now
        if self._logged_at is None or now - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = now
            log().error("record cannot be written", reason=plain(cause), count=self.failures)

    def succeeded(self) -> None:
        """Call this when a decision was committed; the first success after a failure is logged."""
        if self._logged_at is not None:
            log().info("record can be written again", count=self.failures)
        self._cause = self._logged_at = None


def plain(cause: str) -> str:
    """The cause as the operational log takes it: what the database said, in at most 120 plain characters."""
    return _NOT_PLAIN.sub(" ", cause.rpartition(" cannot be written: ")[2]).strip()[:120]
