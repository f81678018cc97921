"""Drug allergies: by ingredient and class, how severe, and what is none."""

from typing import Any

import pytest

from fhir.mapping.allergies import Allergy, allergies, allergy_to_class
from fhir.mapping.gaps import gaps
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import RXNORM, SNOMED, record_of

PENICILLINS = "beta_lactam_penicillin_allergen"


def _allergy(words: str | None = None, code: str | None = None, system: str = RXNORM, **more: Any) -> dict[str, Any]:
    concept: dict[str, Any] = {"text": words} if words else {}
    if code:
        concept["coding"] = [{"system": system, "code": code}]
    return builders.allergy(concept, id="a1") | more


@for_rows(
    "allergy",
    [
        _allergy("Shellfish"),
        _allergy(code="300913006", system=SNOMED),
        _allergy("No known allergy to penicillin"),
        _allergy("NKDA"),
        _allergy("Penicillin allergy ruled out"),
        _allergy("Penicillin allergy, oral challenge passed"),
        _allergy("Penicillin allergy, ruled out by oral challenge", code="91936005", system=SNOMED),
        _allergy("Penicillinallergie durch Provokation ausgeschlossen", code="91936005", system=SNOMED),
        _allergy("Ruled out by oral challenge", code="7980", system=RXNORM),
        _allergy("Mother allergic to penicillin", code="7980", system=RXNORM),
        _allergy("Penicillin: delabelled 2024"),
        _allergy("Mother allergic to penicillin"),
        _allergy("Wife has a penicillin allergy"),
        _allergy("Penicillin", clinicalStatus={"coding": [{"code": "resolved"}]}),
        _allergy("Penicillin", clinicalStatus={"coding": [{"code": "inactive"}]}),
        _allergy("Penicillin", clinicalStatus={"text": "Resolved"}),
        _allergy("Penicillin", verificationStatus={"coding": [{"code": "refuted"}]}),
        _allergy("Penicillin", verificationStatus={"coding": [{"code": "entered-in-error"}]}),
        _allergy(),
    ],
)
def test_food_and_what_is_over_or_refuted_is_no_drug_allergy(allergy: dict[str, Any]) -> None:
    assert allergies(record_of(allergy)) == ()


def test_an_intolerance_is_told_from_an_allergy_and_stands_behind_it() -> None:
    mild = _allergy("penicillin", id="mild", type="intolerance")
    severe = _allergy(
        "amoxicillin", id="severe", type="allergy", reaction=[{"manifestation": [{"text": "Anaphylaxis"}]}]
    )
    found = allergy_to_class(record_of(mild, severe), PENICILLINS)
    assert found is not None
    assert (found.source, found.is_intolerance) == ("AllergyIntolerance/severe", False)
    alone = allergy_to_class(record_of(mild), PENICILLINS)
    assert alone is not None
    assert alone.is_intolerance


def _penicillin(**more: Any) -> Allergy:
    found = allergy_to_class(record_of(_allergy("Penicillin", **more)), PENICILLINS)
    assert found is not None
    return found


def _reacted(*manifestations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"reaction": [{"manifestation": list(manifestations)} | more]}


@for_rows(("words", "more", "severity", "grade"))
def test_the_words_of_a_reaction_say_how_bad_it_was(
    words: str, more: dict[str, Any], severity: str, grade: str
) -> None:
    found = _penicillin(**_reacted({"text": words}), **more)
    assert (found.severity, found.grade) == (severity, grade)


def test_an_allergy_that_stands_on_both_lists_is_one() -> None:
    problems = [
        {"resourceType": "Condition", "id": words, "code": {"text": f"Allergy to {words}"}}
        for words in ("penicillin", "ibuprofen")
    ]
    sources = [allergy.source for allergy in allergies(record_of(_allergy("Penicillin", id="a"), *problems))]
    assert sources == ["AllergyIntolerance/a", "Condition/ibuprofen"]


@for_rows(("note", "severity"))
def test_a_reaction_that_the_note_denies_is_none_but_a_possible_one_counts(note: str, severity: str) -> None:
    assert _penicillin(note=[{"text": note}]).severity == severity


@for_rows(
    ("entry", "severity", "reactions", "is_unsure"),
    [
        (_allergy("PCN -> anaphylaxis (1998), tolerates cefazolin"), "critical", ("anaphylaxis",), False),
        (_allergy("Penicillin - N/V, hives"), "warning", ("hives",), False),
        (_allergy("Penicillin - nausea, fainted"), "warning", ("fainted",), False),
        (_allergy("Penicillin, gastric bypass"), "warning", (), False),
        (_allergy("Penicillin (no rash, diarrhea)"), "info", ("diarrhea",), False),
        (_allergy("Penicillin V 500 QID anaphylaxis"), "warning", ("anaphylaxis",), True),
        (_allergy("Penicillin label, mother was told"), "info", (), True),
        (_allergy("no known allergies; label says penicillin, hives"), "info", ("hives",), True),
        (_allergy("Penicillin") | {"clinicalStatus": {}}, "warning", (), False),
        (_allergy("Allergy to antibiotic", note=[{}, {"text": "PCN - hives"}]), "info", ("PCN - hives",), True),
        (_allergy("Allergy to antibiotic", reaction=[{"description": "PCN - hives"}]), "info", ("PCN - hives",), True),
        (_allergy() | {"code": None, "substance": {"text": "PCN"}, "status": "unconfirmed"}, "warning", (), False),
        (_allergy("penicillin challenge negative 2024, hives with amoxicillin 2025"), "warning", ("hives",), False),
    ],
)  # fmt: skip
def test_the_name_tells_of_reactions_and_what_is_not_clear_is_an_allergy_in_doubt(
    entry: dict[str, Any], severity: str, reactions: tuple[str, ...], is_unsure: bool
) -> None:
    found = allergy_to_class(record_of(entry), PENICILLINS)
    assert found is not None
    assert (found.severity, found.reactions, found.is_unsure) == (severity, reactions, is_unsure)


@pytest.mark.parametrize(
    "words", ["Label says penicillin", "Peanuts at her school", "latex. Penicillin on the form of a visitor"]
)
def test_words_that_are_not_clear_are_an_allergy_in_doubt_and_named(words: str) -> None:
    record = record_of(_allergy(words, category=["food"]))
    in_doubt = allergy_to_class(record, PENICILLINS)
    assert in_doubt is None if "Peanuts" in words else in_doubt is not None and in_doubt.is_unsure
    assert [gap.text for gap in gaps(record)] == [f"1 allergy could not be read: {words}."]


@for_rows(("condition", "severity"))
def test_an_allergy_on_the_problem_list_counts_as_one(condition: dict[str, Any], severity: str | None) -> None:
    problem = {"resourceType": "Condition", "id": "p", **condition}
    allergy = allergy_to_class(record_of(problem), PENICILLINS)
    assert (allergy.severity if allergy else None) == severity
    assert allergy is None or allergy.source == "Condition/p"
