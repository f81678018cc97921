"""Units of doses and of time."""

from fhir.terminology.dosing import (
    SNOMED,
    DoseUnit,
    dose_unit,
    is_local_route,
    said_route,
)
from tests.each import for_rows


@for_rows(
    ("text", "unit"),
    [
        ("mg", DoseUnit("mg")),
        ("G", DoseUnit("mg", 1000.0)),
        ("μg", DoseUnit("mg", 0.001)),
        ("Tablet(s)", DoseUnit("unit")),
        ("{tbl}", DoseUnit("unit")),
        (" CAP ", DoseUnit("unit")),
        ("mL", DoseUnit("mL")),
        ("tsp", DoseUnit("mL", 5.0)),
        ("puffs", DoseUnit("actuation")),
        ("Filmtablette", DoseUnit("unit")),
        ("szt.", DoseUnit("unit")),
        ("Tropfen", DoseUnit("drop")),
        ("inhalatie", DoseUnit("actuation")),
        ("[iU]", DoseUnit("activity", activity="unit")),
        ("PTCH", DoseUnit("patch")),
    ],
)
def test_a_unit_is_known_in_its_spellings(text: str, unit: DoseUnit) -> None:
    assert dose_unit(text) == unit


@for_rows("text", ["mg/m2", "mg/kg/kg", "tablet/day", "dram", "MD to order daily dose", "", None, "m"])
def test_an_unknown_unit_is_not_guessed(text: str | None) -> None:
    assert dose_unit(text) is None


@for_rows(
    ("words", "route"),
    [
        ("2 mg IV", "intravenous"),
        ("2 mg IV push", "intravenous push"),
        ("2 mg IVP", "intravenous push"),
        ("Inject 40 mg subcutaneously", "subcutaneous"),
        ("Inject 40 mg", "injection"),
        ("Inject 40 mg IM or SC", None),
        ("IV or PO", None),
        ("100 mg e.v.", "intravenous"),
        ("20 ml i.v. Bolus", "intravenous push"),
        ("1 mg IV direct", "intravenous push"),
        ("20 mEq IV directo", "intravenous push"),
        ("500 mL IV bolus over 30 minutes", "intravenous"),
        ("2 mg intratecale", "intrathecal"),
        ("40 mg subkutan", "subcutaneous"),
        ("1 fiala intramuscolo", "intramuscular"),
        ("stage IV disease", None),
        ("1 tablet", None),
        (f"{'x' * 995} PO", "by mouth"),
        (f"{'x' * 998} PO", None),
    ],
)
def test_the_one_route_that_words_name_is_read(words: str, route: str | None) -> None:
    assert said_route(words) == route


@for_rows(
    ("route", "is_local"),
    [
        ((SNOMED, "54485002", None), True),
        ((SNOMED, "26643006", "to the eye"), True),
        ((SNOMED, "26643006", "oral"), False),
        ((SNOMED, None, None), None),
        ((None, "topical", None), True),
        ((None, "oral", "to the eye"), True),
    ],
)
def test_a_route_is_local_by_its_code_or_its_words(
    route: tuple[str | None, str | None, str | None], is_local: bool | None
) -> None:
    assert is_local_route(*route) is is_local
