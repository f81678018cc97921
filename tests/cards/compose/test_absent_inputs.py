"""What the card of a model says of inputs that are not known, by what the model declares of them."""

from functools import cache

import msgspec
import numpy as np
import pytest

from cards.card import Card, CardIdentity, OrderSuggestion, check_card
from cards.compose.model import ModelCardContent, factor_lines, model_card
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureValue, FeatureVector, Missing
from models_onnx.artifact.manifest import MissingInputs
from models_onnx.serving.registry import load_model

GONE = 5


@cache
def card(kind: str, absence: float = 0.0, horizons: tuple[float, ...] = ()) -> Card:
    """The card of somebody average who lacks one input, of a model that declares this of missing inputs."""
    model = load_model("mortality_5y")
    features = features_named(model.features)
    row = np.array([item.reference_value for item in model.manifest.features])
    row[1], row[GONE] = 1.0, np.nan
    found = model.predict(row)
    contributions = found.contributions.copy()
    contributions[GONE] = absence
    evidence = [
        FeatureValue(feature, float(value), "2026-11-01", "Observation/1", "", float(value), feature.unit)
        if not np.isnan(value)
        else None
        for feature, value in zip(features, row, strict=True)
    ]
    vector = FeatureVector(features, row, evidence, [Missing(features[GONE], "absent", "not recorded")])
    return model_card(
        msgspec.structs.replace(
            model.manifest,
            missing_inputs=MissingInputs(kind=kind),  # type: ignore[arg-type]
            horizons_years=horizons,
        ),
        msgspec.structs.replace(
            found,
            contributions=contributions,
            observed_high=max(found.observed_high, 0.5 * bool(horizons)),
            risk=tuple(found.probability * years / 5 for years in horizons),
        ),
        vector,
        ModelCardContent(
            "Death within 5 years: {estimate}. Consider.",
            OrderSuggestion("Order a visit", "Draft", {"resourceType": "Task"}, is_recommended=True),
        ),
        CardIdentity(
            "7f2c7d9e-0000-4000-8000-000000000000",
            lambda number: f"7f2c7d9e-0000-4000-8000-00000000000{number}",
            "https://cds.example/explain/1",
            "https://cds.example/m",
        ),
    )


@pytest.mark.parametrize(
    ("kind", "absence", "said"),
    [
        ("average", 0.0, "each counts as the group's average"),
        ("imputed", 0.2, "each counts as the usual value that the model puts in its place"),
        ("learned", 0.9, "not knowing this raises the estimate"),
        ("learned", -0.9, "not knowing this lowers the estimate"),
        ("learned", 0.0, "not knowing this moves the estimate neither way"),
    ],
)
def test_the_card_says_what_not_knowing_an_input_means(kind: str, absence: float, said: str) -> None:
    shown = card(kind, absence)
    check_card(shown)
    assert shown.detail is not None
    assert said in shown.detail


def test_contributions_and_that_of_what_is_missing_add_up_to_the_estimate() -> None:
    own = card("learned", 0.9).own_extension
    assert own.missing_contribution == 0.9
    assert card("average").own_extension.missing_contribution is None
    assert own.contributions is not None
    assert "missing_contribution" not in msgspec.json.encode(card("average").own_extension).decode()


def test_a_model_with_several_horizons_gives_the_risk_at_each_on_the_card_and_in_its_extension() -> None:
    over_time, single = card("average", horizons=(0.5, 1.0, 5.0)), card("average")
    words = ("Over time, in 100: ", " within 6 months, ", " within 1 year, ", " within 5 years. ")
    assert [text for text in words if text not in str(over_time.detail)] == []
    assert "Over time" not in str(single.detail)
    written, other = (msgspec.to_builtins(shown.extension)["org.cds-hooks-onnx"] for shown in (over_time, single))
    assert list(written["risk_by_years"]) == ["0.5", "1.0", "5.0"]
    assert "risk_by_years" not in other


def test_a_measured_input_has_its_date_and_age_and_sex_have_none() -> None:
    lines = [line for line in str(card("average").detail).splitlines() if line.startswith("  - ")]
    measured = {feature.words for feature in features_named(load_model("mortality_5y").features) if feature.measured}
    dated = {words for words in measured if any(f": {words} **" in line and "(2026-11-01)" in line for line in lines)}
    shown = {words for words in measured if any(f": {words} **" in line for line in lines)}
    assert dated == shown
    assert len(shown) == sum("(2026-11-01)" in line for line in lines) < len(lines)


def test_an_input_that_moves_nothing_neither_raises_nor_lowers() -> None:
    lines = factor_lines([0.5, 0.0, -0.25, 0.0], "input {}".format)
    assert [(line.rpartition(": ")[2] or line) for line in lines] == [
        "- **Raises the estimate**", "input 0", "- **Lowers it**", "input 2",
    ]  # fmt: skip
