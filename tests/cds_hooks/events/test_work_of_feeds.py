"""What runs beside the calls for feeds: after a fault it goes on, and each case of what is due ends as it should."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_hooks.errors import BadRequest, CallTimedOut, RecordFailed
from cds_hooks.events import outbox, rescoring, runner
from cds_hooks.events.declaration import (
    Declaration,
    DeclarationFault,
    Feed,
    MllpFeed,
    SubscriptionFeed,
    Webhook,
    WriteTarget,
    read_declaration,
)
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.outbox import RecordEvents
from cds_hooks.events.rescoring import Due, Rescoring
from cds_hooks.events.runner import Events
from cds_hooks.events.write_back import WriteBack, risk_assessment
from cds_hooks.storage.decision import RecordUnavailable
from tests.cds_hooks.events.messages import NOW, run_async
from tests.cds_hooks.events.test_rescoring import _resources, site
from tests.cds_hooks.logged import capture_logs


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    made = Inbox(tmp_path / "events.sqlite3")
    yield made
    made.close()


class Enough(Exception):
    """Ends what runs until it is cancelled."""


def _sleeping(monkeypatch: pytest.MonkeyPatch, module: Any, times: int) -> list[float]:
    """The seconds that a module sleeps, so often, and then it ends."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == times:
            raise Enough

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread))
    return slept


# Rescoring


def _rescoring(inbox: Inbox, body: bytes | None = b"{}", *, recorded: bool = False) -> Rescoring:
    released = SimpleNamespace(current="released")
    computing = SimpleNamespace(call_of=lambda name, size: (name, size))
    components = SimpleNamespace(
        settings=SimpleNamespace(as_of=None), releases=released, computing=computing, predict=1
    )
    services = {"s": SimpleNamespace(answers=("patient-view",))}
    made = Rescoring(
        inbox, cast("Any", components), cast("Any", services), cast("Any", SimpleNamespace(name="events")),
        lambda: NOW, Declaration(),
    )  # fmt: skip
    changed = cast("Any", made)
    changed._body, changed._is_recorded = (lambda *_: body), (lambda _: recorded)
    return made


DUE = Due("p", "s", NOW - 60, 4)


def _invoked(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> list[Any]:
    calls: list[Any] = []

    async def invoke(call: Any, source: Any, _sink: Any) -> Any:
        calls.append((call, source))
        if isinstance(outcome, Exception):
            raise outcome
        return SimpleNamespace(selected=SimpleNamespace(worklist=outcome))

    monkeypatch.setattr(rescoring, "invoke", invoke)
    return calls


@pytest.mark.parametrize(
    ("outcome", "more", "calls", "ready", "kinds", "computed"),
    [
        ([], {}, 1, None, ["decision-made"], 1),
        (["x"], {}, 1, None, ["decision-made", "worklist-changed"], 1),
        ([], {"recorded": True}, 0, None, [], 0),
        ([], {"body": None}, 0, None, [], 0),
        (RecordFailed("x"), {}, 1, NOW + 30, [], 0),
        (CallTimedOut("x"), {}, 1, NOW + 30, [], 0),
        (BadRequest("x"), {}, 1, None, [], 0),
    ],
)
@run_async
async def test_what_is_due_is_settled_or_tried_again(
    outcome: Any, more: Any, calls: int, ready: float | None, kinds: list[str], computed: int, tmp_path: Path
) -> None:
    inbox = Inbox(tmp_path / "events.sqlite3")
    with inbox.transaction() as connection:
        connection.execute("INSERT INTO due VALUES (?, ?, ?, ?, ?, ?)", ("p", "s", NOW - 60, NOW, NOW + 9, 4))
    made = _rescoring(inbox, **more)
    with pytest.MonkeyPatch.context() as patched, capture_logs() as lines:
        invoked = _invoked(patched, outcome)
        assert await made.compute_due() == 1
    assert inbox.query("SELECT ready FROM due") == ([(ready,)] if ready is not None else [])
    assert [kind for (kind,) in inbox.query("SELECT type FROM outbox ORDER BY sequence")] == kinds
    assert made.computed == computed
    assert len(invoked) == calls
    if invoked:
        ((call, source),) = invoked
        assert (call.decision_id, call.from_event, call.released, call.turn) == (
            DUE.decision_id, True, "released", ("events", 2),
        )  # fmt: skip
        assert source.size == 2
    assert [(line["event"], line["service"], line["reason"]) for line in lines] == (
        [("event without an answer", "s", "BadRequest")] if isinstance(outcome, BadRequest) else []
    )
    inbox.close()


def test_computing_goes_on_at_once_after_fifty_and_after_a_fault_in_a_while(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = _rescoring(inbox)
    outcomes: list[Any] = [50, 49, RecordUnavailable("x"), OSError(), 50]
    marked: list[int] = []

    async def compute_due() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return int(outcome)

    made.compute_due = compute_due
    made._mark_withdrawn = lambda: marked.append(1)
    slept = _sleeping(monkeypatch, rescoring, 5)
    with capture_logs() as lines, pytest.raises(Enough):
        asyncio.run(made.keep_computing())
    assert slept == [0, 0.25, 0.25, 0.25, 0]
    assert len(marked) == 3
    assert [(line["level"], line["event"], line["error_type"]) for line in lines] == [
        ("error", "events cannot be computed", name) for name in ("RecordUnavailable", "OSError")
    ]


# Reports of the record


def test_reporting_goes_on_after_a_fault(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[Any] = [None, RecordUnavailable("x"), sqlite3.OperationalError("x"), None]

    def report() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    reports: Any = RecordEvents(inbox, "sqlite://")
    reports.report = report
    slept = _sleeping(monkeypatch, outbox, 4)
    with capture_logs() as lines, pytest.raises(Enough):
        asyncio.run(reports.keep_reporting())
    assert slept == [2.0] * 4
    assert [(line["event"], line["error_type"]) for line in lines] == [
        ("answers and release acts not reported", name) for name in ("RecordUnavailable", "OperationalError")
    ]


# What one worker runs


class Running(Events):
    """Events of a declaration, with listeners that a test sees."""

    def __init__(self, inbox: Inbox, declaration: Declaration, paused: Callable[[str], bool]) -> None:
        self.declaration, self.inbox, self._now = declaration, inbox, lambda: NOW
        self.acts = cast("Any", SimpleNamespace(refresh=lambda: None, is_paused=paused))
        self.ports = {}
        self.seen: list[tuple[str, str]] = []
        self._source = self._record_url = ""
        keeps = {"keep_computing": self._said("computing"), "keep_watching": self._said("watching")}
        self.rescoring = self.watch = cast("Any", SimpleNamespace(**keeps))
        self._reports = cast("Any", SimpleNamespace(keep_reporting=self._said("reporting")))
        filling = SimpleNamespace(keep_filling=lambda _now: self._said("filling")())
        self._subscribers = {"ehr": cast("Any", filling)}

    def _said(self, name: str) -> Callable[[], Any]:
        async def work() -> None:
            self.seen.append(("work", name))

        return work

    def _listener(self, feed: Any) -> Any:
        async def start() -> int:
            self.seen.append(("started", feed.name))
            return 2575

        async def stop() -> None:
            self.seen.append(("stopped", feed.name))

        return SimpleNamespace(start=start, stop=stop)


FEEDS: dict[str, Feed] = {
    "lab": MllpFeed(name="lab", listen="127.0.0.1:0"),
    "adt": MllpFeed(name="adt", listen="127.0.0.1:0"),
    "ehr": SubscriptionFeed(name="ehr", subscription="https://x/Subscription/1", topic="t"),
}


@run_async
async def test_a_feed_is_listened_for_while_it_is_not_paused(tmp_path: Path) -> None:
    paused = {"adt"}
    inbox = Inbox(tmp_path / "events.sqlite3")
    events: Any = Running(inbox, Declaration(feed=FEEDS), lambda name: name in paused)
    listening: dict[str, Any] = {}
    await events._listen(listening)
    await events._listen(listening)
    assert (events.seen, events.ports, list(listening)) == ([("started", "lab")], {"lab": 2575}, ["lab"])
    paused.clear()
    await events._listen(listening)
    paused.add("lab")
    with capture_logs() as lines:
        await events._listen(listening)
    assert events.seen == [("started", "lab"), ("started", "adt"), ("stopped", "lab")]
    assert list(listening) == ["adt"]
    assert [(line["event"], line["client"]) for line in lines] == [("feed paused", "lab")]
    inbox.close()


@run_async
async def test_one_worker_listens_computes_watches_reports_and_sends(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "events.sqlite3")
    declaration = Declaration(
        feed=FEEDS,
        webhook={"hook": Webhook(url="https://x")},
        write_back={"ehr": WriteTarget(url="https://ehr.example/fhir")},
    )
    events: Any = Running(inbox, declaration, lambda _: False)
    works = events._works()
    assert [work.cr_code.co_name for work in works[:3]] == ["work"] * 3
    assert [cast("Any", work).__qualname__ for work in works[3:]] == [
        "Events._keep_forgetting", "Delivery.keep_sending", "Delivery.keep_sending", "Running._said.<locals>.work",
    ]  # fmt: skip
    for work in works:
        work.close()

    async def fails(_listening: Any) -> None:
        raise OSError

    events._works = lambda: [events._said("all")()]
    events._keep_listening = fails
    with pytest.raises(ExceptionGroup):
        await events._run()
    assert events.seen == [
        ("started", "lab"), ("started", "adt"), ("work", "all"), ("stopped", "lab"), ("stopped", "adt"),
    ]  # fmt: skip
    inbox.close()


def test_which_feeds_are_paused_is_asked_every_second(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    events: Any = Running(inbox, Declaration(feed=FEEDS), lambda _: False)
    asked: list[Any] = []

    async def listen(listening: Any) -> None:
        asked.append(listening)
        if len(asked) == 1:
            raise RecordUnavailable("x")

    events._listen = listen
    slept = _sleeping(monkeypatch, runner, 3)
    listening: dict[str, Any] = {}
    with pytest.raises(Enough):
        asyncio.run(events._keep_listening(listening))
    assert slept == [1.0] * 3
    assert asked == [listening, listening]


# What is written to a FHIR server


def _row(**members: Any) -> Any:
    values = {"id": "d1", "client": "events", "service": "s", "patient": "p1", "decided_at": 1_795_182_000_500_000}
    return SimpleNamespace(**values | {"basis": b"{}", "response": b"{}"} | members)


def _written(*resources: str) -> WriteBack:
    target = WriteTarget(url="https://ehr.example/fhir", resources=cast("Any", resources))
    return WriteBack(cast("Any", None), "ehr", target, "https://cds.example", lambda: NOW, "sqlite://")


CODED: dict[str, Any] = {"code": "9318-7", "test": "Albumin/creatinine ratio"}
CONCEPT = {"coding": [{"system": "http://loinc.org", "code": "9318-7"}], "text": "Albumin/creatinine ratio"}
AT, SUBJECT = "2026-11-20T13:40:00+00:00", {"reference": "Patient/p1"}
IDENTIFIER = [{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:d1"}]
CLINICAL = {"system": "http://terminology.hl7.org/CodeSystem/flag-category", "code": "clinical"}


@pytest.mark.parametrize(
    ("kinds", "is_over", "members"),
    [
        (("Flag",), False, {"status": "active", "period": {"start": AT}}),
        (("Flag", "RiskAssessment"), True, {"status": "inactive", "period": {"end": AT}}),
        (("Task",), False, {"status": "requested"}),
        (("RiskAssessment", "Task"), True, {"status": "cancelled"}),
        (("RiskAssessment",), False, None),
    ],
)
def test_a_finding_is_written_as_the_site_wants_it(
    kinds: tuple[str, ...], is_over: bool, members: dict[str, Any] | None
) -> None:
    written = _written(*kinds)._finding(_row(), ("kfre_4", "9318-7"), CODED, is_over=is_over)
    if members is None:
        assert written is None
        return
    flag = {"resourceType": "Flag", "category": [{"coding": [CLINICAL]}], "subject": SUBJECT}
    task = {"resourceType": "Task", "intent": "proposal", "for": SUBJECT, "authoredOn": AT}
    assert written is not None
    same = {"id": written["id"], "identifier": IDENTIFIER, "code": CONCEPT}
    assert written == (flag if "Flag" in kinds else task) | same | members
    in_words = _written(*kinds)._finding(_row(), ("kfre_4", ""), {"code": "", "test": "A talk"}, is_over=is_over)
    assert (in_words or {})["code"] == {"text": "A talk"}
    assert (in_words or {})["id"] != written["id"]


def test_a_finding_of_the_same_patient_has_the_same_id_in_each_decision() -> None:
    write = _written("Flag")._finding
    key = ("kfre_4", "9318-7")
    first = write(_row(), key, CODED, is_over=False) or {}
    again = write(_row(id="d2"), key, CODED, is_over=True) or {}
    assert first["id"] == again["id"]
    assert len(first["id"]) == 32
    others = [_row(client="x"), _row(service="x"), _row(patient="x")]
    assert len({first["id"], *((write(row, key, CODED, is_over=False) or {})["id"] for row in others)}) == 4


def test_an_estimate_without_a_recorded_sex_is_written_as_the_range_of_both() -> None:
    scores = {"id": "kfre_4", "link": "cloglog", "value": 0.25, "of_the_other_sex": {"value": 0.5}}
    written = risk_assessment(_row(basis=orjson.dumps({"scores": scores | {"probability": 0.25}})))
    assert written is not None
    ends = {"low": {"value": 25.0, "unit": "%"}, "high": {"value": 50.0, "unit": "%"}}
    assert written["prediction"] == [{"probabilityRange": ends}]


@run_async
async def test_what_cannot_be_written_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    body = orjson.dumps({"data": {"decision": "d1"}})
    puts: list[Any] = []
    outcomes: list[Any] = []

    async def put(address: str, **given: Any) -> Any:
        puts.append((address, given["headers"]))
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return SimpleNamespace(is_success=outcome == 201, status_code=outcome)

    client = SimpleNamespace(put=put)
    made: Any = _written("Flag")
    made._resources = lambda _: [{"resourceType": "Flag", "id": name} for name in "ab"]
    said = []
    for these, taken in (([201, 201], "taken"), ([201, 409], "refused"), ([httpx.ConnectError("x")], "away")):
        outcomes[:] = these
        with capture_logs() as lines:
            assert await made._post(client, "", "", body) == taken
        said += [(line["event"], line["client"], line.get("status"), line.get("error_type")) for line in lines]
    unread = _written("Flag")
    unread._target = WriteTarget(url="https://ehr.example/fhir", token_file="/nowhere/token")  # noqa: S106 - the name of a file
    with capture_logs() as lines:
        assert await unread._post(client, "", "", body) == "away"
    said += [(line["event"], line["client"], line.get("status"), line.get("error_type")) for line in lines]
    name = "write_back ehr"
    assert said == [
        ("not written back", name, 409, None),
        ("not written back", name, None, "ConnectError"),
        ("not written back", name, None, "FileNotFoundError"),
    ]
    assert puts[0] == ("https://ehr.example/fhir/Flag/a", {"content-type": "application/fhir+json"})
    assert [address.rsplit("/", 1)[1] for address, _ in puts] == ["a", "b", "a", "b", "a"]


# Findings of the worklist are written to the site's FHIR server once, and ended when a newer decision has none.


class FhirServer:
    """Takes what is put, by type and id, with the status that it is told."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.puts = 0
        self.status = 201

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer a-token"
        self.puts += 1
        if self.status == 201:
            self.stored[request.url.path] = orjson.loads(request.content)
        return httpx.Response(self.status)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [resource for resource in self.stored.values() if resource["resourceType"] == kind]


@pytest.mark.parametrize(
    ("kind", "open_state", "over"), [("Flag", "active", "inactive"), ("Task", "requested", "cancelled")]
)
@run_async
async def test_a_finding_is_written_once_and_ended_with_the_decision_that_has_it_no_more(
    tmp_path: Path, kind: Any, open_state: str, over: str
) -> None:
    token, server, now = tmp_path / "token", FhirServer(), [NOW]
    token.write_text("a-token\n", encoding="utf-8")
    target = WriteTarget(url="https://ehr.example/fhir/", token_file=str(token), resources=(kind, "RiskAssessment"))
    resources, patient = _resources("ckd-uacr")
    async with site(tmp_path) as here, httpx.AsyncClient(transport=httpx.MockTransport(server.answer)) as http:
        writer = WriteBack(here.inbox, "ehr", target, "https://cds.example", lambda: now[0], here.url)
        here.take("1", resources, patient)
        await here.compute()
        server.status = 503
        await writer.send(http)
        assert server.stored == {}
        server.status, now[0] = 201, NOW + 600
        assert await writer.send(http) > 0
        written = server.puts
        assert await writer.send(http) == 0
        assert server.puts == written
        findings = server.of(kind)
        assert {finding["status"] for finding in findings} == {open_state}
        assert any("referral to nephrology" in finding["code"]["text"] for finding in findings)
        (estimate,) = [one for one in server.of("RiskAssessment") if one["method"]["text"].startswith("kfre_4")]
        assert estimate["prediction"][0]["probabilityDecimal"] == pytest.approx(0.0841, abs=1e-4)
        for resource in server.stored.values():
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        dead = {"resourceType": "Patient", "id": patient, "birthDate": "1950-01-01", "deceasedBoolean": True}
        here.take("2", [dead], patient)
        await here.compute()
        await writer.send(http)
        assert over in {finding["status"] for finding in server.of(kind)}


def test_a_declaration_of_what_is_written_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "events.toml"

    def fault(lines: str) -> str:
        path.write_text(f"[write_back.ehr]\n{lines}", encoding="utf-8")
        with pytest.raises(DeclarationFault) as raised:
            read_declaration(path, {})
        return str(raised.value)

    assert "written over https" in fault('url = "http://ehr.example/fhir"')
    assert "not as both" in fault('url = "https://ehr.example/fhir"\nresources = ["Flag", "Task"]')
    assert "is not there" in fault('url = "https://ehr.example/fhir"\ntoken_file = "no.token"')
