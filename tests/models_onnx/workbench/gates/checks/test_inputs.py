"""G2 and G11 at their limits: what is written of an input, what a file marks, and what taking one input away moves."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.artifact.manifest import ModelInput
from models_onnx.workbench.gates.checks import device, inputs
from models_onnx.workbench.gates.checks.device import attribute_reasons, device_reasons, is_cleared
from models_onnx.workbench.gates.checks.inputs import check_missing
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject
from tests.each import for_rows
from tests.models_onnx.workbench.gates.formula import INPUTS, NOTHING, changed, item, subject

Array = NDArray[np.float64]
NO_FEATURE = "is not a feature of fhir/mapping/features/catalog.py, so no record can fill it"


@for_rows(
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


EVERY = "age, sodium, smoker"
UNMARKED = [f"the file does not mark as out of range {side}: {EVERY}" for side in ("below", "above")]
NOT_MISSING = "the file does not mark the missing input as missing"


@for_rows(
    ("edits", "faults"),
    [
        ({}, []),
        ({"out_of_range": lambda _rows, _mark: None}, UNMARKED),
        ({"out_of_range": lambda _rows, mark: mark & False}, UNMARKED),
        ({"out_of_range": lambda _rows, mark: mark & np.array([False, True, True])}, [
            "the file does not mark as out of range below: age", "the file does not mark as out of range above: age",
        ]),
        ({"out_of_range": lambda rows, mark: mark & (rows < np.array([20.0, 120.0, 0.0]))}, UNMARKED[1:]),
        ({"out_of_range": lambda _rows, mark: mark | True}, [
            "the file does not mark as out of range below: the right input alone",
            "the file does not mark as out of range above: the right input alone",
        ]),
        ({"missing": lambda _rows, _mark: None}, [NOT_MISSING]),
        ({"missing": lambda _rows, mark: mark & False}, [NOT_MISSING]),
        ({"missing": lambda _rows, mark: mark | mark[:, ::-1]}, [NOT_MISSING]),
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


def test_what_is_scored_as_the_highest_is_not_out_of_range_above() -> None:
    clipped = (INPUTS[0], msgspec.structs.replace(INPUTS[1], clip_high=160.0), INPUTS[2])
    top = lambda rows, mark: mark & ~(rows > np.array([np.inf, 160.0, np.inf]))  # noqa: E731 - an edit, handed on
    assert inputs._mask_faults(subject(changed(out_of_range=top), features=clipped)) == []
    assert inputs._mask_faults(subject(features=clipped)) == ["the file does not mark as out of range above: sodium"]


def test_a_model_of_people_whom_the_chart_can_show() -> None:
    population = SimpleNamespace(age_low=18, words="adults")
    product = {"data_last_year": 2020, "setting": "outpatient"}
    whole = subject(manifest=SimpleNamespace(population=population), product=product)
    assert inputs.check_population(whole, NOTHING) == Verdict(
        "For adults from 18 years on; setting outpatient; data until 2020.",
        (),
        {"setting": "outpatient", "last": 2020},
    )


Json = dict[str, Any]
NONE = Evidence(as_of=date(2026, 11, 20), timer=float)
NOT_SAID = "its horizon and the time there is to act are not said (horizon_hours, acting_window_hours)"
FINE: Json = {"horizon_hours": 24.5, "acting_window_hours": 24, "time_critical": False, "device_status": "non-device"}


@for_rows(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"horizon_hours": 24}, ["it predicts the next 24 hours"]),
        ({"horizon_hours": None}, [NOT_SAID]),
        ({"acting_window_hours": "a day"}, [NOT_SAID]),
        ({"acting_window_hours": 23.5}, ["there are 23.5 hours to act"]),
        ({"time_critical": True}, ["it is time-critical"]),
        ({"time_critical": None}, ["it is time-critical"]),
        ({"output_type": "alarm"}, ["its output is an alarm"]),
        ({"output_type": "estimate"}, []),
        ({"indications": ["Septic shock", "stroke"]}, ["it is about septic, stroke, shock"]),
        ({"indications": ["hypoglycaemia in hospital"]}, ["it is about hypoglyc"]),
        ({"signals": ["ECG", 12]}, ["it takes signals, images or sequences: ECG, 12"]),
        ({"horizon_hours": 1, "acting_window_hours": 1, "time_critical": True, "output_type": "alarm"}, [
            "it predicts the next 1 hours", "there are 1 hours to act", "it is time-critical", "its output is an alarm",
        ]),
    ],
)  # fmt: skip
def test_why_a_model_would_be_a_device(changes: Json, reasons: list[str]) -> None:
    assert device_reasons({**FINE, **changes}, "Death within 5 years", ["Observation"]) == reasons


def test_inputs_that_are_signals() -> None:
    signals = "Observation.valueSampledData, ImagingStudy.series, Media.content"
    assert device_reasons(FINE, "", [*signals.split(", "), "Observation.code"]) == [
        f"it takes signals, images or sequences: {signals}"
    ]


@for_rows(
    ("users", "role", "statement", "unexplained", "count"),
    [
        ("clinicians", "informs", "0123456789", [], 0),
        ("clinicians", "informs", " 012345678 ", [], 1),
        ("clinicians, never patients", "informs", "0123456789", [], 0),
        ("not families", "informs", "0123456789", [], 0),
        ("clinicians and caregivers", "informs", "0123456789", [], 1),
        ("clinicians", "Replaces the decision", "0123456789", [], 1),
        ("clinicians", "informs", "0123456789", ["age", "sex"], 1),
        ("patients", "replaces", "", ["age"], 4),
    ],
)
def test_why_a_model_may_not_be_shown(
    users: str, role: str, statement: str, unexplained: list[str], count: int
) -> None:
    reasons = list(attribute_reasons(users, role, statement, unexplained))
    assert len(reasons) == count
    assert not unexplained or f"matter clinically: {', '.join(unexplained)}" in " ".join(reasons)


def _device(evidence: str = "0123456789", **product: Any) -> Any:
    about = SimpleNamespace(title="Falls", outcome=SimpleNamespace(words="a fall within 1 year"))
    features = [SimpleNamespace(name="invented", fhir="Observation")]
    card = {"purpose": {"users": {"words": "clinicians"}, "decision_role": {"words": "informs"}}}
    whole = {**FINE, "section_1557": "0123456789", "input_evidence": {"invented": evidence}, **product}
    made = SimpleNamespace(manifest=about, product=whole, card=card, features=features)
    return device.check_device(cast(Subject, made), NONE)


def test_the_verdict_on_a_device() -> None:
    assert _device() == Verdict(
        sentence="non-device: horizon 24.5 h, time to act 24 h.", faults=(), figures={"device_reasons": []}, rows=[]
    )
    assert _device("too short").faults == ("nothing says why these inputs matter clinically: invented",)
    assert _device(input_evidence=[]).faults == ("nothing says why these inputs matter clinically: invented",)
    assert _device(horizon_hours=6).faults == (
        ("refused for cards, it would be a medical device: it predicts the next 6 hours; and no clearance is given"),
    )
    assert _device(horizon_hours=6, device_status="cleared", clearance="K123456") == Verdict(
        sentence="cleared: horizon 6 h, time to act 24 h.",
        faults=(),
        figures={"device_reasons": ["it predicts the next 6 hours"]},
        rows=[],
    )
    assert _device(horizon_hours=None).faults == (
        f"refused for cards, it would be a medical device: {NOT_SAID}; and no clearance is given",
    )
    cleared = _device(acting_window_hours=None, device_status="cleared", clearance="K123456")
    assert cleared.sentence == "cleared: horizon 24.5 h, time to act not said."
    nothing = device.check_device(cast(Subject, SimpleNamespace(product={}, card={})), NONE)
    assert nothing == Verdict(sentence="", faults=("there is no card that says what it is for",), figures={}, rows=[])


@for_rows(
    "words",
    [
        "Deterioration in the next 12 hours",
        "24-hour deterioration index",
        "ICU transfer within 8 h",
        "Cardiac arrest risk",
        "Stroke alert",
        "Early warning score",
        "Shock within 90 minutes",
    ],
)
def test_a_name_gives_it_away_whatever_the_card_declares(words: str) -> None:
    assert device_reasons(FINE, words, [])


@pytest.mark.parametrize(
    "words", ["Death within 180 days", "10-year cardiovascular risk", "Kidney failure within 2 years"]
)
def test_names_of_planning_scores_do_not(words: str) -> None:
    assert device_reasons(FINE, words, []) == []


@for_rows(
    ("clearance", "cleared"),
    [("K201298", True), ("DEN180001", True), ("P100010/S012", True), ("pending", False), ("", False), (None, False)],
)
def test_a_clearance_counts_by_a_number_of_the_fdas_form(clearance: str | None, cleared: bool) -> None:
    assert is_cleared({"device_status": "cleared", "clearance": clearance}) is cleared
    assert not is_cleared({"device_status": "non-device-cds", "clearance": clearance})
