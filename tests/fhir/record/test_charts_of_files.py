"""Charts read from files, and what of a chart was known on an earlier day."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir.record.charts import known_at, read_charts
from fhir.record.folder import ChartsRefused

Json = dict[str, Any]
EPOCH = datetime(2026, 11, 20, 9, 0, tzinfo=UTC).timestamp()
PATIENT: Json = {"resourceType": "Patient", "id": "p1", "deceasedBoolean": True, "deceasedDateTime": "2026-12-01"}


def _bundle(*resources: Json) -> str:
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]})


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


def test_the_pages_of_a_search_about_one_patient_are_one_chart(tmp_path: Path) -> None:
    patient: Json = {"resourceType": "Patient", "id": "p1"}
    pages: list[list[Json]] = [
        [patient],
        [{"resourceType": "Observation", "id": "o1", "subject": {"reference": "Patient/p1/_history/2"}}],
    ]
    pages.append([{**patient}, {"resourceType": "Encounter", "id": "e1", "subject": {"reference": "Patient/p1"}}])
    for number, resources in enumerate(pages):
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in resources]}
        (tmp_path / f"{number}.json").write_text(json.dumps(bundle))
    (chart,) = read_charts(tmp_path)
    assert sorted(resource["id"] for resource in chart.resources) == ["e1", "o1"]
