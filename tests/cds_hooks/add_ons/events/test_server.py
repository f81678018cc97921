"""A real server with a feed: messages to decisions, through kill -9, and what a wrong declaration says."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from cds_hooks.add_ons.events.declaration import Declaration, DeclarationFault
from cds_hooks.add_ons.events.inbox import Inbox
from cds_hooks.add_ons.events.mllp import framed
from cds_hooks.add_ons.events.rescoring import Rescoring
from cds_hooks.add_ons.events.runner import check_declaration
from cds_hooks.call.security.trust import ANONYMOUS, TrustedClient
from cds_hooks.call.services import services_for
from cds_hooks.settings import Settings
from tests.cds_hooks.add_ons.events.messages import NOW, message, run_async
from tests.cds_hooks.add_ons.events.test_subscription_states import TOPIC, FhirServer, observation
from tests.cds_hooks.calls import client
from tests.live import free_port, record_in
from tests.waiting import MOST_SECONDS, until

PATIENTS = 40


def _declared(folder: Path, port: int) -> Path:
    path = folder / "events.toml"
    path.write_text(
        f"""
database = "{folder / "events.sqlite3"}"
complete = ["Immunization", "Condition", "MedicationRequest", "AllergyIntolerance", "Procedure", "Observation"]
[feed.lab]
kind = "mllp"
listen = "127.0.0.1:{port}"
authority = "SOUTH"
[effect.vaccines]
services = ["vaccines-due"]
quiet_seconds = 0.3
""",
        encoding="utf-8",
    )
    return path


def _started(folder: Path, declared: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "CDS_DATABASE_URL": record_in(folder),
        "CDS_EVENTS_FILE": str(declared),
        "CDS_USER_KEYS": str(folder / "keys.txt"),
    }
    command = [sys.executable, "-m", "cds_hooks", "serve", "--port", str(free_port())]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


async def _send(port: int, waiting: list[bytes], process: subprocess.Popen[bytes], kill_after: int | None) -> int:
    """Send messages one by one and return how many were acknowledged."""
    end = monotonic() + MOST_SECONDS
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            if monotonic() > end or process.poll() is not None:
                raise
            await asyncio.sleep(0.1)
    acknowledged = 0
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        for content in waiting:
            writer.write(framed(content))
            if acknowledged == kill_after:
                process.send_signal(signal.SIGKILL)
            await asyncio.wait_for(reader.readuntil(b"\x1c\r"), MOST_SECONDS)
            acknowledged += 1
    writer.close()
    return acknowledged


def _decisions(folder: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(folder / "decisions.sqlite3")) as connection:
        return connection.execute("SELECT patient, count(*) FROM decisions GROUP BY patient").fetchall()


@pytest.mark.slow
@run_async
async def test_every_patient_gets_one_decision_however_often_the_server_is_killed(tmp_path: Path) -> None:
    port = free_port()
    declared = _declared(tmp_path, port)
    rxa = "RXA|0|1|20261101||140^Influenza^CVX|||||||||||||||CP"
    waiting = [message("VXU^V04", str(n), "ORC|RE||I1", rxa, number=f"p{n}") for n in range(PATIENTS)]
    for kill_after in (10, 13, None):
        process = _started(tmp_path, declared)
        try:
            acknowledged = await _send(port, waiting, process, kill_after)
            waiting = waiting[acknowledged:]
            if kill_after is None:
                until(lambda: len(_decisions(tmp_path)) == PATIENTS)
        finally:
            process.kill()
            process.wait(30)
    assert not waiting
    counts = _decisions(tmp_path)
    assert len(counts) == PATIENTS
    assert {count for _, count in counts} == {1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[effect.a]\nservices = ['nothing']", "neither a service nor a feed"),
        ("[effect.a]\nservices = ['order-safety']", "so no event can call it"),
        (f"timezone = '{'a' * 5000}'", "is not a time zone"),
        ("[feed.a]\nkind = 'mllp'\nlisten = '127.0.0.1:1'\ncharset = \"\\u0000\"", "is not a character set"),
        ("[feed.a]\nkind = 'mllp'\nlisten = '127.0.0.1:1'\ncodes = \"\\u0000\"", "must be a CSV file"),
        ("[effect.a]\nservices = ['vaccines-due']\npatients = \"\\u0000\"", "effect.a: the file of patients"),
        ("[webhook.a]\nurl = 'https://x'\nsecret_file = \"\\u0000\"", "webhook.a: the secret_file"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused_with_a_sentence(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "events.toml"
    path.write_text(text, encoding="utf-8")
    configured = Settings(events_file=path)
    with pytest.raises(DeclarationFault) as fault:
        check_declaration(configured, services_for(configured))
    assert words in str(fault.value)
    assert str(path) in str(fault.value)


@run_async
async def test_a_file_that_lacks_a_table_is_refused_at_the_start_and_its_own_is_opened_again(tmp_path: Path) -> None:
    declared = _declared(tmp_path, free_port())
    with closing(sqlite3.connect(tmp_path / "events.sqlite3")) as earlier:
        earlier.execute("PRAGMA user_version=1")
    with pytest.raises(DeclarationFault, match="was made by another version of this program"):
        async with client(tmp_path, events_file=declared):
            pass
    (tmp_path / "events.sqlite3").unlink()
    for _ in ("made", "opened again"):
        async with client(tmp_path, events_file=declared):
            pass


@run_async
async def test_notifications_come_in_over_http(tmp_path: Path) -> None:
    path = tmp_path / "events.toml"
    subscription = "http://127.0.0.1:9/fhir/Subscription/s1"
    path.write_text(
        f"""
database = "{tmp_path / "events.sqlite3"}"
[feed.ehr]
kind = "subscription"
subscription = "{subscription}"
topic = "{TOPIC}"
""",
        encoding="utf-8",
    )
    server = FhirServer(subscription.removesuffix("/Subscription/s1"), {"Observation/k1": observation("k1")})
    async with client(tmp_path, events_file=path) as calls:
        headers = {"content-type": "application/fhir+json"}
        event = server.notification("event-notification", 1, (1, "Observation/k1"))
        taken = await calls.post("/events/ehr", content=event, headers=headers)
        other = server.notification("event-notification", 1, (1, "Observation/k1"), topic="http://example.org/other")
        refused = await calls.post("/events/ehr", content=other, headers=headers)
    assert (taken.status_code, refused.status_code, refused.json()["resourceType"]) == (200, 400, "OperationOutcome")
    with closing(sqlite3.connect(tmp_path / "events.sqlite3")) as connection:
        assert connection.execute("SELECT patient FROM facts").fetchall() == [("p1",)]


def _rescoring(inbox: Inbox, client: Callable[[], TrustedClient | None] = lambda: ANONYMOUS) -> Rescoring:
    nothing: Any = None
    return Rescoring(inbox, nothing, {}, ANONYMOUS.name, client, lambda: NOW, Declaration())


def _due(inbox: Inbox, *rows: tuple[str, str, float, float, float, int]) -> None:
    with inbox.transaction() as connection:
        connection.executemany("INSERT INTO due VALUES (?, ?, ?, ?, ?, ?)", rows)


@run_async
async def test_a_service_that_is_gone_owes_nothing_and_fifty_are_computed_at_once(tmp_path: Path) -> None:
    with closing(Inbox(tmp_path / "events.sqlite3")) as inbox:
        rescoring = _rescoring(inbox)
        _due(inbox, *((f"p{number}", "gone", 1.0, NOW - number, 3.0, 4) for number in range(52)))
        _due(inbox, ("later", "gone", 1.0, NOW + 0.1, 3.0, 4))
        answers = iter([ANONYMOUS, ANONYMOUS, None])  # its client is taken out of the trust file
        assert await _rescoring(inbox, answers.__next__).compute_due() == 2
        assert [await rescoring.compute_due() for _ in range(2)] == [50, 0]
        assert inbox.query("SELECT patient FROM due") == [("later",)]
        assert rescoring.computed == 0
