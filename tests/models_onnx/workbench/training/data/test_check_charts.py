"""What a folder of charts is told, whole: each finding with its examples and how often."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models_onnx.workbench.training.data import check_charts as checks
from models_onnx.workbench.training.data.check_charts import check_charts
from tests.fhir.builders import observation, problem

Json = dict[str, Any]
LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
CREATININE: Json = {"coding": [{"system": LOINC, "code": "2160-0"}]}
PATIENT: Json = {"resourceType": "Patient", "id": "p", "birthDate": "1950-06-15"}


def _observation(number: int, **changes: Any) -> Json:
    whole = observation(CREATININE, 1.0 + number / 100, "mg/dL", "2020-03-01T10:00:00Z", patient="p", id=f"o{number}")
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def _condition(number: int, code: Any, **changes: Any) -> Json:
    return problem(code, status=None, patient="p", id=f"c{number}", recordedDate="2020-03-01") | changes


def _found(folder: Path, *resources: Json, patient: Json = PATIENT) -> list[tuple[Any, ...]]:
    entries = [{"resource": resource} for resource in (patient, *resources)]
    (folder / "one.json").write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    report = check_charts(folder)
    assert (report.name, report.kind) == (folder.name, "folder of FHIR")
    return [(each.kind, each.severity, each.where, each.count, each.examples) for each in report.findings]


def test_a_chart_that_the_mapping_reads_whole_has_no_finding(tmp_path: Path) -> None:
    heart_failure = {"coding": [{"system": SNOMED, "code": "84114007"}]}
    pressure = {"coding": [{"system": LOINC, "code": "85354-9"}]}
    parts = [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": {"value": value, "unit": "mm[Hg]",
         "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}
        for code, value in (("8480-6", 120), ("8462-4", 80))
    ]  # fmt: skip
    of_pressure = _observation(2, code=pressure, valueQuantity=None, component=parts)
    medicine = {"resourceType": "Medication", "id": "m"}
    resources = (_observation(1), of_pressure, _condition(1, heart_failure), medicine, medicine)
    assert _found(tmp_path, *resources) == []


def test_codes_that_are_not_mapped_have_no_system_or_are_not_there(tmp_path: Path) -> None:
    def coded(*codings: Any) -> Json:
        return {"coding": list(codings)}

    unknown, local = {"system": LOINC, "code": "99999-9"}, {"system": "http://a.example/codes/", "code": "X1"}
    assert _found(
        tmp_path,
        _observation(1, code=coded(unknown, local)),
        _observation(2, code=coded(unknown)),
        _observation(3, code=coded(local)),
        _observation(4, code=coded({"code": "2160-0"})),
        _observation(5, code=coded(local, CREATININE["coding"][0])),
        _observation(6, code={"text": "creatinine"}),
        _condition(1, coded({"system": SNOMED, "code": "444814009"})),
        _condition(2, coded({"system": LOINC, "code": "2160-0"})),
    ) == [
        ("unmapped-code", "warning", "Observation", 4, ("loinc.org|99999-9 (2)", "codes|X1",
                                                        "no code at all")),
        ("unmapped-code", "warning", "Condition", 2, ("snomed|444814009", "loinc.org|2160-0")),
        ("no-code-system", "warning", "Observation", 1, ("2160-0",)),
    ]  # fmt: skip


def test_the_same_id_or_the_same_result_twice(tmp_path: Path) -> None:
    twice = _observation(1)
    assert _found(tmp_path, twice, _observation(1, valueQuantity=_observation(2)["valueQuantity"])) == [
        ("duplicate", "warning", "Observation", 1, ("the same id twice",))
    ]
    beside = {**twice, "id": "other", "meta": {"versionId": "2"}, "identifier": [{"value": "9"}]}
    assert _found(tmp_path, twice, beside) == [
        ("duplicate", "warning", "Observation", 1, ("the same result twice under two ids",))
    ]
    heart_failure = {"coding": [{"system": SNOMED, "code": "84114007"}]}
    same = [_condition(1, heart_failure), _condition(2, heart_failure)]
    assert _found(tmp_path, *same) == []


def _day(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")


DEATH = datetime(2020, 1, 1, tzinfo=UTC)
BIRTH = datetime(1950, 6, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "is_dead", "example"),
    [
        (DEATH + timedelta(days=7), True, None),
        (DEATH + timedelta(days=7, seconds=1), True, "after death"),
        (BIRTH - timedelta(days=1), False, None),
        (BIRTH - timedelta(days=1, seconds=1), False, "before birth"),
        (datetime.now(UTC) + timedelta(days=1), False, "in the future"),
        (datetime.now(UTC) + timedelta(days=49 * 365.25), False, "in the future"),
        (datetime.now(UTC) + timedelta(days=51 * 365.25), False, None),
        (datetime.now(UTC) - timedelta(minutes=1), False, None),
        (datetime.now(UTC) + timedelta(days=1), True, "after death"),
    ],
)
def test_times_that_cannot_be(time: datetime, is_dead: bool, example: str | None, tmp_path: Path) -> None:
    patient = PATIENT | ({"deceasedDateTime": _day(DEATH)} if is_dead else {})
    found = _found(tmp_path, _observation(1, effectiveDateTime=_day(time)), patient=patient)
    assert found == ([] if example is None else [("look-ahead", "error", "Observation", 1, (example,))])


@pytest.mark.parametrize("name", ["recordedDate", "onsetDateTime", "authoredOn"])
def test_the_time_is_the_first_of_those_that_a_resource_has(name: str, tmp_path: Path) -> None:
    heart_failure = {"coding": [{"system": SNOMED, "code": "84114007"}]}
    bare = {key: value for key, value in _condition(1, heart_failure).items() if key != "recordedDate"}
    assert _found(tmp_path, {**bare, name: "1940-01-01"}) == [
        ("look-ahead", "error", "Condition", 1, ("before birth",))
    ]
    assert _found(tmp_path, bare) == [], "a condition without a date is no finding"
    both = _condition(1, heart_failure, onsetDateTime="1940-01-01")
    assert _found(tmp_path, both) == []


def test_a_result_without_a_date_or_that_is_not_believed(tmp_path: Path) -> None:
    furlong = {"value": 1.0, "unit": "furlong", "system": "http://unitsofmeasure.org", "code": "[fur_us]"}
    too_much = {"value": 900.0, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"}
    found = _found(
        tmp_path,
        _observation(1, effectiveDateTime=None),
        _observation(2, valueQuantity=furlong),
        _observation(3, valueQuantity=too_much),
    )
    assert [(kind, severity, where, count) for kind, severity, where, count, _ in found] == [
        ("unit", "warning", "Observation", 1),
        ("implausible-value", "warning", "Observation", 1),
        ("no-date", "warning", "Observation", 1),
    ]
    assert found[2][4] == ("without effective time",)


def test_what_is_counted_of_several_charts_and_of_files_that_are_none(tmp_path: Path) -> None:
    for number in (2, 1):
        bundle = [{"resource": {**PATIENT, "id": f"p{number}"}}] + [
            {"resource": _observation(count, subject={"reference": f"Patient/p{number}"})} for count in range(number)
        ]
        text = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": bundle})
        (tmp_path / f"{number}.json").write_text(text)
    (tmp_path / "three.json").write_text("{nope")
    report = check_charts(tmp_path)
    assert report.counts == {"patients": 2, "Observation": 3}
    (finding,) = report.findings
    assert (finding.kind, finding.severity, finding.where, finding.text, finding.count, finding.examples) == (
        "unreadable-file", "error", "files", "files that are no JSON, left out here", 1, (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("system", "short"), [("http://a.example/codes/", "codes"), ("urn:a", "urn:a"), (SNOMED, "snomed"), ("/", "/")]
)
def test_a_system_is_called_by_the_last_part_of_its_address(system: str, short: str) -> None:
    assert checks._short(system) == short
