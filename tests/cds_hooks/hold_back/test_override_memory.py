"""The overrides that still count: bounded in time, handed out unchanged, and read from the record only when new."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cds_hooks.hold_back import sent_cards
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.overrides import Acknowledged
from cds_hooks.hold_back.sent_cards import LONGEST_DAYS, Answer, first_since
from cds_hooks.storage import FeedbackItem, card_uuid, new_decision_id, open_decision_log
from cds_hooks.storage.database import parse_url, reading_engine
from cds_hooks.storage.queries import read_rows
from tests.cds_hooks.hold_back.restraint_calls import overrides_of
from tests.cds_hooks.storage.samples import a_decision

DAY = 86_400.0
NOW = 1_800_000_000.0
RULE = ("renal-metformin", "avoid")


def response(card: str, rule: str = RULE[0], ingredient: str = "metformin") -> bytes:
    ours = {"findings": [{"rule": rule, "band": RULE[1]}], "facts": [{"name": "draft", "value": ingredient}]}
    return json.dumps(
        {"cards": [{"uuid": card, "indicator": "warning", "extension": {"org.cds-hooks-onnx": ours}}]}
    ).encode()


def store(url: str, patient: str, at: float, reason: str | None = "will benefit") -> None:
    """One decision with a card, and a clinician's override of it at `at` (epoch seconds)."""

    async def write() -> None:
        log = open_decision_log(url)
        made = new_decision_id()
        card = card_uuid(made, 1)
        await log.append(a_decision(id=made, client="ehr", patient=patient, response=response(card)))
        item = FeedbackItem(card, "order-safety", "ehr", "overridden", "2026-11-20T09:00:00Z", int(at * 1e6))
        if reason is not None:
            item = FeedbackItem(
                card,
                "order-safety",
                "ehr",
                "overridden",
                "2026-11-20T09:00:00Z",
                int(at * 1e6),
                override_reason_code="benefit",
                override_reason_display=reason,
            )
        await log.append_feedback([item])
        await log.close()

    asyncio.run(write())


def _answer(sent: bytes, reason: str, at: float) -> Answer:
    (card,) = sent_cards.sent_cards(sent)
    return Answer("ehr", "p", "order-safety", "order-sign", card, "benefit", at, at, reason)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/decisions.sqlite3"


def test_what_can_no_longer_count_is_neither_read_nor_kept(url: str) -> None:
    store(url, "old", NOW - (LONGEST_DAYS + 1) * DAY)
    store(url, "new", NOW - DAY)
    store(url, "without a reason", NOW - DAY, None)
    now = NOW
    site = Governance(None, needs_approval=False, now=lambda: now)
    site.read_answers(url)
    memory = overrides_of(site)
    assert memory.of_patient("ehr", "old") == {}
    assert memory.of_patient("ehr", "without a reason") == {}
    assert set(memory.of_patient("ehr", "new")) == {RULE}
    now += LONGEST_DAYS * DAY
    site.read_answers(url)
    assert memory.of_patient("ehr", "new") == {}


def test_what_was_handed_out_is_not_changed_by_a_later_override() -> None:
    memory = Acknowledged(lambda: NOW)
    memory.take_answer(_answer(response("a"), "first", NOW - DAY))
    handed_out = memory.of_patient("ehr", "p")
    before = {finding: tuple(each) for finding, each in handed_out.items()}
    memory.take_answer(_answer(response("b", ingredient="glipizide"), "second", NOW))
    assert {finding: tuple(each) for finding, each in handed_out.items()} == before
    assert len(memory.of_patient("ehr", "p")[RULE]) == 2


def test_each_reading_fetches_only_what_is_new(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def counting(*given: Any) -> Any:
        rows = read_rows(*given)
        counts.append(len(rows))
        return rows

    monkeypatch.setattr(sent_cards, "read_rows", counting)
    site = Governance(None, needs_approval=False, now=lambda: NOW)
    for number in range(3):
        store(url, f"p{number}", NOW - DAY)
    site.read_answers(url)
    assert sum(counts) == 1 + 3 + 3  # where to begin, the answers, and the decisions with their cards
    counts.clear()
    site.read_answers(url)
    assert sum(counts) == 0
    store(url, "p3", NOW)
    site.read_answers(url)
    assert sum(counts) == 1 + 1
    assert overrides_of(site).of_patient("ehr", "p3")


def test_more_rows_than_are_read_at_once_are_all_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_cards, "_ROWS_AT_ONCE", 2)
    for number in range(5):
        store(url, f"p{number}", NOW - DAY)
    site = Governance(None, needs_approval=False, now=lambda: NOW)
    site.read_answers(url)
    memory = overrides_of(site)
    assert all(memory.of_patient("ehr", f"p{number}") for number in range(5))


def test_where_to_begin_is_found_by_the_index_by_time(url: str) -> None:
    store(url, "p", NOW)
    with reading_engine(parse_url(url)).connect() as connection:
        query = first_since(7).compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()
    assert any("feedback_by_time" in str(row) for row in plan), plan
