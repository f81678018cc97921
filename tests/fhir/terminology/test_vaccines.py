"""The families of vaccines by name, brand and code."""

from fhir.mapping.immunizations import vaccine_families
from fhir.record.datatypes import CodeableConcept, Coding
from fhir.terminology.vaccines import VACCINE_FAMILIES, families_of_code, families_of_words
from tests.each import for_rows

DTP = {"Tetanus", "Diphtheria", "Pertussis"}


@for_rows(
    ("words", "families"),
    [
        ("Shingrix", {"Zoster"}),
        ("Allergy to shingles vaccine", {"Zoster"}),
        ("Tdap (Boostrix)", DTP),
        ("Prevnar 20", {"Pneumococcal"}),
        ("MMR II", {"Measles", "Mumps", "Rubella"}),
        ("flu shot", {"Influenza"}),
        ("Hepatitis A and B vaccine", {"HepA", "HepB"}),
        ("Meningococcal B vaccine", {"Meningococcal B"}),
        ("Haemophilus influenzae type b vaccine", {"Hib"}),
        ("influenza", set()),
        ("history of measles", set()),
        ("chronic hepatitis B", set()),
        ("pneumonia", set()),
        ("Shingrix" + " " * (1000 - 8), {"Zoster"}),  # the longest text that is read
        ("Shingrix" + " " * (1000 - 7), set()),
        ("x" * 2000, set()),
    ],
)
def test_a_name_means_its_families_and_a_disease_alone_none(words: str, families: set[str]) -> None:
    assert families_of_words(words) == families


def test_the_name_of_a_disease_is_a_vaccine_in_an_immunization() -> None:
    assert families_of_words("Influenza, seasonal", is_vaccine=True) == {"Influenza"}
    assert families_of_words("chronic cough", is_vaccine=True) == set()


def test_codes_go_before_words() -> None:
    cvx = Coding("http://hl7.org/fhir/sid/cvx", "3", "MMR")
    assert vaccine_families(CodeableConcept((cvx,), "flu shot")) == {"Measles", "Mumps", "Rubella"}
    assert vaccine_families(CodeableConcept((), "flu shot")) == {"Influenza"}
    assert families_of_code("http://snomed.info/sct", "420113004") == {"Influenza"}
    assert families_of_code("http://loinc.org", "3") == set()
    assert len(VACCINE_FAMILIES) >= 30
