"""The service `vaccines-due`: what forbids a vaccine or makes it unnecessary, and what only looks like it."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.services.vaccine_calls import SUBJECT, Json, condition, only_card, taking


def test_a_live_vaccine_is_contraindicated_in_pregnancy_and_not_offered(tmp_path: Path, as_of: datetime) -> None:
    pregnant = condition("77386006", "2026-08-01", "Pregnancy")
    card = only_card(tmp_path, as_of, "1995-01-01", pregnant)
    assert re.search(r"Contraindicated: [^(]*MMR[^(]* \(Pregnancy \(2026-08-01\)\)\.", card["detail"])
    assert not any("MMR" in each["label"] for each in card["suggestions"])


def test_chemotherapy_forbids_live_vaccines_and_an_ointment_does_not(tmp_path: Path, as_of: datetime) -> None:
    chemotherapy = only_card(tmp_path, as_of, "1990-01-01", taking("cyclophosphamide 50 MG Oral Tablet"))
    ointment = only_card(tmp_path, as_of, "1990-01-01", taking("tacrolimus 0.1 % Topical Ointment"))
    assert re.search(r"Contraindicated: [^(]*MMR[^(]* \(cyclophosphamide \(2026-10-01\)\)\.", chemotherapy["detail"])
    vincristine = only_card(tmp_path, as_of, "1990-01-01", taking("vincristine IV"))
    assert re.search(r"Contraindicated: [^(]*MMR[^(]*Varicella[^(]* \(vincristine", vincristine["detail"])
    assert "MMR" not in vincristine["summary"]
    assert "Contraindicated" not in ointment["detail"]


def charted(code: str, words: str, **more: Any) -> Json:
    """A problem by its ICD-10-CM code."""
    coding = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}], "text": words}
    return condition("x", "2026-02-02", words) | {"code": coding} | more


def allergic(words: str, **more: Any) -> Json:
    return {"resourceType": "AllergyIntolerance", "id": "a", "code": {"text": words}, "patient": SUBJECT} | more


SEVERE = {"reaction": [{"severity": "severe", "manifestation": [{"text": "Anaphylaxis"}]}]}


MILD = {"reaction": [{"severity": "mild", "manifestation": [{"text": "Rash"}]}]}


@pytest.mark.parametrize(
    "entry",
    [
        charted("C91.00", "Leukaemia", clinicalStatus={"coding": [{"code": "remission"}]}),
        charted("Z80.6", "Family history of leukaemia"),
        taking("prednisone 5 MG Oral Tablet") | {"dosageInstruction": [{"text": "1 tablet daily"}]},
        taking("prednisone 40 MG Oral Tablet") | {"status": "stopped"},
        allergic("Gelatin", **MILD),
        allergic("Gelatin", criticality="low"),
        allergic("No known gelatin allergy"),
        allergic("Gelatin", clinicalStatus={"text": "Resolved"}),
    ],
)
def test_what_only_looks_like_it_is_not_said(tmp_path: Path, as_of: datetime, entry: Json) -> None:
    assert "Check first" not in only_card(tmp_path, as_of, "1990-01-01", entry)["detail"]


def test_a_severe_allergy_in_words_forbids_the_vaccine(tmp_path: Path, as_of: datetime) -> None:
    card = only_card(tmp_path, as_of, "1990-01-01", allergic("Gelatin", **SEVERE))
    assert re.search(r"Contraindicated: [^(]*MMR[^(]* \(Gelatin\)\.", card["detail"])


@pytest.mark.parametrize(
    ("problem", "is_immune"),
    [
        (charted("B01.9", "Varicella"), True),
        (charted("B02.9", "Zoster", clinicalStatus={"coding": [{"code": "resolved"}]}), True),
        (condition("38907003", "2010-01-01", "Varicella"), True),
        (
            condition("38907003", "2010-01-01", "Varicella")
            | {"verificationStatus": {"coding": [{"code": "provisional"}]}},
            False,
        ),
        (charted("Z20.820", "Exposure to varicella"), False),
        (charted("B01.9", "Varicella") | {"verificationStatus": {"coding": [{"code": "refuted"}]}}, False),
    ],
)
def test_a_diagnosis_of_varicella_is_immunity_and_a_suspicion_is_none(
    tmp_path: Path, as_of: datetime, problem: Json, is_immune: bool
) -> None:
    assert ("Varicella" not in only_card(tmp_path, as_of, "1990-01-01", problem)["detail"]) is is_immune


def test_an_immunosuppressant_forbids_live_vaccines(tmp_path: Path, as_of: datetime) -> None:
    card = only_card(tmp_path, as_of, "1990-01-01", taking("tacrolimus", "42316"))
    assert re.search(r"Contraindicated: [^(]*MMR[^(]* \(tacrolimus \(2026-10-01\)\)\.", card["detail"])
    assert "**Zoster, dose 1**" in card["detail"]
