"""What is known of a call and its answer on the tester's page, whatever the other server answers."""

import asyncio
from typing import Any

import orjson
import pytest

from cards.extension import EXTENSION_KEY
from cds_hooks.kit.contract.connection import Purpose
from cds_hooks.pages.tester.exchange import Caller, Exchanged, judge, waterfall
from cds_hooks.web.charts import Bar

ENTRY = {"id": "a", "hook": "patient-view"}


def exchanged(document: Any = None, **more: Any) -> Exchanged:
    body = document if isinstance(document, str) else orjson.dumps(document).decode()
    values: dict[str, Any] = {"status": 200, "headers": {}, "seconds": 0.1, "failure": ""}
    return Exchanged("s", "patient-view", "/cds-services/s", "p", body=body, **(values | more))


@pytest.mark.parametrize(
    ("document", "status", "cards", "is_answered"),
    [
        ({"cards": [1, {}]}, 200, [1, {}], True),
        ({"cards": []}, 200, [], True),
        ({"cards": [1]}, 500, [], False),
        ({"cards": {}}, 200, [], False),
        ({}, 200, [], False),
        ([], 200, [], False),
        ("{", 200, [], False),
    ],
)
def test_an_answer_is_a_200_with_a_list_of_cards(document: Any, status: int, cards: Any, *, is_answered: bool) -> None:
    made = exchanged(document, status=status)
    assert (made.cards, made.is_answered) == (cards, is_answered)


@pytest.mark.parametrize(
    ("document", "decision", "silences"),
    [
        ({"extension": {EXTENSION_KEY: {"decision": "d", "silence": [{"subject": "a", "reason": "b", "text": "c"}]}}},
         "d", [("a", "b", "c")]),
        ({"extension": {EXTENSION_KEY: {"decision": 7, "silence": [{"subject": 7}, "none"]}}}, "", [("7", "", "")]),
        ({"extension": {EXTENSION_KEY: {"silence": {}}}}, "", []),
        ({"extension": {EXTENSION_KEY: []}}, "", []),
        ({"extension": []}, "", []),
        ([], "", []),
    ],
)  # fmt: skip
def test_what_a_server_of_this_project_says_beside_its_cards(document: Any, decision: str, silences: Any) -> None:
    made = exchanged(document)
    assert (made.decision, made.silences) == (decision, silences)


@pytest.mark.parametrize(
    ("document", "failure", "why"),
    [
        ({"issue": [{"details": {"text": "A text."}, "diagnostics": "Other."}]}, "", "A text."),
        ({"issue": [{"details": {}, "diagnostics": "Other."}]}, "", "Other."),
        ({"issue": [{"details": "none", "diagnostics": "Other."}]}, "", "Other."),
        ({"issue": [{}]}, "", ""),
        ({"issue": ["none"]}, "", ""),
        ({"issue": []}, "", ""),
        ({"issue": {}}, "", ""),
        ([], "", ""),
        ({"issue": [{"diagnostics": "Other."}]}, "No answer: ReadTimeout", "No answer: ReadTimeout"),
    ],
)
def test_why_there_are_no_cards_is_what_the_server_says(document: Any, failure: str, why: str) -> None:
    assert exchanged(document, failure=failure).why_no_cards == why


def test_an_exchange_is_judged_as_the_contract_kit_judges_calls() -> None:
    made = exchanged({"cards": []}, status=201, seconds=1.5)
    exchange = made.exchange
    assert (exchange.title, exchange.purpose, exchange.method) == (
        "patient-view from the tester's page", Purpose.CALL, "POST",
    )  # fmt: skip
    assert (exchange.path, exchange.status, exchange.body, exchange.seconds) == (
        "/cds-services/s", 201, b'{"cards":[]}', 1.5,
    )  # fmt: skip


def test_what_is_broken_stands_first_with_where_and_how_often() -> None:
    headers = {"content-type": "application/json"}
    bad = {"summary": "x" * 141, "indicator": "loud", "source": {"label": "s"}}
    judgement = judge(exchanged({"cards": [bad, bad]}, headers=headers))
    order = [{"critical": 0, "warning": 1, "good": 2}[finding.sign] for finding in judgement.findings]
    assert order == sorted(order)
    assert {finding.sign for finding in judgement.held} == {"good"}
    assert judgement.to_look_at
    assert len(judgement.to_look_at) + len(judgement.held) == len(judgement.findings)
    broken = {finding.row.id: finding for finding in judgement.to_look_at}
    assert {(finding.sign, finding.word) for finding in broken.values()} <= {
        ("critical", "broken"),
        ("warning", "look"),
    }
    notes = [finding.note for finding in broken.values() if "indicator" in finding.note]
    assert notes
    assert all("cards[0]" in note for note in notes)
    assert all(finding.note == "" for finding in judgement.held)


def test_the_time_of_a_call_is_its_stages_and_the_rest() -> None:
    timings = {"decode": 10, "decide": 50.0, "odd": "x"}
    drawn = waterfall(exchanged({"extension": {EXTENSION_KEY: {"timings": timings}}}))
    assert drawn.total == "100"
    assert drawn.bars == (
        Bar("Read and check the request", 0.0, 10.0, "10"),
        Bar("Decide: rules, models, cards", 10.0, 50.0, "50"),
        Bar("Write the answer, record the decision, and the way there and back", 60.0, 40.0, "40"),
    )
    whole = waterfall(exchanged({}, seconds=0.08))
    assert whole.bars == (Bar("The whole call", 0.0, 100.0, "80"),)
    over = waterfall(exchanged({"extension": {EXTENSION_KEY: {"timings": {"decode": 200.0}}}}))
    assert [bar.took for bar in over.bars] == ["200", "0.00"]


def _app(body: bytes, status: int = 200, seen: list[Any] | None = None) -> Any:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if seen is not None:
            seen.append((scope["path"], dict(scope["headers"]).get(b"authorization")))
        await send({"type": "http.response.start", "status": status, "headers": [(b"x", b"1")]})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize(
    ("body", "entries"),
    [
        (orjson.dumps({"services": [ENTRY, {"id": 7, "hook": "h"}, {"id": "b"}, "none"]}), [ENTRY]),
        (b'{"services": {}}', []),
        (b"[]", []),
        (b"{", []),
    ],
)
def test_discovery_of_another_server_gives_entries_with_an_id_and_a_hook(body: bytes, entries: list[Any]) -> None:
    assert asyncio.run(Caller(_app(body), "").discovery()) == entries


def test_a_call_has_its_token_and_an_answer_of_any_bytes() -> None:
    seen: list[Any] = []
    sent = Caller(_app(b"\xff{", 418, seen), "")
    status, headers, text, seconds, failure = asyncio.run(sent.post("/cds-services/a", b"{}", "t0"))
    assert (status, headers["x"], text, failure) == (418, "1", "\ufffd{", "")
    assert seconds > 0
    asyncio.run(sent.post("/cds-services/a/feedback", b"{}"))
    assert seen == [("/cds-services/a", b"Bearer t0"), ("/cds-services/a/feedback", None)]


def test_a_server_that_does_not_answer_is_said() -> None:
    nowhere = Caller(_app(b""), "http://127.0.0.1:9")
    status, headers, text, seconds, failure = asyncio.run(nowhere.post("/cds-services/a", b"{}"))
    assert (status, headers, text, failure) == (0, {}, "", "No answer: ConnectError")
    assert seconds > 0
    assert asyncio.run(nowhere.discovery()) == []
