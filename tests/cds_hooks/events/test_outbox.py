"""CloudEvents over a webhook: signed, in order, sent again until they are taken, and nothing of a person in them."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time_ns

import httpx

from cds_hooks.events.declaration import Webhook
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.outbox import PREFIX, TYPES, Delivery, add_to_outbox, asyncapi, signature
from cds_hooks.events.record_events import RecordEvents
from cds_hooks.hold_back.acts import RELEASE_EVENT, Act
from cds_hooks.hold_back.signatures import sign_act
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import FeedbackItem
from cds_hooks.storage.entries import add_event
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.storage.queries import store_feedback
from tests.cds_hooks.events.messages import NOW, run_async
from tests.cds_hooks.hold_back.test_act_log import standby_that_takes_over
from tests.live import record_in

SECRET = b"s" * 32


class Receiver:
    def __init__(self) -> None:
        self.address = ""
        self.status = 200
        self.taken: list[tuple[dict[str, str], bytes]] = []


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if receiver.status == 200:
                receiver.taken.append((dict(self.headers), body))
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.address = f"http://127.0.0.1:{http.server_port}/"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _filled(folder: Path, count: int) -> Inbox:
    inbox = Inbox(folder / "events.sqlite3")
    with inbox.transaction() as connection:
        for number in range(count):
            data = {"decision": f"d{number}", "service": "vaccines-due", "patient": "p1"}
            for _ in range(2):
                add_to_outbox(connection, f"d{number}", "decision-made", "p1", NOW, data)
    return inbox


@run_async
async def test_events_are_sent_once_signed_and_in_order(tmp_path: Path) -> None:
    inbox = _filled(tmp_path, 5)
    with receiving() as receiver:
        hook = Webhook(url=receiver.address, secret_file="", secret=SECRET)
        delivery = Delivery(inbox, "care", hook, "https://cds.example", lambda: NOW)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert [await delivery.send(http) for _ in range(2)] == [5, 0]
    inbox.close()
    events = [json.loads(body) for _, body in receiver.taken]
    assert [event["id"] for event in events] == [f"d{number}" for number in range(5)]
    assert {event["type"] for event in events} == {PREFIX + "decision-made"}
    assert {(event["specversion"], event["source"], event["subject"]) for event in events} == {
        ("1.0", "https://cds.example", "p1")
    }
    for headers, body in receiver.taken:
        named = {name.lower(): value for name, value in headers.items()}
        wanted = signature(SECRET, named["webhook-id"], int(named["webhook-timestamp"]), body)
        assert named["webhook-signature"] == wanted


@run_async
async def test_what_is_not_taken_is_sent_again_later_and_nothing_overtakes_it(tmp_path: Path) -> None:
    inbox = _filled(tmp_path, 3)
    with receiving() as receiver:
        clock = [NOW]
        hook = Webhook(url=receiver.address, secret_file="", secret=SECRET)
        delivery = Delivery(inbox, "care", hook, "https://cds.example", lambda: clock[0])
        async with httpx.AsyncClient(trust_env=False) as http:
            receiver.status = 503
            assert [await delivery.send(http) for _ in range(3)] == [0, 0, 0]
            receiver.status = 200
            assert await delivery.send(http) == 0
            clock[0] += 2
            assert await delivery.send(http) == 3
    inbox.close()
    assert [json.loads(body)["id"] for _, body in receiver.taken] == ["d0", "d1", "d2"]


def test_the_asyncapi_document_names_every_type() -> None:
    document = asyncapi("https://cds.example")
    assert document["asyncapi"] == "3.0.0"
    assert set(document["components"]["messages"]) == set(TYPES)
    for message in document["components"]["messages"].values():
        named = set(message["payload"]["properties"]["data"]["properties"])
        named -= {"decision", "service", "patient", "incident", "kind", "feeds", "severity", "cause"}
        assert named <= {"card", "outcome", "name", "version", "state"}


def test_answers_and_release_acts_of_the_record_are_events_without_names(tmp_path: Path) -> None:
    url, inbox = record_in(tmp_path), Inbox(tmp_path / "events.sqlite3")
    report = RecordEvents(inbox, url).report
    upgrade_schema(parse_url(url))
    report()
    answer = FeedbackItem("c1", "vaccines-due", "a hospital", "accepted", "2026-11-20T10:00:00Z", 1_000_000)
    store_feedback(parse_url(url), [answer])
    act = Act(kind="rule", name="ddi-1", state="off", by="A. Name", role="pharmacist", at="2026-11-20", why="a reason")
    add_event(url, RELEASE_EVENT, "somebody", sign_act(act, None))
    add_event(url, "hold", "somebody", {"hold": "1"})
    for _ in range(2):
        report()
    rows = inbox.query("SELECT type, data FROM outbox ORDER BY sequence")
    inbox.close()
    assert [kind for kind, _ in rows] == ["card-answered", "release-act"]
    assert json.loads(rows[0][1]) == {"decision": None, "card": "c1", "service": "vaccines-due", "outcome": "accepted"}
    assert json.loads(rows[1][1]) == {"kind": "rule", "name": "ddi-1", "version": "", "state": "off"}


def test_what_took_the_numbers_of_lost_rows_of_the_record_is_an_event(tmp_path: Path) -> None:
    url, inbox = record_in(tmp_path), Inbox(tmp_path / "events.sqlite3")
    upgrade_schema(parse_url(url))
    report = RecordEvents(inbox, url).report
    _report_answers(url, report, "kept")
    with standby_that_takes_over(tmp_path):
        _report_answers(url, report, "lost", "lost too")
    _report_answers(url, report, "new", "new too", "newest")
    cards = [json.loads(data)["card"] for (data,) in inbox.query("SELECT data FROM outbox ORDER BY sequence")]
    inbox.close()
    assert cards == ["kept", "lost", "lost too", "new", "new too", "newest"]


def _report_answers(url: str, report: Callable[[], None], *cards: str) -> None:
    report()
    for card in cards:
        item = FeedbackItem(card, "vaccines-due", "a hospital", "accepted", "2026-11-20T10:00:00Z", time_ns() // 1_000)
        store_feedback(parse_url(url), [item])
        for _ in range(2):
            report()
