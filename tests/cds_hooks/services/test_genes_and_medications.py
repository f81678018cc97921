"""The service `genes-and-medications`: a result entered now speaks about drugs that are taken already."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.calls import client, ours
from tests.fhir.builders import RXNORM, concept, medication_order, observation, problem

SERVICE = "genes-and-medications"
Json = dict[str, Any]
CLOPIDOGREL, CODEINE, CITALOPRAM, OMEPRAZOLE = (
    ("32968", "clopidogrel"),
    ("2670", "codeine"),
    ("2556", "citalopram"),
    ("7646", "omeprazole"),
)


def result(gene: str, value: str, days_ago: int, as_of: datetime, **more: Any) -> Json:
    day = (as_of - timedelta(days=days_ago)).date().isoformat()
    code, identity = {"text": f"{gene} phenotype"}, f"result-{gene.lower()}"
    return observation(code, when=day, patient="p", id=identity, valueString=value) | more


def order(drug: tuple[str, str], as_of: datetime) -> Json:
    code, name = drug
    day = (as_of - timedelta(days=200)).date().isoformat()
    return medication_order(concept(name, code, RXNORM), patient="p", id=f"order-{name}", authoredOn=day)


def infarction() -> Json:
    return problem(code="I21.4", patient="p", id="infarction")


def ask(folder: Path, as_of: datetime, *resources: Json, results_sent: bool = True) -> Any:
    folder.mkdir(exist_ok=True)
    keys = {
        "Observation": "genomics",
        "MedicationRequest": "medications",
        "MedicationStatement": "statements",
        "Condition": "conditions",
    }
    prefetch: Json = {"patient": {"resourceType": "Patient", "id": "p", "birthDate": "1960-01-01", "gender": "male"}}
    for kind, key in keys.items():
        entries = [{"resource": each} for each in resources if each["resourceType"] == kind]
        if key != "genomics" or results_sent:
            prefetch[key] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    request = {
        "hook": "patient-view",
        "hookInstance": "b393339e-37ae-5172-891e-2c9f1de70035",
        "context": {"userId": "Practitioner/1", "patientId": "p"},
        "prefetch": prefetch,
    }

    async def call() -> Any:
        async with client(folder, as_of=as_of) as calls:
            return await calls.post(f"/cds-services/{SERVICE}", json=request)

    answer = asyncio.run(call())
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(
    ("gene", "value", "drug", "labels"),
    [
        ("HLA-B*57:01", "positive", ("190521", "abacavir"), ["Stop abacavir"]),
        ("HLA-B*58:01", "positive", ("519", "allopurinol"), ["Stop allopurinol"]),
        ("CYP2C19", "poor metaboliser", CLOPIDOGREL, []),  # another antiplatelet comes first
        ("CYP2D6", "ultrarapid metaboliser", CODEINE, []),  # an opioid is tapered
    ],
)
def test_what_is_dangerous_for_a_gene_can_be_stopped_where_that_does_no_harm(
    tmp_path: Path, as_of: datetime, gene: str, value: str, drug: tuple[str, str], labels: list[str]
) -> None:
    (card,) = ask(tmp_path, as_of, result(gene, value, 90, as_of), order(drug, as_of), infarction()).json()["cards"]
    assert card["indicator"] == "critical"
    assert [offer["label"] for offer in card.get("suggestions", [])] == labels
    for offer in card.get("suggestions", []):
        (action,) = offer["actions"]
        assert (action["type"], action["resource"]["status"]) == ("update", "stopped")
        assert offer.get("isRecommended", False) is False


def test_without_any_medication_nothing_is_counted(tmp_path: Path, as_of: datetime) -> None:
    answer = ask(tmp_path, as_of, result("CYP2C19", "poor metaboliser", 0, as_of))
    assert [each["text"] for each in ours(answer)["silence"] if each["reason"] == "below-threshold"] == [
        "No medication that is taken is on the chart."
    ]


def test_a_medication_that_cannot_be_read_is_named(tmp_path: Path, as_of: datetime) -> None:
    unknown = order(("0", "Zzqvexol 5 mg"), as_of) | {"medicationCodeableConcept": {"text": "Zzqvexol 5 mg"}}
    answer = ask(tmp_path, as_of, result("CYP2C19", "poor metaboliser", 0, as_of), unknown)
    (sentence,) = [each["text"] for each in ours(answer)["silence"] if each["reason"] == "below-threshold"]
    assert sentence.endswith("Not readable on the medication list: Zzqvexol 5 mg.")


def test_an_old_result_that_warns_speaks_about_a_drug_that_is_taken_nevertheless(
    tmp_path: Path, as_of: datetime
) -> None:
    """Nobody may have judged it: the drug was ordered elsewhere, or before this server was there."""
    answer = ask(tmp_path, as_of, result("CYP2C19", "*2/*2", 900, as_of), order(CLOPIDOGREL, as_of), infarction())
    (card,) = answer.json()["cards"]
    assert card["indicator"] == "critical"
    assert card["summary"].startswith("Genetic result: CYP2C19 poor metabolizer")


def test_without_the_results_it_says_that_they_are_not_known(tmp_path: Path, as_of: datetime) -> None:
    answer = ask(tmp_path, as_of, order(CLOPIDOGREL, as_of), results_sent=False)
    assert answer.json()["cards"] == []
    assert "input-missing" in {each["reason"] for each in ours(answer)["silence"]}
