"""Saved calls and charts, whole: written, read, moved in time, compared, and refused."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.simulator import fixture
from cds_hooks.kit.simulator.chart import (
    Chart,
    ChartError,
    chart_of,
    days_to_today,
    last_event,
    move_chart,
    open_chart,
    open_drafts,
    rename_references,
    resources_of,
)
from cds_hooks.kit.simulator.fixture import Fixture, cards_of, fixture_of, open_fixture, write_fixture
from tests.cds_hooks.kit.simulator.resources import NOW, PATIENT, Json, order, stay


def _fixture(**changes: Any) -> Fixture:
    members: Json = {
        "service": "s", "made_at": datetime(2026, 11, 1, 12, tzinfo=UTC), "status": 200,
        "request": {"hook": "patient-view", "hookInstance": "h", "birthDate": "1950-01-01"},
        "cards": [("info", "Seen on 2026-01-02"), ("warning", "Two")],
    }  # fmt: skip
    return Fixture(**(members | changes))


def test_a_saved_call_is_written_read_and_moved(tmp_path: Path) -> None:
    saved = _fixture()
    path = tmp_path / "call.json"
    path.write_bytes(write_fixture(saved))
    assert write_fixture(saved).decode().splitlines()[:5] == [
        "{",
        '  "cdsHooksFixture": 1,',
        '  "service": "s",',
        '  "madeAt": "2026-11-01T12:00:00+00:00",',
        '  "request": {',
    ]
    assert open_fixture(path) == saved
    path.write_bytes(write_fixture(_fixture(cards=None)))
    assert open_fixture(path) == _fixture(cards=None)
    assert open_fixture(tmp_path) is None
    (tmp_path / "other.json").write_text("{}")
    assert open_fixture(tmp_path / "other.json") is None
    moved = saved.at(datetime(2026, 11, 4, 6, tzinfo=UTC))
    assert (moved.made_at, moved.request["birthDate"], moved.request["hookInstance"] == "h") == (
        datetime(2026, 11, 4, 6, 0, tzinfo=UTC),
        "1950-01-04",
        False,
    )
    same = saved.at(datetime(2026, 11, 1, 23, tzinfo=UTC))
    assert (same.request["birthDate"], saved.hook, _fixture(request={}).hook) == ("1950-01-01", "patient-view", "")


@pytest.mark.parametrize(
    ("status", "answer", "sentences"),
    [
        (
            200,
            {
                "cards": [
                    {"indicator": "info", "summary": "Seen on 2026-05-06"},
                    {"indicator": "warning", "summary": "Two"},
                ]
            },
            [],
        ),
        (500, None, ["The status is 500; it was 200.", "One of the two answers has no list of cards."]),
        (200, {"cards": {}}, ["One of the two answers has no list of cards."]),
        (
            200,
            {"cards": [{"indicator": "info", "summary": "Two"}, "no card"]},
            ["A card is gone: info, Seen on (date)", "A card is gone: warning, Two", "A card is new: info, Two"],
        ),
    ],
)
def test_how_another_answer_differs_from_the_saved_one(status: int, answer: Any, sentences: list[str]) -> None:
    assert _fixture().differences(status, answer) == sentences


def test_two_answers_without_cards_are_the_same() -> None:
    assert _fixture(cards=None, status=500).differences(500, {"issue": []}) == []
    assert _fixture(cards=None, status=500).differences(400, "x") == ["The status is 400; it was 500."]
    assert cards_of({"cards": [{}]}) == [("None", "None")]


def test_a_saved_call_of_another_form_is_refused() -> None:
    whole: Json = {
        fixture.MEMBER: 1, "service": "s", "madeAt": "2026-11-01T12:00:00", "request": {},
        "expected": {"status": 200, "cards": [{"indicator": "info", "summary": "x"}]},
    }  # fmt: skip
    assert fixture_of(whole, "f") == Fixture(
        service="s", made_at=datetime(2026, 11, 1, 12, 0, tzinfo=UTC), request={}, status=200, cards=[("info", "x")]
    )
    for name in ("service", "madeAt", "request", "expected"):
        with pytest.raises(ChartError, match="a part of it is missing"):
            fixture_of({key: value for key, value in whole.items() if key != name}, "f")
    changes: tuple[Json, ...] = ({"service": 1}, {"request": []}, {"expected": {"status": "200", "cards": None}})
    for change in changes:
        with pytest.raises(ChartError, match="is of another form"):
            fixture_of(whole | change, "f")


def test_the_last_event_of_a_chart() -> None:
    assert last_event([]) is None
    assert last_event(
        [
            stay("e", "2026-01-01"),
            {"resourceType": "Procedure", "performedPeriod": {"end": "2026-02-01T10:00:00+02:00"}},
        ]
    ) == datetime(2026, 2, 1, 8, 0, tzinfo=UTC)
    assert last_event([{"resourceType": "Observation", "effectiveDateTime": "9999-01-01"}]) is None
    assert last_event([{"resourceType": "Observation", "effectiveDateTime": "9998-12-31"}]) == datetime(
        9998, 12, 31, 0, 0, tzinfo=UTC
    )
    assert (
        last_event(
            [
                {
                    "resourceType": "Observation",
                    "effectivePeriod": {"start": "2026-01"},
                    "effectiveInstant": "2026-01-01T25:00:00Z",
                }
            ]
        )
        is None
    )
    chart = Chart([stay("e", "2026-11-01")], [{"resourceType": "MedicationRequest", "authoredOn": "2026-11-01"}])
    assert days_to_today(chart, NOW) == 19
    assert move_chart(chart, 19) == Chart(
        [stay("e", "2026-11-20")], [{"resourceType": "MedicationRequest", "authoredOn": "2026-11-20"}]
    )
    with pytest.raises(ChartError, match="nothing to move it by"):
        days_to_today(Chart([PATIENT]), NOW)


def test_documents_and_what_is_a_resource_in_them() -> None:
    assert chart_of(
        {"hook": "patient-view", "context": {}, "prefetch": {"p": PATIENT, "n": None, "l": [PATIENT]}}, "f"
    ) == Chart([PATIENT])
    assert (
        chart_of({"hook": "patient-view", "context": [], "resourceType": "Patient", "id": "p"}, "f").resources[0]["id"]
        == "p"
    )
    with pytest.raises(ChartError, match="f holds 0 patients"):
        chart_of({"hook": "patient-view", "context": {}}, "f")
    assert resources_of({"resourceType": 1}) == resources_of({}) == resources_of({"resourceType": "Bundle"}) == []
    bundle = {"resourceType": "Bundle", "entry": [
        {"fullUrl": "urn:1", "resource": PATIENT}, {"fullUrl": 2, "resource": order("s1")}, {"resource": None}, "x",
        {
            "fullUrl": "urn:3",
            "resource": {"resourceType": "Task", "for": {"reference": "urn:1"}, "of": [{"reference": "urn:3"}]},
        },
    ]}  # fmt: skip
    assert resources_of(bundle) == [
        {"resourceType": "Patient", "id": "p1"},
        {"resourceType": "ServiceRequest", "id": "s1", "status": "active"},
        {"resourceType": "Task", "for": {"reference": "Patient/p1"}, "of": [{"reference": "urn:3"}]},
    ]
    assert rename_references({"reference": {"reference": "a"}, "display": "a"}, {"a": "b"}) == {
        "reference": {"reference": "b"},
        "display": "a",
    }


def test_samples_and_files_are_opened() -> None:
    assert open_chart(Path("sample:infant"), NOW).patient["id"] == "infant"
    assert open_drafts(Path("sample:metformin-ckd4-coded"), NOW)[0]["resourceType"] == "MedicationRequest"
    with pytest.raises(ChartError, match="there is no sample nobody; see: cds-hooks samples"):
        open_chart(Path("sample:nobody"), NOW)
    with pytest.raises(ChartError, match="there is no sample draft infant; see: cds-hooks samples --json"):
        open_drafts(Path("sample:infant"), NOW)
