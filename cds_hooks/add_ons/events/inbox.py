"""The inbox: every message once, its effect in the same transaction, and what could not be read as a dead letter.

One SQLite file of its own, so that feeds never wait for the record of decisions nor the other way round. A message is
known by its source, its id and a digest of its bytes. `take` returns when everything is on the disk: only then is a
message acknowledged.

`Groups` stores messages in groups: what arrives while one group is committed is the next one, within a bounded queue.
"""

import asyncio
import hashlib
import json
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from math import log
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from cds_hooks.add_ons.events.declaration import EffectRule
from cds_hooks.add_ons.events.facts import Effects, Fact, apply_fact, follow_link, link_patients
from cds_hooks.evidence.storage.content import load_content, store_content
from cds_hooks.evidence.storage.sqlite import identity

State = Literal["done", "duplicate", "dead"]
SCHEMA_VERSION: Final = 1
BUCKET_SECONDS: Final = 300
AT_BROKER: Final = "waiting at the broker"


class Incoming(Struct):
    """A message as it arrived: what it brings, or why it cannot be read."""

    source: str
    message_id: str
    type: str
    content: bytes
    received_at: float
    effects: Effects | None = None
    fault: str = ""
    late_days: float = 30.0

    @property
    def digest(self) -> bytes:
        """A digest of the bytes."""
        return hashlib.sha256(self.content).digest()


class Taken(Struct, frozen=True):
    """What became of a message: its place in the inbox, its state, and the reason of a dead letter."""

    sequence: int
    state: State
    reason: str = ""


class DeadLetter(Struct, frozen=True):
    """A message that had no effect, with its reason."""

    sequence: int
    source: str
    message_id: str
    type: str
    received_at: float
    reason: str
    content: bytes


Reads = Callable[[Fact], Iterable[str]]
"""Gives the services that read a fact."""


_CHECK_SECONDS: Final = 1.0


class Inbox:
    """The file of events, written by one thread at a time."""

    def __init__(self, file: Path, rules: Sequence[EffectRule] = (), reads: Reads = lambda _fact: ()) -> None:
        """Make the file where it is not there; its folder only where it is the default one."""
        if file.parent == Path("var"):
            file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        self._rules, self._reads = tuple(rules), reads
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(file, isolation_level=None, timeout=10.0, check_same_thread=False)
        # FULL: a message is acknowledged when it is on the disk, and not when the system has it
        for setting in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            self._connection.execute(f"PRAGMA {setting}")
        self.file, self._identity = file, identity(file)
        self._make_tables()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection with a transaction that is committed at the end, or not at all."""
        with self._lock:
            self._refuse_other_file()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _refuse_other_file(self) -> None:
        """SQLite would go on in a file that was deleted, and messages be acknowledged that are nowhere."""
        if identity(self.file) != self._identity:
            raise FileNotFoundError(0, "the file was replaced while the server ran; restart the server")

    def check(self) -> None:
        """Write what is there already: the number of the schema.

        Raises:
            sqlite3.Error, OSError: The file cannot be read or written, or was replaced.
        """
        self._refuse_other_file()
        with closing(sqlite3.connect(self.file, timeout=_CHECK_SECONDS, isolation_level=None)) as connection:
            connection.execute("SELECT sequence FROM inbox ORDER BY sequence DESC LIMIT 1").fetchone()
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _make_tables(self) -> None:
        statements = (Path(__file__).parent / "inbox.sql").read_text(encoding="utf-8").strip().split("\n\n")
        with self.transaction() as connection:
            present = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if present > SCHEMA_VERSION or (present and "set_aside" not in tables):
                raise sqlite3.DatabaseError("the file of events was made by another version of this program")
            if present == 0:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def take(self, group: Sequence[Incoming]) -> list[Taken]:
        """Store messages with their effects in one transaction, and return what became of each; all or none."""
        with self.transaction() as connection:
            return [self._take(connection, incoming) for incoming in group]

    def _take(self, connection: sqlite3.Connection, incoming: Incoming) -> Taken:
        counted: Counter[str] = Counter(incoming.effects.counted if incoming.effects is not None else ())
        counted["messages"] += 1
        outcome = self._stored(connection, incoming, counted)
        if outcome.state == "done" and incoming.effects is not None:
            self._apply(connection, incoming, incoming.effects, outcome.sequence, counted)
            connection.execute(
                "UPDATE inbox SET counted = ? WHERE sequence = ?", (json.dumps(counted), outcome.sequence)
            )
        counted[f"state:{outcome.state}"] += 1
        _count(connection, incoming, counted, outcome.state)
        return outcome

    def _stored(self, connection: sqlite3.Connection, incoming: Incoming, counted: Counter[str]) -> Taken:
        others = connection.execute(
            "SELECT sequence, digest, state, reason FROM inbox WHERE source = ? AND message_id = ? ORDER BY sequence",
            (incoming.source, incoming.message_id),
        ).fetchall()
        digest, fault = incoming.digest, incoming.fault
        for sequence, stored_digest, earlier, reason in others:
            if bytes(stored_digest) == digest:
                connection.execute("UPDATE inbox SET copies = copies + 1 WHERE sequence = ?", (sequence,))
                counted["duplicate"] += 1
                return Taken(sequence, "dead" if earlier == "dead" else "duplicate", reason)
        if not fault and any(earlier != "dead" for _, _, earlier, _ in others):
            fault = "A message with this id and another content was taken before; this one had no effect."
        state: State = "dead" if fault else "done"
        content = store_content(incoming.content) if state == "dead" else None
        row = (incoming.source, incoming.message_id, digest, incoming.type, incoming.received_at, state, fault, content)
        cursor = connection.execute(
            "INSERT INTO inbox (source, message_id, digest, type, received_at, state, reason, content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        return Taken(cursor.lastrowid or 0, state, fault)

    def _apply(
        self, connection: sqlite3.Connection, incoming: Incoming, effects: Effects, sequence: int, counted: Counter[str]
    ) -> None:
        for merge in effects.merges:
            link_patients(connection, merge, sequence, incoming.received_at)
            counted["merges"] += 1
        unknown: set[str] = set()
        touched: dict[str, list[Fact]] = {}
        for fact in effects.facts:
            applied = apply_fact(connection, fact, sequence, incoming.received_at)
            if applied.is_new_person:
                unknown.add(fact.patient)
            counted["out-of-order"] += applied.is_stale
            if applied.changed and not self._is_late(fact, incoming, counted):
                touched.setdefault(fact.patient, []).append(applied.fact)
        counted["unknown-patients"] += len(unknown)
        for patient, facts in touched.items():
            self._make_due(connection, incoming, follow_link(connection, patient), facts, sequence)
        for merge in effects.merges:
            self._make_due_again(connection, incoming, follow_link(connection, merge.survivor), sequence)

    def _is_late(self, fact: Fact, incoming: Incoming, counted: Counter[str]) -> bool:
        if fact.happened is None or incoming.received_at - fact.happened <= incoming.late_days * 86_400:
            return False
        counted["late"] += 1
        return True

    def _make_due(
        self, connection: sqlite3.Connection, incoming: Incoming, patient: str, facts: list[Fact], sequence: int
    ) -> None:
        services = {service for fact in facts for service in self._reads(fact)}
        for rule in self._rules:
            if rule.is_for(incoming.source, patient):
                _insert_due(connection, rule, services, patient, incoming.received_at, sequence)

    def _make_due_again(self, connection: sqlite3.Connection, incoming: Incoming, patient: str, sequence: int) -> None:
        """After a merge everything about the patient is computed again."""
        for rule in self._rules:
            if rule.is_for(incoming.source, patient):
                _insert_due(connection, rule, set(rule.services), patient, incoming.received_at, sequence)

    def dead_letters(self, after: int = 0, most: int = 200) -> list[DeadLetter]:
        """Return dead letters, the oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT sequence, source, message_id, type, received_at, reason, content FROM inbox"
                " WHERE state = 'dead' AND sequence > ? ORDER BY sequence LIMIT ?",
                (after, most),
            ).fetchall()
        return [
            DeadLetter(sequence, source, message_id, kind, at, reason, load_content(content) if content else b"")
            for sequence, source, message_id, kind, at, reason, content in rows
        ]

    def dead_letter(self, sequence: int) -> DeadLetter | None:
        """Return one dead letter; None where there is none of this number."""
        letters = self.dead_letters(sequence - 1, 1)
        return letters[0] if letters and letters[0].sequence == sequence else None

    def settle(self, sequence: int, state: Literal["replayed", "dropped"]) -> None:
        """Mark a dead letter as replayed or dropped; its content is removed."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE inbox SET state = ?, content = NULL WHERE sequence = ? AND state = 'dead'", (state, sequence)
            )

    def unmerge(self, merged: str, now: float) -> bool:
        """Undo the merge of a patient number and return whether there was one; everything is computed again."""
        with self.transaction() as connection:
            survivor = follow_link(connection, merged)
            cursor = connection.execute(
                "UPDATE links SET undone_at = ? WHERE merged = ? AND undone_at IS NULL", (now, merged)
            )
            newest = connection.execute("SELECT coalesce(max(sequence), 0) FROM inbox").fetchone()[0]
            for patient in (merged, survivor) if cursor.rowcount else ():
                for rule in self._rules:
                    _insert_due(connection, rule, set(rule.services), patient, now, newest + 1)
            return cursor.rowcount > 0

    def count(self, feed: str, name: str, now: float) -> None:
        """Count something that is no message, such as a notification that was refused."""
        with self.transaction() as connection:
            _add_counts(connection, feed, now, {name: 1})

    def note_at_broker(self, feed: str, waiting: int) -> None:
        """Keep how many messages of a feed wait at its broker, in place of what was known."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO counts VALUES (?, 0, ?, ?)", (feed, AT_BROKER, waiting))

    def query(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a reading statement."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def forget(self, before: float) -> None:
        """Delete what came before a time: messages that were settled, counts and events of the outbox."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM inbox WHERE state != 'dead' AND received_at < ?", (before,))
            connection.execute("DELETE FROM counts WHERE bucket < ?", (int(before // BUCKET_SECONDS),))
            connection.execute("DELETE FROM outbox WHERE at < ?", (before,))
            connection.execute("DELETE FROM set_aside WHERE sequence NOT IN (SELECT sequence FROM outbox)")


class FeedState(Struct, frozen=True):
    """What came of a feed: the newest message in epoch seconds (0 for none), and how many are kept in the inbox."""

    feed: str
    newest: float
    messages: int
    dead: int


def feed_states(inbox: Inbox, feeds: Iterable[str]) -> list[FeedState]:
    """Return the state of each feed."""
    rows = inbox.query("SELECT source, max(received_at), count(*), sum(state = 'dead') FROM inbox GROUP BY source")
    states = {str(row[0]): FeedState(*row) for row in rows}
    return [states.get(name, FeedState(name, 0.0, 0, 0)) for name in feeds]


def counts_since(inbox: Inbox, feed: str, since: float) -> dict[str, float]:
    """Return what was counted of a feed since a time, by name."""
    rows = inbox.query(
        "SELECT name, sum(count) FROM counts WHERE feed = ? AND bucket >= ? GROUP BY name",
        (feed, int(since // BUCKET_SECONDS)),
    )
    return dict(rows)


def _insert_due(
    connection: sqlite3.Connection, rule: EffectRule, services: set[str], patient: str, now: float, sequence: int
) -> None:
    for service in rule.services:
        if service not in services:
            continue
        connection.execute(
            "INSERT INTO due (patient, service, since, ready, latest, version) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (patient, service) DO UPDATE SET"
            " ready = min(latest, excluded.ready), version = excluded.version",
            (patient, service, now, now + rule.quiet_seconds, now + rule.longest_seconds, sequence),
        )


def _count(connection: sqlite3.Connection, incoming: Incoming, counted: Counter[str], state: State) -> None:
    """Add to the counts of the five minutes: names, and latencies on a log scale."""
    if incoming.effects is not None and state != "duplicate":
        counted.update(f"latency:{latency_step(latency)}" for latency in incoming.effects.latencies)
    _add_counts(connection, incoming.source, incoming.received_at, counted)


def _add_counts(connection: sqlite3.Connection, feed: str, now: float, counted: Mapping[str, float]) -> None:
    bucket = int(now // BUCKET_SECONDS)
    connection.executemany(
        "INSERT INTO counts (feed, bucket, name, count) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (feed, bucket, name) DO UPDATE SET count = count + excluded.count",
        [(feed, bucket, name, count) for name, count in counted.items() if count],
    )


def latency_step(seconds: float) -> int:
    """Return the step of a latency on a scale of 25 % steps; below zero for times in the future.

    >>> latency_step(60.0), latency_step(-3600.0)
    (18, -36)
    """
    size = int(log(max(abs(seconds), 1.0)) / log(1.25))
    return -size if seconds < 0 else size


_MOST_IN_A_GROUP = 200


class _Waiting(Struct):
    messages: list[Incoming]
    future: "asyncio.Future[list[Taken]]"


class Groups:
    """The way of all feeds into the inbox of this process."""

    def __init__(self, inbox: Inbox, most: int) -> None:
        """`most` messages wait at the same time; beyond it `take` waits before it queues, and so does the sender."""
        self._inbox = inbox
        self._most, self._places, self._entering = most, asyncio.Semaphore(most), asyncio.Lock()
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    async def take(self, messages: list[Incoming]) -> list[Taken]:
        """Return what became of the messages when they are on the disk."""
        places, held = min(len(messages), self._most), 0
        try:
            async with self._entering:  # two that wait for places do not hold some of them meanwhile
                while held < places:
                    await self._places.acquire()
                    held += 1
            waiting = _Waiting(messages, asyncio.get_running_loop().create_future())
            self._queue.append(waiting)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._store())
            return await waiting.future
        finally:
            for _ in range(held):
                self._places.release()

    async def _store(self) -> None:
        while self._queue:
            group: list[_Waiting] = []
            messages: list[Incoming] = []
            while self._queue and len(messages) < _MOST_IN_A_GROUP:
                group.append(self._queue.popleft())
                messages += group[-1].messages
            try:
                outcomes = await asyncio.to_thread(self._inbox.take, messages)
            except Exception as error:
                for waiting in group:
                    if not waiting.future.done():
                        waiting.future.set_exception(error)
                continue
            start = 0
            for waiting in group:
                if not waiting.future.done():
                    waiting.future.set_result(outcomes[start : start + len(waiting.messages)])
                start += len(waiting.messages)
