"""Bodies are requests that a client could really send, of the size that was asked for."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.bodies import build_body, with_marked_ids
from benchmarks.charts import Patient, load_patients
from benchmarks.connection import ChangingRequest
from cds_hooks.settings import settings

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SERVICE = {
    "hook": "patient-view",
    "id": "any",
    "prefetch": {
        "patient": "Patient/{{context.patientId}}",
        "labs": "Observation?patient={{context.patientId}}&code=http://loinc.org|2160-0,http://loinc.org|3094-0"
        "&_sort=-date&_count=500",
        "conditions": "Condition?patient={{context.patientId}}",
    },
}


@pytest.fixture(scope="module", params=[pytest.param("real patients", marks=pytest.mark.slow), "the project's samples"])
def patients(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Patient]]:
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "real patients":
            request.getfixturevalue("data_folder")
        else:
            environment.setenv("CDS_DATA_DIR", str(tmp_path_factory.mktemp("empty")))
        settings.cache_clear()
        yield list(load_patients(NOW))
    settings.cache_clear()


@pytest.fixture(scope="module")
def patient(patients: list[Patient]) -> Patient:
    """The first of them: a real chart where there are any."""
    return patients[0]


def body_of(patient: Patient, size: int) -> bytes:
    return build_body(SERVICE, patient, next(patient.fillers()), size)


def results(body: bytes) -> list[dict[str, Any]]:
    labs = json.loads(body)["prefetch"]["labs"]
    return [entry["resource"] for entry in labs["entry"]]


@pytest.mark.parametrize("size", [40_000, 68_000])
def test_a_body_has_the_size_that_was_asked_for(patient: Patient, size: int) -> None:
    assert 0.96 * size < len(body_of(patient, size)) < 1.02 * size


def test_only_what_the_template_asks_for_is_in_it(patient: Patient) -> None:
    for result in results(body_of(patient, 68_000)):
        assert {"2160-0", "3094-0"} & {coding["code"] for coding in result["code"]["coding"]}


def test_no_result_is_ahead_of_the_clock_and_the_filler_is_the_patients_own(patient: Patient) -> None:
    body = body_of(patient, 68_000)
    about = {result["subject"]["reference"].partition("/")[2] for result in results(body)}
    assert about == {json.loads(body)["context"]["patientId"]}
    assert all(datetime.fromisoformat(each["effectiveDateTime"]) <= NOW for each in results(body))


def test_a_sample_keeps_its_own_results_in_every_body(patients: list[Patient]) -> None:
    sample = patients[0]
    own = {result["id"] for result in results(build_body(SERVICE, sample))}
    assert own <= {result["id"] for result in results(body_of(sample, 68_000))}


def test_each_call_has_ids_of_its_own_and_references_follow_them() -> None:
    resource = {"resourceType": "Condition", "id": "ab-1", "subject": {"reference": "Patient/p"}, "code": {"text": "p"}}
    request = {
        "hookInstance": "5ca1ab1e-0000-4000-8000-000000000000",
        "context": {"patientId": "p", "userId": "Practitioner/q"},
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "p"},
            "conditions": {"entry": [{"resource": resource}]},
        },
    }
    changing = ChangingRequest(with_marked_ids(request))
    first, second = json.loads(changing.next()), json.loads(changing.next())
    for sent in (first, second):
        condition = sent["prefetch"]["conditions"]["entry"][0]["resource"]
        assert condition["subject"]["reference"] == f"Patient/{sent['context']['patientId']}"
        assert sent["prefetch"]["patient"]["id"] == sent["context"]["patientId"]
        assert sent["context"]["userId"] == "Practitioner/q"
    assert first["context"]["patientId"] != second["context"]["patientId"]
    assert first["hookInstance"] != second["hookInstance"]
