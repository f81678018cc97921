"""Features of other features: bands, the first yes, what is missing, formulas; each with the values that made it."""

from dataclasses import replace
from math import log, sqrt
from typing import Any

import pytest

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.computed import Band, FirstOf, Formula, IsMissing, names_in
from fhir.mapping.features.feature import Feature, FeatureValue, Missing
from tests.each import for_rows
from tests.fhir.builders import medication_order, observation, problem, record_of

CREATININE, AGE = FEATURES["creatinine_mg_dl"], FEATURES["age_years"]
DIABETES, STATIN = FEATURES["has_diabetes"], FEATURES["takes_statin"]
WHY = "a test"
LEVEL = Band(
    "level", "Level", WHY, plausible_high=2.0, choices=("low", "middle", "high"), inputs=(CREATININE,),
    limits=(1.0, 2.0),
)  # fmt: skip
FIRST = FirstOf("first", "First", WHY, plausible_high=2.0, choices=("none", "D", "S"), inputs=(DIABETES, STATIN))
GAP = IsMissing("gap", "No creatinine", WHY, inputs=(CREATININE,))
STALE = observation("2160-0", 1.5, "mg/dL", "2024-01-01")


def formula(text: str, *inputs: Feature, unit: str = "1", low: float = -1000.0, high: float = 1000.0) -> Formula:
    return Formula("f", "Ratio", WHY, unit, low, high, inputs=inputs, formula=text)


def creatinine(value: float, unit: str = "mg/dL") -> dict[str, Any]:
    return observation("2160-0", value, unit)


def order(status: str = "active") -> dict[str, Any]:
    return medication_order("atorvastatin 20 mg", status=status, id="m", authoredOn="2026-10-01")


@for_rows(
    ("value", "band", "words"),
    [
        (0.99, 0, "low (0.99 mg/dL)"),
        (1.0, 1, "middle (1 mg/dL)"),
        (1.99, 1, "middle (1.99 mg/dL)"),
        (2.0, 2, "high (2 mg/dL)"),
    ],
)
def test_a_value_on_a_limit_is_in_the_band_above_it(value: float, band: int, words: str) -> None:
    source = f"Observation/o-2160-0-{value}-2026-11-01"
    found = LEVEL.read(record_of(creatinine(value)))
    assert found == FeatureValue(LEVEL, band, "2026-11-01", source, "2160-0", band, words)
    assert isinstance(found, FeatureValue)
    assert LEVEL.show(found) == words


def test_a_band_of_an_old_or_refused_value_is_missing_for_the_same_reason() -> None:
    old = LEVEL.read(record_of(STALE))
    assert old == Missing(LEVEL, "stale", "Level: Creatinine 1.5 mg/dL of 2024-01-01: older than 365 days.")
    refused = LEVEL.read(record_of(creatinine(900.0)))
    assert isinstance(refused, Missing)
    assert (refused.feature, refused.reason, refused.implausible) == (LEVEL, "refused", True)
    assert refused.refusal is not None
    assert refused.text.startswith("Level: Creatinine 900 mg/dL ")


def test_the_first_yes_counts_and_an_unknown_one_before_it_leaves_it_open() -> None:
    yes = FeatureValue(FIRST, 1.0, "2020-05-01", "Condition/c", "E11.9", 1.0, "Diabetes")
    assert FIRST.read(record_of(problem("Diabetes", "E11.9", id="c", onsetDateTime="2020-05-01"), order())) == yes
    second = FeatureValue(FIRST, 2.0, "2026-10-01", "MedicationRequest/m", "", 2.0, "Statin")
    assert FIRST.read(record_of(order())) == second
    assert FIRST.read(record_of()) == FeatureValue(FIRST, 0.0, "2026-11-20", "Patient/p1", "", 0.0, "none")
    open_ = FIRST.read(record_of(order()).with_requested(frozenset({"MedicationRequest"})))
    text = "First: Diabetes: the part of the chart that says so is not available."
    assert open_ == Missing(FIRST, "unknown", text)


def test_a_missing_value_is_a_yes_only_where_the_chart_was_asked_for_it() -> None:
    there = GAP.read(record_of(creatinine(1.0)))
    source = "Observation/o-2160-0-1.0-2026-11-01"
    assert there == FeatureValue(GAP, 0.0, "2026-11-01", source, "2160-0", 0.0, "no")
    yes = FeatureValue(GAP, 1.0, "2026-11-20", "Patient/p1", "", 1.0, "yes")
    assert [GAP.read(record_of(*resources)) for resources in ((), (STALE,))] == [yes, yes]
    of_condition = replace(GAP, inputs=(DIABETES,))
    not_asked = of_condition.read(record_of().with_requested(frozenset()))
    text = "No creatinine: Diabetes: the part of the chart that says so is not available."
    assert not_asked == Missing(of_condition, "unknown", text)


@for_rows(
    ("text", "result"),
    [
        ("creatinine_mg_dl + 2", 6.0),
        ("creatinine_mg_dl - 1.5", 2.5),
        ("creatinine_mg_dl * 3", 12.0),
        ("creatinine_mg_dl / 8", 0.5),
        ("-creatinine_mg_dl", -4.0),
        ("log(creatinine_mg_dl)", log(4.0)),
        ("sqrt(creatinine_mg_dl)", sqrt(4.0)),
        ("abs(-creatinine_mg_dl)", 4.0),
        ("min(creatinine_mg_dl, 3)", 3.0),
        ("max(creatinine_mg_dl, 3)", 4.0),
    ],
)
def test_a_formula_counts_as_it_is_written(text: str, result: float) -> None:
    found = formula(text, CREATININE).read(record_of(creatinine(4.0)))
    assert isinstance(found, FeatureValue)
    assert found.value == pytest.approx(result)
    assert formula(text).source_words == text


def test_a_formula_shows_its_values_and_its_unit_and_is_as_new_as_the_newest_of_them() -> None:
    inputs = (CREATININE, FEATURES["weight_kg"])
    chart = record_of(creatinine(4.0), observation("29463-7", 80.0, "kg", "2026-10-01"))
    ratio = formula("weight_kg / creatinine_mg_dl", *inputs, unit="kg/mg")
    words = "20 kg/mg (Creatinine 4 mg/dL, Body weight 80 kg)"
    source = "Observation/o-2160-0-4.0-2026-11-01"
    assert ratio.read(chart) == FeatureValue(ratio, 20.0, "2026-11-01", source, "2160-0", 20.0, words)
    bare = formula("weight_kg / creatinine_mg_dl", *inputs)
    value = bare.read(chart)
    assert isinstance(value, FeatureValue)
    assert value.charted_unit == "20 (Creatinine 4 mg/dL, Body weight 80 kg)"
    assert (ratio.codes, ratio.analytes) == (("creatinine_mg_dl", "weight_kg"), ("creatinine", "body_weight"))
    assert formula("x", DIABETES, STATIN).resources == DIABETES.resources | STATIN.resources


@for_rows(
    ("text", "low", "high", "is_refused"),
    [
        ("creatinine_mg_dl", 4.0, 5.0, False),
        ("creatinine_mg_dl", 3.0, 4.0, False),
        ("creatinine_mg_dl", 4.01, 5.0, True),
        ("creatinine_mg_dl", 3.0, 3.99, True),
        ("1 / (creatinine_mg_dl - 4)", -9.0, 9.0, True),
        ("log(creatinine_mg_dl - 5)", -9.0, 9.0, True),
        ("1e300 * creatinine_mg_dl * 1e300", -9.0, 9.0, True),
    ],
)
def test_a_result_outside_its_range_or_without_a_number_is_refused(
    text: str, low: float, high: float, is_refused: bool
) -> None:
    ratio = formula(text, CREATININE, low=low, high=high)
    read = ratio.read(record_of(creatinine(4.0)))
    sentence = "Ratio: cannot be computed from Creatinine 4 mg/dL."
    if is_refused:
        assert read == Missing(ratio, "refused", sentence, implausible=True)
    else:
        assert isinstance(read, FeatureValue)


def test_a_formula_without_one_of_its_values_is_missing_as_that_is() -> None:
    ratio = formula("creatinine_mg_dl / age_years", AGE, CREATININE)
    assert ratio.read(record_of()) == Missing(ratio, "absent", "Ratio: Creatinine: not recorded.")


def test_a_formula_names_each_of_its_features_once_and_not_its_functions() -> None:
    assert sorted(names_in("max(b, a) + log(b) * 2 - c")) == ["a", "b", "c"]
    assert names_in("1 + 2.5") == ()


@for_rows(
    ("text", "fault"),
    [
        ("1 +", "'1 +' is no formula"),
        ("a\0", "'a\\x00' is no formula"),
        ("a + 'b'", "it has 'b'"),
        ("a + True", "it has True"),
        ("a % 2", "it has Mod"),
        ("a ** 2", "it has Pow"),
        ("+a", "it has UAdd"),
        ("log(a, 2)", "it has log() with 2 values"),
        ("min(a)", "it has min() with 1 values"),
        ("min(a, b, key=c)", "it has min() with 2 values"),
        ("a.exp(b)", "it has a.exp() with 1 values"),
        ("eval(a)", "it has eval() with 1 values"),
        ("a if b else c", "it has IfExp"),
    ],
)
def test_what_a_formula_may_not_have_is_stated(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match="formula") as caught:
        names_in(text)
    begin = "a formula has numbers, features, + - * / and log, sqrt, abs, min, max; "
    assert str(caught.value) == (f"{begin}{fault}" if fault.startswith("it has") else fault)


def test_a_formula_has_sixty_parts_at_most() -> None:
    # a name has two parts, a sign two more, a number one
    names = " + ".join(["a"] * 14)
    assert names_in(f"{names} + -a") == ("a",)
    with pytest.raises(ValueError, match=r"^the formula has 61 parts; 60 are the most$"):
        names_in(f"{names} + a + 1")
