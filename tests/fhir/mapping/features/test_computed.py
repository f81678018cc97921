"""Features of other features: bands, the first yes, what is missing, formulas; each with the values that made it."""

from math import log, sqrt
from typing import Any

import pytest

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.computed import Band, Formula, names_in
from fhir.mapping.features.feature import Feature, FeatureValue, Missing
from tests.each import for_rows
from tests.fhir.builders import observation, record_of

CREATININE, AGE = FEATURES["creatinine_mg_dl"], FEATURES["age_years"]
WHY = "a test"
LEVEL = Band(
    "level", "Level", WHY, plausible_high=2.0, choices=("low", "middle", "high"), inputs=(CREATININE,),
    limits=(1.0, 2.0),
)  # fmt: skip
STALE = observation("2160-0", 1.5, "mg/dL", "2024-01-01")


def formula(text: str, *inputs: Feature, unit: str = "1", low: float = -1000.0, high: float = 1000.0) -> Formula:
    return Formula("f", "Ratio", WHY, unit, low, high, inputs=inputs, formula=text)


def creatinine(value: float, unit: str = "mg/dL") -> dict[str, Any]:
    return observation("2160-0", value, unit)


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
