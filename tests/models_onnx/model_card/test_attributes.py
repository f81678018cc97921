"""Where each attribute stands, and each element, code and name by which an input is one of the nine variables."""

from dataclasses import dataclass

import pytest

from models_onnx.model_card import attributes
from models_onnx.model_card.attributes import (
    EVIDENCE,
    PREDICTIVE,
    used_as,
    variables_used,
    variables_used_in_words,
)


@dataclass(frozen=True)
class Input:
    """An input."""

    name: str
    fhir: str = "Observation.value"
    loinc: tuple[str, ...] = ()
    words: str = "An input"


@pytest.mark.parametrize("name", ["creatinine_mg_dl", "triage_count", "percentage", "stage", "dosage_mg"])
def test_other_inputs_are_none_of_the_nine(name: str) -> None:
    assert used_as(Input(name)) == frozenset()


def test_an_attribute_has_its_number_its_cite_and_its_place() -> None:
    first, last = PREDICTIVE[0], PREDICTIVE[-1]
    assert (first.number, first.cite, first.section, first.key, first.path, first.may_be_unavailable) == (
        "1", "(B)(1)(i)", "details", "developer", "details.developer", False,
    )  # fmt: skip
    assert (last.number, last.cite, last.path, last.may_be_unavailable) == (
        "31", "(B)(9)(ii)", "updates.correction", True,
    )  # fmt: skip
    race = EVIDENCE[4]
    assert (race.number, race.cite, race.section, race.key, race.may_be_unavailable) == (
        "E5", "(A)(5)", "evidence", "uses.race", False,
    )  # fmt: skip
    cites = [attribute.cite.removeprefix("(B)") for attribute in PREDICTIVE]
    parts = {1: 4, 2: 4, 3: 2, 4: 4, 5: 2, 6: 4, 7: 5, 8: 4, 9: 2}
    roman = ("i", "ii", "iii", "iv", "v")
    assert cites == [f"({part})({step})" for part, count in parts.items() for step in roman[:count]]
    assert [attribute.number for attribute in PREDICTIVE if attribute.may_be_unavailable] == [
        "17", "18", "19", "20", "23", "24", "25", "27", "29", "30", "31",
    ]  # fmt: skip


_ELEMENTS = {
    "Patient.birthDate": "date_of_birth", "Patient.gender": "sex", "Patient.extension:us-core-birthsex": "sex",
    "Patient.extension:us-core-sex": "sex", "Patient.extension:us-core-sexForClinicalUse": "sex",
    "Patient.extension:us-core-race": "race", "Patient.extension:us-core-ethnicity": "ethnicity",
    "Patient.extension:us-core-genderIdentity": "gender_identity", "Patient.communication.language": "language",
    "Patient.address.city": "sdoh", "Patient.address.postalCode": "sdoh", "Coverage.payor": "sdoh",
    "Patient.maritalStatus": "sdoh", "Coverage.type": "sdoh",
}  # fmt: skip
_CODES = {
    "76690-7": "sexual_orientation", "76691-5": "gender_identity", "32624-9": "race", "69490-1": "ethnicity",
    "54899-0": "language", "46098-0": "sex", "76689-9": "sex", "30525-0": "date_of_birth", "21112-8": "date_of_birth",
    "72166-2": "health_status", "44261-6": "health_status", "55758-7": "health_status", "70274-6": "health_status",
    "11323-3": "health_status", "93025-5": "sdoh", "88124-3": "sdoh", "82589-3": "sdoh", "63512-8": "sdoh",
    "71802-3": "sdoh",
}  # fmt: skip
_NAMES = {
    "ethnic_group": "ethnicity", "is_Hispanic": "ethnicity", "race_white": "race", "language_spoken": "language",
    "sexual_orientation": "sexual_orientation", "gender_identity": "gender_identity", "payer": "sdoh",
    "insurance_kind": "sdoh", "income_poverty": "sdoh", "education": "sdoh", "housing": "sdoh",
    "area_deprivation": "sdoh", "postal_code": "sdoh", "zip_code": "sdoh", "self_rated_health": "health_status",
    "smokes": "health_status", "age_years": "date_of_birth", "age_band_5": "date_of_birth", "sex_male": "sex",
    "sex_female": "sex", "age": "date_of_birth", "birth_date": "date_of_birth", "sex": "sex", "gender": "sex",
}  # fmt: skip


def test_every_element_code_and_name_of_the_nine() -> None:
    assert {element: used_as(Input("x", element)) for element in _ELEMENTS} == {
        element: frozenset({use}) for element, use in _ELEMENTS.items()
    }
    assert {code: used_as(Input("x", loinc=("1-8", code))) for code in _CODES} == {
        code: frozenset({use}) for code, use in _CODES.items()
    }
    assert set(attributes._LOINC) == set(_CODES)
    assert {name: used_as(Input(name)) for name in _NAMES} == {name: frozenset({use}) for name, use in _NAMES.items()}
    assert used_as(Input("race_income", "Patient.gender", ("93025-5",))) == {"race", "sdoh", "sex"}


@pytest.mark.parametrize("name", ["agender", "sex_years", "ages", "birth_dates", "trace_metal_count"])
def test_a_name_counts_whole_where_its_part_would_be_too_common(name: str) -> None:
    expected = {"race"} if "race" in name else set()
    assert used_as(Input(name)) == expected


def test_what_is_used_and_what_is_not_in_words() -> None:
    nothing = variables_used([])
    assert variables_used_in_words(nothing) == (
        "Used as inputs: none of the nine. Not used: race, ethnicity, language, sexual orientation, gender identity, "
        "sex, date of birth, social determinants of health, health status assessment."
    )
    some = variables_used([Input("age"), Input("sex_male"), Input("age_band"), Input("bun")])
    assert variables_used_in_words(some) == (
        "Used as inputs: sex (input sex_male); date of birth (input age, age_band). Not used: race, ethnicity, "
        "language, sexual orientation, gender identity, social determinants of health, health status assessment."
    )
    assert variables_used_in_words({name: ["x"] for name in nothing}).endswith("Not used: none.")
