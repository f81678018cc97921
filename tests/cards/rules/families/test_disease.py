"""Values that forbid a drug, in words: within their days, with their date, never rounded across a limit."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cards.rules.engine.family import family_named, lab_placeholder, rule_families
from cards.rules.families.disease.family import _LIMITS_OF_RULES, FAMILY
from tests.cards.rules.contexts import context_of
from tests.conftest import ROOT
from tests.each import for_rows

Json = dict[str, Any]
DRAFT: Json = {"drug": "metformin 500 MG Oral Tablet"}


@for_rows(
    ("name", "analyte", "value", "days", "words"),
    [
        ("potassium", "potassium", 5.04, 30, "potassium 5.04 mmol/L"),
        ("sodium", "sodium", 124.98, 30, "sodium 124.98 mmol/L"),
        ("platelets", "platelets", 49.98, 30, "platelets 49.98 ×10³/µL"),
        ("hemoglobin", "hemoglobin", 8.04, 30, "hemoglobin 8.04 g/dL"),
        ("neutrophils_abs", "neutrophils_abs", 0.996, 30, "neutrophils 0.996 ×10³/µL"),
        ("lymphocytes_abs", "lymphocytes_abs", 0.496, 90, "lymphocytes 0.496 ×10³/µL"),
        ("creatinine", "creatinine", 3.004, 30, "creatinine 3.004 mg/dL"),
        ("digoxin_level", "digoxin_level", 2.004, 30, "digoxin level 2.004 ng/mL"),
        ("qtc", "qtc", 500.4, 30, "QTc 500.4 ms"),
        ("glucose", "glucose", 69.98, 7, "glucose 69.98 mg/dL"),
        ("heart_rate", "heart_rate", 49.98, 30, "heart rate 49.98 /min"),
        ("sbp", "sbp", 180.04, 30, "systolic pressure 180.04 mmHg"),
        ("dbp", "dbp", 105.04, 30, "diastolic pressure 105.04 mmHg"),
        ("calcium", "calcium", 10.624, 90, "calcium 10.624 mg/dL"),
        ("bmi", "bmi", 17.98, 365, "BMI 17.98 kg/m²"),
    ],
)
def test_a_value_counts_within_its_days(name: str, analyte: str, value: float, days: int, words: str) -> None:
    word = FAMILY.placeholders[name]
    said = word(context_of(DRAFT, labs=[[analyte, value, days]]))
    assert said is not None
    assert said.rpartition(" on 2")[0] == words
    assert word(context_of(DRAFT, labs=[[analyte, value, days + 1]])) is None
    assert word(context_of(DRAFT)) is None


@pytest.mark.parametrize(
    ("name", "analyte", "value", "words"),
    [
        ("pco2", "pco2_arterial", 48.754, " with pCO2 48.754 mmHg on 2026-10-21"),
        ("po2", "po2_arterial", 59.98, " with pO2 59.98 mmHg on 2026-10-21"),
    ],
)
def test_a_gas_is_left_out_where_it_is_not_known(name: str, analyte: str, value: float, words: str) -> None:
    word = FAMILY.placeholders[name]
    assert word(context_of(DRAFT, labs=[[analyte, value, 30]])) == words
    assert word(context_of(DRAFT, labs=[[analyte, value, 31]])) == ""


def test_what_is_said_in_place_of_a_value() -> None:
    word = lab_placeholder("inr", [3.0], 10, "No INR")
    assert word(context_of(DRAFT, labs=[["inr", 3.04, 10]])) == "INR 3.04 on 2026-11-10"
    assert word(context_of(DRAFT, labs=[["inr", 3.04, 11]])) == "No INR"


def test_a_family_is_found_by_its_name_and_another_has_the_common_words_alone() -> None:
    assert family_named("disease") is FAMILY
    nobody = family_named("nobody")
    assert (nobody.name, nobody.conditions, dict(nobody.placeholders)) == ("nobody", (), {})
    names = [family.name for family in rule_families()]
    assert names == sorted(names)
    assert {"disease", "review", "vaccines"} <= set(names)


def _limits_in(declared: Any) -> Iterator[tuple[str, float]]:
    """Yield each analyte with a limit that a rule compares it with."""
    if isinstance(declared, dict):
        limits = [declared[word] for word in ("gt", "ge", "lt", "le") if isinstance(declared.get(word), int | float)]
        yield from ((declared["lab"], limit) for limit in limits if isinstance(declared.get("lab"), str))
    for part in declared.values() if isinstance(declared, dict) else declared if isinstance(declared, list) else ():
        yield from _limits_in(part)


def test_the_limits_of_the_words_are_those_of_the_rules() -> None:
    limits: dict[str, set[float]] = {}
    for path in (ROOT / "cards/rules/families/disease").glob("d*.json"):
        for analyte, limit in _limits_in(json.loads(path.read_text())):
            limits.setdefault(analyte, set()).add(limit)
    assert {analyte: limits[analyte] for analyte in _LIMITS_OF_RULES} == {
        analyte: set(values) for analyte, values in _LIMITS_OF_RULES.items()
    }
