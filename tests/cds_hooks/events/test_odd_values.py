"""Odd values at every member of a notification and in every field of a message: refused or taken, never a failure."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.calls import client
from tests.cds_hooks.events.messages import Sender, message, result, run_async, visit
from tests.cds_hooks.events.test_subscriptions import TOPIC, FhirServer, observation

VALUES: tuple[Any, ...] = (None, True, 10**30, 1e300, "9" * 400, "\x00\x1f", "../..", [None], {}, "-5")
FIELDS = ("\\X0D\\", "9" * 400, "1e400", "00010101+1400", "99991231235959-1400", "<script>", "1^2^3~4&5", '""')
MESSAGES = (
    result("1", "4.4"),
    visit("A01", "2", "20261120120000"),
    message("RDE^O11", "3", "ORC|NW|O1|F1", "RXE|1^BID|11289^warfarin^RxNorm|5||mg|tab"),
    message("ADT^A40", "4", "EVN|A40|20261120", "MRG|501^^^SOUTH^MR"),
    message("ADT^A08", "5", "EVN|A08|20261120", "AL1|1|DA|7980^Penicillin^RxNorm|SV|rash", "DG1|1||I10^High^I10C"),
)


def _members(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*path, name)
        yield from _members(inner, (*path, name))


def _changed(text: str, path: tuple[str | int, ...], value: Any) -> str:
    document = json.loads(text)
    holder: Any = document
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    return json.dumps(document)


@run_async
async def test_no_member_of_a_notification_of_another_type_is_a_failure_of_the_server(tmp_path: Path) -> None:
    path, base = tmp_path / "events.toml", "http://127.0.0.1:9/fhir"
    path.write_text(
        f'database = "{tmp_path / "events.sqlite3"}"\n[feed.ehr]\nkind = "subscription"\n'
        f'subscription = "{base}/Subscription/s1"\ntopic = "{TOPIC}"\n',
        encoding="utf-8",
    )
    server = FhirServer(base, {"Observation/k1": observation("k1")})
    number = 0
    async with client(tmp_path, events_file=path) as calls:
        for member in _members(json.loads(server.notification("event-notification", 1, (1, "Observation/k1")))):
            for value in VALUES:
                number += 1  # an event that came before is not read again
                event = server.notification("event-notification", number, (number, "Observation/k1")).decode()
                answer = await calls.post("/events/ehr", content=_changed(event, member, value))
                assert answer.status_code < 500, (member, value, answer.text)


@pytest.mark.parametrize("content", MESSAGES, ids=lambda content: content[40:60].decode())
def test_no_odd_field_of_a_message_is_a_fault_of_this_server(content: bytes, tmp_path: Path) -> None:
    sender = Sender(tmp_path)
    lines = content.decode().split("\r")
    for at, line in enumerate(lines):
        fields = line.split("|")
        for field in range(len(fields)):
            for value in FIELDS:
                odd = "|".join([*fields[:field], value, *fields[field + 1 :]])
                sender.send("\r".join([*lines[:at], odd, *lines[at + 1 :]]).encode())
                assert not any("fault of this server" in reading.incoming.fault for reading in sender.readings), odd


@pytest.mark.parametrize("sign", ["|", "~", "^", "\r", "\\"])
def test_a_message_of_very_many_parts_is_a_dead_letter_at_once(sign: str, tmp_path: Path) -> None:
    sender = Sender(tmp_path)
    start = time.process_time()
    assert sender.send(result("1", "4.4")[:-1] + b"|" + sign.encode() * 400_000 + b"\r") in (["AE"], ["AA"])
    assert time.process_time() - start < 0.6
