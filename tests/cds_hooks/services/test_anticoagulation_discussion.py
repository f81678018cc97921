"""The service `anticoagulation-discussion` on charts that the samples do not have."""

from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.services.chart_cases import answers, drug, operation, patient, problem, text_of
from tests.cds_hooks.services.equation_calls import (
    added,
    ago,
    answer,
    changed,
    condition,
    only_card,
    order,
    procedure,
    reasons,
    said,
    service_request,
    worded,
)

STATIN = ("statin-discussion", "diabetes-no-statin")
AF = ("anticoagulation-discussion", "af-no-anticoagulant")


def test_an_order_or_a_talk_about_closing_the_appendage_does_not_close_it(server_here: str) -> None:
    words = "Left atrial appendage closure (Watchman)"
    assert only_card(answer(server_here, *AF, added("tests", service_request("af-no-anticoagulant", words))))
    prepared = procedure("af-no-anticoagulant", words, "preparation")
    assert only_card(answer(server_here, *AF, added("procedures", prepared)))
    done = added("procedures", procedure("af-no-anticoagulant", words))
    assert reasons(answer(server_here, *AF, done)) == ["already-done"]
    listed = worded("af-no-anticoagulant", "Presence of Watchman left atrial appendage closure device")
    assert reasons(answer(server_here, *AF, added("conditions", listed))) == ["already-done", "problems-unreadable"]


@pytest.mark.parametrize(
    ("words", "summary", "detail"),
    [
        ("Mechanical aortic valve", "with a mechanical valve", "a direct oral anticoagulant (DOAC) is not."),
        ("Presence of prosthetic heart valve", "with a prosthetic heart valve", "see which one it is"),
        ("S/P TAVR", "CHA2DS2-VASc", "CHA2DS2-VASc"),
        ("Bioprosthetic aortic valve", "CHA2DS2-VASc", "CHA2DS2-VASc"),
    ],
)
def test_warfarin_is_for_the_mechanical_valve(server_here: str, words: str, summary: str, detail: str) -> None:
    valve = condition("af-no-anticoagulant", "Z95.2")
    valve["code"]["text"] = words
    card = only_card(answer(server_here, *AF, added("conditions", valve)))
    assert summary in card["summary"]
    assert detail in card["detail"]
    assert ("arfarin" in card["summary"]) is ("CHA2DS2" not in summary)


def test_a_tentative_fibrillation_is_no_diagnosis_and_flutter_has_its_own_name(server_here: str) -> None:
    def tentative(resource: dict[str, Any]) -> None:
        resource["verificationStatus"] = {"coding": [{"code": "provisional"}]}

    silent = answer(server_here, *AF, changed("Condition", tentative))
    assert reasons(silent) == ["outside-population"]
    assert "as provisional only" in said(silent)

    def flutter(resource: dict[str, Any]) -> None:
        text = " ".join([resource["code"].get("text", ""), str(resource["code"].get("coding"))]).lower()
        if "fibrillation" in text:
            coding = {
                "system": "http://hl7.org/fhir/sid/icd-10-cm",
                "code": "I48.3",
                "display": "Typical atrial flutter",
            }
            resource["code"] = {"coding": [coding], "text": "Typical atrial flutter"}

    assert only_card(answer(server_here, *AF, changed("Condition", flutter)))["summary"].startswith("Atrial flutter,")


def test_a_medicine_without_a_name_may_be_the_anticoagulant(server_here: str) -> None:
    nameless = {
        "resourceType": "MedicationRequest", "id": "nameless", "status": "active", "intent": "order",
        "medicationReference": {"reference": "Medication/not-sent"},
        "subject": {"reference": "Patient/af-no-anticoagulant"}, "authoredOn": ago(20),
    }  # fmt: skip
    assert reasons(answer(server_here, *AF, added("medications", nameless))) == ["input-missing"]
    named = {**nameless, "medicationReference": {"reference": "Medication/not-sent", "display": "metformin 500 mg"}}
    assert only_card(answer(server_here, *AF, added("medications", named)))


@pytest.mark.parametrize(
    ("pair", "drug", "code", "words"),
    [
        (STATIN, "atorvastatin", "83367", "Statin declined"),
        (AF, "apixaban", "1364430", "Patient refuses anticoagulation"),
    ],
    ids=["statin", "anticoagulant"],
)
def test_what_is_declined_is_not_discussed(
    server_here: str, pair: tuple[str, str], drug: str, code: str, words: str
) -> None:
    unwanted = {**order(pair[1], code, drug), "doNotPerform": True}
    assert reasons(answer(server_here, *pair, added("medications", unwanted))) == ["declined"]
    long_ago = {**unwanted, "authoredOn": ago(400)}
    assert only_card(answer(server_here, *pair, added("medications", long_ago)))
    listed = worded(pair[1], words)
    assert reasons(answer(server_here, *pair, added("conditions", listed))) == ["declined", "problems-unreadable"]
    other = worded(pair[1], "Influenza vaccine declined")
    assert only_card(answer(server_here, *pair, added("conditions", other)))


def test_an_abbreviation_keeps_its_capitals_beside_the_score(server_here: str) -> None:
    aspirin = order("af-no-anticoagulant", "1191", "aspirin 81 MG Oral Tablet")
    card = only_card(answer(server_here, *AF, added("medications", aspirin)))
    assert "antiplatelet or NSAID" in card["detail"]


OLD_USE = ("Long term (current) use of anticoagulants", "Z79.01")
FIBRILLATION = problem("Atrial fibrillation", "I48.91")
SCORED = "CHA2DS2-VASc 2"
"""A man of 74 with hypertension, each with a fibrillation of his own, and what the card must say; "" for no card."""
CHARTS: list[tuple[list[dict[str, Any]], str]] = [
    ([problem("Atrial fibrillation", "I48.91", status="resolved")], "is on record as past"),
    ([problem("Paroxysmal AF s/p PVI 2022", "Z86.79")], "History of atrial fibrillation"),
    ([operation("Catheter ablation, pulmonary vein isolation", "2023-02-02")], "not by the rhythm"),
    ([operation("Catheter ablation of ventricular tachycardia", "2023-02-02")], ""),
    ([problem("Family history of atrial fibrillation", "Z82.49")], ""),
    ([problem("Postoperative atrial fibrillation", status="resolved")], ""),
    ([FIBRILLATION, drug("enoxaparin 40 mg SC daily (DVT prophylaxis)", "67108")], "in a low dose"),
    ([FIBRILLATION, drug("heparin flush 100 units/mL", "5224")], SCORED),
    ([FIBRILLATION, drug("enoxaparin 80 mg SC twice daily", "67108")], ""),
    ([FIBRILLATION, drug("apixaban 5 mg", "1364430", status="on-hold")], "apixaban on hold (ordered"),
    ([FIBRILLATION, problem(*OLD_USE, when="2020-01-18")], "The problem list still has Long term"),
    ([FIBRILLATION, problem(*OLD_USE, when="2026-09-01")], ""),
    ([FIBRILLATION, problem("Dependence on renal dialysis", "Z99.2")], "the benefit is uncertain"),
]


def test_the_risk_and_not_the_rhythm_decides_and_only_a_treatment_is_an_anticoagulant(tmp_path: Path) -> None:
    charts = [[patient(74, "male"), problem("Hypertension", "I10"), *chart] for chart, _ in CHARTS]
    for answered, (chart, words) in zip(answers(tmp_path, AF[0], charts), CHARTS, strict=True):
        assert (words in text_of(answered)) if words else not answered["cards"], (chart, text_of(answered))
