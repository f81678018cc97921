"""Everything that is written of a model, on ten people whose figures are worked out by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import ModelSpec
from models_onnx.workbench.compiler.parity import Agreement
from models_onnx.workbench.training import documents
from models_onnx.workbench.training.data.cohort import Table
from tests.models_onnx.workbench.training.ten_people import MODEL, QUANTILES, REFERENCE, SPEC, predicted, ten_people

TABLE = Table("ten.csv", "ab12", pd.DataFrame())


def described(spec: ModelSpec = SPEC, model: Any = MODEL) -> documents.Document:
    """Everything about the ten people and their model."""
    return documents.describe(spec, ten_people(), TABLE, model, REFERENCE, predicted())


ALERTS = [
    # Nobody reaches 2.0. Of the eight of the reference cohort 1, 2 and 5 reach the others; of the weights of those
    # whose outcome is known 3, 4 and 6 are alerted, of them 3, 3 and 5 rightly, of 9 with the event; 12 in all.
    (0.0625, 93.8, 2.0, 0.8808, 0.0, 0.0, 0.0, 1e9, 0.0),
    (0.1, 90.0, 1.5, 0.8176, 0.125, 1.0, 0.3333, 1.0, 0.25),
    (0.2, 80.0, 1.0, 0.7311, 0.25, 0.75, 0.3333, 1.33, 0.2292),
    (0.5, 50.0, -0.5, 0.3775, 0.625, 0.8333, 0.5556, 1.2, 0.3958),
]
ALERT_NAMES = (
    *("capacity", "percentile", "margin", "probability", "alert_rate", "ppv", "sensitivity"),
    *("number_needed_to_alert", "net_benefit"),
)
BAND_NAMES = ("age_low", "age_below", *ALERT_NAMES[2:7])
BANDS = [
    # Four people each, of whom the highest is alerted: -0.8 and 1.2 lie four fifths of the way from lowest to highest.
    dict(zip(BAND_NAMES, (50, 70, -0.8, 0.31, 0.25, 1.0, 0.2), strict=True)),
    dict(zip(BAND_NAMES, (70, 100, 1.2, 0.7685, 0.25, 1.0, 0.75), strict=True)),
]


def test_thresholds_are_what_alerting_so_many_would_find_and_cost() -> None:
    assert described()["thresholds"] == {
        "capacity": 0.1,
        "table": [dict(zip(ALERT_NAMES, row, strict=True)) for row in ALERTS],
        "alerts_per_event": 5.0,
        "net_benefit_all": 0.6875,
        "age_bands": BANDS,
    }


def test_without_a_rate_of_exchange_the_declared_capacity_holds_and_there_is_no_net_benefit() -> None:
    plain = replace(SPEC, alerts_per_event=None)
    rows = [dict(zip(ALERT_NAMES[:-1], row[:-1], strict=True)) for row in ALERTS]
    assert described(plain)["thresholds"] == {"capacity": 0.2, "table": rows, "age_bands": BANDS}
    assert described(replace(plain, age_bands=()))["thresholds"] == {"capacity": 0.2, "table": rows}
    assert described(replace(SPEC, age_bands=()))["thresholds"]["age_bands"] == []


def test_the_last_age_band_has_no_end_and_a_band_may_tell_its_hundredths() -> None:
    bands = described(replace(SPEC, age_bands=(50, 70), age_percentiles=True))["thresholds"]["age_bands"]
    assert [(band["age_low"], band["age_below"]) for band in bands] == [(50, 70), (70, None)]
    for band, lowest in zip(bands, (-2.0, 0.0), strict=True):
        assert band.pop("percentiles") == pytest.approx([lowest + 1.5 * share / 100 for share in range(1, 100)])
    assert bands == [BANDS[0], {**BANDS[1], "age_below": None}]


def test_the_margin_of_a_capacity_is_one_of_the_quantiles() -> None:
    for capacity, margin in ((0.05, 2.0), (0.07, 2.0), (0.08, 1.5), (0.45, -0.4), (0.95, -3.0)):
        assert documents.threshold_margin(REFERENCE, capacity) == margin
    assert len(QUANTILES) == 19, "a step is a twentieth"


BIN_NAMES = ("probability_low", "percentile_low", "predicted", "count", "events", "rate", "low", "high")


def test_the_reference_cohort_counts_the_latest_people_and_its_bins_begin_at_quantiles() -> None:
    assert described()["reference"] == {
        "words": "US adults of 40 and over examined in 2003-2014",
        "n": 8,
        "events": 4,
        "bins": [
            dict(zip(BIN_NAMES, (0.0, 0.0, 0.21, 5, 2, 0.25, 0.05, 0.5), strict=True)),
            dict(zip(BIN_NAMES, (0.5, 65.0, 0.71, 4, 3, 0.75, 0.4, 0.95), strict=True)),
        ],
    }


def test_a_model_of_fewer_inputs_than_are_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        described(replace(SPEC, age_bands=()), replace(MODEL, low=MODEL.low[:1]))


def test_every_input_has_its_range_its_mean_in_the_reference_cohort_and_its_group() -> None:
    age, creatinine = described()["features"]
    assert age == {
        "name": "age_years",
        "words": "Age",
        "unit": "a",
        "loinc": [],
        "fhir": "Patient.birthDate",
        "trained_low": 40.0,
        "trained_high": 90.0,  # the highest that was seen, though 85 is what it counts as
        "clip_high": 85.0,
        "reference_value": 68.12,
        "group": None,
        "choices": [],
    }
    assert creatinine.pop("loinc")[0] == "2160-0"
    assert creatinine == {
        "name": "creatinine_mg_dl",
        "words": "Creatinine",
        "unit": "mg/dL",
        "fhir": "Observation.value",
        "trained_low": 0.4,
        "trained_high": 4.0,
        "clip_high": None,
        "reference_value": 1.25,
        "group": "labs",
        "choices": [],
    }


def test_agreement_is_written_to_two_digits() -> None:
    agreement = Agreement(1200, 700, 1.23456e-7, 4.5678e-6, 9.8765e-8)
    plain = {
        "rows": 1200,
        "rows_with_missing": 700,
        "limit": 1e-5,
        "probability": 1.2e-7,
        "contribution": 4.6e-6,
        "additivity": 9.9e-8,
    }
    assert documents.parity(agreement) == plain


def test_of_a_cohort_without_known_outcomes_no_alert_is_right() -> None:
    cohort = ten_people()
    nobody = replace(cohort, observed=replace(cohort.observed, y=np.zeros(10, dtype=np.int64)))
    document = documents.describe(replace(SPEC, age_bands=()), nobody, TABLE, MODEL, REFERENCE, predicted())
    half = document["thresholds"]["table"][3]
    assert (half["alert_rate"], half["ppv"], half["sensitivity"]) == (0.625, 0.0, 0.0)
    assert (half["number_needed_to_alert"], half["net_benefit"]) == (1e9, -0.125)
    later = replace(cohort, recent=np.arange(10) >= 3)
    document = documents.describe(SPEC, later, TABLE, MODEL, REFERENCE, predicted())
    assert document["thresholds"]["table"][3]["alert_rate"] == 0.7143, "5 of 7"
