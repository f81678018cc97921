"""The uses of the nine demographic and social variables are worked out from where inputs are read."""

from dataclasses import dataclass

import pytest

from models_onnx.model_card.attributes import USED_VARIABLES, used_as, variables_used, variables_used_in_words


@dataclass(frozen=True)
class Input:
    """An input."""

    name: str
    fhir: str = "Observation.value"
    loinc: tuple[str, ...] = ()
    words: str = "An input"


@pytest.mark.parametrize(
    ("item", "element"),
    [
        (Input("age_years", "Patient.birthDate"), "date_of_birth"),
        (Input("x1", "Patient.birthDate"), "date_of_birth"),
        (Input("x2", "Patient.gender"), "sex"),
        (Input("x3", "Patient.extension:us-core-race"), "race"),
        (Input("x4", "Patient.extension:us-core-ethnicity"), "ethnicity"),
        (Input("x5", "Patient.communication.language"), "language"),
        (Input("x6", "Patient.address.postalCode"), "sdoh"),
        (Input("x7", "Coverage.payor"), "sdoh"),
        (Input("x8", loinc=("76690-7",)), "sexual_orientation"),
        (Input("x9", loinc=("76691-5",)), "gender_identity"),
        (Input("x10", loinc=("72166-2",)), "health_status"),
        (Input("payer_medicaid"), "sdoh"),
        (Input("race_black"), "race"),
        (Input("smoker"), "health_status"),
        (Input("age"), "date_of_birth"),
    ],
)
def test_an_input_is_known_by_its_element_code_or_name(item: Input, element: str) -> None:
    assert element in used_as(item)


@pytest.mark.parametrize("name", ["creatinine_mg_dl", "triage_count", "percentage", "stage", "dosage_mg"])
def test_other_inputs_are_none_of_the_nine(name: str) -> None:
    assert used_as(Input(name)) == frozenset()


def test_all_nine_are_spoken_of() -> None:
    found = variables_used([Input("age_years", "Patient.birthDate")])
    assert list(found) == list(USED_VARIABLES)
    assert found["date_of_birth"] == ["age_years"]
    said = variables_used_in_words(found)
    assert said.startswith("Used as inputs: date of birth (input age_years). Not used: race, ethnicity, ")
