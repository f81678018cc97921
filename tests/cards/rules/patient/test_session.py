"""One patient for all rules: allergies to a medication, how far back is looked, what is kept for other drafts."""

from typing import Any

import pytest

from tests.cards.rules.contexts import context_of, session_of

Json = dict[str, Any]
AMOXICILLIN: Json = {"drug": "amoxicillin 500 MG Oral Capsule"}
IBUPROFEN: Json = {"drug": "ibuprofen 400 MG Oral Tablet"}


@pytest.mark.parametrize(
    ("allergies", "draft", "is_allergic"),
    [
        (["amoxicillin"], AMOXICILLIN, True),
        (["penicillin"], AMOXICILLIN, True),
        (["NSAIDs"], IBUPROFEN, True),
        (["ibuprofen"], IBUPROFEN, True),
        (["naproxen"], IBUPROFEN, False),
        (["amoxicillin"], IBUPROFEN, False),
        (["peanut"], IBUPROFEN, False),
        ([], IBUPROFEN, False),
        (["peanut", "ibuprofen"], IBUPROFEN, True),
    ],
)
def test_whether_a_medication_is_one_that_the_patient_reacts_to(
    allergies: list[str], draft: Json, is_allergic: bool
) -> None:
    context = context_of(draft, allergies=allergies)
    assert context.session.is_allergic_to(context.medication) is is_allergic


@pytest.mark.parametrize(
    ("not_sent", "known"), [([], (True, True)), (["Condition"], (False, True)), (["AllergyIntolerance"], (True, False))]
)
def test_which_lists_came(not_sent: list[str], known: tuple[bool, bool]) -> None:
    session = session_of(IBUPROFEN, not_sent=not_sent)
    assert (session.knows_conditions, session.knows_allergies) == known


def test_how_far_back_kidney_function_is_looked_for() -> None:
    assert session_of(IBUPROFEN).kidney_window == "12 months"
    assert session_of(IBUPROFEN, inpatient=True).kidney_window == "30 days"
    assert session_of(IBUPROFEN).patient_reference == "Patient/case"


def test_what_is_known_of_the_patient_is_kept_for_other_drafts() -> None:
    session = session_of(IBUPROFEN, AMOXICILLIN, labs=[["potassium", 4, 3], ["egfr", 50, 3]], conditions=["gout"])
    first = (session.condition("gout"), session.lab("potassium", None), session.kidney("egfr_best"))
    after = session.with_drafts(session.drafts[:1])
    again = (after.condition("gout"), after.lab("potassium", None), after.kidney("egfr_best"))
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert after.active == session.active


def test_an_allergy_to_an_ingredient_or_a_class() -> None:
    session = session_of(IBUPROFEN, allergies=["amoxicillin"])
    assert (session.is_allergic_to_ingredient("723"), session.is_allergic_to_ingredient("5640")) == (True, False)
    assert (session.is_allergic_to_class("penicillin"), session.is_allergic_to_class("nsaid")) == (True, False)
    assert set(session.allergies_by_ingredient) == {"723"}
