"""The guard that keeps time-critical scores off cards, by what they declare and by what they are called."""

from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models_onnx.workbench.gates.checks import device
from models_onnx.workbench.gates.checks.device import attribute_reasons, device_reasons, is_cleared
from models_onnx.workbench.gates.gate import Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject

Json = dict[str, Any]
NONE = Evidence(as_of=date(2026, 11, 20), timer=float)
NOT_SAID = "its horizon and the time there is to act are not said (horizon_hours, acting_window_hours)"
FINE: Json = {"horizon_hours": 24.5, "acting_window_hours": 24, "time_critical": False, "device_status": "non-device"}


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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
    assert device._words_at({"purpose": {"users": "clinicians"}}, "purpose", "users") == ""
    assert device._words_at({"purpose": "x"}, "purpose", "users") == ""


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    ("clearance", "cleared"),
    [("K201298", True), ("DEN180001", True), ("P100010/S012", True), ("pending", False), ("", False), (None, False)],
)
def test_a_clearance_counts_by_a_number_of_the_fdas_form(clearance: str | None, cleared: bool) -> None:
    assert is_cleared({"device_status": "cleared", "clearance": clearance}) is cleared
    assert not is_cleared({"device_status": "non-device-cds", "clearance": clearance})
