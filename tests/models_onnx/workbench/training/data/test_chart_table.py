"""From charts to rows: through the mapping of the bedside, and nothing that comes later can change a row."""

import copy
import json
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fhir.record.charts import PatientChart, by_patient, known_at, read_resources
from models_onnx.errors import TrainingRefused
from models_onnx.models.readmission_30d import SPEC
from models_onnx.workbench.training.data.chart_table import (
    OwnEvent,
    SiteTable,
    feature_table,
    rows_of_chart,
    write_feature_table,
)
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import problem

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
Json = dict[str, Any]
KEY = bytes(32)
UNTIL = 1593561600.0  # 2020-07-01
TABLE = SiteTable(horizon_days=30, event=OwnEvent(classes=("IMP",)), features=SPEC.feature_names)


def stay(name: str, start: str, end: str, code: str = "IMP", disposition: str = "home") -> Json:
    """A visit or a stay."""
    return builders.encounter(
        {"system": ACT, "code": code},
        "finished",
        patient="p",
        id=name,
        period={"start": start, "end": end},
        hospitalization={"dischargeDisposition": {"coding": [{"code": disposition}]}},
    )


def rows_of(chart: PatientChart) -> list[Json]:
    """The rows of the chart, one for each discharge."""
    return list(rows_of_chart(TABLE, TABLE.features, chart, UNTIL, KEY))


def chart() -> PatientChart:
    """Two stays of one patient 20 days apart, and one visit between them."""
    return PatientChart(
        {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1950-03-01"},
        [
            stay("one", "2020-01-01T10:00:00Z", "2020-01-05T12:00:00Z"),
            stay("visit", "2020-01-10T09:00:00Z", "2020-01-10T09:30:00Z", "AMB"),
            stay("two", "2020-01-25T10:00:00Z", "2020-02-03T12:00:00Z", disposition="snf"),
            problem(code="I50.9", status=None, patient="p", id="hf", encounter={"reference": "Encounter/one"}),
            problem(code="C34.1", status=None, patient="p", id="cancer", encounter={"reference": "Encounter/two"}),
        ],
    )


def test_ids_are_hashed_with_the_key_and_the_day_of_the_index_is_there_to_split_by() -> None:
    rows = rows_of(chart())
    assert '"p"' not in json.dumps(rows)
    assert '"one"' not in json.dumps(rows)
    assert [row["index_date"] for row in rows] == ["2020-01-05", "2020-02-03"]
    others = rows_of_chart(TABLE, TABLE.features, chart(), UNTIL, bytes([1] * 32))
    assert not {row["patient"] for row in rows} & {row["patient"] for row in others}


def outcomes(*stays: Json, died: str | None = None, until: float | None = UNTIL) -> list[tuple[str, float | None]]:
    """The day of each index and what is known of a stay within 30 days after it."""
    patient = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1950-03-01"}
    if died:
        patient["deceasedDateTime"] = died
    rows = rows_of_chart(TABLE, TABLE.features, PatientChart(patient, list(stays)), until, KEY)
    return [(row["index_date"], row["event"]) for row in rows]


FIRST = stay("one", "2020-01-01T10:00:00Z", "2020-01-05T12:00:00Z")
JUNE = stay("june", "2020-06-01T10:00:00Z", "2020-06-20T12:00:00Z")
LATE = stay("late", "2020-06-25T10:00:00Z", "2020-06-28T12:00:00Z")
BACK = stay("two", "2020-01-25T10:00:00Z", "2020-02-03T12:00:00Z")
SAME_DAY = stay("two", "2020-01-05T12:00:00Z", "2020-01-09T12:00:00Z")
TRANSFER = stay("two", "2020-01-05T18:00:00Z", "2020-01-09T12:00:00Z")
TO_HOSPITAL = stay("one", "2020-01-01T10:00:00Z", "2020-01-05T12:00:00Z", disposition="2")
TO_ANOTHER = stay("one", "2020-01-01T10:00:00Z", "2020-01-05T12:00:00Z", disposition="other-hcf")
CAME_OVER = {**TRANSFER, "hospitalization": {"admitSource": {"coding": [{"code": "hosp-trans"}]}}}
PART = {**BACK, "partOf": {"reference": "Encounter/one"}}
ELECTIVE = {**BACK, "priority": {"coding": [{"code": "EL"}]}}


@for_rows(
    ("stays", "died", "until", "expected"),
    [
        ([FIRST], None, UNTIL, [("2020-01-05", 0.0)]),
        ([FIRST], None, None, [("2020-01-05", None)]),
        ([FIRST, BACK], None, UNTIL, [("2020-01-05", 1.0), ("2020-02-03", 0.0)]),
        ([JUNE], None, UNTIL, [("2020-06-20", None)]),
        ([JUNE, LATE], None, UNTIL, [("2020-06-20", None), ("2020-06-28", None)]),
        ([JUNE], "2020-06-25T00:00:00Z", UNTIL, [("2020-06-20", None)]),
        ([FIRST], "2020-01-10T00:00:00Z", UNTIL, [("2020-01-05", 0.0)]),
        ([FIRST], "2020-01-04T00:00:00Z", UNTIL, []),
        ([FIRST, {**BACK, "status": "cancelled"}], None, UNTIL, [("2020-01-05", 0.0)]),
        ([FIRST, {**BACK, "status": "planned"}], None, UNTIL, [("2020-01-05", 0.0)]),
        ([FIRST, ELECTIVE], None, UNTIL, [("2020-01-05", 0.0), ("2020-02-03", 0.0)]),
        ([FIRST, SAME_DAY], None, UNTIL, [("2020-01-09", 0.0)]),
        ([FIRST, TRANSFER], None, UNTIL, [("2020-01-05", 1.0), ("2020-01-09", 0.0)]),
        ([TO_HOSPITAL, TRANSFER], None, UNTIL, [("2020-01-09", 0.0)]),
        ([TO_ANOTHER, TRANSFER], None, UNTIL, [("2020-01-09", 0.0)]),
        ([FIRST, CAME_OVER], None, UNTIL, [("2020-01-09", 0.0)]),
        ([FIRST, PART], None, UNTIL, [("2020-01-05", 0.0)]),
    ],
)
def test_who_never_comes_back_is_followed_death_competes_and_only_unplanned_stays_that_took_place_count(
    stays: list[Json], died: str | None, until: float | None, expected: list[tuple[str, float | None]]
) -> None:
    assert outcomes(*stays, died=died, until=until) == expected


@pytest.mark.slow
def test_a_model_trained_on_a_table_of_a_cohort_of_known_risk_has_its_prevalence_oe_and_slope(tmp_path: Path) -> None:
    draw, slope = np.random.default_rng(81), 0.033
    (tmp_path / "charts").mkdir()
    begin = datetime(2020, 1, 1, 12, tzinfo=UTC)
    for number in range(1500):
        at, resources, age = begin + timedelta(days=float(draw.uniform(0, 300))), [], int(draw.choice([30, 60, 90]))
        for each in count():
            resources.append(stay(f"{number}-{each}", f"{at:%Y-%m-%dT%XZ}", f"{at + timedelta(days=3):%Y-%m-%dT%XZ}"))
            if draw.random() >= true_risk(age, slope):
                break
            at += timedelta(days=3 + float(draw.uniform(1, 29)))
        born = f"{2020 - age}-01-01"
        person = {"resourceType": "Patient", "id": f"p{number}", "gender": "female", "birthDate": born}
        for resource in resources:
            resource["subject"] = {"reference": f"Patient/p{number}"}
        entries = [{"resource": resource} for resource in (person, *resources)]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        (tmp_path / "charts" / f"{number}.json").write_text(json.dumps(bundle))
    table = SiteTable(horizon_days=30, event=OwnEvent(classes=("IMP",)), observed_until=date(2021, 12, 31))
    rows = feature_table(table, ("age_years",), tmp_path / "charts", KEY)
    assert rows["event"].notna().all()
    age = rows["age_years"].to_numpy() // 30 * 30
    risk = true_risk(age, slope)
    of_mean = (risk * (1 - risk)).sum() ** 0.5 / len(risk)
    assert abs(rows["event"].mean() - risk.mean()) < 3 * of_mean
    model = LogisticRegression(C=np.inf).fit(age[:, None] - 60, rows["event"])
    assert abs(model.predict_proba(age[:, None] - 60)[:, 1].mean() - risk.mean()) < 3 * of_mean
    information = (risk * (1 - risk) * (age - np.average(age, weights=risk * (1 - risk))) ** 2).sum()
    assert abs(model.coef_[0, 0] - slope) < 3 / information**0.5


def true_risk(age: Any, slope: float) -> Any:
    """The chance of coming back after a stay at this age."""
    return 1 / (1 + np.exp(1.1 - slope * (age - 60)))


def spoiled(resource: Json) -> Json:
    """The same resource as a later hand might have left it."""
    told = copy.deepcopy(resource)
    if told["resourceType"] == "Encounter":
        told["hospitalization"] = {"dischargeDisposition": {"coding": [{"code": "exp"}]}}
        told["period"]["end"] = "2031-01-01T00:00:00Z"
    if told["resourceType"] == "Condition":
        told |= {"abatementDateTime": "2030-01-01", "clinicalStatus": {"coding": [{"code": "resolved"}]}}
    if told["resourceType"] == "Observation" and "valueQuantity" in told:
        told["valueQuantity"]["value"] = 9999
    return told


def test_nothing_after_the_index_can_change_a_feature() -> None:
    whole = chart()
    index_of_first = 1578225600.0  # 2020-01-05T12:00:00Z
    before = next(iter(rows_of(whole)))
    later = [each for each in whole.resources if each["id"] in ("visit", "two", "cancer")]
    kept = [each for each in whole.resources if each not in later]
    planned = {**whole.resources[0], "id": "n", "status": "planned", "period": {"start": "2019-12-01T10:00:00Z"}}
    for resources in (kept, kept + [spoiled(each) for each in later], kept + later * 3, [planned, *kept]):
        patient = {**whole.patient, "deceasedDateTime": "2020-03-01"}
        after = next(iter(rows_of(PatientChart(patient, resources))))
        for name in SPEC.feature_names:
            assert np.array_equal(before[name], after[name], equal_nan=True), name
    told = known_at({**whole.patient, "deceasedBoolean": True}, whole.resources, index_of_first)
    assert {each.get("id") for each in told} == {"p", "one", "hf"}
    assert not any(name.startswith("deceased") for each in told for name in each)


def test_a_result_counts_from_when_it_was_issued_and_a_day_when_it_is_over() -> None:
    base = {"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/p"}}
    drawn = {**base, "effectiveDateTime": "2020-01-02T08:00:00Z", "issued": "2020-01-02T14:00:00Z"}
    whole_day = {**base, "effectiveDateTime": "2020-01-02"}
    undated = base
    noon, next_day = 1577966400.0, 1578009600.0
    for resource, at_noon, at_midnight in ((drawn, False, True), (whole_day, False, True), (undated, False, False)):
        patient = {"resourceType": "Patient", "id": "p"}
        assert (len(known_at(patient, [resource], noon)) == 2) is at_noon
        assert (len(known_at(patient, [resource], next_day)) == 2) is at_midnight


def write_bundle(folder: Path) -> None:
    """The chart as a bundle whose references are those of Synthea."""
    told = chart()
    for resource in told.resources:
        resource["subject"] = {"reference": "urn:uuid:77"}
    entries = [{"fullUrl": "urn:uuid:77", "resource": told.patient}, *({"resource": r} for r in told.resources)]
    (folder / "one.json").write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        ("", "observed_until names the last day"),
        ("observed_until = 2020-07-01\nshifted_dates = true\n", "observed_until names the last day"),
        ("observed_until = { north = 2020-07-01 }\n", "do not agree on south"),
        ("observed_until = { north = 2020-07-01, south = 2020-02-10 }\n", None),
        ("shifted_dates = true\n", None),
    ],
)
def test_the_table_says_until_when_each_source_was_observed(tmp_path: Path, told: str, refused: str | None) -> None:
    for place in ("north", "south"):
        (tmp_path / "charts" / place).mkdir(parents=True)
    write_bundle(tmp_path / "charts" / "south")
    (tmp_path / "table.toml").write_text(f'horizon_days = 30\nevent = {{ classes = ["IMP"] }}\n{told}')
    (tmp_path / "charts" / "north" / "two.json").write_text('{"resourceType": "Patient", "id": "other"}')
    if refused is not None:
        with pytest.raises(TrainingRefused, match=refused):
            write_feature_table(tmp_path, [], tmp_path / "charts", tmp_path / "rows.csv")
        return
    report = write_feature_table(tmp_path, [], tmp_path / "charts", tmp_path / "rows.csv")
    assert (tmp_path / "table.key").stat().st_mode & 0o077 == 0
    assert report.counts | {"rows": 2, "with the event": 1, "not followed": 1} == report.counts
    assert any(finding.kind == "follow-up" for finding in report.findings) is ("shifted" in told)


@pytest.mark.outside_data
def test_nothing_after_the_index_changes_a_feature_of_real_patients(data_folder: Path) -> None:
    path = data_folder / "fhir" / "mimic-iv-demo" / "10000032.json.gz"
    (real,) = by_patient(read_resources(path))
    before, *later = rows_of_chart(TABLE, TABLE.features, real, None, KEY)
    assert later
    # The index is the first discharge: parts of stays and an observation for a day end before it.
    stays = [e for e in real.resources if e["resourceType"] == "Encounter" and "partOf" not in e]
    index = min(e["period"]["end"] for e in stays if e["class"]["code"] != "AMB")
    # A second content under the id of a later stay: both contents begin after the index.
    future = [spoiled(e) for e in real.resources if str(e.get("period", {}).get("start", "")) > index]
    assert future
    told_again = PatientChart(real.patient, [*real.resources, *future])
    changed = next(rows_of_chart(TABLE, TABLE.features, told_again, None, KEY))
    for name in SPEC.feature_names:
        assert np.array_equal(before[name], changed[name], equal_nan=True), name
