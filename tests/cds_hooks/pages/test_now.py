"""What is wrong now is told from what the workers count of their own calls, by the minute."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cds_hooks.metrics.counts import Metrics, Minute, Snapshot
from cds_hooks.pages.operations.now import MinuteRow, Now, state_now

AT = datetime(2026, 11, 20, 9, 30, 30, tzinfo=UTC)
MINUTE = int(AT.timestamp() // 60)


def told(*minutes: tuple[int, int, dict[str, int]], not_ready: str = "", out: tuple[str, ...] = ()) -> Now:
    """The state where so many minutes ago so many calls were answered and these failed."""
    counted = {MINUTE - ago: Minute(answered, failed) for ago, answered, failed in minutes}
    return state_now([Snapshot(minutes=counted, started_at=1.0)], not_ready, out, AT)


@pytest.mark.parametrize(
    ("minutes", "more", "health"),
    [
        ([(0, 5, {})], {}, "healthy"),
        ([], {}, "unknown"),
        ([(30, 5, {"503": 5})], {}, "unknown"),
        ([(0, 5, {"400 BadRequest": 1})], {}, "degraded"),
        ([(0, 5, {})], {"out": ("The model m cannot be served.",)}, "degraded"),
        ([(0, 5, {"500": 1})], {}, "failing"),
        ([(0, 0, {"412 Missing": 42})], {}, "failing"),
        ([(0, 5, {})], {"not_ready": "the decisions cannot be recorded"}, "failing"),
        ([], {"not_ready": "the decisions cannot be recorded"}, "failing"),
    ],
)
def test_it_is_healthy_only_where_calls_came_and_none_failed(
    minutes: list[Any], more: dict[str, Any], health: str
) -> None:
    assert told(*minutes, **more).health == health


def test_it_says_how_many_failed_since_when_and_what_to_do() -> None:
    now = told(
        (0, 0, {"503 RecordUnavailable": 3}), (1, 1, {"503 RecordUnavailable": 1}), (4, 9, {}), (5, 0, {"500": 1})
    )
    assert now.sentence == "5 of 15 calls failed in the last 10 minutes."
    assert now.since == "2026-11-20 09:29 UTC"
    assert now.minutes[0] == MinuteRow("09:30", 0, 3, "503 RecordUnavailable (3)")
    assert [(failure.what, failure.count) for failure in now.failures] == [
        ("HTTP 503 RecordUnavailable", 4),
        ("HTTP 500", 1),
    ]
    assert now.failures[0].runbook.endswith("runbooks.html#cdshooksrecordcannotbewritten")
    assert told((0, 2, {}), (1, 0, {"503": 1})).since == ""


def test_all_workers_are_counted_and_the_first_start_is_named() -> None:
    snapshots = [Snapshot(minutes={MINUTE: Minute(2, {"500": 1})}, started_at=at) for at in (200.0, 80.0)]
    now = state_now(snapshots, "", (), AT)
    assert (now.minutes[0].answered, now.minutes[0].failed) == (4, 2)
    assert now.started == "1970-01-01 00:01 UTC"
    assert snapshots[0].minutes[MINUTE] == Minute(2, {"500": 1})


def test_calls_are_counted_by_the_minute_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [60.0 * 100]
    monkeypatch.setattr("cds_hooks.metrics.counts.time", lambda: clock[0])
    metrics = Metrics()
    metrics.answered("s", "patient-view", [], [], {})
    metrics.refused("s", 503, "RecordUnavailable")
    clock[0] += 60
    metrics.refused("s", 400)
    assert metrics.minutes == {100: Minute(1, {"503 RecordUnavailable": 1}), 101: Minute(0, {"400": 1})}
    clock[0] += 60 * 59
    metrics.answered("s", "patient-view", [], [], {})
    assert list(metrics.minutes) == [101, 160]
