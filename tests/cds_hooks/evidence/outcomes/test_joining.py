"""Reports are joined to the decisions of their client, by id or by patient and time."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cards.extension import EXTENSION_KEY
from cds_hooks.errors import HookError
from cds_hooks.evidence.outcomes.joining import Joined, Sender, join_reports
from cds_hooks.evidence.outcomes.labels import Label
from cds_hooks.evidence.outcomes.report import Report, checked_report, read_reports
from cds_hooks.evidence.storage.decision import Decision, numbered_uuid
from tests.cds_hooks.evidence.storage.samples import a_decision, store
from tests.each import each_row, for_rows

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LABELS = {
    "mortality": Label("mortality", "death", 180, 3),
    "readmission": Label("readmission", "admission", 30, 3),
    "falls": Label("falls", None, 90, 3),
}
NOW = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp() * 1e6)


def decided(model: str | None = "mortality", client: str = "north", patient: str = "p1", days: float = 0) -> Decision:
    """A decision with the estimate of a model, or of several, `days` after `AT`."""
    return a_decision(
        client=client,
        patient=patient,
        decided_at=int((AT + timedelta(days=days)).timestamp() * 1e6),
        estimated_by=f" {model} " if model else "",
    )


def record(url: str, *given: Decision) -> str:
    store(url, *given)
    return url


def join(url: str, *reports: dict[str, Any], now: int = NOW) -> Joined:
    checked = [checked_report(Report(**report)) for report in reports]
    return join_reports(url, checked, Sender("north", "api", now), LABELS)


def values(joined: Joined) -> list[tuple[str | None, str, str]]:
    return [(each.decision, each.subject, each.value) for each in joined.items]


def reasons(joined: Joined) -> list[tuple[int, str]]:
    return [(each.index, each.reason) for each in joined.refused]


def test_of_another_clients_decision_nobody_learns_that_it_is_there(sqlite_url: str) -> None:
    theirs = decided(client="south")
    record(sqlite_url, theirs)
    unknown = "0190a1b2-c3d4-7e5f-8a6b-012345670000"
    found = join(
        sqlite_url,
        {"prediction": theirs.id, "outcome": "yes"},
        {"prediction": unknown, "outcome": "yes"},
        {"card": numbered_uuid(theirs.id, 1), "order": "changed"},
        {"patient": "p1", "event": "death", "at": "2026-04-01"},
    )
    assert found.items == []
    assert reasons(found) == [
        (0, "unknown-prediction"), (1, "unknown-prediction"), (2, "unknown-card"), (3, "no-prediction"),
    ]  # fmt: skip


@each_row(("report", "reason"))
def test_what_cannot_be_of_this_prediction_is_refused(sqlite_url: str, report: dict[str, Any], reason: str) -> None:
    one = decided()
    record(sqlite_url, one)
    assert reasons(join(sqlite_url, {"prediction": one.id, **report})) == [(0, reason)]


def test_no_without_a_day_is_believed_only_after_the_horizon(sqlite_url: str) -> None:
    one = decided()
    record(sqlite_url, one)
    report = {"prediction": one.id, "outcome": "no"}
    early = int((AT + timedelta(days=179)).timestamp() * 1e6)
    assert reasons(join(sqlite_url, report, now=early)) == [(0, "not-followed")]
    assert values(join(sqlite_url, report)) == [(one.id, "mortality", "no")]


def test_a_death_is_joined_to_every_estimate_that_it_decides(sqlite_url: str) -> None:
    """It happened within the horizon of one, after that of another, before a third; readmission is another event."""
    early, in_time, after = decided(days=-200), decided(days=0), decided(days=60)
    record(sqlite_url, early, in_time, after, decided("readmission"), decided(patient="p2"))
    found = join(sqlite_url, {"patient": "Patient/p1", "event": "death", "at": "2026-04-01"})
    assert values(found) == [(early.id, "mortality", "no"), (in_time.id, "mortality", "yes")]


def test_an_admission_is_the_next_one_and_not_the_stay_itself(sqlite_url: str) -> None:
    one, before = decided("readmission"), decided("readmission", days=-40)
    record(sqlite_url, one, before)
    cases = {"2026-03-01": [], "2026-03-01T18:00:00Z": [one.id], "2026-03-20": [one.id], "2026-04-15": []}
    for at, expected in cases.items():
        found = join(sqlite_url, {"patient": "p1", "event": "admission", "at": at})
        assert [each.decision for each in found.items] == expected, at
        assert reasons(found) == ([] if expected else [(0, "no-prediction")])


def test_what_has_not_happened_yet_is_not_taken_in(sqlite_url: str) -> None:
    one = decided("readmission", days=274)  # 2026-11-30, a day before the report
    record(sqlite_url, one)
    found = join(
        sqlite_url,
        {"prediction": one.id, "outcome": "yes", "at": "2026-12-01"},
        {"prediction": one.id, "outcome": "yes", "at": "2026-12-03"},
        {"event": "death", "completeThrough": "2026-11-30"},
        {"event": "death", "completeThrough": "2062-11-30"},
        {"event": "death", "completeThrough": "9999-12-31"},
    )
    assert values(found) == [(one.id, "readmission", "yes"), (None, "death", "2026-11-30")]
    assert reasons(found) == [(1, "not-yet"), (3, "not-yet"), (4, "not-yet")]


def test_every_model_of_an_opening_gets_its_outcomes(sqlite_url: str) -> None:
    opening = decided("mortality readmission")
    card = {"uuid": numbered_uuid(opening.id, 2), "extension": {EXTENSION_KEY: {"model": {"id": "readmission"}}}}
    opening = replace(opening, response=json.dumps({"cards": [card]}).encode())
    record(sqlite_url, opening)
    found = join(
        sqlite_url,
        {"patient": "p1", "event": "admission", "at": "2026-03-20"},
        {"prediction": opening.id, "model": "readmission", "outcome": "yes", "at": "2026-03-20"},
        {"prediction": card["uuid"], "outcome": "yes", "at": "2026-03-20"},
        {"prediction": opening.id, "outcome": "yes", "at": "2026-03-20"},
    )
    assert sorted(values(found)) == [(opening.id, "readmission", "yes")] * 3
    assert reasons(found) == [(3, "several-models")]


def body(*reports: Any) -> bytes:
    return json.dumps({"outcomes": reports}).encode()


@for_rows(("report", "place", "words"))
def test_a_wrong_report_is_refused_with_its_place_and_without_its_value(
    report: Any, place: str | None, words: str
) -> None:
    with pytest.raises(HookError, match=words.replace("[", r"\[")) as refused:
        read_reports(body(report))
    assert refused.value.status == 400
    assert refused.value.expression == place
    assert "yesterday" not in refused.value.text


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), lambda each: st.lists(each, max_size=3)
)
_MEMBERS = ("prediction", "patient", "card", "model", "event", "outcome", "at", "suggestion", "order")


@given(st.lists(st.dictionaries(st.sampled_from([*_MEMBERS, "completeThrough"]), _JSON), min_size=1, max_size=3))
def test_any_other_content_is_refused_in_a_sentence(reports: list[Any]) -> None:
    refused: HookError | None = None
    try:
        read_reports(body(*reports))
    except HookError as error:
        refused = error
    assert refused is None or (refused.status in (400, 413) and refused.text.endswith("."))
