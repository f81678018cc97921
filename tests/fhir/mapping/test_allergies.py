"""Drug allergies: by ingredient and class, how severe, and what is none."""

from typing import Any

import pytest

from fhir.mapping.allergies import allergies, allergy_to_class, allergy_to_ingredient
from tests.fhir.mapping.charts import RXNORM, SNOMED, record_of

PENICILLINS = "beta_lactam_penicillin_allergen"
ACETAMINOPHEN = "161"


def _allergy(words: str | None = None, code: str | None = None, system: str = RXNORM, **more: Any) -> dict[str, Any]:
    concept: dict[str, Any] = {"text": words} if words else {}
    if code:
        concept["coding"] = [{"system": system, "code": code}]
    return {
        "resourceType": "AllergyIntolerance",
        "id": "a1",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": concept,
        "patient": {"reference": "Patient/p1"},
    } | more


@pytest.mark.parametrize(
    "allergy", [_allergy("Acetaminophen"), _allergy("Tylenol"), _allergy(code="161"), _allergy(code="313782")]
)
def test_an_ingredient_is_matched_by_code_brand_or_words(allergy: dict[str, Any]) -> None:
    found = allergy_to_ingredient(record_of(allergy), ACETAMINOPHEN)
    assert found is not None
    assert found.source == "AllergyIntolerance/a1"
    assert allergy_to_ingredient(record_of(allergy), "7258") is None


@pytest.mark.parametrize(
    "allergy",
    [
        _allergy("Penicillin"),
        _allergy("PENICILLINS"),
        _allergy("PCN"),
        _allergy(code="91936005", system=SNOMED),
        _allergy("amoxicillin"),
        _allergy(code="723"),
        _allergy(code="294505008", system=SNOMED),
    ],
)
def test_a_class_is_matched_by_its_name_or_by_a_member(allergy: dict[str, Any]) -> None:
    assert allergy_to_class(record_of(allergy), PENICILLINS) is not None
    assert allergy_to_class(record_of(allergy), "cephalosporin") is None


def test_a_class_is_no_ingredient() -> None:
    assert allergy_to_ingredient(record_of(_allergy("Penicillin")), "723") is None


def test_a_class_that_the_tables_do_not_have_is_an_error() -> None:
    with pytest.raises(KeyError):
        allergy_to_class(record_of(), "penicilin")


@pytest.mark.parametrize(
    "allergy",
    [
        _allergy("Shellfish"),
        _allergy(code="300913006", system=SNOMED),
        _allergy("No known allergy to penicillin"),
        _allergy("NKDA"),
        _allergy("Penicillin", clinicalStatus={"coding": [{"code": "resolved"}]}),
        _allergy("Penicillin", clinicalStatus={"coding": [{"code": "inactive"}]}),
        _allergy("Penicillin", verificationStatus={"coding": [{"code": "refuted"}]}),
        _allergy("Penicillin", verificationStatus={"coding": [{"code": "entered-in-error"}]}),
        _allergy(),
    ],
)
def test_food_and_what_is_over_or_refuted_is_no_drug_allergy(allergy: dict[str, Any]) -> None:
    assert allergies(record_of(allergy)) == ()


def test_without_a_clinical_status_it_counts() -> None:
    unstated = {key: value for key, value in _allergy("Penicillin").items() if key != "clinicalStatus"}
    assert allergy_to_class(record_of(unstated), PENICILLINS) is not None


def test_the_substance_of_a_reaction_counts() -> None:
    reaction = {"substance": {"text": "ibuprofen"}, "manifestation": [{"text": "Hives"}]}
    assert allergy_to_ingredient(record_of(_allergy("drug allergy", reaction=[reaction])), "5640") is not None


@pytest.mark.parametrize(
    ("manifestation", "criticality", "severity"),
    [
        ("Anaphylaxis", None, "critical"),
        ("Angioedema", "high", "critical"),
        ("Anaphylactic shock", "low", "warning"),
        ("Hives", None, "warning"),
        ("Skin rash", "low", "info"),
        ("Nausea", None, "info"),
        (None, None, "warning"),
        (None, "low", "info"),
        (None, "high", "warning"),
    ],
)
def test_the_severity_follows_the_reaction(manifestation: str | None, criticality: str | None, severity: str) -> None:
    more: dict[str, Any] = {"criticality": criticality} if criticality else {}
    if manifestation:
        more["reaction"] = [{"manifestation": [{"text": manifestation}]}]
    found = allergy_to_class(record_of(_allergy("Penicillin", **more)), PENICILLINS)
    assert found is not None
    assert found.severity == severity


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
