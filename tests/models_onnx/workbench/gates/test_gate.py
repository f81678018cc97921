"""One gate's result: passed, failed with all faults, not run, too few data; and which gates of a report run at all."""

import hashlib
import json
from typing import Any, cast

import pytest
from msgspec import structs

from models_onnx.workbench.gates import run
from models_onnx.workbench.gates.gate import Gate, GateResult, Insufficient, NotRun, Verdict, figures_of
from models_onnx.workbench.gates.run import GATES, GateReport, _run, encode, run_gates
from models_onnx.workbench.gates.subject import Evidence, Subject
from tests.models_onnx.workbench.gates.formula import NOTHING
from tests.models_onnx.workbench.gates.obermeyer import Panel
from tests.models_onnx.workbench.gates.test_judgement_gates import audit, panel
from tests.models_onnx.workshop import evidence, figured

FIGURES, ROWS = {"n": 5}, [{"axis": "sex"}]


def _gate(result: Verdict | Exception, name: str = "G5", opens: bool = True) -> Gate:
    def check(_subject: Subject, _evidence: Evidence) -> Verdict:
        if isinstance(result, Exception):
            raise result
        return result

    return Gate(name, "Title", check, "Do it.", opens)


@pytest.mark.parametrize(
    ("result", "status", "why", "kept"),
    [
        (Verdict("Fine.", (), FIGURES, ROWS), "passed", "Fine.", {"figures": FIGURES, "rows": ROWS}),
        (
            Verdict("Fine.", ("one", "two"), FIGURES, ROWS),
            "failed",
            "one; two",
            {"faults": ("one", "two"), "figures": FIGURES, "rows": ROWS},
        ),
        (NotRun("No rows."), "not run", "No rows.", {}),
        (Insufficient("Few rows."), "insufficient", "Few rows.", {}),
        (KeyError("x" * 400), "failed", "The check broke off: KeyError: '" + "x" * 299, {}),
    ],
)
def test_the_result_of_a_gate(
    result: Verdict | Exception, status: Any, why: str, kept: dict[str, Any], good: Subject
) -> None:
    told = run._run(_gate(result), good, evidence())
    clears = "" if status == "passed" else "Do it."
    assert told == GateResult(gate="G5", title="Title", status=status, why=why, clears=clears, **kept)
    assert told.green is (status == "passed")


@pytest.mark.parametrize(
    ("first", "only", "opened"),
    [
        (Verdict("Fine."), None, True),
        (Verdict("", ("not signed",)), None, False),
        (NotRun("No key."), None, False),
        (Verdict("", ("not signed",)), frozenset({"G1", "G2", "G14"}), False),
        (Verdict("", ("not signed",)), frozenset({"G2", "G14"}), True),
    ],
)
def test_gates_that_open_the_file_do_not_run_where_it_is_not_safe(
    first: Verdict | Exception,
    only: frozenset[str] | None,
    opened: bool,
    good: Subject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gates = (_gate(first, "G1", False), _gate(Verdict("Opened."), "G2"), _gate(Verdict("Read."), "G14", False))
    monkeypatch.setattr(run, "GATES", gates)
    seen: list[tuple[str, int, int]] = []
    report = run.run_gates(good, evidence(), lambda *step: seen.append(step), only)
    asked = only is None or "G1" in only
    assert [result.why for result in report.results] == [
        ("Fine." if opened else report.results[0].why) if asked else "It was not asked for.",
        "Opened." if opened else "The file is not opened, because G1 failed.",
        "Read.",
    ]
    assert seen == [("gates", 0, 3), ("gates", 1, 3), ("gates", 2, 3), ("gates", 3, 3)]
    assert (report.id, report.version, report.title) == (good.id, good.manifest.version, good.manifest.title)
    assert (report.format, report.as_of) == ("cds-hooks-onnx/gates/1", "2026-11-21")
    assert report.sha256 == hashlib.sha256(good.content).hexdigest()


def _report(*statuses: str) -> GateReport:
    results = tuple(
        GateResult(gate=f"G{number}", title="", status=cast("Any", status), why="")
        for number, status in enumerate(statuses, start=1)
    )
    return GateReport(format="", id="", version="", title="", sha256="", as_of="", results=results)


@pytest.mark.parametrize(
    ("statuses", "headline", "green"),
    [
        (("passed", "passed"), "Every gate is green.", True),
        (("passed", "waived"), "Green with 1 waiver.", True),
        (("waived", "waived", "passed"), "Green with 2 waivers.", True),
        (("passed", "insufficient"), "1 of 2 gates are not green.", False),
        (("failed", "not run", "waived"), "2 of 3 gates are not green.", False),
    ],
)
def test_the_headline_of_a_report(statuses: tuple[str, ...], headline: str, green: bool) -> None:
    report = _report(*statuses)
    assert (report.headline, report.green) == (headline, green)
    summary = report.summary
    assert (len(summary.green), len(summary.waived), len(summary.red)) == (
        statuses.count("passed"),
        statuses.count("waived"),
        len(statuses) - statuses.count("passed") - statuses.count("waived"),
    )


def test_figures_are_those_that_were_computed_now() -> None:
    assert figures_of(evidence(figures=FIGURES)) == FIGURES
    with pytest.raises(NotRun) as reason:
        figures_of(NOTHING)
    assert str(reason.value) == ("There are no rows to compute the figures from: give the training table with --data.")
    with pytest.raises(NotRun, match=r"^The table is of another model\.$"):
        figures_of(evidence(absent={"figures": "The table is of another model."}))


def test_the_file_is_opened_by_the_gates_that_run_it_and_by_no_other() -> None:
    """G1 itself, contents and papers (G14, G15, G17), and what is judged by figures and labels (G7 to G10, G18)."""
    closed = [found.id for found in GATES if not found.opens]
    assert closed == ["G1", "G7", "G8", "G9", "G10", "G14", "G15", "G17", "G18"]


# The report: all eighteen gates, red for what did not run, and its headline.
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
    assert all(gate.clears for gate in GATES)


def test_what_did_not_run_is_red(report: GateReport) -> None:
    results = {result.gate: result for result in report.results}
    assert results["G16"].status == "not run"
    assert "G16" in report.summary.red
    assert not report.green


def test_a_gate_that_breaks_has_failed_and_the_others_go_on(good: Subject) -> None:
    def breaks(_subject: Subject, _evidence: Evidence) -> Verdict:
        raise ZeroDivisionError("of all things")

    result = _run(Gate("G5", "t", breaks), good, evidence())
    assert (result.status, result.why) == ("failed", "The check broke off: ZeroDivisionError: of all things")


def test_the_json_holds_every_gate_with_its_reason(report: GateReport) -> None:
    document = json.loads(encode(report))
    assert [each["gate"] for each in document["results"]] == [gate.id for gate in GATES]
    assert all(each["why"] for each in document["results"])
