"""The report: all eighteen gates, red for what did not run, the same in JSON and HTML, and nothing in it that runs."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from models_onnx.workbench.gates import report as report_page
from models_onnx.workbench.gates.gate import (
    ALL,
    Gate,
    GateReport,
    GateResult,
    Status,
    Verdict,
    _run,
    encode,
    find_gates,
    run_gates,
)
from models_onnx.workbench.gates.report import report_html
from models_onnx.workbench.gates.subject import Evidence, Subject
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

    assert "<strong>Every gate is green.</strong>" in report_html(all_green(0))
    assert "<strong>Green with 1 waiver.</strong>" in report_html(all_green(1))
    assert "<strong>Green with 2 waivers.</strong>" in report_html(all_green(2))
    assert "gates are not green.</strong>" in report_html(report)


def test_there_are_eighteen_gates_each_with_a_question() -> None:
    gates = find_gates()
    assert tuple(gate.id for gate in gates) == ALL
    assert all(gate.asks.endswith("?") for gate in gates)


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
    assert [each["gate"] for each in document["results"]] == list(ALL)
    assert all(each["why"] for each in document["results"])


class Page(HTMLParser):
    """Tags, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.found: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_that_loads_and_runs_nothing(report: GateReport) -> None:
    page = Page(report_html(report))
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(page.tags)
    assert not [name for _, name, _ in page.found if name.startswith("on") or name in ("src", "srcset")]
    assert all(value.startswith("#") for tag, name, value in page.found if name == "href")
    assert "url(" not in report_html(report)


def test_the_page_can_be_read_by_ear_and_by_keyboard(report: GateReport) -> None:
    text = report_html(report)
    page = Page(text)
    assert ("html", "lang", "en") in page.found
    assert page.tags.count("summary") == page.tags.count("details") == len(ALL)
    assert page.tags.count("h1") == 1
    assert "prefers-color-scheme:dark" in text
    for result in report.results:
        assert f'id="{result.gate}"' in text
        assert result.status in page.text


def test_words_of_a_model_are_never_markup(report: GateReport) -> None:
    import msgspec

    text = report_html(msgspec.structs.replace(report, title='<img src=x onerror="alert(1)">'))
    assert "<img" not in text


def test_the_page_is_written_as_it_is(report: GateReport, tmp_path: Path) -> None:
    (tmp_path / "gates.html").write_text(report_html(report), encoding="utf-8")
    assert (tmp_path / "gates.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_release_lists_what_passed_what_is_red_and_what_is_waived(report: GateReport) -> None:
    states: tuple[Status, ...] = ("passed", "waived", "failed")
    results = [structs.replace(result, status=state) for result, state in zip(report.results, states, strict=False)]
    first, second, third = (result.gate for result in results)
    summary = structs.replace(report, results=tuple(results)).summary
    assert (summary.green, summary.waived, summary.red) == ((first,), (second,), (third,))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"value": 0.5, "low": 0.25, "high": 0.75}, "0.500 (0.250 to 0.750)"),
        ({"value": 0.5, "low": None, "high": 1.0}, "not computable"),
        ({"low": 0.5}, "{'low': 0.5}"),
        (True, "yes"),
        (False, "no"),
        (0.123456, "0.1235"),
        (None, ""),
        (0, "0"),
        ("x", "x"),
    ],
)
def test_a_cell_of_a_table(value: object, text: str) -> None:
    assert report_page._cell(value) == text


def _result(gate: str, rows: list[dict[str, Any]], **figures: object) -> GateResult:
    return GateResult(gate=gate, title="t", status="passed", why="w", rows=rows, figures=figures)


def test_which_figures_and_columns_a_gate_shows() -> None:
    result = _result("G7", [{"a": 1, "b": 2}, {"b": 3, "c": 4}], one=1, two={"x": 1}, three=[1], four="4")
    assert report_page._figures(result) == {"one": 1, "four": "4"}
    assert report_page._columns(result) == ["a", "b", "c"]
    assert report_page._label("p99_of_all") == "p99 of all"
