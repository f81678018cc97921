"""What a manifest says beside its members: ages in words, percentiles, bounds of a risk, periods, inputs by name."""

from math import sqrt

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from models_onnx.artifact.manifest import (
    AgeBandThreshold,
    Manifest,
    RiskInterval,
    encode_manifest,
)
from models_onnx.serving.registry import ARTIFACTS

TEXT = (ARTIFACTS / "mortality_5y" / "manifest.json").read_bytes()
MANIFEST = msgspec.json.decode(TEXT, type=Manifest)
BAND = AgeBandThreshold(70, 80, 0.5, 0.6, 0.1, 0.2, 0.3, (-1.0, 0.0, 0.0, 2.0))


def test_ages_of_a_band_are_put_in_words() -> None:
    assert (BAND.words, replace(BAND, age_below=None).words) == ("70 to under 80", "70 and over")
    assert replace(BAND, age_low=69.5, age_below=70.25).words == "69.5 to under 70.25"


def test_the_percentile_of_a_band_counts_who_has_a_lower_margin() -> None:
    assert [BAND.percentile(margin) for margin in (-2.0, -1.0, -0.5, 0.0, 0.1, 2.0, 2.1)] == [0, 0, 1, 1, 3, 3, 4]
    assert replace(BAND, percentiles=()).percentile(0.0) is None


def test_the_bounds_of_a_risk_are_its_log_odds_less_and_more_1_96_deviations() -> None:
    interval = RiskInterval(
        constant=0.01, by_estimate=0.02, middle=-1.0, by_distance=0.03, factor=1.5, refits=9, groups=9, within=9
    )
    odds = np.log(0.2 / 0.8)
    half = 1.959964 * 1.5 * sqrt(0.01 + 0.02 * (odds + 1.0) ** 2 + 0.03 * 0.5**2)
    low, high = interval.bounds(np.array([0.2]), np.array([0.5]))
    assert (low[0], high[0]) == pytest.approx((1 / (1 + np.exp(half - odds)), 1 / (1 + np.exp(-half - odds))), abs=1e-7)
    low, high = interval.bounds(np.array([0.0, 1.0]), np.array([0.0, 0.0]))
    assert np.isfinite([*low, *high]).all()
    assert (low <= high).all()
    assert (low[1], high[0]) == (pytest.approx(1.0, abs=1e-2), pytest.approx(0.0, abs=1e-2))


def test_periods_are_those_of_the_training_unless_every_row_is_recent() -> None:
    trained = replace(MANIFEST, period=replace(MANIFEST.period, training="1999-2014", recalibration="2005-2014"))
    assert (trained.is_all_recent, trained.table_period) == (False, "1999-2014")
    whole = replace(trained, reference=replace(trained.reference, n=trained.cohort.n))
    assert (whole.is_all_recent, whole.table_period) == (True, "2005-2014")
    same = replace(trained, period=replace(trained.period, training="2005-2014"))
    assert (same.is_all_recent, same.table_period) == (True, "2005-2014")


def test_inputs_are_had_by_name() -> None:
    assert MANIFEST.feature("rdw_pct") is next(item for item in MANIFEST.features if item.name == "rdw_pct")
    with pytest.raises(KeyError, match="height"):
        MANIFEST.feature("height")


def test_a_manifest_is_written_as_it_was() -> None:
    written = encode_manifest(MANIFEST)
    assert msgspec.json.decode(written) == msgspec.json.decode(TEXT)
    assert (written[:4], written[-3:]) == (b'{\n "', b"\n}\n")
