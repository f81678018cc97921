"""Discrimination, calibration and leaks at their limits, and what is needed where nothing can be said."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from models_onnx.workbench.gates.checks.figures import check_calibration, check_discrimination
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict
from models_onnx.workbench.gates.subject import Evidence, InputEvidence, Subject
from models_onnx.workbench.training.data.leaks import Loss
from tests.models_onnx.workbench.gates.formula import NO_BINS


@dataclass
class _Subject:
    product: dict[str, Any] = field(default_factory=lambda: {"auroc_floor": 0.7})
    manifest: Any = field(default_factory=lambda: SimpleNamespace(reference=NO_BINS))


def _end(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def _block(**members: Any) -> dict[str, Any]:
    block = {"n": 10_000, "events": 1000, "auroc": _end(0.75, 0.72, 0.78), "observed_expected": _end(1.0, 0.95, 1.05)}
    return block | members


def _judge(check: Any, block: dict[str, Any], product: Any = None, inputs: Any = None, **more: Any) -> Verdict:
    evidence = SimpleNamespace(figures={"all": block, **more}, inputs=inputs)
    subject: Any = _Subject() if product is None else _Subject(product)
    known: Evidence = evidence  # type: ignore[assignment]  # what the checks read of it
    typed: Subject = subject
    verdict: Verdict = check(typed, known)
    return verdict


@pytest.mark.parametrize(
    ("low", "floor", "is_fault"), [(0.7, 0.7, False), (0.699, 0.7, True), (0.59, 0.5, True), (0.6, 0.5, False)]
)
def test_the_interval_of_the_auroc_begins_at_the_floor_which_is_never_under_06(
    low: float, floor: float, is_fault: bool
) -> None:
    verdict = _judge(check_discrimination, _block(auroc=_end(0.75, low, 0.8)), {"auroc_floor": floor})
    assert bool(verdict.faults) is is_fault


def test_fewer_than_a_hundred_events_decide_no_discrimination_and_fewer_than_fifty_no_calibration() -> None:
    assert not _judge(check_discrimination, _block(events=100)).faults
    with pytest.raises(Insufficient, match="99 events; 100 are needed"):
        _judge(check_discrimination, _block(events=99))
    assert not _judge(check_calibration, _block(events=50)).faults
    with pytest.raises(Insufficient, match="49 events; 50 are needed"):
        _judge(check_calibration, _block(events=49))
    with pytest.raises(NotRun, match="No floor"):
        _judge(check_discrimination, _block(), {})


@pytest.mark.parametrize(("high", "is_fault"), [(0.2, False), (0.199, True)])
def test_of_the_alerts_at_least_one_in_five_has_the_outcome(high: float, is_fault: bool) -> None:
    verdict = _judge(check_discrimination, _block(ppv=_end(0.15, 0.1, high)))
    assert verdict.faults == (("of its alerts 15 in 100 have the outcome, fewer than 20",) if is_fault else ())


@pytest.mark.parametrize(("low", "is_fault"), [(0.001, False), (0.0, True)])
def test_a_model_is_better_than_the_simple_one_for_certain(low: float, is_fault: bool) -> None:
    simple = {"inputs": ["age", "sex"], "gain": _end(0.02, low, 0.04)}
    verdict = _judge(check_discrimination, _block(), simple=simple)
    assert verdict.faults == (("it is not better than age and sex alone (gain 0.020)",) if is_fault else ())
    assert verdict.sentence == "AUROC 0.750 (0.720 to 0.780), floor 0.7; +0.020 over age and sex alone."


@pytest.mark.parametrize(
    ("alone", "after", "loss", "words"),
    [
        (0.849, None, (0.0, 0.0), None),
        (0.85, None, (0.0, 0.0), "alone reaches an AUROC of 0.85: it knows the outcome"),
        (0.75, 0.601, (0.0, 0.0), None),
        (0.75, 0.5, (0.0, 0.0), "for events within the horizon and 0.50 for those after it"),
        (0.6, None, (0.149, 0.2), None),
        (0.6, None, (0.2, 0.049), None),
        (0.6, None, (0.15, 0.05), "without creatinine_mg_dl the model loses 0.15"),
    ],
)
def test_an_input_that_knows_the_outcome(
    alone: float, after: float | None, loss: tuple[float, float], words: str | None
) -> None:
    name = "creatinine_mg_dl"
    inputs = InputEvidence(
        alone={name: alone}, after={} if after is None else {name: after}, losses={name: Loss(*loss)}
    )
    verdict = _judge(check_discrimination, _block(), inputs=inputs)
    assert len(verdict.faults) == (words is not None)
    assert words is None or words in verdict.faults[0]


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (0.9, 1.1, "passed"),
        (0.899, 1.1, "undecided"),
        (0.9, 1.101, "undecided"),
        (0.8, 0.9, "undecided"),
        (0.8, 0.899, "failed"),
        (1.1, 1.2, "undecided"),
        (1.101, 1.2, "failed"),
    ],
)
def test_observed_to_expected_within_outside_or_neither(low: float, high: float, state: str) -> None:
    block = _block(observed_expected=_end((low + high) / 2, low, high))
    if state == "undecided":
        with pytest.raises(Insufficient, match=r"neither within 0.9 to 1.1 nor wholly outside"):
            _judge(check_calibration, block)
    else:
        assert bool(_judge(check_calibration, block).faults) is (state == "failed")


def test_what_is_needed_for_a_verdict_is_said() -> None:
    with pytest.raises(Insufficient, match=r"About 41,767 people would be needed .* 10,000 with 1,000 events"):
        _judge(check_calibration, _block(observed_expected=_end(1.05, 0.955, 1.155)))
    with pytest.raises(Insufficient, match=r"so close to 1.1 that no number of people near 10,000"):
        _judge(check_calibration, _block(observed_expected=_end(1.1, 1.0, 1.21)))


@pytest.mark.parametrize(
    ("low", "high", "is_fault"), [(0.7, 0.8, False), (0.7, 0.799, True), (1.2, 1.3, False), (1.201, 1.3, True)]
)
def test_the_slope_of_calibration_lies_wholly_outside(low: float, high: float, is_fault: bool) -> None:
    verdict = _judge(check_calibration, _block(calibration_slope=_end((low + high) / 2, low, high)))
    assert bool(verdict.faults) is is_fault


def test_a_slope_that_cannot_be_computed_and_a_horizon_that_is_off_are_faults() -> None:
    none = {"value": None, "low": None, "high": None}
    assert "do not follow the outcome" in _judge(check_calibration, _block(calibration_slope=none)).faults[0]
    row = {"years": 2.5, "events": 50, "observed_expected": _end(1.3, 1.101, 1.5)}
    assert _judge(check_calibration, _block(), horizons={"rows": [row]}).faults == (
        "at 2.5 years observed/expected 1.300 (1.101 to 1.500)",
    )
    assert _judge(check_calibration, _block(), horizons={"rows": [row | {"events": 49}]}).faults == ()
