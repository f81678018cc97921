"""Everything that is written of a model, on ten people whose figures are worked out by hand."""

from typing import Any

import pandas as pd

from models_onnx.spec import ModelSpec
from models_onnx.workbench.training import documents
from models_onnx.workbench.training.data.cohort import Table
from tests.models_onnx.workbench.training.ten_people import MODEL, REFERENCE, SPEC, predicted, ten_people

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
