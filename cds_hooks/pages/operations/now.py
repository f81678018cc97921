"""What is wrong now: whether the server can answer, and what failed in the last minutes.

It reads what the workers count of their own calls, so that it knows of failures also while the record is locked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from msgspec import Struct

from cds_hooks.metrics.counts import Minute, Snapshot
from cds_hooks.web.numbers import format_time

Health = Literal["healthy", "failing", "degraded", "unknown"]

SIGNS: Final[dict[Health, tuple[str, str]]] = {
    "healthy": ("good", "Calls are answered"),
    "failing": ("critical", "Calls fail"),
    "degraded": ("warning", "Something needs a person"),
    "unknown": ("none", "No call came in the last ten minutes"),
}
MINUTES: Final = 10
"""So many minutes are looked at for the state."""
_WHAT_TO_DO: Final = {
    "503": ("The record, a model or the store of tokens is away.", "CdsHooksRecordCannotBeWritten"),
    "412": ("Data that the service needs did not come: the client sent none and its FHIR server gave none.",
            "CdsHooksFhirServerSlow"),
    "401": ("The caller is not shown to be a trusted client.", "CdsHooksCallsUntrusted"),
    "403": ("The client may not call this service or read this server.", "CdsHooksClientRefused"),
    "429": ("A client sends more calls than it may.", "CdsHooksThrottled"),
    "500": ("The server met a fault of its own; its log has the line.", "CdsHooksFailures"),
}  # fmt: skip
_OTHER: Final = ("Calls are not of the published form, or cannot be answered.", "CdsHooksFailures")


class FailureRow(Struct, frozen=True):
    """One kind of failure of the last minutes: its status and reason, how often, and what to do."""

    what: str
    count: int
    meaning: str
    runbook: str


class Now(Struct, frozen=True):
    """The state of the server at this moment. `since` is "" where nothing fails."""

    health: Health
    sentence: str
    since: str
    failures: tuple[FailureRow, ...]
    started: str

    @property
    def sign(self) -> tuple[str, str]:
        """The mark and its words."""
        return SIGNS[self.health]


def state_now(snapshots: Iterable[Snapshot], not_ready: str, out: Iterable[str], at: datetime) -> Now:
    """Return what is wrong now.

    Args:
        not_ready: Why the server cannot answer, as /readyz says it; "" where it can.
        out: A sentence for each model that cannot be served.
        at: The present, with its zone.
    """
    snapshots, out, minutes = list(snapshots), list(out), dict[int, Minute]()
    for snapshot in snapshots:
        for moment, minute in snapshot.minutes.items():
            minutes.setdefault(moment, Minute(0, {})).add(minute)
    newest = int(at.timestamp() // 60)
    shown = {minute: minutes[minute] for minute in sorted(minutes) if minute > newest - MINUTES}
    failed = Counter[str]()
    for minute in shown.values():
        failed.update(minute.failed)
    calls = sum(minute.answered for minute in shown.values()) + failed.total()
    is_failing = bool(not_ready) or any(name.startswith("5") for name in failed) or 2 * failed.total() > calls > 0
    health: Health = "failing" if is_failing else "degraded" if out or failed else "healthy" if calls else "unknown"
    failed_calls = f"{failed.total():,} of {calls:,} calls failed in the last {MINUTES} minutes." if calls else ""
    sentences = [f"{not_ready[:1].upper()}{not_ready[1:]}." if not_ready else "", failed_calls, *out]
    started = min((snapshot.started_at for snapshot in snapshots), default=at.timestamp())
    return Now(
        health,
        " ".join(filter(None, sentences)),
        _since(minutes) if failed else "",
        tuple(_failure(name, count) for name, count in failed.most_common()),
        format_time(datetime.fromtimestamp(started, UTC)),
    )


def _since(minutes: Mapping[int, Minute]) -> str:
    """Return since when calls fail: the first of the last minutes with calls that all had failures."""
    first = None
    for at in sorted(minutes, reverse=True):
        if not minutes[at].failed:
            break
        first = at
    return format_time(datetime.fromtimestamp(60 * first, UTC)) if first is not None else ""


def _failure(name: str, count: int) -> FailureRow:
    meaning, runbook = _WHAT_TO_DO.get(name.partition(" ")[0], _OTHER)
    return FailureRow(f"HTTP {name}", count, meaning, f"docs/operations/runbooks.html#{runbook.lower()}")
