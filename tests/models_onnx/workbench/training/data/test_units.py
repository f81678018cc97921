"""A column in another unit: half of its values implausible."""

from fhir.mapping.features.catalog import FEATURES

CREATININE = "creatinine_mg_dl"


def test_the_limits_of_creatinine_are_those_of_these_tests() -> None:
    feature = FEATURES[CREATININE]
    assert (feature.plausible_low, feature.plausible_high, feature.unit) == (0.1, 20.0, "mg/dL")
