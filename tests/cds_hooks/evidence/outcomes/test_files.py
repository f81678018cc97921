"""CSV, NDJSON and FHIR files of outcomes, and the sentence for what is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_hooks.evidence.outcomes.files import WrongFile, read_file
from cds_hooks.evidence.outcomes.report import Report
from tests.fhir import builders
from tests.fhir.builders import observation

FALL = {"http://loinc.org|00000-0": "fall"}


def file(folder: Path, content: Any, name: str = "o.ndjson") -> Path:
    path = folder / name
    lines = content if isinstance(content, list) else [content]
    text = content if isinstance(content, str) else "\n".join(json.dumps(each) for each in lines)
    path.write_text(text, encoding="utf-8")
    return path


def encounter(**changes: Any) -> dict[str, Any]:
    """An inpatient stay."""
    class_ = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    return builders.encounter(class_, "finished", period={"start": "2026-03-10T08:00:00Z"}) | changes


DECEASED = {"resourceType": "Patient", "id": "p1", "deceasedDateTime": "2026-03-10"}
OBSERVATION = observation("00000-0", when="2026-03-10", id=None, valueBoolean=True)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (encounter(), Report(patient="p1", event="admission", at="2026-03-10T08:00:00Z")),
        (encounter(**{"class": {"code": "AMB"}}), None),
        (encounter(status="planned"), None),
        (encounter(subject={"display": "somebody"}), None),
        (encounter(subject={"reference": "Group/p1"}), None),
        *(
            (
                encounter(subject={"reference": written}),
                Report(patient="p1", event="admission", at="2026-03-10T08:00:00Z"),
            )
            for written in ("https://ehr.example/fhir/Patient/p1", "Patient/p1/_history/2", "urn:uuid:p1")
        ),
        (DECEASED, Report(patient="p1", event="death", at="2026-03-10")),
        ({"resourceType": "Patient", "id": "p1", "deceasedBoolean": True}, None),
        ({"resourceType": "Patient", "id": "p1"}, None),
        (OBSERVATION, Report(patient="p1", event="fall", at="2026-03-10")),
        (OBSERVATION | {"valueBoolean": False}, Report(patient="p1", event="fall", outcome="no", at="2026-03-10")),
        (OBSERVATION | {"valueBoolean": "yes"}, None),
        (OBSERVATION | {"status": "entered-in-error"}, None),
        (OBSERVATION | {"code": {"text": "fall"}}, None),
        ({"resourceType": "Condition"}, None),
    ],
)  # fmt: skip
def test_of_fhir_only_what_says_that_something_happened_is_a_report(
    tmp_path: Path, resource: dict[str, Any], expected: Report | None
) -> None:
    death = {"resourceType": "Patient", "id": "p9", "deceasedDateTime": "2026-01-01"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}, {"resource": death}]}
    for content in ([resource, death], bundle):
        found = read_file(file(tmp_path, content), observations=FALL)
        assert found.source == "fhir"
        assert found.reports[:-1] == ([expected] if expected else [])
        assert found.skipped == (0 if expected else 1)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("o.csv", "prediction,result\nx,yes\n", "line 1: the columns of a CSV file of outcomes are prediction"),
        ("o.csv", "prediction,outcome\nx\n", "line 2: the number of columns differs"),
        ("o.csv", "prediction,outcome\nx,perhaps\n", "outcome has a value that it cannot have"),
        ("o.csv", "prediction,outcome,at\nx,yes,soon\n", "line 2: `at` must be a day"),
        ("o.csv", "", "line 1: the columns"),
        ("o.csv", "prediction,outcome,outcome\nx,yes,no\n", "line 1: two columns have the same name"),
        ("o.ndjson", '{"prediction": "x", "outcome": "yes", "outcome": "no"}\n', "or has a member twice"),
        ("o.csv", "prediction,outcome\n", "holds no outcome"),
        ("o.ndjson", '{"prediction": \n', "line 1: it is not JSON"),
        ("o.csv", 'prediction,outcome\n"x"y,yes\n', "o.csv cannot be read as CSV: ',' expected after '\"'"),
        ("o.ndjson", "[" * 100_000, "line 1: it is not JSON"),
        ("o.ndjson", '{"prediction": "x"}\n', "line 1: A report with `prediction` needs `outcome`"),
        ("o.ndjson", '{"resourceType": "Patient"}\n7\n', "line 2: the line is not a FHIR resource"),
        ("o.ndjson", '{"resourceType": "Patient"}\n', "holds no outcome"),
        ("o.ndjson", json.dumps(DECEASED | {"id": "Peter", "deceasedDateTime": "2026-03"}), "`at` must be a day"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(WrongFile, match=words) as refused:
        read_file(file(tmp_path, text, name))
    assert "Peter" not in str(refused.value).removeprefix(str(tmp_path))


@given(st.binary(max_size=200), st.sampled_from(["o.csv", "o.ndjson", "o.json"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_whatever_bytes_come_the_answer_is_a_sentence(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WrongFile):
        read_file(tmp_path / name)
