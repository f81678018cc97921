"""The service `vaccines-due`: what is due and from which doses, what was not judged, and when it says nothing."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.immunizationrecommendation import ImmunizationRecommendation
from fhir.resources.R4B.servicerequest import ServiceRequest

from tests.cds_hooks.calls import ours
from tests.cds_hooks.services.vaccine_calls import (
    CHILD,
    CHILD_DOSES,
    SUBJECT,
    Json,
    answer,
    condition,
    dose,
    only_card,
    request,
    silence,
    taking,
)
from tests.fhir.builders import service_request


def test_every_order_is_valid_fhir_and_the_whole_forecast_can_be_saved(tmp_path: Path, as_of: datetime) -> None:
    card = only_card(tmp_path, as_of, CHILD, *CHILD_DOSES)
    *orders, whole = (each["actions"][0]["resource"] for each in card["suggestions"])
    for order in orders:
        ServiceRequest.model_validate(order)
        assert order["subject"] == SUBJECT
    ImmunizationRecommendation.model_validate(whole)
    mmr = next(each for each in whole["recommendation"] if each["vaccineCode"][0]["text"] == "MMR")
    days = {each["code"]["coding"][0]["code"]: each["value"] for each in mmr["dateCriterion"]}
    assert (days["30981-5"], days["30980-7"]) == ("2023-12-01", "2026-11-01")
    assert mmr["doseNumberPositiveInt"] == 2
    assert mmr["supportingImmunization"] == [{"reference": "Immunization/dose-20"}]


def test_a_dose_that_does_not_count_is_named_with_its_reason(tmp_path: Path, as_of: datetime) -> None:
    others = (each for each in CHILD_DOSES if each["vaccineCode"]["coding"][0]["code"] != "03")
    card = only_card(tmp_path, as_of, CHILD, *others, dose(90, "03", "2023-10-01"))
    line = next(line for line in card["detail"].splitlines() if "**MMR" in line)
    assert "The dose of 2023-10-01 does not count (too young)." in line


def test_what_was_not_given_or_entered_in_error_does_not_count(tmp_path: Path, as_of: datetime) -> None:
    refused = dose(1, "03", "2023-12-01", status="not-done")
    mistake = dose(2, "03", "2023-12-01", status="entered-in-error")
    card = only_card(tmp_path, as_of, CHILD, refused, mistake)
    assert "MMR dose 1" in card["detail"]


@pytest.mark.parametrize(
    ("more", "is_ordered"),
    [
        ({"code": {"text": "Administer MMR vaccine, dose 1"}}, True),
        ({"code": {"text": "MMR immunization"}}, True),
        ({"intent": "proposal"}, False),
        ({"code": {"text": "No MMR vaccine"}}, False),
        ({"code": {"text": "MMR titre"}}, False),
    ],
)
def test_an_order_of_a_vaccine_in_words_is_read(tmp_path: Path, as_of: datetime, more: Json, is_ordered: bool) -> None:
    order = service_request("MMR vaccine", patient="p", id="o", authoredOn="2026-11-01")
    detail = only_card(tmp_path, as_of, "1990-01-01", order | more)["detail"]
    assert ("Ordered already: MMR" in detail) is is_ordered


def test_seasons_after_the_release_are_not_judged_and_said(tmp_path: Path, as_of: datetime) -> None:
    card = only_card(tmp_path, as_of, "1960-01-01")
    assert "no dose since 2026-06-30" in card["detail"]
    assert "- **Influenza (this season)**: no dose since 2026-06-30" in card["detail"]
    assert "This season: Influenza." in card["summary"]
    given = only_card(tmp_path, as_of, "1960-01-01", dose(98, "150", "2026-10-10"))
    assert "this season)" not in given["detail"]


@pytest.mark.parametrize("born", [None, "1990", "1990-05"])
def test_a_birth_date_that_is_not_known_to_the_day_is_said(tmp_path: Path, as_of: datetime, born: str | None) -> None:
    reason, text = silence(tmp_path, as_of, born)
    assert reason == "input-missing"
    assert "birth date" in text


def test_nobody_is_told_in_hospice_or_after_death(tmp_path: Path, as_of: datetime) -> None:
    hospice = condition("385763009", "2026-10-01", "Hospice care")
    assert silence(tmp_path, as_of, "1950-01-01", hospice)[0] == "palliative"
    assert silence(tmp_path, as_of, "1950-01-01", deceasedBoolean=True)[0] == "deceased"


def test_without_the_vaccinations_nothing_is_said(tmp_path: Path, as_of: datetime) -> None:
    body = request("1960-01-01")
    del body["prefetch"]["immunizations"]
    answered = answer(tmp_path, body, as_of)
    assert answered.json()["cards"] == []
    assert ours(answered)["silence"][0]["reason"] == "input-missing"


# The service `vaccines-due`: what forbids a vaccine or makes it unnecessary, and what only looks like it.
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


def allergic(words: str, **more: Any) -> Json:
    return {"resourceType": "AllergyIntolerance", "id": "a", "code": {"text": words}, "patient": SUBJECT} | more


SEVERE = {"reaction": [{"severity": "severe", "manifestation": [{"text": "Anaphylaxis"}]}]}


def test_a_severe_allergy_in_words_forbids_the_vaccine(tmp_path: Path, as_of: datetime) -> None:
    card = only_card(tmp_path, as_of, "1990-01-01", allergic("Gelatin", **SEVERE))
    assert re.search(r"Contraindicated: [^(]*MMR[^(]* \(Gelatin\)\.", card["detail"])


def test_an_immunosuppressant_forbids_live_vaccines(tmp_path: Path, as_of: datetime) -> None:
    card = only_card(tmp_path, as_of, "1990-01-01", taking("tacrolimus", "42316"))
    assert re.search(r"Contraindicated: [^(]*MMR[^(]* \(tacrolimus \(2026-10-01\)\)\.", card["detail"])
    assert "**Zoster, dose 1**" in card["detail"]
