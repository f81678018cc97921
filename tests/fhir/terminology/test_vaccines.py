"""The families of vaccines by name, brand and code."""

from fhir.terminology.vaccines import families_of_words
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
