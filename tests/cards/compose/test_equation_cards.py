"""The whole card of an equation and of a guideline's indication, from small charts whose points are counted by hand."""

import dataclasses
from functools import cache

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from cards.card import (
    REASONS_OF_A_TALK,
    TOPICS,
    Card,
    CardError,
    CardIdentity,
    Link,
    OrderSuggestion,
    Source,
    check_card,
)
from cards.compose.equation import (
    EquationCardContent,
    _closing,
    charted_value,
    equation_card,
    extension_of,
    for_each_sex,
    missing_card,
    people_in_100,
    worklist_entry,
)
from cards.compose.model import ModelCardContent, factor_lines, model_card
from cards.extension import CardExtension, Factor, WorklistEntry
from cards.new_orders import LIPIDS, TESTS, order_of_test, orderable_test_for
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureValue, FeatureVector, Missing
from fhir.record.record import read_record
from models_onnx.artifact.manifest import MissingInputs
from models_onnx.equations.arithmetic import Contribution, Working
from models_onnx.equations.calculate import EquationResult, RecordInputs, calculate, inputs_from_record
from models_onnx.equations.declaration import find_equations, get_equation, yes_no
from models_onnx.serving.registry import load_model
from tests.cards.preventive.charts import EVERYTHING, Json, number, person, problem
from tests.each import for_rows
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
        "The opening.\n"
        "- 1 point: Age **70**\n"
        "- 1 point: Sex **female**\n"
        "- 1 point: **Hypertension** (condition I10, 2020-03-04)\n"
        "\n"
        "Beside.\n"
        "**Not found, so counted as no:** heart failure, diabetes, stroke, TIA or embolism before, "
        "vascular disease.\n"
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


def test_points_are_ranked_and_what_gives_none_has_no_line() -> None:
    old = replace(
        fibrillating().calculate("score"),
        working=Working(
            2,
            "identity",
            0.0,
            (Contribution("sex", "female", 0), Contribution("age", 70, 1), Contribution("hypertension", True, 2)),
        ),
    )
    lines = str(equation_card(fibrillating(), old, CONTENT, IDENTITY).detail).split("\n")
    assert lines[1:4] == ["- 2 points: **Hypertension** (condition I10, 2020-03-04)", "- 1 point: Age **70**", ""]


def test_a_card_without_an_offer_is_not_to_be_chosen_from() -> None:
    inputs = fibrillating()
    card = equation_card(inputs, inputs.calculate("score"), CONTENT, IDENTITY)
    assert (card.suggestions, card.selection_behavior) == ((), None)


def kidneys() -> RecordInputs:
    return charted("ckd_epi_2021_creatinine", number("2160-0", 1.2, "mg/dL") | {"id": "creatinine"})


def worked(value: float, *contributions: Contribution, output: str | None = None) -> EquationResult:
    """A result whose working is written by hand."""
    equation = get_equation("ckd_epi_2021_creatinine")
    return EquationResult(equation, equation.output(output), {}, Working(value, "log", 4.0, contributions), None, None)


AGE, CREATININE = Contribution("age", 70, 0.25), Contribution("creatinine", 1.2, -0.75)


@pytest.mark.parametrize(("words", "is_whole"), [(12, True), (13, False)])
def test_whom_the_lines_compare_with_is_told_in_twelve_words_at_most(words: int, *, is_whole: bool) -> None:
    values = " ".join(["x"] * words)
    result = worked(48.0)
    equation = dataclasses.replace(result.equation, reference=f"a man with {values}")
    result = replace(result, equation=equation)
    expected = f"a man with {values}." if is_whole else "a man (values on the page of the method)."
    assert f"Compared with {expected}" in _closing(result, SAID, NAMING)


def test_what_is_of_the_site_belongs_to_the_base_and_what_moves_nothing_has_no_line() -> None:
    site = (Contribution("region", "north", 0.5), Contribution("ward", "7", 0.125))
    result = worked(48.0, *site, replace(AGE, contribution=0.0), CREATININE)
    beside = CardExtension(output="other")
    assert extension_of(kidneys(), result, (beside,)) == CardExtension(
        model=extension_of(kidneys(), result).model,
        output="egfr",
        value=48.0,
        link="log",
        base=4.625,
        contributions=(
            Factor("age", 70.0, "a", "2026-11-20", "Patient/p1", 0.0),
            Factor("creatinine", 1.2, "mg/dL", "2026-01-10", "Observation/creatinine", -0.75),
        ),
        reference="a woman or man of 50 with creatinine at the equation's own turn (0.7 women, 0.9 mg/dL men)",
        beside=(beside,),
    )
    detail = str(equation_card(kidneys(), result, CONTENT, IDENTITY).detail)
    assert "Age" not in detail
    assert "other inputs" not in detail


def test_a_probability_stands_in_the_extension_as_one() -> None:
    equation = get_equation("prevent_base")
    working = Working(0.125, "logit", -2.0, ())
    result = EquationResult(equation, equation.output("ascvd|10y"), {}, working, None, None)
    inputs = charted("prevent_base")
    said = extension_of(inputs, result)
    assert (said.output, said.probability, said.value, said.band) == ("ascvd|10y", 0.125, None, None)
    content = replace(CONTENT, other_results=(CardExtension(output="other"),))
    assert equation_card(inputs, result, content, IDENTITY).own_extension.beside == (CardExtension(output="other"),)


def test_an_input_is_said_with_its_value_and_day_or_as_the_site_gives_it() -> None:
    assert charted_value(kidneys(), "creatinine") == "Creatinine **1.2 mg/dL** (2026-01-10)"
    assert charted_value(kidneys(), "age") == "Age **70**"
    assert charted_value(fibrillating(), "hypertension") == "**Hypertension** (condition I10, 2020-03-04)"
    renal = charted("has_bled", number("2160-0", 3.2, "mg/dL"))
    assert charted_value(renal, "abnormal_renal") == "**Abnormal kidney function** (3.2 mg/dL, 2026-01-10)"
    normal = charted("has_bled", number("2160-0", 0.8, "mg/dL"))
    assert "0.8" not in charted_value(normal, "abnormal_renal")
    given = replace(kidneys(), evidence={}, given={"age": "a*b"})
    assert charted_value(given, "age") == r"Age **a\*b**"


def test_the_card_of_what_is_missing_offers_the_test_and_is_an_entry_of_a_worklist() -> None:
    order = order_of_test(LIPIDS, "p1", "2026-11-20")
    content = replace(CONTENT, offers=(OrderSuggestion("Order lipids", "Draft order.", order),))
    card = missing_card(get_equation("prevent_base"), content, IDENTITY, ["total_cholesterol"])
    assert card.detail == f"The opening.\n\nBeside.\n\nNothing is assumed in its place. {METHOD}"
    said = card.own_extension
    assert said.model is not None
    assert said == CardExtension(model=said.model, missing=("total_cholesterol",))
    assert (said.model["id"], [one.is_recommended for one in card.suggestions]) == ("prevent_base", [True])
    assert worklist_entry(card, "no lipids") == WorklistEntry(
        test="Lipid panel", code="57698-3", purpose="prevent_base", because="no lipids"
    )


@for_rows(
    ("lower", "higher", "summary"),
    [
        (("About 6 in 100.", "6 in 100"), ("About 15 in 100.", "15 in 100"), "About 6 in 100 to 15 in 100."),
        (("About 6 in 100.", "6 in 100"), ("About 6 in 100.", "6 in 100"), "About 6 in 100."),
        (("About 6 in 100.", ""), ("About 15 in 100.", ""), "6 % as a woman and 15 % as a man: About 6 in 100."),
        (("About six.", "6 in 100"), ("About 15.", "15 in 100"), "6 % as a woman and 15 % as a man: About six."),
    ],
)
def test_without_a_recorded_sex_the_headline_has_the_results_of_both(
    lower: tuple[str, str], higher: tuple[str, str], summary: str
) -> None:
    of_lower, of_higher = (replace(CONTENT, summary=words, figure=figure) for words, figure in (lower, higher))
    content = for_each_sex(of_lower, of_higher, "6 % as a woman and 15 % as a man")
    assert content.summary == summary
    assert content.opening.startswith("**The sex is not recorded: 6 % as a woman and 15 % as a man.**")


# The card of a published equation: never of one that must not be shown, and the tests that can be ordered.


NAMING = CardIdentity(
    "uuid", lambda number: f"suggestion-{number}", "https://cds.example/explain/1", "https://cds.example/e"
)
SAID = EquationCardContent(summary="Something is missing.", opening="It is.", topic=TOPICS["statin"])


@pytest.mark.parametrize("name", ["news2", "pooled_cohort"])
def test_an_equation_that_must_not_be_shown_gets_no_card(name: str) -> None:
    equation = find_equations()[name]
    with pytest.raises(CardError, match="never shown"):
        missing_card(equation, SAID, NAMING, ["age"])


@for_rows(
    ("lacking", "loinc"),
    [
        (["total_cholesterol", "hdl_cholesterol"], "57698-3"),
        (["uacr"], "9318-7"),
        (["ast"], "24325-3"),
        (["uacr", "egfr"], None),
        (["sbp"], None),
        ([], None),
    ],
)
def test_one_test_answers_everything_or_none_is_offered(lacking: list[str], loinc: str | None) -> None:
    test = orderable_test_for(lacking)
    assert (test.loinc if test else None) == loinc


def test_every_input_that_a_test_answers_is_one_of_an_equation() -> None:
    known = {item.name for equation in find_equations().values() for item in equation.inputs}
    assert set().union(*(test.inputs for test in TESTS)) <= known


@for_rows("systolic", range(140, 165))
def test_people_in_100_are_never_in_a_band_that_is_not_reached(systolic: int) -> None:
    given = {"age": 60, "sex": "male", "total_cholesterol": 220, "hdl_cholesterol": 40, "sbp": systolic, "bmi": 28}
    answers = {"diabetes": False, "current_smoker": True, "bp_medication": False, "statin": False}
    result = calculate(get_equation("prevent_base"), {**given, **answers, "egfr": 86}, "ascvd|10y")
    assert result.band is not None
    assert (people_in_100(result) >= 10) == (result.band.id == "high")
    assert people_in_100(result) >= int(100 * result.number)


@for_rows(("words", "inside"), [("Age", "age"), ("BMI", "BMI"), ("HbA1c", "hbA1c"), ("X", "x")])
def test_a_name_inside_a_sentence_begins_small_unless_it_is_an_abbreviation(words: str, inside: str) -> None:
    assert yes_no("x", words).words_in_sentence == inside


@pytest.mark.parametrize(("name", "is_compared"), [("lace", False), ("ckd_epi_2021_creatinine", True)])
def test_a_score_is_compared_with_nobody_and_a_value_with_its_reference(name: str, *, is_compared: bool) -> None:
    equation = get_equation(name)
    stay = {"length_of_stay_days": 3, "acute_admission": True, "charlson_lace": 1, "ed_visits_6m": 0}
    given = stay if name == "lace" else {"age": 60, "sex": "male", "creatinine": 1.0}
    result = calculate(equation, given, equation.outputs[0].id)
    assert ("Compared with" in _closing(result, SAID, NAMING)) is is_compared
    assert (result.output.kind == "integer") is not is_compared


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


@for_rows(
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
    assert " within 1 year, " in str(card("average", horizons=(1.0, 5.0)).detail)
    written, other = (msgspec.to_builtins(shown.extension)["org.cds-hooks-onnx"] for shown in (over_time, single))
    assert list(written["risk_by_years"]) == ["0.5", "1.0", "5.0"]
    assert "risk_by_years" not in other


def test_an_input_that_moves_nothing_neither_raises_nor_lowers() -> None:
    lines = factor_lines([0.5, 0.0, -0.25, 0.0], "input {}".format)
    assert [(line.rpartition(": ")[2] or line) for line in lines] == [
        "- **Raises the estimate**", "input 0", "- **Lowers it**", "input 2",
    ]  # fmt: skip
