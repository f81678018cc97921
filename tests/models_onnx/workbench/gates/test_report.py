"""The report: all eighteen gates, red for what did not run, the same in JSON and HTML, and nothing in it that runs."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs

from models_onnx.workbench.gates.gate import (
    ALL,
    Gate,
    GateReport,
    Status,
    Verdict,
    _run,
    encode,
    find_gates,
    run_gates,
)
from models_onnx.workbench.gates.report import calibration, forest, report_html
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
    pictures = [value for tag, name, value in page.found if tag == "svg" and name == "aria-label"]
    assert len(pictures) == page.tags.count("svg") >= 3
    assert all(len(said) > 40 for said in pictures)
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


def test_a_drawing_without_figures_is_none_and_one_without_an_interval_says_so() -> None:
    assert forest("t", [{"name": "a", "value": None, "low": None, "high": None}], 1.0, 0.8, 1.25, "u") == ""
    assert calibration("t", []) == ""
    drawn = forest(
        "t",
        [
            {"name": "a & b", "value": 1.1, "low": 0.9, "high": 1.3},
            {"name": "c", "value": None, "note": "insufficient"},
        ],
        1.0,
        0.8,
        1.25,
        "u",
    )
    assert "a &amp; b" in drawn
    assert "insufficient" in drawn


def test_the_band_of_a_drawing_is_from_four_fifths_to_five_quarters(report: GateReport) -> None:
    """What is within it passes G9 and G10: the drawing says the same as the verdict."""
    row = {"group": "a", "value": 1.0, "low": 0.9, "high": 1.2}
    need = {"group": "a", "ratio": 1.0, "low": 0.9, "high": 1.2, "sufficient": True}
    rates = {"group": "a", "observed_expected": row, "state": "sufficient"}
    (result,) = (result for result in report.results if result.gate == "G10")
    for gate, rows in (("G9", [rates]), ("G10", [need])):
        drawn = report_html(structs.replace(report, results=(structs.replace(result, gate=gate, rows=rows),)))
        ticks = re.findall(r'class="tick"[^>]*text-anchor="middle">([^<]+)<', drawn)
        assert ticks == ["0.8", "1", "1.25"], gate
        positions = [float(x) for x in re.findall(r'<text class="tick" x="([0-9.]+)"[^>]*text-anchor="middle"', drawn)]
        ((start, width),) = re.findall(r'<rect class="band" x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"', drawn)
        assert (float(start), float(start) + float(width)) == pytest.approx((positions[0], positions[2]), abs=0.11)
        ((even,),) = [re.findall(r'<line class="even" x1="([0-9.]+)"', drawn)]
        assert float(even) == pytest.approx(positions[1], abs=0.11)
        assert positions[1] - positions[0] == pytest.approx(positions[2] - positions[1], abs=0.2), "a ratio's own scale"


def test_the_axes_of_a_calibration_plot_are_marked_in_the_middle_and_at_the_highest_value() -> None:
    rows = [{"expected": 0.2, "observed": 0.1, "low": 0.05, "high": 0.4}]
    drawn = calibration("t", rows)
    assert re.findall(r'class="tick"[^>]*>([0-9]+)<', drawn) == ["0", "0", "20", "20", "40", "40"]
    ((point, level),) = re.findall(r'<circle class="point" cx="([0-9.]+)" cy="([0-9.]+)"', drawn)
    along = [float(x) for x in re.findall(r'<text class="tick" x="([0-9.]+)"[^>]*text-anchor="middle">[0-9]', drawn)]
    assert float(point) == pytest.approx(along[1], abs=0.11), "0.2 is expected where 20 in 100 is written"
    ((start, end),) = re.findall(r'<line class="interval"[^>]* y1="([0-9.]+)" y2="([0-9.]+)"', drawn)
    assert float(end) < float(level) < float(start), "the interval is around the point, upwards the higher"
    assert (float(start) - float(level)) / (float(level) - float(end)) == pytest.approx(0.05 / 0.3, abs=0.01)


def test_a_forest_plot_has_room_for_each_row_and_its_scale() -> None:
    rows = [{"name": str(number), "value": 1.0, "low": 0.5, "high": 2.0} for number in range(10)]
    drawn = forest("t", rows, 1.0, 0.8, 1.25, "u")
    (height,) = (float(number) for number in re.findall(r'height="([0-9.]+)" aria', drawn))
    points = [float(y) for y in re.findall(r'<circle class="point" cx="[0-9.]+" cy="([0-9.]+)"', drawn)]
    assert points == sorted(points)
    assert len({round(later - earlier, 3) for earlier, later in pairwise(points)}) == 1
    assert points[-1] < height - 42, "above the scale"
    ((top, wide, tall),) = re.findall(r'class="band" x="[^"]+" y="([^"]+)" width="([^"]+)" height="([^"]+)"', drawn)
    assert float(top) + float(tall) == height - 42
    assert float(top) < points[0]
    assert float(wide) > 0


def test_the_page_is_written_as_it_is(report: GateReport, tmp_path: Path) -> None:
    (tmp_path / "gates.html").write_text(report_html(report), encoding="utf-8")
    assert (tmp_path / "gates.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_release_lists_what_passed_what_is_red_and_what_is_waived(report: GateReport) -> None:
    states: tuple[Status, ...] = ("passed", "waived", "failed")
    results = [structs.replace(result, status=state) for result, state in zip(report.results, states, strict=False)]
    first, second, third = (result.gate for result in results)
    summary = structs.replace(report, results=tuple(results)).summary
    assert (summary.green, summary.waived, summary.red) == ((first,), (second,), (third,))
