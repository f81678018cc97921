"""Models are found by themselves, and a specification that contradicts itself is refused."""

from dataclasses import replace
from typing import Any

import pytest
from sklearn.naive_bayes import GaussianNB

from models_onnx.errors import DeclarationError
from models_onnx.models.mortality_5y import SPEC
from models_onnx.spec import (
    Fitted,
    FollowUp,
    InputSpec,
    ModelSpec,
    RequiredGroup,
    find_specs,
)
from tests.each import for_rows


def test_no_input_tells_race_income_or_education() -> None:
    forbidden = ("race", "ethnic", "income", "poverty", "education", "payer")
    for spec in find_specs().values():
        for item in spec.inputs:
            told = f"{item.name} {item.described()['words']}".lower()
            assert not any(word in told for word in forbidden), told


ELSEWHERE = Fitted("model.txt", "")
FOLLOWED = FollowUp(lambda rows: rows.time, lambda rows: rows.event, 12)
COMPETING = replace(FOLLOWED, competing=lambda rows: rows.other)


def plain(**changes: Any) -> ModelSpec:
    """A declaration of two inputs, changed."""
    whole: dict[str, Any] = {
        "inputs": (InputSpec("age_years"), InputSpec("sex_male")),
        "panels": {},
        "required_groups": (),
        "simple_inputs": ("age_years",),
    }
    return replace(SPEC, **(whole | changes))


def inputs(**changes: Any) -> dict[str, Any]:
    """Its inputs, the second changed."""
    return {"inputs": (InputSpec("age_years"), InputSpec("sex_male", **changes))}


def outcome(**changes: Any) -> dict[str, Any]:
    """Its outcome, changed."""
    return {"outcome": replace(SPEC.outcome, **changes)}


@for_rows(
    ("changes", "sentence", "word"),
    [
        (
            {"estimator": 3},
            "the estimator is 3; it must be one of models_onnx.spec, or a classifier with fit and predict_proba, like "
            "make_pipeline(...)",
            "estimator",
        ),
        (
            {"estimator": GaussianNB},
            f"the estimator is {GaussianNB!r}; it must be one of models_onnx.spec, or a classifier with fit and "
            "predict_proba, like make_pipeline(...)",
            "estimator",
        ),
        (
            {"estimator": ELSEWHERE} | inputs(clip_high=3.0),
            "clip_high of sex_male is for the declared families; leave such values out of range, or clip in the "
            "pipeline",
            "clip_high",
        ),
        (
            {"estimator": ELSEWHERE} | inputs(knots=(1.0,)),
            "knots of sex_male are for the declared families; leave them out",
            "sex_male",
        ),
        (
            {"estimator": ELSEWHERE, "missing_inputs": "guessed"},
            "missing_inputs is 'guessed'; it must be one of average, imputed, learned or None",
            "missing_inputs",
        ),
        (
            {"missing_inputs": "learned"},
            "what a missing input counts as is settled for additive logistic regression (piecewise-linear in every "
            "input); leave out missing_inputs",
            "missing_inputs",
        ),
        ({"inputs": ()}, "it has no inputs", "inputs"),
        (
            {"inputs": (*inputs()["inputs"], InputSpec("tarot"), InputSpec("horoscope"))},
            "horoscope, tarot is not declared in fhir/mapping/features",
            "horoscope",
        ),
        ({"inputs": inputs()["inputs"] * 2}, "the input age_years is declared twice", "age_years"),
        ({"always_required": ("weight", "height")}, "height, weight is named but is not an input", "height"),
        ({"simple_inputs": ("height",)}, "height is named but is not an input", "height"),
        ({"panels": {"a panel": ("height",)}}, "height is named but is not an input", "height"),
        ({"derived": {"height": lambda rows: rows.height}}, "height is named but is not an input", "height"),
        (
            {"required_groups": (RequiredGroup("pair", "a pair", ("age_years", "height"), 1),)},
            "height is named but is not an input",
            "height",
        ),
        (
            {"required_groups": (RequiredGroup("pair", "a pair", ("age_years", "sex_male"), 3),)},
            "group pair wants 3 of 2 inputs: nobody gets a score",
            "pair",
        ),
        (
            {"population": replace(SPEC.population, exclude_conditions=("melon", "banana", "pregnancy"))},
            "exclude_conditions banana, melon is no key of fhir/terminology/tables/condition_groups.csv",
            "banana",
        ),
        (
            {"never_inputs": ("sex_male", "age_years", "other")},
            "age_years, sex_male is an input and may never be one",
            "age_years",
        ),
        ({"standardise_by": "ward"}, "there is no subgroup axis 'ward'", "ward"),
        ({"decision_role": "replaces"}, "decision_role 'replaces' is not one of informs, augments", "decision_role"),
        (outcome(horizon_days=0), "the horizon is 0 days; it must be more than 0", "horizon_days"),
        (outcome(horizon_days=float("inf")), "the horizon is inf days; it must be more than 0", "horizon_days"),
        (
            {"population": replace(SPEC.population, age_low=121)},
            "age_low is 121; nobody would be scored. It must be 0 to 120",
            "age_low",
        ),
        (
            {"population": replace(SPEC.population, age_low=-1)},
            "age_low is -1; nobody would be scored. It must be 0 to 120",
            "age_low",
        ),
        (
            {"capacity": 1.0},
            "a capacity of 1.0 is no share of the people between 0 and 1 (0.1 shows a card for a tenth)",
            "capacity",
        ),
        (
            {"capacities": (0.1, 0.0)},
            "a capacity of 0.0 is no share of the people between 0 and 1 (0.1 shows a card for a tenth)",
            "capacity",
        ),
        ({"capacities": (0.1, 0.5, 0.51, 0.9)}, "capacities [0.51, 0.9] are not above 0 and at most 0.5", "capacities"),
        ({"alerts_per_event": 1.0}, "alerts_per_event 1.0 is not above 1", "alerts_per_event"),
        (
            {"capacity": 0.2, "capacities": (0.1, 0.3)},
            "capacity 0.2 is not one of its capacities (0.1, 0.3)",
            "capacity",
        ),
        (
            {"age_percentiles": True, "age_bands": ()},
            "age_percentiles needs age_bands, the lowest age of each band, such as (18, 45, 65, 80)",
            "age_percentiles",
        ),
        (
            {"age_bands": (40, 40, 60)},
            "age_bands are rising ages, of a model that has the input age_years",
            "age_bands",
        ),
        ({"age_bands": (60, 40)}, "age_bands are rising ages, of a model that has the input age_years", "age_bands"),
        (
            {"inputs": (InputSpec("sex_male"),), "always_required": (), "simple_inputs": (), "age_bands": (40, 60)},
            "age_bands are rising ages, of a model that has the input age_years",
            "age_bands",
        ),
    ],
)
def test_a_contradiction_is_refused_with_its_sentence_and_the_word_that_is_wrong(
    changes: dict[str, Any], sentence: str, word: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        plain(**changes)
    assert (str(refused.value).removeprefix("mortality_5y: "), refused.value.about) == (sentence, word)
