"""From charts to rows: through the mapping of the bedside, and nothing that comes later can change a row."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from fhir.record.charts import PatientChart, known_at
from models_onnx.models.readmission_30d import SPEC
from models_onnx.workbench.training.data.chart_table import OwnEvent, SiteTable, rows_of_chart
from tests.fhir import builders
from tests.fhir.builders import problem

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
Json = dict[str, Any]
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
    return list(rows_of_chart(TABLE, TABLE.features, chart))


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


def test_no_id_and_no_date_is_in_a_row() -> None:
    told = json.dumps(rows_of(chart()))
    assert '"p"' not in told
    assert "2020-01" not in told


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
    for resources in (kept, kept + [spoiled(each) for each in later], kept + later * 3):
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
