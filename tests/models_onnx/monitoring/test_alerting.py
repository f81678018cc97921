"""The PPV and the number needed to alert of a threshold, with intervals of the people who were tested."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from models_onnx.monitoring.alerting import alerting_at, alerting_of
from models_onnx.serving.registry import load_model, model_ids


@pytest.mark.parametrize("name", model_ids())
def test_the_interval_of_the_ppv_is_that_of_statsmodels(name: str) -> None:
    manifest = load_model(name).manifest
    for row in manifest.thresholds.table:
        found = alerting_of(manifest, row)
        low, high = proportion_confint(row.ppv * found.people, found.people, method="wilson")
        assert found.ppv.low == pytest.approx(low, abs=1e-9)
        assert found.ppv.high == pytest.approx(high, abs=1e-9)
        assert found.needed.value == pytest.approx(row.number_needed_to_alert, abs=0.01)
        assert found.needed.low == pytest.approx(1 / high)
        assert found.needed.high == pytest.approx(1 / low)


@pytest.mark.parametrize("name", model_ids())
def test_the_people_above_a_threshold_are_those_of_the_bins_of_the_cohort(name: str) -> None:
    manifest = load_model(name).manifest
    for row in manifest.thresholds.table:
        alerted = alerting_of(manifest, row).people
        assert 0 < alerted <= manifest.reference.n
        # Some of the cohort are not followed to the end, so their outcome is not known.
        assert alerted <= row.alert_rate * manifest.reference.n * 1.02


def test_a_share_between_two_tested_ones_has_both_neighbours_and_no_figure_of_its_own() -> None:
    manifest = load_model("mortality_5y").manifest
    between = alerting_at(manifest, 0.07)
    assert [each.share for each in between.tested] == [0.05, 0.1]
    assert not between.is_tested
    assert alerting_at(manifest, 0.05).is_tested
    assert [each.share for each in alerting_at(manifest, 0.001).tested] == [0.01]
    assert not alerting_at(manifest, 0.001).is_tested
    assert [each.share for each in alerting_at(manifest, 0.5).tested] == [0.3]
