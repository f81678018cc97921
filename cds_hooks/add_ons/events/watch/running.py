"""Runs the watch beside the feeds: reads each finished step of the inbox, keeps incidents there and reports them.

`FIRST_CHECKS` says what a person checks first about an incident, by its kind.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from cds_hooks.add_ons.events.declaration import Declaration, V2Feed
from cds_hooks.add_ons.events.inbox import BUCKET_SECONDS, Inbox
from cds_hooks.add_ons.events.outbox import add_to_outbox
from cds_hooks.add_ons.events.watch.history import KEPT_DAYS, RECENT_STEPS, STEPS_A_DAY
from cds_hooks.add_ons.events.watch.incidents import Incident, Topology
from cds_hooks.add_ons.events.watch.watching import Watch
from cds_hooks.telemetry.logs import log
from cds_hooks.telemetry.metrics.counts import Metrics
from cds_hooks.telemetry.notice_formats import post_notice

FIRST_CHECKS: Final = {
    "silent": "Is the sender running, and does its interface engine hold messages for this server?",
    "low": "Is today a holiday that is not declared? Does a part of the sender's devices or wards not send?",
    "flapping": "Does the connection break again and again? Look at the sender's log and the network.",
    "flood": "Is the sender sending a time again? Nothing is decided twice.",
    "resend": "Is the sender sending a time again? Duplicates have no effect.",
    "late": "Is a queue of the sender or of this server growing?",
    "clock": "Is the sender's clock right, and does it still send the offset of its times?",
    "unmapped": "Which codes are new? Map them in the file that the feed names as codes.",
    "code-gone": "Does the laboratory still send this code, or was it renamed?",
    "unit": "Ask the laboratory whether the unit of this code was changed. Until then do not trust its values.",
    "unit-label": "The unit of this code is another one, and its values are read by it. Ask whether that is meant.",
    "shift": "Ask the laboratory about a new lot, calibration or analyser for this test.",
    "stuck": "Is a device sending the same value for everybody?",
    "errors": "Why are messages refused? The dead letters are listed below.",
    "refusals": "Are there too many connections, or notifications that nobody asked for? The log has the reasons.",
    "order": "Does the sender use several connections at the same time?",
    "duplicates": "Does the sender get its acknowledgments, and in time?",
    "identifiers": "Do the patient numbers come from another authority?",
    "sender": "Is this group of devices or application running?",
}
REPLAYED_FOR: Final = frozenset({"errors", "unmapped"})
"""Kinds after which dead letters of the feed are taken in again."""


RUNNING: Final = "this server"
"""A step in which this server ran has counts of this name: what did not come while it was down is no silence."""
EXPECTED: Final = "expected"
_NEWLY_USUAL: Final = "SELECT number FROM incidents WHERE closed IS NULL AND json_extract(content, '$.is_accepted')"
_KEEP: Final = """
INSERT INTO incidents (number, opened, closed, content) VALUES (?, ?, ?, ?)
ON CONFLICT (number) DO UPDATE SET closed = excluded.closed, content = excluded.content
WHERE json_extract(excluded.content, '$.is_accepted') >= json_extract(content, '$.is_accepted')
"""
"""What a person accepted in the meantime stays accepted."""
_POLL_SECONDS: Final = 5.0
_SETTLED_SECONDS: Final = 2.0


class InterfaceWatch:
    """The watch over the feeds of a declaration."""

    def __init__(self, declaration: Declaration, inbox: Inbox, metrics: Metrics, now: Callable[[], float]) -> None:
        self._declaration, self._inbox, self._now = declaration, inbox, now
        self._watch: Watch | None = None
        self._step = 0
        self._unsent: list[tuple[Incident, bool]] = []
        metrics.incidents = self.open_incidents

    def open_incidents(self) -> Sequence[tuple[str, str, str]]:
        """Return feed, kind and severity of each open incident, for /metrics."""
        incidents = self._watch.incidents.open if self._watch is not None else []
        return [(feed, incident.kind, incident.severity) for incident in incidents for feed in incident.feeds]

    async def keep_watching(self) -> None:
        """Judge each step of five minutes when it is over, until canceled."""
        while True:
            try:
                await asyncio.to_thread(self.catch_up)
            except Exception as error:  # messages are taken in whatever the watch cannot judge
                log().error("interfaces not watched", error_type=type(error).__name__)
            await asyncio.to_thread(self._notify)
            await asyncio.sleep(_POLL_SECONDS)

    def catch_up(self) -> None:
        """Judge every step that is over."""
        over = int((self._now() - _SETTLED_SECONDS) // BUCKET_SECONDS)
        watch = self._watch
        if watch is None or self._inbox.query(_NEWLY_USUAL):
            watch = self._watch = self._load(over)
        while self._step < over:
            self._judge(watch, self._step)
            self._step += 1

    def _load(self, over: int) -> Watch:
        """Begin where the last run of this server ended, with what is in the inbox of the last four weeks."""
        first = over - KEPT_DAYS * STEPS_A_DAY
        rows = self._inbox.query(
            "SELECT bucket FROM counts WHERE feed = ? AND name = 'messages' AND bucket >= ? ORDER BY bucket",
            (RUNNING, first),
        )
        ran = [bucket for (bucket,) in rows]
        outages = [(before + 1, after) for before, after in pairwise([*ran, over]) if after > before + 1]
        first = ran[0] if ran else over
        incidents = stored_incidents(self._inbox)
        accepted = [incident for incident in incidents if incident.is_accepted and incident.closed is None]
        for incident in accepted:
            incident.closed = over - 1
        watch = watch_of(self._declaration, first, outages, incidents)
        # of older days there are messages by step, and the rest at the first step of the day
        watch.load(_counts(self._inbox, first - first % STEPS_A_DAY, over, first), over)
        self._step = over
        with self._inbox.transaction() as connection:
            self._keep(connection, watch, [], accepted)
        self._unsent += [(incident, True) for incident in accepted]
        return watch

    def _judge(self, watch: Watch, step: int) -> None:
        counts = _counts(self._inbox, step, step + 1, step)
        with self._inbox.transaction() as connection:  # first: the watch takes no step twice where the file is locked
            begun, closed = watch.step({feed: steps[step] for feed, steps in counts.items()})
            rows = [(RUNNING, step, "messages", 1.0)]
            for name, feed in watch.feeds.items():
                if feed.judge is not None:
                    rows.append((name, step, EXPECTED, round(float(feed.judge.baseline.due(step, step + 1)[0][0]), 2)))
            connection.executemany("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)", rows)
            self._keep(connection, watch, begun, closed)
        self._unsent += [(incident, incident.closed is not None) for incident in begun + closed]

    def _keep(
        self, connection: sqlite3.Connection, watch: Watch, begun: list[Incident], closed: list[Incident]
    ) -> None:
        for incident in watch.incidents.open + closed:
            row = (incident.number, incident.opened, incident.closed, msgspec.json.encode(incident).decode())
            connection.execute(_KEEP, row)
        for incident in begun + closed:
            kind = "incident-opened" if incident.closed is None else "incident-closed"
            at = incident.opened if incident.closed is None else incident.closed
            data = {"incident": incident.number, "kind": incident.kind, "feeds": incident.feeds,
                    "severity": incident.severity, "cause": incident.cause}  # fmt: skip
            add_to_outbox(connection, f"incident-{incident.number}-{kind}-{at}", kind, "", self._now(), data)
            log().warning(kind.replace("-", " "), client=", ".join(incident.feeds), reason=incident.cause)

    def _notify(self) -> None:
        """Post what opened and closed to the address of the declaration; what is not taken is sent again."""
        while self._unsent:
            incident, is_over = self._unsent[0]
            at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
            notice = {"event": "closed" if is_over else "opened", "at": at, "kind": incident.kind,
                      "severity": incident.severity, "text": incident.cause}  # fmt: skip
            url, key = self._declaration.notify, f"interfaces {incident.number}"
            if fault := post_notice(url, notice, key, at, is_over=is_over) if url else "":
                log().warning("incident not sent", reason=fault)
                return
            self._unsent.pop(0)


def watch_of(
    declaration: Declaration, first: int, outages: Sequence[tuple[int, int]], earlier: Sequence[Incident]
) -> Watch:
    """Return a watch over the feeds of a declaration; `outages` are steps in which this server did not run."""
    local = ZoneInfo(declaration.timezone)
    zones = {name: feed.zone if isinstance(feed, V2Feed) else local for name, feed in declaration.feed.items()}
    downtimes = {name: [*outages, *declaration.downtimes(name)] for name in zones}
    topology = Topology(
        {name: feed.through for name, feed in declaration.feed.items()},
        {name: feed.patients_from for name, feed in declaration.feed.items()},
    )
    return Watch(zones, first, topology, earlier, frozenset(declaration.holidays), downtimes)


def stored_incidents(inbox: Inbox) -> list[Incident]:
    """Return the incidents in the inbox, the oldest first."""
    rows = inbox.query("SELECT content FROM incidents ORDER BY number")
    return [msgspec.json.decode(content, type=Incident) for (content,) in rows]


def accept(inbox: Inbox, number: int) -> None:
    """Take an incident for the new usual: it is closed, and its feeds are learned anew from its beginning on."""
    with inbox.transaction() as connection:
        change = "UPDATE incidents SET content = json_set(content, '$.is_accepted', json('true')) WHERE number = ?"
        connection.execute(change, (number,))


def _counts(inbox: Inbox, start: int, end: int, first: int) -> dict[str, dict[int, dict[str, float]]]:
    """Return what was counted by feed, step and name; what was counted before the first step is of that step."""
    counts: dict[str, dict[int, dict[str, float]]] = {}
    for feed, bucket, name, count in inbox.query(
        "SELECT feed, max(bucket, ?), name, count FROM counts WHERE bucket >= ? AND bucket < ? AND name != ?",
        (first, start, end, EXPECTED),
    ):
        counts.setdefault(feed, {}).setdefault(bucket, {})[name] = count
    return counts


def fold_old_counts(inbox: Inbox, step: int) -> None:
    """Add counts of over two days ago, but messages, to the first step of their day; those of incidents are dropped."""
    before = (step - RECENT_STEPS) // STEPS_A_DAY * STEPS_A_DAY
    where = "WHERE bucket < ? AND bucket % ? != 0 AND name != 'messages'"
    wrong = [incident for incident in stored_incidents(inbox) if not incident.is_accepted]
    with inbox.transaction() as connection:
        connection.executemany(
            f"DELETE FROM counts {where} AND feed = ? AND bucket >= ? AND bucket <= ?",  # noqa: S608 - constants
            [(before, STEPS_A_DAY, feed, old.since, old.closed or step) for old in wrong for feed in old.feeds],
        )
        connection.execute(
            "INSERT INTO counts (feed, bucket, name, count) SELECT feed, bucket - bucket % ? AS day, name, sum(count)"
            " FROM counts WHERE bucket < ? AND bucket % ? != 0 AND name != 'messages' AND name != ?"
            " GROUP BY feed, day, name ON CONFLICT (feed, bucket, name) DO UPDATE SET count = count + excluded.count",
            (STEPS_A_DAY, before, STEPS_A_DAY, EXPECTED),
        )
        connection.execute(f"DELETE FROM counts {where}", (before, STEPS_A_DAY))  # noqa: S608 - constants
