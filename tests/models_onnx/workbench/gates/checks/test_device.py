"""The guard that keeps time-critical scores off cards, by what they declare and by what they are called."""

from typing import Any

import pytest

from models_onnx.workbench.gates.checks.device import attribute_reasons, device_reasons, is_cleared

FINE: dict[str, Any] = {
    "horizon_hours": 720.0,
    "acting_window_hours": 48.0,
    "time_critical": False,
    "output_type": "score",
    "indications": ["readmission"],
    "signals": [],
}


def test_a_score_about_weeks_from_chart_facts_is_no_device() -> None:
    assert device_reasons(FINE, "Readmission within 30 days were readmitted", ["Observation.value"]) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"horizon_hours": 24.0}, "the next 24 hours"),
        ({"horizon_hours": 6}, "the next 6 hours"),
        ({"acting_window_hours": 2}, "there are 2 hours to act"),
        ({"time_critical": True}, "time-critical"),
        ({"time_critical": None}, "time-critical"),
        ({"output_type": "alarm"}, "an alarm"),
        ({"indications": ["Sepsis"]}, "about sepsis"),
        ({"indications": ["hypoglycaemia in hospital"]}, "about hypoglyc"),
        ({"signals": ["ECG waveform"]}, "ECG waveform"),
        ({"horizon_hours": None}, "not said"),
    ],
)
def test_each_reason_of_the_guidance_is_found(changes: dict[str, Any], said: str) -> None:
    assert any(said in reason for reason in device_reasons({**FINE, **changes}, "A score", []))


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


@pytest.mark.parametrize("source", ["Observation.valueSampledData", "ImagingStudy.series", "Media.content"])
def test_signals_and_images_are_found_among_the_inputs(source: str) -> None:
    assert device_reasons(FINE, "A score", [source])


@pytest.mark.parametrize(
    ("clearance", "cleared"),
    [("K201298", True), ("DEN180001", True), ("P100010/S012", True), ("pending", False), ("", False), (None, False)],
)
def test_a_clearance_counts_by_a_number_of_the_fdas_form(clearance: str | None, cleared: bool) -> None:
    assert is_cleared({"device_status": "cleared", "clearance": clearance}) is cleared
    assert not is_cleared({"device_status": "non-device-cds", "clearance": clearance})


def test_patients_as_users_replacing_and_unexplained_inputs_are_refused() -> None:
    assert list(attribute_reasons("Physicians; never patients.", "Informs.", "A long statement.", [])) == []
    found = list(attribute_reasons("Patients and families", "Replaces the decision", "", ["embedding_1"]))
    assert len(found) == 4
    assert "embedding_1" in found[2]
