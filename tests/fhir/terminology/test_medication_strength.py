"""Strengths are read as written, and never converted into what they are not."""

import pytest

from fhir.terminology.medication_strength import Strength, find_strengths, read_strengths


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("500 MG", Strength(500.0, "mg")),
        ("500mg", Strength(500.0, "mg")),
        ("1,000 mg", Strength(1000.0, "mg")),
        ("0.5 g", Strength(500.0, "mg")),
        ("125 mcg", Strength(0.125, "mg")),
        (".25 mg", Strength(0.25, "mg")),
        ("10 MG/ML", Strength(10.0, "mg", "mL")),
        ("250 mg/5 mL", Strength(50.0, "mg", "mL")),
        ("2 g / 100 mL", Strength(20.0, "mg", "mL")),
        ("0.05 MG/HR", Strength(0.05, "mg", "h")),
        ("25 mcg/hr", Strength(0.025, "mg", "h")),
        ("0.09 MG/ACTUAT", Strength(0.09, "mg", "actuation")),
        ("0.01 MG/MG", Strength(0.01, "mg", "mg")),
        ("100 UNITS/ML", Strength(100.0, "unit", "mL")),
        ("20 mEq", Strength(20.0, "meq")),
        ("2.5%", Strength(2.5, "%")),
    ],
)
def test_a_strength_is_read(words: str, expected: Strength) -> None:
    assert read_strengths(words) == [expected]


@pytest.mark.parametrize("words", ["24 HR", "10 ML", "70-30", "3350", "no. 3", "q6h", "B12", "10 mL Vial", "0 MG"])
def test_what_is_no_strength_is_not_read_as_one(words: str) -> None:
    assert read_strengths(words) == []


def test_several_numbers_with_one_unit_are_several_strengths_and_are_marked() -> None:
    found = list(find_strengths("Lisinopril-HCTZ 20-12.5 mg"))
    assert [one.strength.amount for one in found] == [20.0, 12.5]
    assert all(one.is_listed for one in found)


def test_two_masses_with_a_stroke_between_are_two_strengths() -> None:
    assert [one.amount for one in read_strengths("5mg/325mg Tablet")] == [5.0, 325.0]


def test_only_masses_have_milligrams() -> None:
    assert Strength(5.0, "mg").milligrams == 5.0
    assert Strength(5.0, "unit").milligrams is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("1-20 mg-mcg", [("1-20 mg-mcg", Strength(1.0, "mg"), True), ("1-20 mg-mcg", Strength(0.02, "mg"), True)]),
        ("Drug 20-12.5 mg tablet",
         [("20-12.5 mg", Strength(20.0, "mg"), True), ("20-12.5 mg", Strength(12.5, "mg"), True)]),
        ("Drug 5 mg and 1 g/l",
         [("5 mg", Strength(5.0, "mg"), False), ("1 g/l", Strength(1.0, "mg", "mL"), False)]),
        ("10 mg/g", [("10 mg/g", Strength(0.01, "mg", "mg"), False)]),
        ("5 mg/0 mL", []),
        ("0,5 mg", [("0,5 mg", Strength(0.5, "mg"), False)]),
        ("1,250 mg", [("1,250 mg", Strength(1250.0, "mg"), False)]),
    ],
)  # fmt: skip
def test_where_a_strength_stands_and_whether_it_is_one_of_several(
    words: str, expected: list[tuple[str, Strength, bool]]
) -> None:
    found = [(words[item.start : item.end], item.strength, item.is_listed) for item in find_strengths(words)]
    assert found == expected
