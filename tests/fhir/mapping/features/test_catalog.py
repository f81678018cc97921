"""The linter refuses a feature that a card could not explain."""

from dataclasses import replace
from types import ModuleType

import pytest

from fhir.mapping.features.catalog import FEATURES, collect, features_named
from fhir.mapping.features.feature import Feature, FeatureFault
from tests.each import for_rows

ALBUMIN = FEATURES["albumin_g_dl"]


@for_rows(
    ("faulty", "complaint"),
    [
        (replace(ALBUMIN, words=" "), "clinician's words"),
        (replace(ALBUMIN, unit=""), "unit"),
        (replace(ALBUMIN, evidence=""), "evidence"),
        (replace(ALBUMIN, analyte="unobtainium"), "no code"),
        (replace(ALBUMIN, analyte=""), "no code"),
        (replace(ALBUMIN, unit="g/L"), "is not the analyte's"),
        (replace(ALBUMIN, plausible_low=9.0), "is empty"),
        (replace(ALBUMIN, plausible_high=70.0), "wider than"),
        (replace(ALBUMIN, window_days=None), "window"),
        (replace(ALBUMIN, window_days="365"), "whole number of days"),  # type: ignore[arg-type]
        (replace(ALBUMIN, name="albumin g/dL"), "lower-case letters"),
    ],
)
def test_a_feature_without_code_unit_range_or_words_is_refused(faulty: Feature, complaint: str) -> None:
    assert any(complaint in fault for fault in faulty.lint())


def _module(name: str, *features: Feature) -> ModuleType:
    module = ModuleType(f"fhir.mapping.features.{name}")
    module.__file__ = __file__
    module.FEATURES = features  # type: ignore[attr-defined]
    return module


def test_two_features_of_one_name_are_refused_with_both_files() -> None:
    with pytest.raises(FeatureFault, match=r"^\S+/two\.py, line \d+: .* in \S+/one\.py, line \d+$"):
        collect([_module("one", ALBUMIN), _module("two", ALBUMIN)])


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    assert features_named(("has_diabetes", "albumin_g_dl")) == (FEATURES["has_diabetes"], ALBUMIN)
    with pytest.raises(KeyError, match="no feature x, y; there are: admissions_12m, "):
        features_named(("x", "albumin_g_dl", "y"))
