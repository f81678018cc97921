"""The linter refuses a feature that a card could not explain."""

from dataclasses import replace

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import Feature
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
