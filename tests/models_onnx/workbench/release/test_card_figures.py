"""The computed attributes of a card, whole: every figure and every sentence of a model of 1,000 people."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.workbench.release import card_figures as figures

Json = dict[str, Any]


def _figure(value: float | None, low: float | None = None, high: float | None = None) -> Json:
    return {"value": value, "low": low, "high": high}


def _group(axis: str, group: str, n: int, events: int, sufficient: bool = True) -> Json:
    return {
        "axis": axis,
        "group": group,
        "n": n,
        "events": events,
        "sufficient": sufficient,
        "auroc": _figure(0.75, 0.7, 0.8),
        "observed_expected": _figure(1.0004, 0.9, 1.1),
        "sensitivity": _figure(0.5),
        "something_else": 1,
    }


GROUPS = [_group("sex", "female", 500, 60), _group("sex", "male", 484, 40), _group("age", "18-44", 333, 3, False)]
EVALUATION: Json = {
    "how": "By cross-validation.",
    "all": {"n": 1000, "events": 100, "auroc": _figure(0.8, 0.75, 0.85), "brier": _figure(0.0751), "x": 1},
    "newest": {"n": 10, "events": 1, "auroc": _figure(None), "ppv": _figure(0.25, 0.2, None)},
    "simple": {"inputs": ["age", "sex"], "auroc": _figure(0.7, 0.65, 0.75)},
    "subgroups": GROUPS,
}


def _manifest(evaluation: Json | None = None, **members: Any) -> Manifest:
    steps = (SimpleNamespace(words="pregnant", count=1234), SimpleNamespace(words="not linked", count=5))
    facts: Json = {
        "cohort": SimpleNamespace(table_rows=2239, exclusions=steps, n=1000, events=100, words="adults of a survey"),
        "data": SimpleNamespace(name="table.csv"),
        "table_period": "1999 to 2014",
        "outcome": SimpleNamespace(words="died within 5 years"),
        "period": SimpleNamespace(training="1999 to 2014", recalibration="2011 to 2014"),
        "provenance": None,
        "evaluation": EVALUATION if evaluation is None else evaluation,
        **members,
    }
    return cast(Manifest, SimpleNamespace(**facts))


def test_the_share_of_each_group_and_of_those_of_no_group() -> None:
    assert figures.representation(_manifest()) == {
        "sex": {
            "female": {"people": 500, "events": 60, "percent": 50.0},
            "male": {"people": 484, "events": 40, "percent": 48.4},
            "not recorded": {"people": 16, "percent": 1.6},
        },
        "age": {
            "18-44": {"people": 333, "events": 3, "percent": 33.3},
            "not recorded": {"people": 667, "percent": 66.7},
        },
    }
    assert figures.representation_in_words(_manifest()) == (
        "Of 1,000 people. By sex: female 50 %, male 48.4 %, not recorded 1.6 %. By age: 18-44 33.3 %, not recorded "
        "66.7 %."
    )
    thirds = _manifest({"subgroups": [_group("sex", "a", 1, 1)]}, cohort=SimpleNamespace(n=3))
    assert figures.representation(thirds)["sex"] == {
        "a": {"people": 1, "events": 1, "percent": 33.3},
        "not recorded": {"people": 2, "percent": 66.7},
    }


def test_how_well_it_tells_people_apart_and_how_right_it_is() -> None:
    assert figures.validity(_manifest()) == {
        "how": "By cross-validation.",
        "all": {"people": 1000, "events": 100, "auroc": _figure(0.8, 0.75, 0.85), "brier": _figure(0.0751)},
        "newest": {"people": 10, "events": 1, "auroc": _figure(None), "ppv": _figure(0.25, 0.2, None)},
        "gain_over_simple": EVALUATION["simple"],
    }
    assert figures.validity_in_words(_manifest()) == (
        "By cross-validation. All years, 1,000 people, 100 events: AUROC 0.800 (0.750 to 0.850), Brier score 0.075. "
        "Newest years followed to the horizon, 10 people, 1 events: AUROC not computable, PPV at the default threshold "
        "0.250. age and sex alone: AUROC 0.700 (0.650 to 0.750)."
    )


def test_what_each_group_says_of_fairness() -> None:
    rows = figures.fairness(_manifest())
    assert rows[0] == {
        "axis": "sex",
        "group": "female",
        "people": 500,
        "events": 60,
        "sufficient": True,
        "auroc": _figure(0.75, 0.7, 0.8),
        "observed_expected": _figure(1.0004, 0.9, 1.1),
        "sensitivity": _figure(0.5),
    }
    assert figures.fairness_in_words(_manifest()) == (
        "sex, female: 500 people, 60 events, AUROC 0.750 (0.700 to 0.800), observed/expected 1.000 (0.900 to 1.100); "
        "sex, male: 484 people, 40 events, AUROC 0.750 (0.700 to 0.800), observed/expected 1.000 (0.900 to 1.100); "
        "age, 18-44: 333 people, 3 events, too few to judge; race and ethnicity: not judged, no figures are by them."
    )


@pytest.mark.parametrize("evaluation", [{}, {"how": "Not at all.", "subgroups": []}])
def test_a_model_that_was_not_evaluated_says_nothing_of_it(evaluation: Json) -> None:
    nothing = _manifest(evaluation)
    assert figures.validity(nothing) == {"how": evaluation.get("how", "")}
    assert figures.validity_in_words(nothing) == ""
    assert figures.fairness(nothing) == []
    assert figures.fairness_in_words(nothing) == ""
    assert figures.representation(nothing) == {}
    assert figures.representation_in_words(nothing) == ""


def test_words_without_a_procedure_or_a_simple_model() -> None:
    bare = _manifest({"latest": {"n": 5, "events": 2, "brier": _figure(0.1, 0.05, 0.15)}})
    assert figures.validity_in_words(bare) == "Latest years, 5 people, 2 events: Brier score 0.100 (0.050 to 0.150)."


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        ({}, "not computable"),
        (_figure(0.5), "0.500"),
        (_figure(0.5, 0.25), "0.500"),
        (_figure(0.5, None, 0.75), "0.500"),
        (_figure(0.5, 0.0, 0.75), "0.500 (0.000 to 0.750)"),
    ],
)
def test_a_figure_with_its_interval(figure: Json, text: str) -> None:
    assert figures.interval(figure) == text
