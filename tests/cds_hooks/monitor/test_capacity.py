"""How many cards a day a threshold gives, counted from the record."""

import asyncio
import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from cds_hooks.decision_views.file import Views, make_tables
from cds_hooks.decision_views.follow import AnswerRow, Batch, DecisionRow
from cds_hooks.hold_back.sent_cards import sent_cards
from cds_hooks.monitor import capacity
from cds_hooks.monitor.card_counts import NO_UNIT, CardCount, CardCounts, _hidden, count_cards
from cds_hooks.storage import Decision
from cds_hooks.storage.queries import list_decisions
from models_onnx.serving.registry import load_model
from tests.cds_hooks.calls import client, request_for
from tests.cds_hooks.storage.samples import a_decision
from tests.cds_hooks.web.decisions import AS_OF, decided
from tests.each import for_rows
from tests.fhir.builders import bundle

MANIFEST: Any = SimpleNamespace(id="m", twin=None)
DAY = 86_400_000_000


def _scored(
    patient: str, day: int, percentile: float | None, model: str = "m", client: str = "a", since: int = 0
) -> Decision:
    basis = {"scores": {"id": model} | ({} if percentile is None else {"percentile": percentile})}
    return a_decision(patient=patient, client=client, decided_at=day * DAY + since, basis=json.dumps(basis).encode())


def test_a_patient_counts_once_a_day_with_the_highest_estimate() -> None:
    decisions = [
        _scored("p", 1, 50.0), _scored("p", 1, 70.0, since=DAY - 1), _scored("p", 1, 60.0), _scored("p", 2, 10.0),
        _scored("p", 1, 30.0, client="b"), _scored("q", 1, None), _scored("q", 1, 99.0, "other"),
        _scored("r", 1, 5.0, "t"),
        a_decision(basis=b"{}"),
    ]  # fmt: skip
    found = {("a", "p", 1): 70.0, ("a", "p", 2): 10.0, ("b", "p", 1): 30.0}
    assert capacity.highest_percentiles(decisions, MANIFEST) == found
    twin: Any = SimpleNamespace(id="m", twin=SimpleNamespace(id="t"))
    assert capacity.highest_percentiles(decisions, twin) == found | {("a", "r", 1): 5.0}


@pytest.mark.parametrize("patients", [99, 100])
def test_a_day_is_told_from_a_hundred_patients_on(patients: int, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = load_model("mortality_5y").manifest
    decisions = [
        _scored(f"p{number}", 1, 94.0 + (number < 30) + 4 * (number < 10), manifest.id) for number in range(patients)
    ]
    asked: list[Any] = []

    def find(*given: Any) -> list[Decision]:
        asked.append(given)
        return decisions

    monkeypatch.setattr(capacity, "find_decisions", find)
    began = datetime.now(UTC)
    if patients < 100:
        with pytest.raises(capacity.TooFewScored, match="99 patients whom mortality_5y scored in the last 4 days"):
            capacity.capacity_of_record("url", manifest, 8.0, 4)
        return
    counted = capacity.capacity_of_record("url", manifest, 8.0, 4)
    by_share = {row.alerting.share: row.cards_a_day for row in counted.thresholds}
    assert (counted.patients_a_day, by_share[0.01], by_share[0.05], by_share[0.1]) == (25.0, 2.5, 7.5, 25.0)
    assert counted.chosen == 0.05
    ((url, wanted),) = asked
    since = datetime.fromtimestamp(wanted.since / 1e6, UTC)
    assert (url, timedelta(0) <= since + timedelta(days=4) - began < timedelta(minutes=10)) == ("url", True)


ORDER = ("order-safety", "order-sign", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")


@for_rows(
    ("counts", "shown"),
    [
        ((30, 12, 0), (30, 12, 0, 18)),
        ((30, 12, 3), (30, 12, None, None)),
        ((30, 4, 3), (30, None, None, 23)),
        ((30, 30, 0), (30, 30, 0, 0)),
        ((31, 30, 1), (31, None, None, 0)),
        ((11, 0, 0), (11, 0, 0, 11)),
        ((10, 0, 0), (None, 0, 0, None)),
        ((10, 10, 0), (None, None, 0, 0)),
    ],
)
def test_a_small_count_is_hidden_with_one_from_which_it_could_be_worked_out(
    counts: tuple[int, int, int], shown: tuple[int | None, ...]
) -> None:
    row = _hidden("x", *counts)
    assert row == CardCount("x", *shown)
    known = [part for part in shown[1:] if part is not None]
    assert (
        len(known) != 2 or shown[0] is None or all(part == 0 or part > 10 for part in (*known, counts[0] - sum(known)))
    )


def _views(folder: Path) -> Views:
    views = Views(folder / "views.sqlite3")
    with views.open() as connection:
        make_tables(connection, CardCounts.tables)
    return views


def test_each_card_and_its_first_answer_count_once_by_each_name(tmp_path: Path) -> None:
    decision = decided(tmp_path, "ckd4-metformin", "metformin-ckd4-coded")
    (card,) = sent_cards(decision.response)
    units = b'"units":["Ward 3","Ward 4"],"timings"'
    in_units = replace(decision, basis=decision.basis.replace(b'"timings"', units, 1), client="b")
    rows = [DecisionRow(number, decision) for number in range(1, 13)]
    answers: list[Any] = [
        SimpleNamespace(card=card.uuid, outcome=outcome, client="a") for outcome in ("overridden", "accepted")
    ]
    views = _views(tmp_path)
    with views.open() as connection:
        CardCounts().take(connection, Batch(decisions=[*rows, *(DecisionRow(20 + n, in_units) for n in range(11))]))
        CardCounts().take(connection, Batch(answers=[AnswerRow(answer, rows[0]) for answer in answers]))
    today = datetime.fromtimestamp(decision.decided_at / 1e6, UTC).date()
    assert {(row.name, row.shown) for row in count_cards(views, "client", today, 1)} == {("anonymous", 12), ("b", 11)}
    assert [(row.name, row.shown) for row in count_cards(views, "service", today, 7)] == [(decision.service, 23)]
    assert [(row.name, row.shown) for row in count_cards(views, "rule", today, 7)] == [("renal-metformin", 23)]
    assert {(row.name, row.shown) for row in count_cards(views, "unit", today, 7)} == {
        (NO_UNIT, 12), ("Ward 3", 11), ("Ward 4", 11)}  # fmt: skip
    stored = sqlite3.connect(views.file)
    assert stored.execute("SELECT sum(accepted), sum(overridden) FROM card_counts").fetchone() == (0, 1)
    stored.close()
    for days, clients in ((0, 2), (1, 0)):
        with views.open() as connection:
            CardCounts().forget(connection, decision.decided_at + days * 86_400 * 10**6)
        assert len(count_cards(views, "client", today, 7)) == clients


def test_the_page_has_the_unit_of_a_real_call_and_hides_its_one_card(tmp_path: Path) -> None:
    encounter = {
        "resourceType": "Encounter", "id": "e", "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/ckd4-metformin"},
        "location": [{"location": {"reference": "Location/7", "display": "Ward 7"}}],
    }  # fmt: skip

    async def read() -> tuple[str, str]:
        async with client(tmp_path, as_of=AS_OF) as calls:
            request = request_for(*ORDER)
            key = next(key for key in request["prefetch"] if "encounter" in key.lower())
            request["prefetch"][key] = bundle(encounter)
            answer = await calls.post("/cds-services/order-safety", json=request)
            assert answer.json()["cards"]
            page = await calls.get("/ops/cards")
            by_rule = await calls.get("/ops/cards?by=rule&days=90")
            return page.text, by_rule.text

    pages = asyncio.run(read())
    (decision,) = list_decisions(f"sqlite:///{tmp_path}/decisions.sqlite3")
    assert b'"units":["Ward 7"]' in decision.basis
    by_unit, by_rule = (re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)) for page in pages)
    assert "Ward 7 not shown" in by_unit
    assert "renal-metformin not shown 0 0 not shown" in by_rule
