"""The table of a site's own features: its index, its event and its horizon, declared as data."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.workbench.training.data import chart_table
from tests.fhir.builders import problem
from tests.models_onnx.workbench.training.data.test_chart_table import stay

Json = dict[str, Any]
KIDNEY = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "N17.9"}]}
VISIT = stay("er", "2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "EMER")


def injury(day: str, **more: Json | str) -> Json:
    """A kidney injury that began on a day."""
    return problem(KIDNEY, status=None, patient="p", id=f"c{day}", onsetDateTime=day) | more


def rows(folder: Path, table: chart_table.SiteTable, *resources: Json, **patient: Any) -> list[Json]:
    """The rows of one chart, without what is the same for all."""
    person = {"resourceType": "Patient", "id": "p", "birthDate": "1950-03-01", "gender": "male", **patient}
    folder.mkdir(exist_ok=True)
    entries = [{"resource": resource} for resource in (person, *resources)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    (folder / "p.json").write_text(json.dumps(bundle))
    found = chart_table.feature_table(table, (), folder)
    kept: list[Json] = found[["year", "age_years", "followed_days", "event"]].to_dict("records")
    return kept


OWN = chart_table.SiteTable(
    horizon_days=30, index=chart_table.OwnIndex(("EMER",), "end"), event=chart_table.OwnEvent(codes=("icd10|N17*",))
)


@pytest.mark.parametrize(
    ("resources", "event"),
    [
        ([injury("2026-01-20")], 1),
        ([injury("2026-03-20")], 0),
        ([injury("2025-12-20")], None),  # before the index, and nobody knows what came later
        ([injury("2025-12-20"), stay("later", "2026-02-20T10:00:00Z", "2026-02-20T11:00:00Z", "AMB")], 0),
        ([injury("2026-01-20", verificationStatus={"coding": [{"code": "refuted"}]})], None),
        ([injury("2026-01-20", code={"text": "kidneys"})], None),
    ],
)
def test_an_event_counts_within_the_horizon_and_nothing_where_nobody_was_followed(
    tmp_path: Path, resources: list[Json], event: int | None
) -> None:
    (row,) = rows(tmp_path, OWN, VISIT, *resources)
    assert (row["year"], row["age_years"]) == (2026, 75)
    assert row["event"] == event if event is not None else pd.isna(row["event"])


def test_the_index_is_begin_or_end_of_the_declared_encounters_and_so_many_hours_later(tmp_path: Path) -> None:
    again = stay("again", "2026-01-11T10:00:00Z", "2026-01-11T12:00:00Z", "EMER")
    event = chart_table.OwnEvent(classes=("EMER",))
    start = chart_table.SiteTable(horizon_days=30, index=chart_table.OwnIndex(("EMER",)), event=event)
    assert [row["followed_days"] for row in rows(tmp_path / "a", start, VISIT, again)] == [10, pytest.approx(2 / 24)]
    later = chart_table.SiteTable(
        horizon_days=5, index=chart_table.OwnIndex(("EMER",), hours=24, first=True), event=event
    )
    assert [(row["followed_days"], row["event"]) for row in rows(tmp_path / "b", later, VISIT, again)] == [(9, 0)]
    named = chart_table.SiteTable(horizon_days=30, index="discharge", event="death")
    ward = stay("ward", "2026-01-01T10:00:00Z", "2026-01-04T10:00:00Z")
    assert rows(tmp_path / "c", named, ward, deceasedDateTime="2026-01-09T10:00:00Z")[0]["event"] == 1
    with pytest.raises(TrainingRefused, match=f"no chart of .* has the index of {chart_table.FILE}"):
        rows(tmp_path / "d", OWN, ward)


def test_a_value_after_the_index_changes_no_feature(tmp_path: Path) -> None:
    later = stay("later", "2026-06-20T10:00:00Z", "2026-06-29T11:00:00Z")
    (before,), (after,) = rows(tmp_path / "a", OWN, VISIT), rows(tmp_path / "b", OWN, VISIT, later)
    assert before["age_years"] == after["age_years"]


DIABETES = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]}
OVER = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}


@pytest.mark.parametrize(
    ("more", "is_counted"),
    [
        ({"recordedDate": "2025-05-01"}, False),
        ({"recordedDate": "2025-05-01", **OVER}, True),
        ({"recordedDate": "2025-05-01", **OVER, "abatementDateTime": "2025-08-01"}, False),
        ({"recordedDate": "2026-01-01"}, True),  # the day of the index, which training knows when it is over
        ({"recordedDate": "2026-01-02"}, False),
    ],
)
def test_an_input_that_a_call_would_have_read_otherwise_is_named_in_its_row_and_on_the_card(
    tmp_path: Path, more: Json, is_counted: bool
) -> None:
    person = {"resourceType": "Patient", "id": "p", "birthDate": "1950-03-01", "gender": "male"}
    illness = injury("2025-05-01") | {"code": DIABETES} | more
    illness.pop("onsetDateTime")
    entries = [{"resource": resource} for resource in (person, VISIT, illness)]
    (tmp_path / "p.json").write_text(json.dumps({"resourceType": "Bundle", "entry": entries}))
    table = chart_table.feature_table(OWN, ["has_diabetes"], tmp_path)
    shares = chart_table.undated_shares(table, ["age_years", "has_diabetes"])
    assert shares == ({"has_diabetes": 1.0} if is_counted else {})
    assert [sentence.endswith("decided: has_diabetes 100.0.") for sentence in chart_table.undated_in_words(shares)] == (
        [True] if is_counted else []
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, f"has no {chart_table.FILE}"),
        ("horizon_days = 0", "horizon_days is more than 0"),
        ('horizon_days = 30\nindex = "birth"', "index"),
        ('horizon_days = 30\nfeatures = ["shoe_size"]', "there is no feature shoe_size"),
        ("horizon_days = 30\nevent = {}", "event has codes or classes"),
        ('horizon_days = 30\nevent = { codes = ["N17"] }', "event: 'N17' is no code"),
        ("horizon = 30", "horizon"),
    ],
)
def test_what_does_not_hold_is_said(tmp_path: Path, text: str | None, fault: str) -> None:
    if text is not None:
        (tmp_path / chart_table.FILE).write_text(text)
    with pytest.raises(TrainingRefused, match=fault):
        chart_table.read_table(tmp_path)


def test_a_declaration_is_read(tmp_path: Path) -> None:
    (tmp_path / chart_table.FILE).write_text(
        'horizon_days = 30\nfeatures = ["age_years"]\nindex = { classes = ["EMER"], at = "end" }\n'
        'event = { codes = ["icd10|N17*"] }\n'
    )
    assert chart_table.read_table(tmp_path) == chart_table.SiteTable(30, OWN.index, OWN.event, ("age_years",))


def test_the_report_counts_who_was_followed_and_what_is_missing() -> None:
    table = pd.DataFrame(
        {"patient": ["a", "a", "b", "c"], "event": [1, 0, None, 0], "x": [1, None, 3, 2], "y": [None] * 4}
    )
    assert chart_table.counts_of(table) == {"patients": 3, "with the event": 1, "without": 2, "not followed": 1}
    assert dict(chart_table.features_in_words(table, ["x", "y", "x"])) == {
        "x": "missing in 25.0% of the rows; median 2, 90 % of the values from 1.1 to 2.9",
        "y": "missing in 100.0% of the rows",
    }
