"""What is missing where a model is used: made charts, replayed as of each visit."""

import json
from pathlib import Path

import msgspec
import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import TrainingRefused
from models_onnx.workbench.gates.served import served_inputs
from tests.models_onnx.workshop import good_manifest


def chart(number: int, creatinine_on: str | None) -> str:
    reference = {"reference": f"Patient/p{number}"}
    resources = [{"resourceType": "Patient", "id": f"p{number}", "gender": "female", "birthDate": "1950-01-01"}]
    for day in ("2024-01-10", "2025-06-10"):
        period = {"start": f"{day}T10:00:00Z", "end": f"{day}T11:00:00Z"}
        visit = {"resourceType": "Encounter", "id": day, "status": "finished", "class": {"code": "AMB"}}
        resources.append({**visit, "subject": reference, "period": period})  # type: ignore[dict-item]
    if creatinine_on is not None:
        result = {"resourceType": "Observation", "id": "c", "status": "final", "effectiveDateTime": creatinine_on}
        coding = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
        quantity = {"value": 1.0, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"}
        resources.append({**result, "subject": reference, "code": coding, "valueQuantity": quantity})  # type: ignore[dict-item]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]})


def test_inputs_are_counted_as_of_the_visit_and_not_from_what_came_later(tmp_path: Path) -> None:
    for number, day in enumerate(("2025-03-01", "2025-06-20", None, "2025-06-01")):
        (tmp_path / f"{number}.json").write_text(chart(number, day))
    served = served_inputs(msgspec.convert(good_manifest(), Manifest), tmp_path, "visit")
    assert (served.moments, served.words) == (4, "visits")
    assert served.missing["age_years"] == 0
    assert served.missing["creatinine_mg_dl"] == 0.5, "one has none, and one's came ten days after the visit"
    assert served.missing["albumin_g_dl"] == 1


def test_charts_without_such_a_moment_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(chart(1, None))
    with pytest.raises(TrainingRefused, match="no chart of"):
        served_inputs(msgspec.convert(good_manifest(), Manifest), tmp_path, "discharge")


def test_third_days_are_those_of_a_stay_of_somebody_whom_the_model_is_for(tmp_path: Path) -> None:
    bundle = json.loads(chart(1, "2025-06-09"))
    stay = bundle["entry"][2]["resource"]
    stay["class"], stay["period"] = {"code": "IMP"}, {"start": "2025-06-10T10:00:00Z", "end": "2025-06-20T10:00:00Z"}
    (tmp_path / "a.json").write_text(json.dumps(bundle))
    bundle["entry"][0]["resource"]["birthDate"] = "2000-01-01"
    (tmp_path / "b.json").write_text(json.dumps(bundle).replace("p1", "p2"))
    served = served_inputs(msgspec.convert(good_manifest(), Manifest), tmp_path, "third-day")
    assert (served.moments, served.words) == (1, "third days"), "who is under 40 gets no score"
    assert served.missing["creatinine_mg_dl"] == 0
