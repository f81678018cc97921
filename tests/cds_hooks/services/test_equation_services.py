"""The services of published equations: who gets a card, in which words, and why the others get none."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from cards.card import Card, Source
from cds_hooks.model_versions import Chosen, in_use
from cds_hooks.services import statin_discussion
from cds_hooks.services._model import (
    NOT_RELEASED,
    ChartModel,
    ModelEstimate,
    Predictor,
    SiteThresholds,
    estimate,
    reference_of,
    scores_of,
    version_scores,
)
from cds_hooks.services._service import Advice, advise_by_model
from cds_hooks.trusted_models import AbsentModel
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureValue, FeatureVector, Missing
from fhir.record.refusals import WhyNot
from models_onnx.serving.eligibility import INPUT_MISSING, OUT_OF_RANGE, TOO_FEW_INPUTS
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model, Prediction
from tests.cds_hooks.services.equation_calls import (
    NOW,
    Change,
    added,
    ago,
    answer,
    answer_of_site,
    condition,
    only_card,
    reasons,
    resources,
    service_request,
    without,
)
from tests.cds_hooks.test_trusted_server import released
from tests.each import for_rows
from tests.fhir.builders import encounter


def _hidden(key: str) -> Change:
    def change(request: dict[str, Any]) -> None:
        request["prefetch"][key] = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "exception"}],
        }

    return change


def _planned(request: dict[str, Any]) -> None:
    """The stay did not begin as an emergency."""
    for resource in resources(request):
        resource.pop("hospitalization", None)


def visit(sample: str) -> Change:
    """An ambulatory visit that goes on."""
    going_on = encounter("AMB", patient=sample, id="added-visit", period={"start": ago(0)})
    return added("encounters", going_on)


STATIN = ("statin-discussion", "diabetes-no-statin")
KIDNEY = ("nephrology-referral", "ckd-uacr")
AF = ("anticoagulation-discussion", "af-no-anticoagulant")
LIVER = ("liver-assessment", "fatty-liver")
HOME = ("discharge-follow-up", "going-home")


@pytest.mark.parametrize(
    ("pair", "change", "reason"),
    [
        (STATIN, added("conditions", condition("diabetes-no-statin", "Z51.5")), "palliative"),
        (STATIN, added("tests", service_request("diabetes-no-statin", "Hospice care")), "palliative"),
        (STATIN, _hidden("medications"), "input-missing"),
        (STATIN, _hidden("conditions"), "excluded"),
        (KIDNEY, added("tests", service_request("ckd-uacr", "Referral to Nephrology")), "already-done"),
        (AF, _hidden("medications"), "input-missing"),
        (HOME, added("tests", service_request("going-home", "Follow-up visit, cardiology")), "already-done"),
        (HOME, _planned, "below-threshold"),
    ],
)  # fmt: skip
def test_a_service_is_silent_where_there_is_nothing_to_do(
    server_here: str, pair: tuple[str, str], change: Change, reason: str
) -> None:
    assert reason in reasons(answer(server_here, *pair, change))


@pytest.mark.parametrize(
    ("pair", "change", "loinc", "missing"),
    [
        (STATIN, without("2093-3", "2085-9"), "57698-3", ["total_cholesterol", "hdl_cholesterol"]),
        (STATIN, without("2085-9"), "57698-3", ["hdl_cholesterol"]),
        (KIDNEY, without("9318-7"), "9318-7", ["uacr"]),
        (LIVER, without("777-3"), "58410-2", ["platelets"]),
        (LIVER, without("1920-8"), "24325-3", ["ast"]),
    ],
)
def test_one_missing_test_is_offered_as_the_order(
    server_here: str, pair: tuple[str, str], change: Change, loinc: str, missing: list[str]
) -> None:
    def older(request: dict[str, Any]) -> None:
        """At 77 a statin is not indicated by diabetes alone."""
        if pair == STATIN:
            request["prefetch"]["patient"]["birthDate"] = ago(77 * 366)

    card = only_card(answer(server_here, *pair, older, visit(pair[1]), change))
    (suggestion,) = card["suggestions"]
    (action,) = suggestion["actions"]
    assert action["resource"]["code"]["coding"][0]["code"] == loinc
    assert card["extension"]["org.cds-hooks-onnx"]["missing"] == missing
    assert "probability" not in card["extension"]["org.cds-hooks-onnx"]


def test_a_missing_test_outside_a_visit_is_kept_for_the_worklist(server_here: str) -> None:
    assert reasons(answer(server_here, *KIDNEY, without("9318-7"))) == ["worklist"]


def test_a_missing_test_that_is_ordered_already_is_not_offered_again(server_here: str) -> None:
    ordered = service_request("ckd-uacr", "UACR")
    ordered["code"] = {"coding": [{"system": "http://loinc.org", "code": "9318-7"}]}
    answered = answer(server_here, *KIDNEY, without("9318-7"), added("tests", ordered))
    assert reasons(answered) == ["input-missing"]


def test_who_does_not_go_home_is_not_scored(server_here: str) -> None:
    def to_hospice(request: dict[str, Any]) -> None:
        for resource in resources(request):
            if resource["resourceType"] == "Encounter" and resource["id"] == "going-home-encounter-5":
                resource["hospitalization"]["dischargeDisposition"] = {"coding": [{"code": "hosp"}]}

    assert reasons(answer(server_here, *HOME, to_hospice)) == ["outside-population"]


def test_the_follow_up_is_due_within_a_week_and_belongs_to_the_stay(server_here: str) -> None:
    card = only_card(answer(server_here, *HOME))
    drafted = card["suggestions"][0]["actions"][0]["resource"]
    assert drafted["occurrenceDateTime"] == (NOW + timedelta(days=7)).date().isoformat()
    assert drafted["encounter"]["reference"] == "Encounter/going-home-encounter-5"
    assert "**LACE index 10** (high)." in card["detail"]
    assert card["detail"].count("** (high).") == 1, "the score of the card stands beside no other"


def test_nothing_of_the_chart_becomes_markup(server_here: str) -> None:
    def marked(request: dict[str, Any]) -> None:
        for resource in resources(request):
            if resource["resourceType"] == "Condition":
                resource["code"]["text"] = "<img src=x onerror=alert(1)> [x](https://evil.test) **bold**"

    card = only_card(answer(server_here, *AF, marked))
    assert "<img" not in card["detail"]
    assert "](https://evil" not in card["detail"]


@pytest.mark.parametrize(("deaths", "is_offered"), [(49, True), (50, False), (None, True)])
def test_a_talk_about_prevention_is_not_offered_with_a_short_outlook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int | None, is_offered: bool
) -> None:
    async def likely(_call: object) -> int | None:
        return deaths

    monkeypatch.setattr(statin_discussion, "likely_deaths", likely)
    answered = answer_of_site(tmp_path, *STATIN)
    assert bool(answered.json()["cards"]) is is_offered
    assert is_offered or "outside-population" in reasons(answered)


# Estimates by models: together for the calls of one turn, by which model, on or off the record, shown or not.
MODEL, TWIN = load_model("mortality_5y"), load_model("mortality_5y_small")
NOBODY: Any = None


class _Rows:
    """A model whose prediction of a row is its first value; a row that begins with -1 fails, and its batch with it."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def predict_each(self, rows: list[NDArray[np.float64]]) -> list[float]:
        self.runs.append(len(rows))
        return [self.predict(row) for row in rows]

    def predict(self, row: NDArray[np.float64]) -> float:
        if row[0] < 0:
            raise ValueError("a row that fails")
        return float(row[0])


def _row(value: float) -> Any:
    return np.array([value])


async def test_the_calls_of_one_turn_run_together_and_those_of_the_next_anew() -> None:
    first, second, predictor = _Rows(), _Rows(), Predictor()

    def predict(model: _Rows, value: float) -> Any:
        return predictor.predict(cast("Model", model), _row(value))

    together = await asyncio.gather(predict(first, 1.0), predict(second, 2.0), predict(first, 3.0))
    answered = [*together, await predict(first, 4.0)]
    assert answered == [1.0, 2.0, 3.0, 4.0]
    assert (first.runs, second.runs) == ([2, 1], [1])
    assert predictor._waiting == {}


async def test_a_row_that_fails_costs_its_own_call_and_no_other() -> None:
    model = cast("Model", _Rows())
    predictor = Predictor()
    calls: list[Any] = [predictor.predict(model, _row(value)) for value in (1.0, -1.0, 2.0)]
    one, fault, two = await asyncio.gather(*calls, return_exceptions=True)
    assert (one, two) == (1.0, 2.0)
    assert isinstance(fault, ValueError)


@pytest.mark.parametrize("other", [2.0, -1.0])
async def test_a_call_that_was_cancelled_gets_no_prediction_and_the_others_theirs(other: float) -> None:
    model = cast("Model", _Rows())
    predictor = Predictor()
    calls: list[Any] = [asyncio.create_task(predictor.predict(model, _row(value))) for value in (1.0, 3.0, other)]
    await asyncio.sleep(0)
    calls[0].cancel()
    cancelled, three, last = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert three == 3.0
    assert last == other or isinstance(last, ValueError)


def _vector(absent: tuple[str, ...] = (), changed: dict[str, float] | None = None, gaps: Any = ()) -> FeatureVector:
    """The usual values of the model, at 67 years, without those that are absent."""
    values = {item.name: item.reference_value for item in MODEL.manifest.features}
    values |= {"age_years": 67.0} | (changed or {}) | dict.fromkeys(absent, np.nan)
    features = features_named(MODEL.features)
    age = FeatureValue(features[MODEL.features.index("age_years")], 67.0, "", "Patient/p1", "", 67.0, "a")
    evidence = [age if feature is age.feature else None for feature in features]
    return FeatureVector(features, np.array([values[name] for name in MODEL.features]), evidence, list(gaps))


LABS = MODEL.manifest.required.groups[0].members


def _estimated(vector: FeatureVector, twin: Model = TWIN, withheld: dict[Model, str] | None = None) -> ModelEstimate:
    return asyncio.run(estimate(Predictor().predict, vector, MODEL, twin, (withheld or {}).get))


def test_where_the_twin_cannot_be_served_the_reason_says_so() -> None:
    absent = AbsentModel("mortality_5y_small", ValueError("changed"), TWIN.features)
    refused = _estimated(_vector(LABS), absent).refused
    of_model = _estimated(_vector(LABS)).refused
    assert of_model is not None
    assert refused == WhyNot(
        MODEL.manifest.id, TOO_FEW_INPUTS, f"{of_model.text} The model for fewer values cannot be served here.", LABS
    )


def test_a_model_that_may_not_be_shown_is_no_reason_to_ask_its_twin() -> None:
    withheld = _estimated(_vector(), withheld={MODEL: "It is retired."})
    assert (withheld.model, withheld.refused) == (MODEL, WhyNot(MODEL.manifest.id, NOT_RELEASED, "It is retired."))
    assert not withheld.is_recorded
    missing_first = _estimated(_vector(("age_years",)), withheld={MODEL: "It is retired."})
    assert missing_first.refused is not None
    assert missing_first.refused.reason == INPUT_MISSING


def test_values_outside_the_range_are_a_reason_against_an_estimate() -> None:
    high = next(item for item in MODEL.manifest.features if item.clip_high is None and item.name != "age_years")
    strange = _estimated(_vector(changed={high.name: high.trained_high * 1.01}))
    assert strange.refused is not None
    assert (strange.refused.reason, strange.refused.about) == (OUT_OF_RANGE, (high.name,))
    assert strange.computed is not None

    albumin, weight, glucose = features_named(("albumin_g_dl", "discharge_destination", "glucose_mg_dl"))
    gaps = [
        Missing(albumin, "refused", "Albumin 999 is implausible.", implausible=True),
        Missing(weight, "refused", "Another.", implausible=True),
        Missing(glucose, "stale", "Glucose is old."),
    ]
    implausible = _estimated(_vector(("albumin_g_dl",), gaps=gaps))
    assert implausible.refused == WhyNot(
        MODEL.manifest.id,
        OUT_OF_RANGE,
        f"{MODEL.manifest.title}: no score, outside the range the model was built on. Albumin 999 is implausible.",
        ("albumin_g_dl",),
    )
    assert _estimated(_vector(("glucose_mg_dl",), gaps=gaps[1:])).refused is None


def _prediction(model: Model = MODEL) -> Prediction:
    mask, members = np.zeros(len(model.features), dtype=bool), np.arange(float(len(model.features)))
    return Prediction(0.2, -1.5, -2.0, members, mask, mask, 95.0, 0.18, 0.15, 0.21, 400)


def test_the_record_has_what_a_model_computed() -> None:
    file = {
        "id": MODEL.manifest.id, "version": MODEL.manifest.version, "sha256": MODEL.manifest.file.sha256,
    }  # fmt: skip
    recorded = {
        **file, "probability": 0.2, "margin": -1.5, "base": -2.0,
        "contributions": {name: float(number) for number, name in enumerate(MODEL.features)},
        "percentile": 95.0, "observed_rate": 0.18, "observed_low": 0.15, "observed_high": 0.21, "observed_count": 400,
    }  # fmt: skip
    assert reference_of(MODEL) == file
    assert scores_of(MODEL, _prediction()) == recorded
    asked: list[Any] = []

    def is_due(scores: dict[str, Any]) -> bool:
        asked.append(scores)
        return True

    assert version_scores(MODEL, _prediction(), is_due) == {
        **file, "probability": 0.2, "percentile": 95.0, "is_due": True,
    }  # fmt: skip
    assert asked == [{"margin": -1.5, "percentile": 95.0}]


# The advice of a service that asks a model

SHOWN = Card(uuid="1", detail="", summary="shown", indicator="info", source=Source(label="a test"))


def _advised(
    prediction: Prediction | Exception,
    chosen: Chosen | None = None,
    withheld: str | None = None,
    vector: FeatureVector | None = None,
    **chart: Any,
) -> Advice:
    """What the service says of a person of 67; versions of the model get the same prediction."""

    async def predict(model: Model, values: NDArray[np.float64]) -> Prediction:
        if isinstance(prediction, Exception) and chosen is not None and model in chosen.beside:
            raise prediction
        return prediction if isinstance(prediction, Prediction) else HIGH

    site = chart.pop("site", SiteThresholds())
    call = SimpleNamespace(
        choose=in_use if chosen is None else lambda _: chosen,
        predict=predict,
        why_withheld=lambda _: withheld,
        thresholds=site,
    )
    chart_model = ChartModel(MODEL, TWIN, cast("Any", None), cast("Any", None), **chart)
    return asyncio.run(advise_by_model(cast("Any", call), chart_model, vector or _vector(), lambda _: SHOWN))


HIGH = _prediction()
LOW = replace(HIGH, percentile=89.5, margin=-1.9)
ALIKE = MODEL.manifest.reference.words


@for_rows(
    ("prediction", "chart", "silence"),
    [
        (HIGH, {}, None),
        (LOW, {}, f"The estimate is not among the highest 10 in 100 of {ALIKE}."),
        (LOW, {"share": 0.105}, None),
        (LOW, {"share": 0.05}, f"The estimate is not among the highest 5 in 100 of {ALIKE}."),
        (LOW, {"site": SiteThresholds(0.025)}, f"The estimate is not among the highest 2.5 in 100 of {ALIKE}."),
        (HIGH, {"within_age_band": True}, None),
        (
            LOW,
            {"within_age_band": True},
            "The estimate is not among the highest 10 in 100 of people aged 60 to under 70.",
        ),
    ],
)
def test_a_card_is_shown_for_the_highest_estimates(prediction: Prediction, chart: Any, silence: str | None) -> None:
    advice = _advised(prediction, **chart)
    expected = Advice(
        cards=[SHOWN] if silence is None else [],
        shorter={"1": SHOWN} if silence is None else {},
        silences=[] if silence is None else [WhyNot("mortality_5y", "below-threshold", silence)],
        features=advice.features,
        models=(reference_of(MODEL),),
        scores=scores_of(MODEL, prediction),
    )
    assert advice == expected
    assert advice.features is not None
    assert advice.features.values.tolist() == _vector().values.tolist()


def test_a_model_that_is_withheld_shows_and_records_no_score() -> None:
    advice = _advised(HIGH, withheld="It is retired.")
    assert (advice.cards, advice.silences) == ([], [WhyNot("mortality_5y", NOT_RELEASED, "It is retired.")])
    assert (advice.scores, advice.models) == (None, (reference_of(MODEL),))


def test_versions_beside_the_model_are_computed_and_recorded_whatever_their_faults() -> None:
    version = released("shadow")
    chosen = Chosen(MODEL, (version,))
    advice = _advised(HIGH, chosen)
    assert advice.scores == {
        **scores_of(MODEL, HIGH),
        "beside": [{**reference_of(version), "probability": 0.2, "percentile": 95.0, "is_due": True}],
    }
    assert (advice.cards, advice.models) == ([SHOWN], (reference_of(MODEL), reference_of(version)))
    low = _advised(LOW, chosen).scores
    assert low is not None
    assert [made["is_due"] for made in low["beside"]] == [False]
    by_age = _advised(LOW, chosen, share=0.2).scores
    assert by_age is not None
    assert [made["is_due"] for made in by_age["beside"]] == [True]
    faulty = _advised(ValueError("x"), chosen)
    assert faulty.scores == {**scores_of(MODEL, HIGH), "beside": [{**reference_of(version), "error": "ValueError"}]}
    assert (faulty.cards, len(faulty.models)) == ([SHOWN], 2)
    withheld = _advised(HIGH, chosen, "It is retired.")
    assert (withheld.scores, len(withheld.models)) == (None, 1)
    of_twin = _advised(_prediction(TWIN), chosen, vector=_vector(tuple({*LABS} - {*TWIN.features})))
    assert of_twin.models == (reference_of(TWIN),), "a version of the model says nothing where the twin answers"


def test_the_models_of_a_chart_are_those_that_can_be_served() -> None:
    absent = AbsentModel("x", ValueError("changed"), ())
    of = partial(ChartModel, outside=NOBODY, inputs=NOBODY)
    assert of(MODEL, TWIN).loaded == (MODEL, TWIN)
    assert of(MODEL, MODEL).loaded == (MODEL,)
    assert of(MODEL, absent).loaded == (MODEL,)
    assert of(absent, TWIN).loaded == (TWIN,)
