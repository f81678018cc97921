"""Codes about a pregnancy: its end, tests, weeks, and what prevents one."""

from fhir.terminology.conditions import CONTRACEPTIVES, SNOMED, ends_pregnancy, pregnancy_meaning, weeks_of_code
from fhir.terminology.medications import INGREDIENTS
from tests.each import for_rows

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"
LOINC = "http://loinc.org"


@for_rows(
    ("system", "code", "ends"),
    [
        (ICD10, "O80", True),
        (ICD10, "O03.9", True),
        (ICD10, "Z37.0", True),
        (ICD10, "Z33.2", True),
        (ICD10, "O34.2", False),
        (ICD9, "V27.0", True),
        (ICD9, "634.90", True),
        (ICD9, "V22.1", False),
        (SNOMED, "19169002", True),
        (SNOMED, "714812005", True),
        (SNOMED, "72892002", False),
        (None, "O80", False),
    ],
)
def test_delivery_and_loss_end_a_pregnancy(system: str | None, code: str, ends: bool) -> None:
    assert ends_pregnancy(system, code) is ends


@for_rows(
    ("words", "ends"),
    [
        ("Physical examination following birth", True),
        ("Physical exam following abortion", True),
        ("Physical examination of mother", False),
        ("Physical examination", False),
    ],
)
def test_an_examination_ends_a_pregnancy_only_where_it_says_so(words: str, ends: bool) -> None:
    assert ends_pregnancy(SNOMED, "5880005", words) is ends
    assert not ends_pregnancy(LOINC, "5880005", words)
    assert pregnancy_meaning(LOINC, None) is None


@for_rows(
    ("code", "weeks"), [("Z3A.20", 20), ("z3a08", 8), ("Z3A.00", None), ("Z3A.49", None), ("Z34.0", None), (None, None)]
)
def test_the_code_of_a_week_names_it(code: str | None, weeks: int | None) -> None:
    assert weeks_of_code(ICD10, code) == weeks


def test_the_code_of_a_week_is_one_of_icd_10() -> None:
    assert weeks_of_code(SNOMED, "Z3A.20") is None


@for_rows(
    ("system", "code", "use"),
    [
        (LOINC, "2106-3", "hcg"),
        (LOINC, "82810-3", "status"),
        (LOINC, "11778-8", "due"),
        (LOINC, "18185-9", "gestation"),
        (SNOMED, "60001007", "negative"),
        (ICD10, "Z90.710", "infertile"),
        (ICD9, "627.2", "infertile"),
        ("http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-procedure-icd9", "6841", "infertile"),
        (ICD10, "Z97.5", "contraception"),
        (LOINC, "2160-0", None),
        (None, "2106-3", None),
    ],
)
def test_a_code_says_one_thing(system: str | None, code: str, use: str | None) -> None:
    assert pregnancy_meaning(system, code) == use


def test_contraceptives_are_ingredients_that_the_tables_know() -> None:
    assert set(INGREDIENTS) >= CONTRACEPTIVES
