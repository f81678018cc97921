"""What a manifest says beside its members: ages in words, percentiles, periods, inputs by name."""

import msgspec
import pytest
from msgspec.structs import replace

from models_onnx.artifact.manifest import AgeBandThreshold, Manifest, encode_manifest
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
