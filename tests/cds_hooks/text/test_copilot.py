"""The copilot's tools: they read, refuse whatever is not theirs, and each call is on record."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from sqlalchemy import select
from starlette.types import ASGIApp

from cds_hooks.app import create_app
from cds_hooks.kit.simulator.signing import new_key, write_key
from cds_hooks.settings import Settings
from cds_hooks.storage.database import parse_url, reading_engine
from cds_hooks.storage.tables import events
from cds_hooks.text.copilot import server
from cds_hooks.text.copilot.bearer import NeedsToken
from cds_hooks.text.copilot.tools import COPILOT_EVENT, TOOLS, ArgumentsRefused, Copilot, Tool, check_arguments
from tests.cds_hooks.text.charts import CHART, drug, result
from tests.fhir.builders import bundle
from tests.live import record_in

PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-04-02"}
BUNDLE = bundle(PATIENT, *CHART, type="collection")
NESTED: Any = []
for _ in range(2000):
    NESTED = [NESTED]


class _InThisProcess(httpx.BaseTransport):
    """Sends requests to an application in an event loop beside the test."""

    def __init__(self, app: ASGIApp, portal: BlockingPortal) -> None:
        self._transport = httpx.ASGITransport(app=app)
        self._portal = portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def answer() -> httpx.Response:
            asked = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
            answered = await self._transport.handle_async_request(asked)
            return httpx.Response(answered.status_code, headers=answered.headers, content=await answered.aread())

        return self._portal.call(answer)


@pytest.fixture(scope="module")
def copilot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copilot]:
    folder: Path = tmp_path_factory.mktemp("copilot")
    configured = Settings(database_url=f"sqlite:///{folder}/record.db")
    with start_blocking_portal() as portal:
        transport = _InThisProcess(create_app(configured), portal)
        with httpx.Client(transport=transport, base_url="http://localhost") as http:
            yield Copilot(http, configured, "anonymous")


def _events(copilot: Copilot) -> list[dict[str, Any]]:
    with reading_engine(parse_url(copilot._settings.database_url)).connect() as connection:
        details = connection.execute(select(events.c.detail).where(events.c.kind == COPILOT_EVENT)).scalars()
        return [json.loads(detail) for detail in details]


def _data(copilot: Copilot, name: str, **arguments: Any) -> Any:
    answer = copilot.call(name, arguments)
    assert answer.status == "answered", answer.data
    return answer.data


def test_there_are_at_most_eight_tools_and_none_has_a_word_of_writing() -> None:
    assert len(TOOLS) <= 8
    assert not any(word in name for name in TOOLS for word in ("write", "release", "approve", "send", "set_", "fetch"))
    assert all(tool.schema["additionalProperties"] is False for tool in TOOLS.values())


def test_a_service_is_called_as_any_client_calls_it_and_its_decision_can_be_explained(copilot: Copilot) -> None:
    services = _data(copilot, "list_services")["services"]
    assert any(service["id"] == "order-safety-sign" for service in services)
    draft = drug("d1", "Ibuprofen 400 mg tablet", "400 mg three times daily", "draft")
    draft |= {"intent": "order", "subject": {"reference": "Patient/p1"}}
    answered = _data(copilot, "call_service", service="order-safety-sign", chart=BUNDLE, drafts=[draft])
    assert any("ibuprofen" in card["summary"].lower() for card in answered["cards"])
    assert all("links" not in card for card in answered["cards"])
    explained = _data(copilot, "explain_decision", decision=answered["decision"])
    assert [card["summary"] for card in explained["cards"]] == [card["summary"] for card in answered["cards"]]
    assert explained["service"] == "order-safety"
    assert _events(copilot)[-2]["decision"] == answered["decision"]


def test_a_request_file_brings_its_drafts_and_an_answer_may_leave_out_what_is_optional(copilot: Copilot) -> None:
    entry = {"id": "s", "hook": "order-sign", "prefetch": {"labs": "Observation?date=ge{{today() - 90 days}}"}}
    answers: list[Any] = [{"cards": [{"summary": "x"}]}, {"extension": {"u": {}}}]
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"services": [entry]})
        sent.append(json.loads(request.content))
        return httpx.Response(200, json=answers[len(sent) - 1])

    settings = copilot._settings.model_copy(update={"as_of": datetime(1990, 2, 1, tzinfo=UTC)})
    old = result("o9", "Potassium", 4.1, "mmol/L", "1990-01-01")
    draft = drug("d1", "Ibuprofen 400 mg tablet", "", "draft")
    chart = {"hook": "order-sign", "prefetch": {"a": bundle(PATIENT, old)}, "context": {"draftOrders": bundle(draft)}}
    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://localhost") as http:
        other = Copilot(http, settings, "anonymous")
        data = [_data(other, "call_service", service="s", chart=chart) for _ in answers]
    assert data[0]["cards"] == [
        {"uuid": None, "summary": "x", "indicator": None, "detail": None, "source": None, "suggestions": []}
    ]
    assert [(answered["decision"], len(answered["cards"])) for answered in data] == [("", 1), ("", 0)]
    assert [entry["resource"]["id"] for entry in sent[0]["context"]["draftOrders"]["entry"]] == ["d1"]
    assert [entry["resource"]["id"] for entry in sent[0]["prefetch"]["labs"]["entry"]] == ["o9"]


def test_a_decision_of_another_client_is_none(copilot: Copilot) -> None:
    answered = _data(copilot, "call_service", service="vaccines-due", chart=BUNDLE)
    other = Copilot(copilot._http, copilot._settings, "another hospital")
    for decision in (answered["decision"], "0190a1b2-0000-7000-8000-000000000000", "../../etc/passwd"):
        assert other.call("explain_decision", {"decision": decision}).status == "refused"


def test_charts_are_summarised_asked_and_understood(copilot: Copilot) -> None:
    texts = [sentence["text"] for sentence in _data(copilot, "summarise_chart", chart=BUNDLE)["sentences"]]
    assert any(text.startswith("Problems: Atrial fibrillation") for text in texts)
    assert _data(copilot, "ask_chart", chart=BUNDLE, question="Last potassium?")["cites"] == ("Observation/o1",)
    assert _data(copilot, "understand_resource", resource=CHART[0])["understood"]
    assert _data(copilot, "search_rules", words="metformin")["rules"]
    assert _data(copilot, "search_rules", words="zzz")["rules"] == []
    assert "cards" in _data(copilot, "forecast_vaccines", chart=BUNDLE)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("release_model", {}),
        ("call_service", {"service": "../../etc/passwd", "chart": {}}),
        ("call_service", {"service": "no-such-service", "chart": BUNDLE}),
        ("call_service", {"service": "order-safety", "chart": "[" * 5000}),
        ("call_service", {"service": "order-safety", "chart": {"resourceType": "Bundle", "entry": NESTED}}),
        ("call_service", {"service": "order-safety", "chart": BUNDLE, "approve": True}),
        ("call_service", {"service": "order-safety"}),
        ("call_service", {"service": ["order-safety"], "chart": BUNDLE}),
        ("call_service", {"service": "order-safety", "chart": BUNDLE | {"fhirServer": "http://169.254.169.254"}}),
        ("summarise_chart", {"chart": BUNDLE, "fhirServer": "http://collect.example.net"}),
        ("summarise_chart", {"chart": {"fhir_authorization": {"access_token": "x"}, **BUNDLE}}),
        ("summarise_chart", {"chart": {"resourceType": "Bundle", "entry": [{"resource": {"Token": "x"}}]}}),
        ("summarise_chart", {"chart": {"resourceType": "Bundle"}}),
        ("ask_chart", {"chart": BUNDLE, "question": "x" * 501}),
        ("understand_resource", {"resource": {}}),
        ("understand_resource", {"resource": {"resourceType": "Condition", "code": 7}}),
        ("list_services", {"token": "abc"}),
        ("list_services", []),
        ("search_rules", {"words": None}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_call_of_a_tool_is_refused_and_recorded(copilot: Copilot, name: str, arguments: Any) -> None:
    before = len(_events(copilot))
    answer = copilot.call(name, arguments)
    assert answer.status == "refused" or name == "understand_resource"
    assert not any(word in str(answer.data) for word in ("169.254", "collect", "passwd", "abc", "root:"))
    recorded = _events(copilot)
    assert len(recorded) == before + 1
    assert recorded[-1]["status"] == answer.status


@pytest.mark.parametrize(
    ("most_bytes", "characters", "is_call"), [(512, 500, True), (511, 500, False), (999, 501, False)]
)
def test_arguments_have_so_many_characters_and_bytes(most_bytes: int, characters: int, *, is_call: bool) -> None:
    """A text is counted with three bytes around it and a name with four."""
    with nullcontext() if is_call else pytest.raises(ArgumentsRefused):
        check_arguments(TOOLS["search_rules"], {"words": "x" * characters}, most_bytes)


async def test_nobody_comes_in_without_the_token_and_the_life_of_the_server_needs_none(copilot: Copilot) -> None:
    served: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope["type"])

    async def send(message: Any) -> None:
        served.append(str(message.get("status", "")))

    door = NeedsToken(app, "a-token", copilot._settings.database_url)
    for kind, headers in (
        ("lifespan", []), ("http", [(b"authorization", b"Bearer a-token")]), ("http", []),
        *(("http", [(b"authorization", token)]) for token in (b"", b"Bearer ", b"Bearer another", b"Basic a-token")),
    ):  # fmt: skip
        await door({"type": kind, "headers": headers}, None, send)  # type: ignore[arg-type] # nothing is received
    assert served == ["lifespan", "http", *["401", ""] * 5]


def test_a_copilot_is_the_client_whose_issuer_its_key_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_key(new_key("https://ehr.example"), tmp_path / "key.json")
    issuers = {"ward": "https://ehr.example", "other": "https://other.example"}
    clients = [SimpleNamespace(name=name, issuers={issuer}) for name, issuer in issuers.items()]
    monkeypatch.setattr(server, "open_trust", lambda *_: SimpleNamespace(clients=clients, development=False))
    opened = server.open_copilot(Settings(database_url=record_in(tmp_path)), tmp_path / "key.json")
    opened._http.close()
    assert opened._client == "ward"


def test_a_list_may_have_more_members_than_a_text_has_characters() -> None:
    check_arguments(Tool("call_service", "", {"drafts": "list"}, frozenset()), {"drafts": [{}] * 501}, 10_000)


def test_without_the_record_nothing_is_answered(copilot: Copilot) -> None:
    away = copilot._settings.model_copy(update={"database_url": "sqlite:////nowhere/at/all.db"})
    answer = Copilot(copilot._http, away, "anonymous").call("list_services", {})
    assert (answer.status, answer.data) == (
        "refused",
        "The call cannot be recorded at the moment, so nothing is answered.",
    )
