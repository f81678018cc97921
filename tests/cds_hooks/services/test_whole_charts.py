"""Whole charts through each service's own prefetch: what a service reads, it must ask for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from cds_hooks.kit.simulator.chart import Chart
from cds_hooks.kit.simulator.request import build_request
from cds_hooks.services import find_services
from tests.cds_hooks.calls import ours

Json = dict[str, Any]
_ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"


def _day(ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=ago)).strftime("%Y-%m-%d")


def _person(number: int, age: int, sex: str = "female") -> Json:
    return {"resourceType": "Patient", "id": f"whole-{number}", "gender": sex, "birthDate": _day(age * 366)}


def _problem(words: str, code: str | None = None, ago: int = 400) -> Json:
    coding = [{"system": _ICD10, "code": code}] if code else []
    return {
        "resourceType": "Condition",
        "id": f"problem-{words[:20].replace(' ', '-')}",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"text": words, "coding": coding},
        "onsetDateTime": _day(ago),
    }


def _asked(server: str, service: str, chart: list[Json]) -> httpx.Response:
    person, *others = chart
    subject = {"reference": f"Patient/{person['id']}"}
    whole = Chart([person, *({**one, "subject": subject} for one in others)])
    entry = next(each for each in find_services()[service].discovery() if each["hook"] == "patient-view")
    answer = httpx.post(f"{server}/cds-services/{entry['id']}", json=build_request(entry, whole, []), timeout=60)
    answer.raise_for_status()
    return answer


def test_a_statin_is_not_discussed_with_rhabdomyolysis_on_record(server_here: str) -> None:
    chart = [_person(3, 60), _problem("Type 2 diabetes mellitus"), _problem("Rhabdomyolysis", "M62.82", 3)]
    answer = _asked(server_here, "statin-discussion", chart)
    assert not answer.json()["cards"]
    assert "Rhabdomyolysis is on record" in str(ours(answer)["silence"])
    (card,) = _asked(server_here, "statin-discussion", [_person(4, 60), *chart[1:2]]).json()["cards"]
    assert card["summary"].startswith("Diabetes at ")


def test_a_brain_haemorrhage_in_words_keeps_the_anticoagulant_from_being_discussed(server_here: str) -> None:
    known = [_problem("Atrial fibrillation", "I48.91"), _problem("Hypertension", "I10")]
    answer = _asked(server_here, "anticoagulation-discussion", [_person(5, 78), *known, _problem("Subdural haematoma")])
    assert not answer.json()["cards"]
    assert "Bleeding inside the skull is on record (Subdural haematoma" in str(ours(answer)["silence"])


@pytest.mark.parametrize(("code", "is_counted"), [("F10.20", True), ("F10.21", False)])
def test_alcohol_in_remission_counts_no_point_and_no_drinks_are_claimed(
    server_here: str, code: str, is_counted: bool
) -> None:
    known = [_problem("Atrial fibrillation", "I48.91"), _problem("Hypertension", "I10"), _problem("Alcohol", code)]
    (card,) = _asked(server_here, "anticoagulation-discussion", [_person(60 + is_counted, 78), *known]).json()["cards"]
    assert "8 or more" not in card["detail"]
    assert ("alcohol use disorder" in card["detail"]) is is_counted
