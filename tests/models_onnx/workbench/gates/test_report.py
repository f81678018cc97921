"""The report: all eighteen gates, red for what did not run, and its headline."""

import json

import pytest
from msgspec import structs

from models_onnx.workbench.gates.gate import Gate, Status, Verdict
from models_onnx.workbench.gates.run import GateReport, _run, encode, run_gates
from models_onnx.workbench.gates.subject import Evidence, Subject
from models_onnx.workbench.gates.table import GATES
from tests.models_onnx.workbench.gates.obermeyer import Panel
from tests.models_onnx.workbench.gates.test_judgement_gates import audit, panel
from tests.models_onnx.workshop import evidence, figured

__all__ = ["panel"]


@pytest.fixture(scope="session")
def report(good: Subject, panel: object) -> GateReport:
    """All gates on the committed model, with what a clone without data has, and an audit."""
    assert isinstance(panel, Panel)
    return run_gates(good, figured(audit=audit(panel, panel.cost).audit))


def test_the_headline_says_with_how_many_waivers_a_model_is_green(report: GateReport) -> None:
    def all_green(waived: int) -> GateReport:
        results = [
            structs.replace(result, status="waived" if number < waived else "passed")
            for number, result in enumerate(report.results)
        ]
        return structs.replace(report, results=tuple(results))

    assert all_green(0).headline == "Every gate is green."
    assert all_green(1).headline == "Green with 1 waiver."
    assert all_green(2).headline == "Green with 2 waivers."
    assert report.headline.endswith("gates are not green.")


def test_there_are_eighteen_gates_each_with_a_question_and_what_would_clear_it() -> None:
    assert [gate.id for gate in GATES] == [f"G{number}" for number in range(1, 19)]
    assert all(gate.asks.endswith("?") and gate.clears for gate in GATES)


def test_what_did_not_run_is_red(report: GateReport) -> None:
    results = {result.gate: result for result in report.results}
    assert results["G16"].status == "not run"
    assert "G16" in report.summary.red
    assert not report.green


def test_a_gate_that_breaks_has_failed_and_the_others_go_on(good: Subject) -> None:
    def breaks(_subject: Subject, _evidence: Evidence) -> Verdict:
        raise ZeroDivisionError("of all things")

    result = _run(Gate("G5", "t", "a?", breaks), good, evidence())
    assert (result.status, result.why) == ("failed", "The check broke off: ZeroDivisionError: of all things")


def test_the_json_holds_every_gate_with_its_reason(report: GateReport) -> None:
    document = json.loads(encode(report))
    assert [each["gate"] for each in document["results"]] == [gate.id for gate in GATES]
    assert all(each["why"] for each in document["results"])


def test_the_release_lists_what_passed_what_is_red_and_what_is_waived(report: GateReport) -> None:
    states: tuple[Status, ...] = ("passed", "waived", "failed")
    results = [structs.replace(result, status=state) for result, state in zip(report.results, states, strict=False)]
    first, second, third = (result.gate for result in results)
    summary = structs.replace(report, results=tuple(results)).summary
    assert (summary.green, summary.waived, summary.red) == ((first,), (second,), (third,))
