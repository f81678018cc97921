"""The drawings of a gate report to the point: where each mark stands, worked out from the scale."""

from typing import Any

import pytest

from models_onnx.workbench.gates import report
from models_onnx.workbench.gates.gate import GateResult

Row = dict[str, Any]


def _marks(drawn: str) -> list[str]:
    """The marks of a drawing, one a line, without the words that all of a kind share."""
    body = drawn.partition("</title>")[2].removesuffix("</svg>")
    return body.replace("/>", "/>\n").replace("</text>", "</text>\n").splitlines()


ROWS: list[Row] = [
    {"name": "a & b", "value": 1.0, "low": 0.9, "high": 1.1, "note": ""},
    {"name": "few", "value": 1.0, "low": 0.5, "high": 2.0, "note": "insufficient"},
    {"name": "none", "value": None, "low": None, "high": None, "note": "not computable"},
    {"name": "zero", "value": 0.0, "low": 0.0, "high": 0.1},
    {"name": "from 0", "value": 0.5, "low": 0.0, "high": 1.0},
]


def test_a_forest_plot_on_the_scale_of_its_longest_interval() -> None:
    """From 0.5 x 0.95 to 2 x 1.05 on 410 points: 1.0 stands at 210 + 410 x ln(1 / 0.475) / ln(2.1 / 0.475) = 415.3."""
    drawn = report.forest("T", ROWS, 1.0, 0.8, 1.25, "u<")
    assert drawn.partition("<title>")[0] == (
        '<svg role="img" viewBox="0 0 640 184" width="640" height="184" aria-label="T. a &amp; b 1.00 (0.90 to 1.10); '
        'few 1.00 (0.50 to 2.00); from 0 0.50 (0.00 to 1.00).">'
    )
    assert _marks(drawn) == [
        '<rect class="band" x="353.8" y="18" width="123.1" height="124"/>',
        '<line class="even" x1="415.3" x2="415.3" y1="18" y2="142"/>',
        '<text class="name" x="200" y="36" text-anchor="end">a &amp; b</text>',
        '<line class="interval" x1="386.3" x2="441.6" y1="32" y2="32"/>',
        '<circle class="point" cx="415.3" cy="32" r="4"/>',
        '<text class="name" x="200" y="58" text-anchor="end">few</text>',
        '<line class="interval" x1="224.1" x2="606.5" y1="54" y2="54"/>',
        '<circle class="few" cx="415.3" cy="54" r="4"/>',
        '<text class="name" x="200" y="80" text-anchor="end">none</text>',
        '<text class="tick" x="216" y="80">not computable</text>',
        '<text class="name" x="200" y="102" text-anchor="end">zero</text>',
        '<text class="tick" x="216" y="102"></text>',
        '<text class="name" x="200" y="124" text-anchor="end">from 0</text>',
        '<line class="interval" x1="210.0" x2="415.3" y1="120" y2="120"/>',
        '<circle class="point" cx="224.1" cy="120" r="4"/>',
        '<text class="tick" x="353.8" y="158" text-anchor="middle">0.8</text>',
        '<text class="tick" x="415.3" y="158" text-anchor="middle">1</text>',
        '<text class="tick" x="476.9" y="158" text-anchor="middle">1.25</text>',
        '<text class="tick" x="210" y="182">u&lt;</text>',
    ]


def test_a_forest_plot_within_its_band_is_on_the_scale_of_the_band() -> None:
    """From 0.8 x 0.95 to 1.25 x 1.05: 0.8 stands at 210 + 410 x ln(0.8 / 0.76) / ln(1.3125 / 0.76) = 248.5."""
    assert _marks(report.forest("T", ROWS[:1], 1.0, 0.8, 1.25, "u"))[:2] == [
        '<rect class="band" x="248.5" y="18" width="334.9" height="36"/>',
        '<line class="even" x1="415.9" x2="415.9" y1="18" y2="54"/>',
    ]


@pytest.mark.parametrize(
    ("row", "has"),
    [
        ({"value": 1.0, "low": 0.5, "high": 2}, True),
        ({"value": 1.0, "low": 0.5}, False),
        ({"value": "1", "low": 0.5, "high": 2.0}, False),
        ({"value": 0.0, "low": 0.0, "high": 2.0}, False),
        ({"value": None, "low": None, "high": None}, False),
    ],
)
def test_a_row_is_drawn_where_it_has_a_value_and_an_interval(row: Row, has: bool) -> None:
    assert report._has(row) is has


def test_a_calibration_plot_on_the_scale_of_its_highest_value() -> None:
    """0 to 0.4 x 1.05 on 232 points: 0.1 stands at 44 + 232 x 0.1 / 0.42 = 99.2, and as much above 276."""
    rows = [
        {"expected": 0.1, "observed": 0.2, "low": 0.1, "high": 0.4},
        {"expected": 0.3, "observed": 0.3, "low": 0.2, "high": 0.35},
    ]
    drawn = report.calibration("T", rows)
    assert drawn.partition("<title>")[0] == (
        '<svg role="img" viewBox="0 0 320 320" width="320" height="320" aria-label="T, in 100 people. expected 10.0, '
        'observed 20.0; expected 30.0, observed 30.0.">'
    )
    assert _marks(drawn) == [
        '<line class="axis" x1="44" y1="44" x2="44" y2="276"/>',
        '<line class="axis" x1="44" y1="276" x2="276" y2="276"/>',
        '<line class="even" x1="44" y1="276" x2="276" y2="44"/>',
        '<line class="interval" x1="99.2" x2="99.2" y1="220.8" y2="55.0"/>',
        '<circle class="point" cx="99.2" cy="165.5" r="4"/>',
        '<line class="interval" x1="209.7" x2="209.7" y1="165.5" y2="82.7"/>',
        '<circle class="point" cx="209.7" cy="110.3" r="4"/>',
        '<text class="tick" x="44.0" y="292" text-anchor="middle">0</text>',
        '<text class="tick" x="38" y="280.0" text-anchor="end">0</text>',
        '<text class="tick" x="154.5" y="292" text-anchor="middle">20</text>',
        '<text class="tick" x="38" y="169.5" text-anchor="end">20</text>',
        '<text class="tick" x="265.0" y="292" text-anchor="middle">40</text>',
        '<text class="tick" x="38" y="59.0" text-anchor="end">40</text>',
        '<text class="tick" x="160.0" y="314" text-anchor="middle">expected, in 100</text>',
        '<text class="tick" x="12" y="160.0" text-anchor="middle" transform="rotate(-90 12 160.0)">'
        "observed, in 100</text>",
    ]


def test_a_calibration_plot_of_an_expectation_above_all_that_was_observed_and_of_nothing_at_all() -> None:
    drawn = _marks(report.calibration("T", [{"expected": 0.5, "observed": 0.0, "low": 0.0, "high": 0.25}]))
    assert drawn[3:5] == [
        '<line class="interval" x1="265.0" x2="265.0" y1="276.0" y2="165.5"/>',
        '<circle class="point" cx="265.0" cy="276.0" r="4"/>',
    ]
    nothing = _marks(report.calibration("T", [{"expected": 0.0, "observed": 0.0, "low": 0.0, "high": 0.0}]))
    assert nothing[4] == '<circle class="point" cx="44.0" cy="276.0" r="4"/>'
    assert ">95</text>" in nothing[-4], "of nothing the scale is the whole: 100 in 100, a twentieth beyond the mark"


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
    assert report._cell(value) == text


def _result(gate: str, rows: list[Row], **figures: object) -> GateResult:
    return GateResult(gate=gate, title="t", status="passed", why="w", rows=rows, figures=figures)


def test_which_gates_have_which_drawing() -> None:
    ratio = {"value": 1.0, "low": 0.9, "high": 1.1}
    groups = [
        {"group": "f", "state": "sufficient", "observed_expected": ratio},
        {"group": "m", "state": "insufficient", "observed_expected": ratio},
    ]
    drawn = str(report._drawing(_result("G9", groups)))
    assert ("<title>Observed/expected by group</title>" in drawn, drawn.count('class="few"')) == (True, 1)
    assert ">observed/expected; band: 0.8 to 1.25; open circle: insufficient<" in drawn
    needs = [{"group": "f", "ratio": 1.0, "low": 0.9, "high": 1.1, "sufficient": sure} for sure in (True, False, False)]
    drawn = str(report._drawing(_result("G10", needs)))
    assert ("<title>Need at an equal score, against the others</title>" in drawn, drawn.count('class="few"')) == (
        True,
        2,
    )
    bins = [{"expected": 0.1, "observed": 0.2, "low": 0.1, "high": 0.4}]
    assert "<title>Expected and observed</title>" in str(report._drawing(_result("G8", bins)))
    assert str(report._drawing(_result("G7", bins))) == ""


def test_which_figures_and_columns_a_gate_shows() -> None:
    result = _result("G7", [{"a": 1, "b": 2}, {"b": 3, "c": 4}], one=1, two={"x": 1}, three=[1], four="4")
    assert report._figures(result) == {"one": 1, "four": "4"}
    assert report._columns(result) == ["a", "b", "c"]
    assert report._label("p99_of_all") == "p99 of all"
