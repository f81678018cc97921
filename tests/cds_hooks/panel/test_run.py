"""What a run over a folder asks, writes and counts, by itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.samples import load_patient
from cds_hooks.kit.simulator.chart import resources_of
from cds_hooks.panel.chart_lines import GroupingTally, Wanted
from cds_hooks.panel.grouping import charts_of
from cds_hooks.panel.run import UNREADABLE, FhirJob, _columns, _types, _Worker
from cds_hooks.panel.selection import questions_about
from cds_hooks.services._service import OPTED_OUT
from cds_hooks.settings import Settings
from tests.cds_hooks.kit.samples.reading import AS_OF

MODEL, SAMPLE = "mortality_5y", "planning-talk"


def _patient(name: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1950-05-01"} | more


OPTED_OUT_LABEL = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]}


def _job(folder: Path, resources: list[dict[str, Any]], **more: Any) -> FhirJob:
    (folder / "all.ndjson").write_text("".join(json.dumps(resource) + "\n" for resource in resources))
    return FhirJob(folder, AS_OF, folder / "scores.csv", Settings(), **more)


def _done(job: FhirJob) -> tuple[list[str], int, dict[str, int]]:
    worker = _Worker(job)
    lines, patients, counted = worker(charts_of(job.folder, Wanted.of(worker.asked.needs), GroupingTally()))
    return lines.decode().splitlines(), patients, counted


def test_scores_are_counted_by_what_they_are_and_refusals_by_their_reason(tmp_path: Path) -> None:
    few, dead, young = _patient("1"), _patient("2", deceasedBoolean=True), _patient("3", birthDate="2015-01-01")
    charted = resources_of(load_patient(SAMPLE, AS_OF))
    lines, patients, counted = _done(_job(tmp_path, [few, dead, young, *charted], names=(MODEL,)))
    assert (len(lines), patients) == (4, 4)
    assert counted == {
        MODEL: 1,
        "no score, too-few-inputs": 1,
        "no score, deceased": 1,
        "no score, outside-population": 1,
    }
    assert sorted(line.split(",")[0] for line in lines) == ["1", "2", "3", SAMPLE]


def test_resources_that_cannot_be_read_are_counted_only_where_there_are_some(tmp_path: Path) -> None:
    wrong = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/1"}, "code": 5}
    _, _, counted = _done(_job(tmp_path, [_patient("1"), wrong], names=(MODEL,)))
    assert counted == {UNREADABLE: 1, "no score, too-few-inputs": 1}


@pytest.mark.parametrize("deceased", [False, True])
def test_a_death_goes_before_what_was_not_wanted(deceased: bool, tmp_path: Path) -> None:
    """Who has died is told so; who has opted out and lives gets no other reason."""
    patient = _patient("1", deceasedBoolean=deceased, birthDate="2015-01-01", meta=OPTED_OUT_LABEL)
    _, _, counted = _done(_job(tmp_path, [patient], names=(MODEL,)))
    assert counted == {f"no score, {'deceased' if deceased else OPTED_OUT}": 1}


def test_columns_are_typed_by_what_stands_in_them(tmp_path: Path) -> None:
    scores = FhirJob(tmp_path, AS_OF, tmp_path / "out.parquet", Settings(), (MODEL,))
    features = replace(scores, content="features")
    questions = questions_about((MODEL,), Settings())
    assert _columns(scores, questions)[0] == "id"
    typed = json.loads(_types(scores, questions).replace("'", '"'))
    assert {name for name, kind in typed.items() if kind == "DOUBLE"} == {"percentile"}
    assert set(typed) == set(_columns(scores, questions))
    typed = json.loads(_types(features, questions).replace("'", '"'))
    assert {name for name, kind in typed.items() if kind == "VARCHAR"} == {"id"}
    assert list(typed) == ["id", *(feature.name for feature in questions.features)]


def test_only_the_equation_of_a_region_is_told_the_place() -> None:
    questions = replace(questions_about((), Settings()), region="other")
    places = dict(zip((equation.id for equation in questions.equations), questions.of_place, strict=True))
    assert {name: place for name, place in places.items() if place is not None} == {"kfre_4": {"calibration": "other"}}
    assert len(places) > 5
