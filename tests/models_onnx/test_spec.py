"""Models are found by themselves, and a specification that contradicts itself is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.naive_bayes import GaussianNB

from models_onnx.errors import DeclarationError, UnknownModel
from models_onnx.models.mortality_5y import SPEC
from models_onnx.spec import (
    AdditiveCox,
    CauseSpecificCox,
    Fitted,
    FollowUp,
    InputSpec,
    ModelSpec,
    RequiredGroup,
    find_specs,
    get_spec,
)
from tests.each import for_rows


def test_a_model_is_found_by_its_file() -> None:
    assert find_specs()["mortality_5y"] is SPEC


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"there are: .*mortality_5y"):
        get_spec("mortality_50y")


def test_no_input_tells_race_income_or_education() -> None:
    forbidden = ("race", "ethnic", "income", "poverty", "education", "payer")
    for spec in find_specs().values():
        for item in spec.inputs:
            told = f"{item.name} {item.described()['words']}".lower()
            assert not any(word in told for word in forbidden), told


TIMES = AdditiveCox(knots=3, penalty=0.1, horizons_years=(5.0,))
BOTH = CauseSpecificCox(knots=3, penalty=0.1, horizons_years=(5.0,))
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
            {"estimator": TIMES} | outcome(follow_up=None),
            "a model of times needs a follow_up of its outcome (FollowUp: time and event)",
            "estimator",
        ),
        (
            {"estimator": TIMES} | outcome(follow_up=COMPETING),
            "hazards of one cause, with competing events taken for losses, give too high a risk: declare "
            "CauseSpecificCox, AdditiveLogistic or trees, which give the cumulative incidence",
            "estimator",
        ),
        (
            {"estimator": BOTH} | outcome(follow_up=FOLLOWED),
            "CauseSpecificCox needs FollowUp(competing=...), which says whose time a competing event ended; without "
            "such events declare AdditiveCox",
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


def test_a_row_is_named_by_its_own_column_or_by_the_patient() -> None:
    assert (plain(patient_column="patient").key, plain(row_column="stay").key) == ("patient", "stay")


DECLARING = "from dataclasses import replace\nfrom models_onnx.models.readmission_30d import TWIN as OTHER\n"
FITTED = DECLARING + "from models_onnx.spec import Fitted\n"


def test_a_folder_declares_models_with_twins_and_knows_where_a_fitted_file_lies(tmp_path: Path) -> None:
    (tmp_path / "stroke.py").write_text(
        f"{FITTED}TWIN = replace(OTHER, id='stroke_small')\n"
        "inputs = tuple(replace(item, clip_high=None, knots=None) for item in OTHER.inputs)\n"
        "SPEC = replace(OTHER, id='stroke', twin='stroke_small', inputs=inputs, estimator=Fitted('model.txt', ''))\n"
    )
    specs = find_specs(tmp_path)
    assert list(specs) == [*find_specs(), "stroke", "stroke_small"]
    assert (specs["stroke"].estimator.folder, specs["stroke_small"].twin) == (tmp_path, None)
    assert get_spec("stroke_small", tmp_path) == specs["stroke_small"]
    with pytest.raises(UnknownModel) as unknown:
        get_spec("strokes", tmp_path)
    names = "mortality_5y, mortality_5y_small, readmission_30d, readmission_30d_early"
    assert str(unknown.value) == f"no model is called 'strokes'; there are: {names}, stroke, stroke_small"
    with pytest.raises(UnknownModel) as unknown:
        get_spec("stroke")
    hint = "--specs FOLDER names the folder of your own declarations"
    assert str(unknown.value) == f"no model is called 'stroke'; there are: {names}; {hint}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("TWIN = replace(OTHER, id='b')\nSPEC = replace(OTHER, id='a', twin='c')\n",
         "line 3: the TWIN of this file is not the model 'c' that its SPEC names"),
        ("TWIN = replace(OTHER, id='b')\nSPEC = replace(OTHER, id='a')\n",
         "line 3: the TWIN of this file is not the model None that its SPEC names"),
        ("SPEC = replace(OTHER, id='a', twin='b')\n", "the TWIN of this file is not the model 'b' that its SPEC names"),
        ("TWIN = replace(OTHER, id='mortality_5y')\nSPEC = replace(OTHER, id='a', twin='mortality_5y')\n",
         "two models are called mortality_5y"),
        ("SPEC = replace(OTHER, id='b')\n", "SPEC has the id 'b', but the file is called a"),
    ],
)  # fmt: skip
def test_a_twin_that_its_model_does_not_name_and_an_id_used_twice_are_refused(
    text: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text(DECLARING + text)
    with pytest.raises(DeclarationError) as refused:
        find_specs(tmp_path)
    assert sentence in str(refused.value)


def test_a_version_is_the_declaration_renewed_where_the_folder_has_its_renewal(tmp_path: Path) -> None:
    (tmp_path / "readmission_30d@9.renewal.json").write_text('{"version": "9", "table": "t.csv", "years": "2030"}')
    renewed = get_spec("readmission_30d@9", tmp_path)
    assert (renewed.version, renewed.table, renewed.period) == ("9", "t.csv", "2030")
    for name, folder in (("readmission_30d@9", None), ("readmission_30d@8", tmp_path), ("readmission_30d", tmp_path)):
        assert get_spec(name, folder) is find_specs()["readmission_30d"]
