"""HL7 v2 messages of the tests: invented patients, made field by field."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec
from zoneinfo import ZoneInfo

import orjson

from cds_hooks.add_ons.events.declaration import MllpFeed
from cds_hooks.add_ons.events.inbox import Inbox, Incoming, Taken
from cds_hooks.add_ons.events.v2.intake import Reading, acknowledge, read_frame
from cds_hooks.evidence.storage.content import load_content

Given = ParamSpec("Given")


def run_async(test: Callable[Given, Coroutine[Any, Any, None]]) -> Callable[Given, None]:
    """Run a test that is a coroutine in an event loop of its own; one that hangs fails after ten minutes."""

    @wraps(test)
    def run(*args: Given.args, **given: Given.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **given), _MOST_SECONDS))

    return run


_MOST_SECONDS = 600.0
NOW = 1_795_182_000.0
"""2026-11-20 13:40 UTC."""
MSH = r"MSH|^~\&|LAB|SOUTH|CDS|SOUTH|20261120130000+0000||{event}|{id}|P|2.5.1"
PID = "PID|1||{number}^^^SOUTH^MR||SAMPLE^SAM||19500102|M"


def feed(name: str = "lab", zone: str = "UTC", **given: object) -> MllpFeed:
    made = MllpFeed(name=name, listen="127.0.0.1:0", authority="SOUTH", timezone=zone, **given)  # type: ignore[arg-type]
    made.zone = ZoneInfo(zone)
    return made


def message(event: str, control_id: str, *lines: str, number: str = "500", header: str = "") -> bytes:
    head = MSH.format(event=event, id=control_id) + header
    return "\r".join([head, PID.format(number=number), *lines, ""]).encode()


def result(
    control_id: str,
    value: str,
    *,
    code: str = "2823-3^Potassium^LN",
    unit: str = "mmol/L",
    status: str = "F",
    kind: str = "NM",
    filler: str = "F1",
    issued: str = "202611201000+0000",
    collected: str = "202611200900+0000",
    **of_message: str,
) -> bytes:
    obr = f"OBR|1|P1|{filler}|{code}|||{collected}|||||||||||||||{issued}|||F"
    obx = f"OBX|1|{kind}|{code}||{value}|{unit}|||||{status}|||{collected}"
    return message("ORU^R01^ORU_R01", control_id, obr, obx, **of_message)


def visit(trigger: str, control_id: str, at: str, number: str = "V9", discharged: str = "") -> bytes:
    pv1 = f"PV1|1|I|W1^101^A{'|' * 16}{number}" + (f"{'|' * 26}{discharged}" if discharged else "")
    return message(f"ADT^{trigger}^ADT_A01", control_id, f"EVN|{trigger}|{at}", pv1)


class Sender:
    """Sends messages into an inbox of its own and keeps the acknowledgments."""

    def __init__(self, folder: Path, of: MllpFeed | None = None, now: float = NOW) -> None:
        self.feed, self.now = of or feed(), now
        self.inbox = Inbox(folder / "events.sqlite3")
        self.readings: list[Reading] = []

    def send(self, content: bytes) -> list[str]:
        """The codes of the acknowledgments, as MSA-1 has them."""
        self.readings = read_frame(content, self.feed, self.now)
        taken = self.inbox.take([reading.incoming for reading in self.readings])
        return [code_of(answer) for answer in self._answers(taken)]

    def _answers(self, taken: list[Taken]) -> list[bytes]:
        pairs = zip(self.readings, taken, strict=True)
        return [answer for reading, one in pairs for answer in acknowledge(reading, one, self.now)]

    def counted(self, name: str) -> float:
        rows = self.inbox.query("SELECT coalesce(sum(count), 0) FROM counts WHERE name = ?", (name,))
        return float(rows[0][0])


def code_of(acknowledgment: bytes) -> str:
    msa = acknowledgment.split(b"\r")[1]
    return msa[4:6].decode()


def incoming(identifier: str, content: bytes = b"x", source: str = "lab") -> Incoming:
    return Incoming(source, identifier, "ORU^R01", content, NOW)


def versions_of(connection: sqlite3.Connection, kind: str, fact_id: str) -> list[dict[str, Any]]:
    """Return every version of a resource, the oldest first."""
    rows = connection.execute("SELECT content FROM facts WHERE type = ? AND id = ? ORDER BY sequence", (kind, fact_id))
    return [orjson.loads(load_content(content)) for (content,) in rows]
