"""The whole card of an equation and of a guideline's indication, from small charts whose points are counted by hand."""

from functools import cache

import msgspec
import numpy as np
from msgspec.structs import replace

from cards.card import (
    REASONS_OF_A_TALK,
    TOPICS,
    Card,
    CardIdentity,
    Link,
    OrderSuggestion,
    Source,
)
from cards.compose.equation import (
    EquationCardContent,
    equation_card,
    missing_card,
    worklist_entry,
)
from cards.compose.model import ModelCardContent, model_card
from cards.extension import Factor, WorklistEntry
from cards.new_orders import LIPIDS, order_of_test
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureValue, FeatureVector, Missing
from fhir.record.record import read_record
from models_onnx.artifact.manifest import MissingInputs
from models_onnx.equations.calculate import RecordInputs, inputs_from_record
from models_onnx.equations.declaration import get_equation
from models_onnx.serving.registry import load_model
from tests.cards.preventive.charts import EVERYTHING, Json, person, problem
from tests.fhir.builders import AS_OF, bundle, lean

IDENTITY = CardIdentity(
    "uuid", lambda number: f"suggestion-{number}", "https://cds.example/explain/1", "https://cds.example/e"
)
FIRST, SECOND = (
    OrderSuggestion(f"Order {words}", "Draft order.", {"resourceType": "ServiceRequest", "status": words}, offered)
    for words, offered in (("one", False), ("two", True))
)
CONTENT = EquationCardContent(
    summary="The headline.", opening="The opening.", topic=TOPICS["statin"], beside=("Beside.",), closing="The end."
)
METHOD = "[How this works and for whom it is](https://cds.example/e)"


def charted(equation: str, *resources: Json) -> RecordInputs:
    """The inputs of an equation from the chart of a woman of 70."""
    values = {"patient": lean(person("1956-11-20")), "rest": lean(bundle(*resources))}
    record = read_record(values, "p1", AS_OF, requested=EVERYTHING)
    return inputs_from_record(get_equation(equation), record)


def fibrillating() -> RecordInputs:
    """A woman of 70 with atrial fibrillation and hypertension: 1 point for age, for sex and for hypertension."""
    fibrillation = problem("I48.91", onsetDateTime="2025-01-02")
    return charted("cha2ds2_vasc", fibrillation, problem("I10", id="bp", onsetDateTime="2020-03-04"))


def test_the_card_of_a_score_counts_its_points() -> None:
    inputs = fibrillating()
    card = equation_card(inputs, inputs.calculate("score"), replace(CONTENT, offers=(FIRST, SECOND)), IDENTITY)
    assert card.detail == (
        "The opening.\n\n"
        "Beside.\n\n"
        "**Not found, so counted as no:** heart failure, diabetes, stroke, TIA or embolism before, "
        "vascular disease.\n\n"
        "Why:\n"
        "- 1 point: Age **70**\n"
        "- 1 point: Sex **female**\n"
        "- 1 point: **Hypertension** (condition I10, 2020-03-04)\n\n"
        f"The end. These are associations, not causes. {METHOD}"
    )
    assert (card.uuid, card.summary, card.indicator, card.selection_behavior, card.links, card.override_reasons) == (
        "uuid",
        "The headline.",
        "info",
        "any",
        (Link(label="Why this card", url="https://cds.example/explain/1", type="absolute"),),
        REASONS_OF_A_TALK,
    )
    assert card.source == Source(
        label="CHA2DS2-VASc, 2010", url="https://doi.org/10.1378/chest.09-1584", topic=TOPICS["statin"]
    )
    # The first offer is advised, whatever the offers say themselves.
    assert [(one.label, one.uuid, one.is_recommended) for one in card.suggestions] == [
        ("Order one", "suggestion-1", True),
        ("Order two", "suggestion-2", False),
    ]
    assert card.own_extension.contributions == (
        Factor("age", 70.0, "a", "2026-11-20", "Patient/p1", 1.0),
        Factor("sex", "female", "1", "2026-11-20", "Patient/p1", 1.0),
        Factor("hypertension", 1.0, "1", "2020-03-04", "Condition/bp", 1.0),
    )
    said = card.own_extension
    assert (said.output, said.value, said.probability, said.link, said.base) == ("score", 3, None, "identity", 0)
    assert said.band == {
        "id": "treat",
        "source": "2023 ACC/AHA guideline on atrial fibrillation: a yearly risk of 2 % as threshold",
    }
    assert said.not_found == ("heart_failure", "diabetes", "stroke_tia_te", "vascular_disease")
    assert said.reference == "a man under 65 with none of the conditions: 0 points"
    assert said.beside == ()


def test_the_card_of_what_is_missing_offers_the_test_and_is_an_entry_of_a_worklist() -> None:
    order = order_of_test(LIPIDS, "p1", "2026-11-20")
    content = replace(CONTENT, offers=(OrderSuggestion("Order lipids", "Draft order.", order),))
    card = missing_card(get_equation("prevent_base"), content, IDENTITY, ["total_cholesterol"])
    assert card.detail == f"The opening.\n\nBeside.\n\nNothing is assumed in its place. {METHOD}"
    said = card.own_extension
    assert said.model is not None
    assert (said.missing, said.findings, said.probability) == (("total_cholesterol",), (), None)
    assert (said.model["id"], [one.is_recommended for one in card.suggestions]) == ("prevent_base", [True])
    assert worklist_entry(card, "no lipids") == WorklistEntry(
        test="Lipid panel", code="57698-3", purpose="prevent_base", because="no lipids"
    )


# What the card of a model says of inputs that are not known, by what the model declares of them.
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
    assert " within 1 year, " in str(card("average", horizons=(1.0, 5.0)).detail)
    written, other = (msgspec.to_builtins(shown.extension)["org.cds-hooks-onnx"] for shown in (over_time, single))
    assert list(written["risk_by_years"]) == ["0.5", "1.0", "5.0"]
    assert "risk_by_years" not in other
