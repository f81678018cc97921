"""POST /outcomes: joined to the client's own decisions, versioned, counted, and refused in words."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.evidence.outcomes.report import MOST_BYTES
from cds_hooks.evidence.storage.outcomes import Outcome, outcomes_of
from tests.cds_hooks.calls import PLANNING, client, counted_request_for, ours
from tests.conftest import ROOT

Make = Callable[[dict[str, Any], str], list[Any]]


def _report(folder: Path, as_of: datetime, make: Make) -> tuple[list[httpx.Response], list[Outcome], str]:
    """Calls planning, posts the bodies that `make` gives for its answer; answers, what is stored, metrics."""

    async def run() -> tuple[list[httpx.Response], str, str]:
        async with client(folder, as_of=as_of) as calls:
            request = counted_request_for(PLANNING, "patient-view", "planning-talk", as_of)
            answer = await calls.post(f"/cds-services/{PLANNING}", json=request)
            decision = ours(answer)["decision"]
            bodies = make(answer.json()["cards"][0], decision)
            answers = [await calls.post("/outcomes", json=each) for each in bodies]
            return answers, decision, (await calls.get("/metrics")).text

    answers, decision, metrics = asyncio.run(run())
    return answers, outcomes_of(f"sqlite:///{folder}/decisions.sqlite3", decision), metrics


def test_an_outcome_is_joined_to_its_prediction_and_corrected_by_a_new_version(tmp_path: Path) -> None:
    def bodies(card: dict[str, Any], decision: str) -> list[Any]:
        later = datetime.now(UTC).date().isoformat()  # the decision was made a moment ago
        yes = {"prediction": card["uuid"], "model": "mortality_5y", "outcome": "yes", "at": later}
        return [
            {"outcomes": [yes]},
            {"outcomes": [yes]},
            {"outcomes": [{"prediction": decision, "outcome": "unknown"}]},
        ]

    answers, stored, metrics = _report(tmp_path, datetime.now(UTC), bodies)
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert [each.json() for each in answers] == [
        {"stored": 1, "known": 0, "refused": []},
        {"stored": 0, "known": 1, "refused": []},
        {"stored": 1, "known": 0, "refused": []},
    ]
    assert [(each.subject, each.value, each.version) for each in stored] == [
        ("mortality_5y", "yes", 1), ("mortality_5y", "unknown", 2),
    ]  # fmt: skip
    assert 'cds_outcomes_total{kind="event",value="yes"} 1.0' in metrics


def test_the_four_forms_of_the_guide_are_taken_in_one_body(tmp_path: Path) -> None:
    guide = (ROOT / "docs/operations/outcomes.md").read_text(encoding="utf-8")
    _, start, rest = guide.partition('{"outcomes": [')
    shown = json.loads(start + rest.partition("]}")[0] + "]}")["outcomes"]

    def bodies(card: dict[str, Any], decision: str) -> list[Any]:
        ours = {"prediction": decision, "card": card["uuid"]}
        reports = [{key: ours.get(key, value) for key, value in report.items()} for report in shown]
        return [{"outcomes": reports}, {"outcomes": shown}]

    (ours, foreign), stored, _ = _report(tmp_path, datetime.now(UTC), bodies)
    # The day of the guide is before the decision: it is outside the horizon of one, and no prediction is before it.
    refused = [each["reason"] for each in ours.json()["refused"]]
    assert (ours.json()["stored"], refused) == (2, ["outside-horizon", "no-prediction"])
    assert foreign.json()["known"] == 1
    assert [(each.kind, each.value) for each in stored] == [("order", "changed")]


def test_what_was_done_with_the_order_is_stored_for_its_suggestion(tmp_path: Path, as_of: datetime) -> None:
    def bodies(card: dict[str, Any], _: str) -> list[Any]:
        suggestion = card["suggestions"][0]["uuid"]
        return [{"outcomes": [{"card": card["uuid"], "suggestion": suggestion, "order": "accepted"}]}]

    answers, stored, _ = _report(tmp_path, as_of, bodies)
    assert answers[0].json()["stored"] == 1
    assert [(each.kind, each.value) for each in stored] == [("order", "accepted")]


def test_a_report_that_belongs_to_nothing_does_not_fail_the_others(tmp_path: Path, as_of: datetime) -> None:
    def bodies(card: dict[str, Any], _: str) -> list[Any]:
        foreign = {"prediction": "0190a1b2-c3d4-7e5f-8a6b-012345670000", "outcome": "yes"}
        return [{"outcomes": [foreign, {"prediction": card["uuid"], "outcome": "unknown"}]}]

    answers, stored, metrics = _report(tmp_path, as_of, bodies)
    (refused,) = answers[0].json()["refused"]
    assert (refused["index"], refused["reason"]) == (0, "unknown-prediction")
    assert refused["text"].startswith("No decision of this client has this id.")
    assert len(stored) == 1
    assert 'cds_outcomes_refused_total{reason="unknown-prediction"} 1.0' in metrics


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"outcomes": [{"prediction": "x"}]}, 400, "outcomes[0].outcome"),
        ({"outcomes": []}, 400, "empty list"),
        (7, 400, "The body must be an object"),
        ({"outcomes": [{"prediction": "x" * MOST_BYTES, "outcome": "yes"}]}, 413, "bytes"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_an_operation_outcome(
    tmp_path: Path, as_of: datetime, body: Any, status: int, words: str
) -> None:
    answers, stored, _ = _report(tmp_path, as_of, lambda *_: [body])
    assert answers[0].status_code == status
    assert answers[0].json()["resourceType"] == "OperationOutcome"
    assert words in answers[0].text
    assert stored == []


async def test_only_posts_are_answered(tmp_path: Path, as_of: datetime) -> None:
    async with client(tmp_path, as_of=as_of) as calls:
        answer = await calls.get("/outcomes")
    assert (answer.status_code, answer.json()["resourceType"]) == (405, "OperationOutcome")
