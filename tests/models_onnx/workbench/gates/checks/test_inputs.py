"""G2 and G11 at their limits: what is written of an input, what a file marks, and what taking one input away moves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.artifact.manifest import ModelInput
from models_onnx.workbench.gates.checks import inputs
from models_onnx.workbench.gates.checks.inputs import check_missing
from models_onnx.workbench.gates.gate import NotRun
from models_onnx.workbench.gates.subject import ComposedCard
from tests.models_onnx.workbench.gates.formula import NOTHING, changed, item, subject

Array = NDArray[np.float64]
NO_FEATURE = "is not a feature of fhir/mapping/features/catalog.py, so no record can fill it"


@pytest.mark.parametrize(
    ("described", "faults"),
    [
        (item("age_years", 20.0, 90.0, 55.0), []),
        (item("age_years", 20.0, 90.0, 20.0), []),
        (item("age_years", 20.0, 90.0, 90.0), []),
        (item("age_years", 20.0, 90.0, 19.5), [
            "age_years: the reference value 19.5 lies outside its range",
        ]),
        (item("age_years", 20.0, 90.0, 90.5), [
            "age_years: the reference value 90.5 lies outside its range",
        ]),
        (item("age_years", 20.0, 20.0, 30.0), ["age_years has no range: 20 to 20"]),
        (item("age_years", 20.0, 90.0, 55.0, unit="mo"), [
            "age_years is in mo here and in a in fhir/mapping/features/catalog.py",
        ]),
        (item("invented", 20.0, 90.0, 55.0), [f"invented {NO_FEATURE}"]),
        (item("age_years", 20.0, 90.0, 55.0, fhir="", loinc=("2160-0",)), []),
        (item("age_years", 20.0, 90.0, 55.0, fhir=""), ["age_years has no words, unit or source in the record"]),
        (item("", 20.0, 90.0, 55.0), [
            " has no words, unit or source in the record", f" {NO_FEATURE}",
        ]),
    ],
)  # fmt: skip
def test_what_is_written_of_an_input(described: ModelInput, faults: list[str]) -> None:
    assert inputs._faults_of(described) == faults


def _marks(rows: Array, mark: Array) -> Array:
    """No mark of what is out of range in the first column."""
    return mark & np.array([False, True, True]) if len(rows) else mark


@pytest.mark.parametrize(
    ("edits", "faults"),
    [
        ({}, []),
        ({"out_of_range": lambda _rows, _mark: None, "missing": lambda _rows, _mark: None}, []),
        ({"out_of_range": _marks}, ["the file does not mark as out of range: age"]),
        ({"out_of_range": lambda _rows, mark: mark & False}, [
            "the file does not mark as out of range: age, sodium, smoker",
        ]),
        ({"out_of_range": lambda _rows, mark: mark | True}, [
            "the file does not mark as out of range: the right input alone",
        ]),
        ({"missing": lambda _rows, mark: mark & False}, ["the file does not mark the missing input as missing"]),
        ({"missing": lambda _rows, mark: mark | mark[:, ::-1]}, [
            "the file does not mark the missing input as missing",
        ]),
    ],
)  # fmt: skip
def test_a_file_marks_what_is_out_of_range_and_what_is_missing(
    edits: dict[str, Callable[[Array, Any], Any]], faults: list[str]
) -> None:
    assert inputs._mask_faults(subject(changed(**edits))) == faults


# G11


def _people(count: int = 500) -> Array:
    return np.tile([75.0, 150.0, 0.25], (count, 1))


def test_a_bound_beyond_a_quarter_counts_as_a_quarter() -> None:
    far = np.tile([75.0, 160.0, 0.25], (10, 1))  # logistic(-2), 0.1192, and without sodium logistic(0)
    verdict = check_missing(subject(product={"stress_move_at_most": 0.9}), replace(NOTHING, people=far))
    assert verdict.faults == (
        "its card declares a bound of 0.9; at most 0.25 is allowed",
        "without sodium the estimate moves by 0.38 (95 in 100 people), declared 0.25",
    )


@pytest.mark.parametrize("bound", [None, "0.1"])
def test_without_a_bound_nothing_is_judged(bound: str | None) -> None:
    with pytest.raises(NotRun) as reason:
        check_missing(subject(product={"stress_move_at_most": bound}), NOTHING)
    assert str(reason.value) == "No bound is declared (product.stress_move_at_most of the card)."


def test_a_file_without_a_number_or_without_a_mark_is_a_fault() -> None:
    edits: dict[str, Callable[[Array, Any], Any]] = {
        "probability": lambda rows, probability: np.where(np.isnan(rows[:, 0]), np.nan, probability),
        "missing": lambda _rows, mark: mark & np.array([True, True, False]),
    }
    verdict = check_missing(
        subject(changed(**edits), product={"stress_move_at_most": 0.25}), replace(NOTHING, people=_people())
    )
    assert verdict.faults == (
        "without age there is no number any more",
        "smoker is taken away and not marked as missing, so no card can name it",
    )


def _panel(low: float | None, high: float, **more: Any) -> dict[str, Any]:
    return {"words": "without sodium", "observed_expected": {"value": 1.0, "low": low, "high": high}, **more}


def test_every_panel_is_looked_at() -> None:
    panels = [_panel(0.9, 1.1, scored=False), _panel(0.9, 1.1), _panel(0.5, 0.6)]
    assert len(inputs._panel_faults(panels)) == 1
    whole = subject(product={"stress_move_at_most": 0.25})
    verdict = check_missing(whole, replace(NOTHING, people=_people(), figures={"panels": panels}))
    assert len(verdict.faults) == 1


def _composed(rows: Array, missing: tuple[str, ...], detail: str) -> list[ComposedCard]:
    card = ComposedCard(summary="", detail=detail, indicator="info", options=(), links=(), missing=missing, margin=0.0,
                        base=0.0, contributions=())  # fmt: skip
    return [card for _ in rows]


def test_a_card_names_what_is_missing() -> None:
    seen: list[Array] = []

    def compose(rows: Array, missing: tuple[str, ...], detail: str) -> list[ComposedCard]:
        seen.append(rows)
        return _composed(rows, missing, detail)

    people = _people(5)
    whole = subject(always=frozenset({"sodium"}))
    for missing, detail, faults in (
        (("age", "smoker"), "Not known: age, smoker.", []),
        (("smoker", "age"), "Not known: nothing.", ["the card does not name what is missing: age, smoker"]),
        (("smoker", "age"), "Not known: age.", ["the card does not name what is missing: smoker"]),
    ):
        evidence = replace(NOTHING, cards=lambda rows, m=missing, d=detail: compose(rows, m, d))  # type: ignore[misc]
        assert inputs._unnamed(whole, evidence, people) == faults
        verdict = check_missing(
            subject(always=frozenset({"sodium"}), product={"stress_move_at_most": 0.25}),
            replace(evidence, people=people),
        )
        assert list(verdict.faults) == faults
    assert np.isnan(seen[0]).tolist() == [[True, False, False], [False, False, False], [False, False, True]]
    assert inputs._unnamed(whole, replace(NOTHING, cards=lambda rows: _composed(rows, (), "")), people[:2]) == []
