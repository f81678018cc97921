"""The service `statin-discussion` on charts that the samples do not have."""

from typing import Any

import pytest

from tests.cds_hooks.services.equation_calls import (
    added,
    ago,
    answer,
    born,
    condition,
    reasons,
    said,
    without,
)
from tests.fhir import builders

STATIN = ("statin-discussion", "diabetes-no-statin")


def smoking_answer(words: str, days_ago: int = 1) -> dict[str, Any]:
    """An answer to LOINC 72166-2 that has no code."""
    answered: dict[str, Any] = {"id": "added-answer", "valueCodeableConcept": {"text": words}}
    return builders.observation("72166-2", when=ago(days_ago), patient="diabetes-no-statin", **answered)


@pytest.mark.parametrize(
    ("answered", "sentence"),
    [
        (smoking_answer("Current every day smoker", 800), "older than 2 years"),
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
