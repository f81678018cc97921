"""Which rows come from a chart: from which instant, how long each is followed, and by what it is known."""

import hashlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from fhir.record.charts import Chart
from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import SPEC as MORTALITY
from models_onnx.models.readmission_30d import SPEC
from models_onnx.workbench.training.data.dataset import (
    dataset,
    describe,
    indices_of,
    rows_of,
    spec_of_charts,
    table_of_charts,
)
from tests.models_onnx.workbench.training.data.test_dataset import stay, write_bundle

Json = dict[str, Any]


def charted(*resources: Json, **patient: Any) -> Chart:
    """A chart of these resources."""
    return Chart({"resourceType": "Patient", "id": "p", "birthDate": "1950-03-01", **patient}, list(resources))


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


def test_the_third_day_is_that_of_the_first_stay_that_lasts_so_long() -> None:
    shorter = stay("shorter", "2019-01-01T10:00:00Z", "2019-01-04T09:59:59Z")
    later = stay("later", "2021-01-01T10:00:00Z", "2021-01-09T10:00:00Z")
    going_on = stay("going on", "2018-01-01T10:00:00Z", "2018-01-09T10:00:00Z")
    del going_on["period"]["end"]
    assert indexed("third-day", going_on, shorter, STAY, later) == [(at("2020-01-04T10:00:00+00:00"), "first")]
    assert indexed("third-day", going_on, shorter) == []


def test_the_end_of_each_stay_is_a_discharge_in_time_and_only_a_stay_has_one() -> None:
    later = stay("later", "2021-01-01T10:00:00Z", "2021-01-09T10:00:00Z", "ACUTE")
    going_on = stay("going on", "2022-01-01T10:00:00Z", "2022-01-09T10:00:00Z", "NONAC")
    part = {**stay("part", "2021-01-02T10:00:00Z", "2021-01-03T10:00:00Z"), "partOf": {"reference": "Encounter/later"}}
    day = stay("a day", "2021-03-01T10:00:00Z", "2021-03-02T10:00:00Z", "EMER")
    less = stay("less", "2021-04-01T10:00:00Z", "2021-04-02T09:59:59Z", "EMER")
    nowhere = stay("nowhere", "2021-05-01T10:00:00Z", "2021-05-09T10:00:00Z", "EMER") | {"hospitalization": {}}
    odd = {**nowhere, "id": "odd", "hospitalization": "dischargeDisposition"}
    endless = stay("endless", "2021-06-01T10:00:00Z", "2021-06-02T10:00:00Z", "EMER")
    del going_on["period"]["end"], endless["period"]["end"]
    plain = stay("plain", "2021-07-01T10:00:00Z", "2021-07-01T11:00:00Z", "NONAC") | {"hospitalization": None}
    unclassed = {**day, "id": "unclassed", "class": "IMP"}
    discharges = indexed("discharge", later, going_on, part, unclassed, less, nowhere, odd, endless, plain, STAY)
    assert discharges == [
        (at("2020-01-04T10:00:00+00:00"), "first"),
        (at("2021-01-09T10:00:00+00:00"), "later"),
        (at("2021-03-02T10:00:00+00:00"), "unclassed"),
        (at("2021-07-01T11:00:00+00:00"), "plain"),
    ]
    assert indexed("discharge", {**day, "resourceType": "Procedure"}, day) == [
        (at("2021-03-02T10:00:00+00:00"), "a day")
    ]


def followed(chart: Chart, event: Literal["death", "readmission"] = "readmission") -> list[tuple[float, float]]:
    """How long each discharge was followed, and whether the event came."""
    assert SPEC.charts is not None
    spec = replace(SPEC, charts=replace(SPEC.charts, index="discharge", event=event))
    return [(row["followed_days"], row["event"]) for row in rows_of(spec, chart)]


def test_a_discharge_is_followed_to_the_next_stay_or_to_what_is_charted_last() -> None:
    seen = {"resourceType": "Observation", "id": "o", "effectiveDateTime": "2020-01-14T10:00:00Z"}
    assert followed(charted(STAY)) == [(0.0, 0.0)]
    assert followed(charted(STAY, seen)) == [(10.0, 0.0)]
    assert followed(charted(STAY, {**seen, "issued": "2020-01-19T10:00:00Z"})) == [(15.0, 0.0)]
    before = {**seen, "effectiveDateTime": "2019-01-14T10:00:00Z"}
    assert followed(charted(STAY, before)) == [(0.0, 0.0)]
    moved = stay("moved", "2020-01-04T10:00:00Z", "2020-01-05T10:00:00Z")
    assert followed(charted(STAY, moved)) == [(1.0, 0.0), (0.0, 0.0)], "who is moved on at once does not come back"
    again = stay("again", "2020-01-06T10:00:00Z", "2020-01-07T10:00:00Z")
    third = stay("third", "2020-01-09T10:00:00Z", "2020-01-10T10:00:00Z")
    assert followed(charted(third, again, STAY)) == [(2.0, 1.0), (2.0, 1.0), (0.0, 0.0)]
    visit = stay("visit", "2020-01-05T10:00:00Z", "2020-01-05T11:00:00Z", "AMB")
    visit_of_other_kind = {**again, "resourceType": "Procedure"}
    assert followed(charted(STAY, visit, visit_of_other_kind))[0][1] == 0.0


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
    assert [[row[name] for name in names] for row in rows_of(SPEC, charted(STAY, later))] == [
        [digest[:16], f"{digest[:16]}-0", fold, 2020],
        [digest[:16], f"{digest[:16]}-1", fold, 2021],
    ]


def test_a_folder_without_an_index_and_a_model_without_charts_are_refused_and_charts_are_counted(
    tmp_path: Path,
) -> None:
    assert SPEC.charts is not None
    with pytest.raises(TrainingRefused) as refused:
        dataset(replace(SPEC, charts=None), tmp_path)
    assert str(refused.value) == (
        "readmission_30d does not say from which instant on charts are read (ModelSpec.charts)"
    )
    write_bundle(tmp_path)
    counts: list[int] = []
    assert len(dataset(SPEC, tmp_path, counts.append)) == 2
    assert counts == [1]
    none = replace(SPEC, charts=replace(SPEC.charts, index="visit"))
    with pytest.raises(TrainingRefused) as refused:
        dataset(none, tmp_path)
    assert str(refused.value) == f"no chart of {tmp_path} has a visit"
    table = table_of_charts(SPEC, tmp_path, counts.append)
    rows = dataset(SPEC, tmp_path)
    assert (table.name, counts) == ("charts", [1, 1])
    assert table.rows.equals(rows)
    assert table.sha256 == hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def test_a_dataset_is_described_by_its_counts_and_by_what_is_missing() -> None:
    rows = pd.DataFrame(
        {
            "patient": ["a", "a", "b"],
            "row": ["a-0", "a-1", "b-0"],
            "fold": [1, 1, 2],
            "year": [2020, 2021, 2021],
            "age_years": [60.0, 61.0, 40.0],
            "creatinine_mg_dl": [1.0, np.nan, np.nan],
            "followed_days": [1.0, 2.0, 3.0],
            "event": [1.0, 0.0, 1.0],
        }
    )
    assert describe(rows) == {
        "rows": 3,
        "patients": 2,
        "events": 2,
        "years": "2020-2021",
        "missing": {"age_years": 0.0, "creatinine_mg_dl": 0.667},
    }


def test_the_declaration_for_charts_leaves_out_whom_it_cannot_score_and_follows_everybody_as_seen() -> None:
    spec = spec_of_charts(MORTALITY)
    assert spec.outcome.follow_up is not None
    rows = pd.DataFrame({"followed_days": [3.0], "event": [1.0], "sex_male": [1.0], "age_years": [67.0]})
    followed_up = spec.outcome.follow_up
    assert (followed_up.time(rows)[0], followed_up.event(rows)[0], followed_up.per_year) == (3.0, 1.0, 365.25)
    assert {axis: column_of(rows)[0] for axis, column_of in spec.subgroups.items()} == {"sex": "male", "age band": "60"}
    assert spec.subgroups["sex"](rows.assign(sex_male=0.0))[0] == "female"
    assert (spec.outcome.column, spec.outcome.of, spec.text, spec.floors.c_index) == ("event", None, False, None)
    assert spec.cohort_words == "charts, one row per visit"
    assert spec_of_charts(replace(MORTALITY, charts=None)).cohort_words == "charts, one row per index"
    labs = [member for group in MORTALITY.required_groups for member in group.members]
    people = pd.DataFrame(
        {
            "age_years": [39.9, 40.0, np.nan, 50.0, 60.0],
            "sex_male": [1.0, 0.0, 1.0, np.nan, 1.0],
            **{name: [1.0] * 5 for name in labs[:7]},
            labs[7]: [1.0, 1.0, 1.0, 1.0, np.nan],
            **{name: [np.nan] * 5 for name in labs[8:]},
        }
    )
    assert [(item.reason, item.words, item.at_score, item.leaves_out(people).tolist()) for item in spec.exclusions] == [
        ("too-young", "younger than 40", "outside-population", [True, False, False, False, False]),
        ("input-missing", "without age_years, sex_male", None, [False, False, True, True, False]),
        ("too-few-inputs", "fewer than 8 of 11 laboratory values", None, [False, False, False, False, True]),
    ]
    anybody = replace(MORTALITY, population=replace(MORTALITY.population, age_low=0))
    assert [item.reason for item in spec_of_charts(anybody).exclusions] == ["input-missing", "too-few-inputs"]
