"""The linter refuses a feature that a card could not explain."""

from dataclasses import replace

import pytest

from fhir.mapping.features.catalog import FEATURES, lint_features
from fhir.mapping.features.feature import Feature

ALBUMIN = FEATURES["albumin_g_dl"]


def test_every_declared_feature_passes() -> None:
    assert lint_features(FEATURES.values()) == []


@pytest.mark.parametrize(
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
    ],
)
def test_a_feature_without_code_unit_range_or_words_is_refused(faulty: Feature, complaint: str) -> None:
    assert any(complaint in fault for fault in faulty.lint())


def test_two_features_of_one_name_are_refused() -> None:
    assert lint_features([ALBUMIN, ALBUMIN]) == ["albumin_g_dl: declared twice"]
