"""The monitor's report as /ops shows it: incidents and the figures to look at, the last week against those before.

Judging takes seconds, so that it is done beside the page, and again where something was counted since.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from cds_hooks.monitor.book import CountBook
from cds_hooks.one_run import OneRun
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.web.site import static_file
from models_onnx.monitoring.figure import Figure, Incident, incidents
from models_onnx.monitoring.judging import Compared

DAYS, BEFORE = 7, 28
_AGAIN_SECONDS: Final = 60.0
_MOST_FIGURES: Final = 20
SIGNS: Final = {"act": ("critical", "act now"), "watch": ("warning", "watch")}


class Judged(Struct, frozen=True):
    """What was judged of a week."""

    until: date
    compared: Sequence[Compared]
    figures: list[Figure]

    @property
    def incidents(self) -> list[Incident]:
        """One for each cause."""
        return incidents(self.figures)

    @property
    def summary(self) -> str:
        """How many figures there are of each state."""
        counts = {state: sum(figure.state == state for figure in self.figures) for state in ("act", "watch", "good")}
        few = len(self.figures) - sum(counts.values())
        return (
            f"{counts['act']} figures to act on, {counts['watch']} to watch, {counts['good']} as before, "
            f"{few} without enough data."
        )

    @property
    def to_look_at(self) -> list[Figure]:
        """The figures to act on or to watch, the first ones of many."""
        return [figure for figure in self.figures if figure.state in SIGNS][:_MOST_FIGURES]

    def behind(self, client: str, service: str) -> str:
        """Return the address of the decisions of a client and a service in the week."""
        first = self.until - timedelta(days=DAYS - 1)
        query = {"client": client, "service": service, "since": f"{first}", "until": f"{self.until}"}
        return f"decisions?{urlencode({name: value for name, value in query.items() if value})}"


class Judge:
    """Judges beside the page, and keeps what it found last."""

    def __init__(self) -> None:
        self._running = OneRun("judging")
        self._done: Judged | None = None
        self._done_at = 0.0

    def judged(self, book: CountBook, wait_seconds: float | None) -> Judged | None:
        """Return what was judged last, a minute old at most; None where it is not ready after so long."""
        if self._done is None or monotonic() - self._done_at > _AGAIN_SECONDS:
            running = self._running.begin(lambda: self._judge(book))
            running.join(wait_seconds if self._done is None else 0)
        return self._done

    def _judge(self, book: CountBook) -> None:
        with suppress(RecordUnavailable):  # the page reads the book, too, and says so
            until = datetime.now(UTC).date()
            compared = list(book.compared(until, DAYS, BEFORE))
            figures = sorted((figure for window in compared for figure in window.figures()), key=_order)
            self._done, self._done_at = Judged(until, compared, figures), monotonic()


def _order(figure: Figure) -> tuple[object, ...]:
    return figure.order


def report_policy() -> str:
    """Return the Content-Security-Policy of the whole report, which has its style within."""
    digest = b64encode(hashlib.sha256(static_file("monitor_report.css")).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
