"""The service `statin-discussion` on charts that the samples do not have."""

from typing import Any

import pytest

from tests.cds_hooks.calls import ours
from tests.cds_hooks.services.equation_calls import (
    added,
    ago,
    answer,
    born,
    condition,
    only_card,
    reasons,
    resources,
    said,
    service_request,
    without,
)
from tests.fhir import builders

STATIN = ("statin-discussion", "diabetes-no-statin")


@pytest.mark.parametrize(
    ("words", "smokes"),
    [
        ("Current every day smoker", True),
        ("Current Some Day Smoker", True),
        ("Former smoker", False),
        ("Non-smoker", False),
    ],
)
def test_an_answer_about_smoking_in_words_is_read(server_here: str, words: str, smokes: bool) -> None:
    card = only_card(answer(server_here, *STATIN, added("tobacco", smoking_answer(words))))
    found = {one["feature"]: one["value"] for one in card["extension"]["org.cds-hooks-onnx"]["contributions"]}
    assert found["current_smoker"] == float(smokes)
    assert "current_smoker" not in card["extension"]["org.cds-hooks-onnx"]["not_found"]


def smoking_answer(words: str, days_ago: int = 1) -> dict[str, Any]:
    """An answer to LOINC 72166-2 that has no code."""
    return {
        "resourceType": "Observation", "id": "added-answer", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "72166-2"}]},
        "subject": {"reference": "Patient/diabetes-no-statin"}, "effectiveDateTime": ago(days_ago),
        "valueCodeableConcept": {"text": words},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answered", "sentence"),
    [
        (smoking_answer("Current every day smoker", 800), "older than 730 days"),
        (smoking_answer("Vapes on weekends"), "is not understood"),
    ],
)
def test_an_answer_about_smoking_that_cannot_be_used_is_no_no(
    server_here: str, answered: dict[str, Any], sentence: str
) -> None:
    """At 77 diabetes alone is no indication, so that the score decides."""
    silent = answer(server_here, *STATIN, born(77), without("72166-2"), added("tobacco", answered))
    assert reasons(silent) == ["input-missing"]
    assert sentence in said(silent)


def test_everything_that_is_missing_is_named(server_here: str) -> None:
    silent = answer(server_here, *STATIN, born(77), without("2093-3", "2085-9", "8480-6", "85354-9"))
    assert reasons(silent) == ["input-missing"]
    for words in ("Cholesterol, total", "HDL cholesterol", "Systolic pressure"):
        assert words in said(silent)


@pytest.mark.parametrize(
    ("words", "is_harm"),
    [
        ("Statin intolerance", True),
        ("Statin-induced myopathy", True),
        ("Intolerance to atorvastatin", True),
        ("Myalgia due to statin", True),
        ("No statin intolerance", False),
        ("Family history of statin intolerance", False),
        ("Myalgia", False),
    ],
)
def test_harm_by_a_statin_may_be_in_words_under_a_code_that_says_nothing(
    server_here: str, words: str, is_harm: bool
) -> None:
    problem = condition("diabetes-no-statin", "Z78.9")
    problem["code"]["text"] = words
    answered = answer(server_here, *STATIN, added("conditions", problem))
    assert (not answered.json()["cards"]) is is_harm
    if is_harm:
        assert reasons(answered) == ["contraindicated"]


@pytest.mark.parametrize("words", ["HMG-CoA Reductase Inhibitors", "Statins-HMG-CoA Reductase Inhibitors", "Statins"])
def test_a_reaction_to_statins_may_be_to_the_class_by_its_long_name(server_here: str, words: str) -> None:
    allergy = builders.allergy(words, patient="diabetes-no-statin", id="to-the-class")
    assert reasons(answer(server_here, *STATIN, added("allergies", allergy))) == ["contraindicated"]


def test_the_talk_with_somebody_who_had_an_infarction_is_not_about_primary_prevention(server_here: str) -> None:
    infarction = added("conditions", condition("diabetes-no-statin", "I25.2"))
    card = only_card(answer(server_here, *STATIN, infarction))
    drafted = card["suggestions"][0]["actions"][0]["resource"]["code"]["text"]
    assert drafted == "Shared decision: statin in atherosclerotic disease"
    planned = service_request("diabetes-no-statin", drafted)
    assert reasons(answer(server_here, *STATIN, infarction, added("tests", planned))) == ["already-done"]


def test_the_talk_needs_a_visit_and_stands_in_the_worklist_otherwise(server_here: str) -> None:
    def is_over(request: dict[str, Any]) -> None:
        for resource in resources(request):
            if resource["resourceType"] == "Encounter":
                resource["status"] = "finished"

    assert only_card(answer(server_here, *STATIN))
    for change in (is_over, added("conditions", condition("diabetes-no-statin", "I25.2"))):
        answered = answer(server_here, *STATIN, is_over, change)
        assert reasons(answered) == ["worklist"]
        assert [entry["test"] for entry in ours(answered)["worklist"]] == ["A talk about a statin"]


@pytest.mark.parametrize(
    ("words", "is_silent"),
    [
        ("Metastatic pancreatic cancer", True),
        ("Colon cancer with liver metastases", True),
        ("Breast cancer, stage 4", True),
        ("Breast cancer without metastasis", False),
        ("Non-metastatic breast cancer", False),
        ("Family history of metastatic colon cancer", False),
    ],
)
def test_a_cancer_that_has_spread_is_read_in_words_beside_the_code_of_its_organ(
    server_here: str, words: str, is_silent: bool
) -> None:
    problem = condition("diabetes-no-statin", "C50.919")
    problem["code"]["text"] = words
    answered = answer(server_here, *STATIN, added("conditions", problem))
    assert (not answered.json()["cards"]) is is_silent
