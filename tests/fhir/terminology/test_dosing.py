"""Units of doses and of time."""

from fhir.terminology.dosing import (
    SNOMED,
    DoseUnit,
    acts_on_whole_body,
    days_per_unit,
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
    ("unit", "days"),
    [("d", 1), ("days", 1), ("wk", 7), ("Weeks", 7), ("h", 1 / 24), ("mo", 30.4375), ("m", None), (None, None)],
)
def test_a_unit_of_time_is_so_many_days(unit: str | None, days: float | None) -> None:
    assert days_per_unit(unit) == days


@for_rows(
    ("text", "unit"),
    [
        ("mg/kg", DoseUnit("mg", 1.0, by_weight=True)),
        ("mcg/kg/h", DoseUnit("mg", 0.001, by_weight=True, span_days=1 / 24)),
        ("mg/24 hr", DoseUnit("mg", 1.0, span_days=1.0)),
        ("mg/day/kg", DoseUnit("mg", 1.0, by_weight=True, span_days=1.0)),
        ("mg/dose", DoseUnit("mg")),
        ("mL/h", DoseUnit("mL", 1.0, span_days=1 / 24)),
        ("units/kg/dose", DoseUnit("activity", 1.0, by_weight=True, activity="unit")),
        ("mg/day/h", None),
        ("furlong/day", None),
        ("puff/day", None),
    ],
)
def test_a_unit_may_be_for_each_kilogram_and_in_a_time(text: str, unit: DoseUnit | None) -> None:
    assert dose_unit(text) == unit


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
    ("names", "word", "whole"),
    [
        (["naloxone"], "nasal", True),
        (["mometasone"], "nasal", False),
        (["estradiol"], "gel", True),
        (["estradiol"], "vaginal", False),
        (["etonogestrel"], "vaginal", True),
        (["naloxone"], "nasal spray of the day", False),
    ],
)
def test_some_drugs_act_on_the_whole_body_from_where_they_are_put(names: list[str], word: str, whole: bool) -> None:
    assert acts_on_whole_body(names, word) is whole


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


def test_a_sig_of_a_thousand_signs_names_its_route_and_a_longer_one_does_not() -> None:
    assert [said_route("2 mg IV".ljust(length)) for length in (1000, 1001)] == ["intravenous", None]
