"""The card of a risk model as a whole, from predictions that are written by hand and not computed."""

from typing import Any

import msgspec
import numpy as np

from cards.card import Card, CardIdentity, OrderSuggestion
from cards.compose.model import (
    ModelCardContent,
    estimate_words,
    in_100,
    model_card,
    not_known,
)
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureValue, FeatureVector, Missing
from fhir.record.refusals import Refusal
from models_onnx.artifact.manifest import AgeBandThreshold, Manifest, MissingInputs
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Prediction
from tests.each import for_rows

AGE, SEX, CREATININE, ALBUMIN = features_named(("age_years", "sex_male", "creatinine_mg_dl", "albumin_g_dl"))
MANIFEST: Manifest = load_model("mortality_5y").manifest
CONTENT = ModelCardContent(
    "Death within 5 years: {estimate}, higher than {higher}.",
    OrderSuggestion("Order a visit", "Draft.", {"resourceType": "Task"}, is_recommended=True),
)
IDENTITY = CardIdentity("uuid", lambda number: f"s-{number}", "https://cds.example/x", "https://cds.example/m")
METHOD = (
    "For planning, not for emergencies. These are associations, not causes. "
    "[How this works and for whom it was tested](https://cds.example/m)"
)


def prediction(*contributions: float, **fields: Any) -> Prediction:
    """30 in 100, of whom 25 to 35 in 100 were seen to die; higher than 80 in 100."""
    nothing = np.zeros(len(contributions), dtype=bool)
    values: dict[str, Any] = {
        "probability": 0.30, "margin": -0.85, "base": -2.0, "contributions": np.array(contributions),
        "missing": nothing, "out_of_range": nothing, "percentile": 80.5, "observed_rate": 0.29,
        "observed_low": 0.25, "observed_high": 0.35, "observed_count": 1234,
    }  # fmt: skip
    return Prediction(**values | fields)


def value(feature: Any, number: float, unit: str = "", day: str = "2026-11-01T08:00:00Z") -> FeatureValue:
    return FeatureValue(feature, number, day, f"Observation/{feature.name}", "code", number, unit or feature.unit)


def vector(*evidence: FeatureValue | None, missing: tuple[Missing, ...] = ()) -> FeatureVector:
    features = tuple(one.feature for one in evidence if one is not None)
    return FeatureVector(features, np.zeros(len(evidence)), list(evidence), list(missing))


def card(
    predicted: Prediction, read: FeatureVector, content: ModelCardContent = CONTENT, *refusals: Refusal, **changes: Any
) -> Card:
    return model_card(msgspec.structs.replace(MANIFEST, **changes), predicted, read, content, IDENTITY, refusals)


def lines(*arguments: Any, **changes: Any) -> list[str]:
    detail = card(*arguments, **changes).detail
    assert detail is not None
    return detail.split("\n")


THREE = (value(AGE, 72), value(SEX, 1, "male"), value(CREATININE, 1.5))
OPENING = (
    "**About 30 in 100** people with results like these died within 5 years, of any cause; 70 did not. Of 1,234 people "
    "in the study with similar estimates, 25 to 35 in 100 did. "
)
COMPARED = "Higher than 80 in 100 of US adults of 40 and over examined in 2003-2014"


def test_what_is_missing_has_no_line_and_its_part_is_said_where_the_model_learned_it() -> None:
    gap = Missing(ALBUMIN, "absent", "not recorded")
    read = vector(THREE[0], None, missing=(gap, Missing(CREATININE, "stale", "old")))
    shown = card(prediction(0.6, -0.2), read, missing_inputs=MissingInputs(kind="learned"))
    assert str(shown.detail).split("\n")[1:] == [
        "- **Raises the estimate**",
        "  - ▲▲▲ raises a lot: Age **72**",
        "",
        "**Not known or old:** Albumin (not recorded), Creatinine (too old); not knowing this lowers the estimate "
        "clearly, as learned from people in whom it was not known either.",
        METHOD,
    ]
    assert (shown.own_extension.missing, shown.own_extension.missing_contribution) == (
        ("albumin_g_dl", "creatinine_mg_dl"),
        -0.2,
    )


def test_an_estimate_above_what_was_seen_gives_what_was_seen() -> None:
    high = prediction(0.6, 0.1, -0.3, probability=0.70, observed_rate=0.57, observed_low=0.5, observed_high=0.64)
    shown = card(high, vector(*THREE))
    assert shown.summary == "Death within 5 years: 57 in 100 had it (range 50–64), higher than 80."
    assert str(shown.detail).split("\n")[0] == (
        "**57 in 100** of 1,234 people in the study with similar estimates died within 5 years, of any cause (range 50 "
        f"to 64); 43 did not. The model's own figure is not given here: it is too high in this range. {COMPARED}."
    )
    assert estimate_words(high, "died") == "57 in 100 died (range 50–64)"


@for_rows(("probability", "people"), [(0.0, 1), (0.014, 1), (0.016, 2), (0.5, 50), (0.994, 99), (1.0, 99)])
def test_people_in_100_are_never_none_and_never_all(probability: float, people: int) -> None:
    assert in_100(probability) == people


BAND = AgeBandThreshold(
    age_low=70, age_below=80, margin=0, probability=0.5, alert_rate=0.1, ppv=None, sensitivity=None,
    percentiles=tuple(number / 100 for number in range(-99, 0)),
)  # fmt: skip


@for_rows(
    ("age", "margin", "bands", "said"),
    [
        (72, -0.85, (BAND,), ", and than 14 in 100 of those aged 70 to under 80"),
        (80, -0.85, (BAND,), ""),
        (69, -0.85, (BAND,), ""),
        (72, -0.85, (msgspec.structs.replace(BAND, percentiles=()),), ""),
        (72, -0.85, (), ""),
        (72, 1.0, (msgspec.structs.replace(BAND, age_below=None),), ", and than 99 in 100 of those aged 70 and over"),
    ],
)
def test_an_estimate_is_compared_with_people_of_the_same_age(
    age: float, margin: float, bands: tuple[AgeBandThreshold, ...], said: str
) -> None:
    thresholds = msgspec.structs.replace(MANIFEST.thresholds, age_bands=bands)
    read = vector(value(SEX, 1, "male"), value(AGE, age))
    found = lines(prediction(0.1, 0.6, margin=margin), read, thresholds=thresholds)
    assert found[0] == f"{OPENING}{COMPARED}{said}."
    without_age = lines(prediction(0.1, margin=margin), vector(value(SEX, 1, "male")), thresholds=thresholds)
    assert without_age[0] == f"{OPENING}{COMPARED}."


# Lines of factors


def test_what_is_not_known_is_named_with_its_reason() -> None:
    reasons = ("absent", "stale", "refused", "unknown")
    gaps = [Missing(AGE, reason, "") for reason in reasons]  # type: ignore[arg-type]
    assert not_known(gaps, "so it is") == (
        "**Not known or old:** Age (not recorded), Age (too old), Age (not usable), Age (not known); so it is."
    )
    assert not_known(gaps[:1]) == "**Not known or old:** Age (not recorded); each counts as the group's average."
    assert not_known([]) == ""
