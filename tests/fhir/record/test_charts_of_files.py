"""Charts read from files, and what of a chart was known on an earlier day."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir.record.charts import (
    ChartsRefused,
    by_patient,
    files_of,
    known_at,
    patient_named_by,
    read_charts,
    time_of,
)

Json = dict[str, Any]
EPOCH = datetime(2026, 11, 20, 9, 0, tzinfo=UTC).timestamp()
PATIENT: Json = {"resourceType": "Patient", "id": "p1", "deceasedBoolean": True, "deceasedDateTime": "2026-12-01"}


def _bundle(*resources: Json) -> str:
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]})


def test_the_files_of_a_folder_are_those_that_may_hold_a_chart(tmp_path: Path) -> None:
    with pytest.raises(ChartsRefused, match="is not a folder"):
        files_of(tmp_path / "none")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "notes.txt").write_text("{}")
    with pytest.raises(ChartsRefused, match="holds no bundle"):
        files_of(tmp_path)
    for name in ("b.json", "a.ndjson"):
        (tmp_path / name).write_text("")
    assert files_of(tmp_path) == [tmp_path / "a.ndjson", tmp_path / "b.json"]


def test_a_file_that_cannot_be_read_is_refused_or_told_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(_bundle(PATIENT))
    with pytest.raises(ChartsRefused):
        list(read_charts(tmp_path))
    refused: list[ChartsRefused] = []
    assert [chart.id for chart in read_charts(tmp_path, refused.append)] == ["p1"]
    assert len(refused) == 1
    (tmp_path / "c.ndjson").write_text('{"resourceType": "Patient", "id": "p2"}\n\n')
    assert [chart.id for chart in read_charts(tmp_path, refused.append)] == ["p1", "p2"]


def test_a_resource_names_its_patient_as_subject_or_patient() -> None:
    assert patient_named_by({"subject": {"reference": "Patient/a"}}) == "a"
    assert patient_named_by({"subject": "Patient/a", "patient": {"reference": "urn:uuid:b"}}) == "b"
    assert patient_named_by({"patient": {"reference": 1}}) is None


def test_a_time_is_read_at_its_path() -> None:
    stay = {"period": {"start": "2026-11-01"}, "issued": 3}
    time = time_of(stay, "period.start")
    assert time is not None
    assert time.text == "2026-11-01"
    assert time_of(stay, "period.end") is None
    assert time_of(stay, "issued") is None
    assert time_of(stay, "issued.start") is None


def _known(*resources: Json) -> list[Json]:
    return known_at(PATIENT, resources, EPOCH)


def test_what_was_written_later_is_not_known_and_a_death_neither() -> None:
    then = {"resourceType": "Observation", "id": "a", "effectiveDateTime": "2026-11-19"}
    later = {"resourceType": "Observation", "id": "b", "effectiveDateTime": "2026-11-21"}
    timeless = {"resourceType": "Medication", "id": "o"}
    unknown = {"resourceType": "Basic", "id": "x", "created": "2020-01-01"}
    assert _known(then, later, timeless, unknown) == [{"resourceType": "Patient", "id": "p1"}, then, timeless]


def test_a_stay_that_was_not_over_is_open() -> None:
    stay: Json = {"resourceType": "Encounter", "id": "e", "status": "finished", "length": {"value": 3}, "diagnosis": [],
                  "hospitalization": {}, "class": {"code": "IMP"}}  # fmt: skip
    over = stay | {"period": {"start": "2026-11-01", "end": "2026-11-10"}}
    assert _known(over)[1:] == [over]
    opened = {"resourceType": "Encounter", "id": "e", "status": "in-progress", "class": {"code": "IMP"}}
    for end in ({"end": "2026-11-25"}, {}):
        assert _known(stay | {"period": {"start": "2026-11-01"} | end})[1:] == [
            opened | {"period": {"start": "2026-11-01"}}
        ]


def test_a_problem_that_was_not_over_is_active() -> None:
    problem: Json = {"resourceType": "Condition", "id": "c", "recordedDate": "2026-10-01"}
    resolved, active = ({"clinicalStatus": {"coding": [{"code": code}]}} for code in ("resolved", "active"))
    assert _known(problem)[1:] == [problem]
    assert _known(problem | resolved)[1:] == [problem | active]
    assert _known(problem | resolved | {"abatementDateTime": "2026-11-25"})[1:] == [problem | active]
    assert _known(problem | {"abatementPeriod": {"start": "2026-11-01", "end": "2026-11-25"}})[1:] == [problem | active]
    over = problem | resolved | {"abatementDateTime": "2026-11-10"}
    assert _known(over)[1:] == [over]


def test_a_problem_without_a_time_has_that_of_the_end_of_its_visit() -> None:
    problem: Json = {"resourceType": "Condition", "id": "c", "encounter": {"reference": "Encounter/e"}}
    visit: Json = {"resourceType": "Encounter", "id": "e", "period": {"start": "2026-11-01", "end": "2026-11-10"}}
    assert _known(problem, visit)[1:] == [problem, visit]
    assert _known(problem, visit | {"period": {"start": "2026-11-01"}})[1:][:1] != [problem]
    assert _known(problem) == _known()
    assert _known(problem, visit | {"resourceType": "EpisodeOfCare"}) == _known()
    result = problem | {"resourceType": "Observation"}
    assert _known(result, visit) == _known(visit)  # a result is no problem of the visit


def test_as_it_is_written_a_problem_without_an_end_stays_as_it_is() -> None:
    problem: Json = {"resourceType": "Condition", "id": "c", "recordedDate": "2026-10-01"}
    resolved, active = ({"clinicalStatus": {"coding": [{"code": code}]}} for code in ("resolved", "active"))
    over = problem | resolved | {"abatementDateTime": "2026-11-25"}
    assert known_at(PATIENT, [problem | resolved, over], EPOCH, as_written=True)[1:] == [
        problem | resolved, problem | active
    ]  # fmt: skip


def test_an_order_that_was_completed_later_was_active() -> None:
    order: Json = {"resourceType": "MedicationRequest", "id": "m", "authoredOn": "2026-11-01"}
    assert _known(order | {"status": "completed"})[1:] == [order | {"status": "active"}]
    assert _known(order | {"status": "entered-in-error"})[1:] == [order | {"status": "entered-in-error"}]


def test_what_comes_twice_in_a_folder_is_in_its_chart_once() -> None:
    ours, theirs = ({"subject": {"reference": f"Patient/{name}"}} for name in ("p1", "p2"))
    stay: Json = {"resourceType": "Encounter", "id": "e1", **ours}
    nameless: Json = {"resourceType": "Observation", **ours}
    patients: list[Json] = [{"resourceType": "Patient", "id": name} for name in (3, "p1", "p2")]
    resources = [
        stay,
        {**stay, "status": "finished"},
        nameless,
        dict(nameless),
        {**nameless, "status": "final"},
        {**stay, **theirs},
        {**stay, "subject": {"display": "nobody's"}},
        *patients,
    ]
    first, second = by_patient(
        [(resource, "urn:uuid:nameless" if resource is nameless else None) for resource in resources]
    )
    assert first.resources == [stay, nameless, {**nameless, "status": "final"}]
    assert second.resources == [{**stay, **theirs}]
