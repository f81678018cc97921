"""Which rows come from a chart: from which instant, how long each is followed, and by what it is known."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from fhir.record.charts import PatientChart
from models_onnx.errors import TrainingRefused
from models_onnx.workbench.training.data.chart_table import OwnEvent, SiteTable, _rows, feature_table, indices_of
from tests.models_onnx.workbench.training.data.test_chart_table import TABLE, rows_of, stay, write_bundle

Json = dict[str, Any]


def charted(*resources: Json, **patient: Any) -> PatientChart:
    """A chart of these resources."""
    return PatientChart({"resourceType": "Patient", "id": "p", "birthDate": "1950-03-01", **patient}, list(resources))


def at(text: str) -> float:
    """The instant of a time."""
    return datetime.fromisoformat(text).timestamp()


def indexed(kind: str, *resources: Json) -> list[tuple[float, str]]:
    """The instants of a chart, and the encounters they are of."""
    return [(index.epoch, index.encounter["id"]) for index in indices_of(charted(*resources), kind)]


STAY = stay("first", "2020-01-01T10:00:00Z", "2020-01-04T10:00:00Z")


def test_a_visit_counts_from_a_year_after_the_chart_begins_and_the_first_to_end_is_the_index() -> None:
    early = stay("early", "2020-12-31T15:59:59Z", "2020-12-31T16:30:00Z", "AMB")
    in_time = stay("in time", "2020-12-31T16:00:00Z", "2020-12-31T17:00:00Z", "AMB")
    sooner = stay("sooner", "2020-12-31T16:10:00Z", "2020-12-31T16:20:00Z", "AMB")
    house = stay("house", "2020-12-31T16:00:00Z", "2020-12-31T16:01:00Z", "HH")
    assert indexed("visit", in_time, STAY, early, house) == [(at("2020-12-31T17:00:00+00:00"), "in time")]
    assert indexed("visit", in_time, sooner, STAY) == [(at("2020-12-31T16:20:00+00:00"), "sooner")]
    del in_time["period"]["end"]
    assert indexed("visit", STAY, in_time) == [(at("2020-12-31T16:00:00+00:00"), "in time")], "from its begin"
    assert indexed("visit", STAY, early) == []
    old = stay("old", "2001-01-01T10:00:00Z", "2001-01-04T10:00:00Z")
    del old["period"]["start"]
    assert indexed("visit", old, in_time) == [], "the chart begins with what has a beginning"
    assert indexed("visit") == []


AGAIN = OwnEvent(classes=("IMP",))


def followed(chart: PatientChart, event: Literal["death"] | OwnEvent = AGAIN) -> list[tuple[float, float]]:
    """How long each discharge was followed, and whether the event came."""
    table = SiteTable(horizon_days=1e6, event=event)
    return [(row["followed_days"], row["event"] or 0.0) for row in _rows(table, table.features, chart)]


def test_who_died_is_followed_to_the_death_and_has_no_row_from_then_on() -> None:
    later = stay("later", "2020-02-01T10:00:00Z", "2020-02-03T10:00:00Z")
    died = charted(STAY, later, deceasedDateTime="2020-02-03T10:00:00Z")
    assert followed(died, "death") == [(30.0, 1.0)], "the second discharge is the death itself"
    assert followed(died) == [(28.0, 1.0)]
    after = charted(STAY, later, deceasedDateTime="2020-02-03T10:00:01Z")
    assert [event for _, event in followed(after, "death")] == [1.0, 1.0]
    assert [event for _, event in followed(after)] == [1.0, 0.0], "a death is no readmission"
    assert followed(charted(STAY, later), "death") == [(30.0, 0.0), (0.0, 0.0)]


def test_a_row_is_known_by_the_digest_of_its_patient_its_number_and_its_year() -> None:
    later = stay("later", "2020-12-30T10:00:00Z", "2021-01-01T00:00:00Z")
    digest = hashlib.sha256(b"p").hexdigest()
    names = ("patient", "row", "fold", "year")
    fold = int(digest[:8], 16) % 5
    assert [[row[name] for name in names] for row in rows_of(charted(STAY, later))] == [
        [digest[:16], f"{digest[:16]}-0", fold, 2020],
        [digest[:16], f"{digest[:16]}-1", fold, 2021],
    ]


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    assert len(feature_table(TABLE, (), tmp_path)) == 2
    with pytest.raises(TrainingRefused) as refused:
        feature_table(SiteTable(horizon_days=30, index="visit"), (), tmp_path)
    assert str(refused.value) == f"no chart of {tmp_path} has the index of table.toml"
