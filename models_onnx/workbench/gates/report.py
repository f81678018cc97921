"""A gate report as one HTML file: no script, nothing loaded from elsewhere, light and dark, accessible.

Its drawings are inline SVG.
"""

from collections.abc import Sequence
from html import escape
from math import log
from typing import Any

from markupsafe import Markup

from models_onnx.model_card.formats import templates
from models_onnx.workbench.gates.gate import GateReport, GateResult

_WIDTH, _LEFT, _RIGHT = 640, 210, 20
_ROW, _TOP = 22, 26
_SIDE, _PAD = 320, 44


def forest(title: str, rows: Sequence[dict[str, Any]], reference: float, low: float, high: float, unit: str) -> str:
    """Returns a forest plot: for each row a point with its interval, on a scale of ratios.

    A row has `name`, `value`, `low`, `high` and `note`; one without a value shows the reason. `reference` is marked by
    a line, and `low` to `high` by a band.
    """
    drawn = [row for row in rows if _has(row)]
    if not drawn:
        return ""
    ends = [low, high, *(row[end] for row in drawn for end in ("low", "high") if row[end] > 0)]
    least, most = min(ends) * 0.95, max(ends) * 1.05
    height = _TOP + _ROW * len(rows) + 48

    def x(value: float) -> float:
        share = (log(max(value, least)) - log(least)) / (log(most) - log(least))
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    bottom = height - 42
    width, tall = x(high) - x(low), bottom - _TOP + 8
    parts = [
        f'<rect class="band" x="{x(low):.1f}" y="{_TOP - 8}" width="{width:.1f}" height="{tall}"/>',
        f'<line class="even" x1="{x(reference):.1f}" x2="{x(reference):.1f}" y1="{_TOP - 8}" y2="{bottom}"/>',
    ]
    for number, row in enumerate(rows):
        parts += _forest_row(row, _TOP + _ROW * number + 6, x)
    for value in (low, reference, high):
        parts.append(f'<text class="tick" x="{x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    parts.append(f'<text class="tick" x="{_LEFT}" y="{height - 2}">{escape(unit)}</text>')
    return _svg(title, _sentence(title, drawn), _WIDTH, height, parts)


def calibration(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Returns a calibration plot: for each bin one point with its interval (`expected`, `observed`, `low`, `high`)."""
    if not rows:
        return ""
    most = max(max(row["high"], row["expected"]) for row in rows) * 1.05 or 1.0
    inner = _SIDE - 2 * _PAD

    def at(value: float) -> float:
        return value / most * inner

    parts = [
        f'<line class="axis" x1="{_PAD}" y1="{_PAD}" x2="{_PAD}" y2="{_SIDE - _PAD}"/>',
        f'<line class="axis" x1="{_PAD}" y1="{_SIDE - _PAD}" x2="{_SIDE - _PAD}" y2="{_SIDE - _PAD}"/>',
        f'<line class="even" x1="{_PAD}" y1="{_SIDE - _PAD}" x2="{_SIDE - _PAD}" y2="{_PAD}"/>',
    ]
    for row in rows:
        x, bottom = _PAD + at(row["expected"]), _SIDE - _PAD
        parts.append(
            f'<line class="interval" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom - at(row["low"]):.1f}" '
            f'y2="{bottom - at(row["high"]):.1f}"/>'
        )
        parts.append(f'<circle class="point" cx="{x:.1f}" cy="{bottom - at(row["observed"]):.1f}" r="4"/>')
    for share in (0.0, 0.5, 1.0):
        label, along = f"{100 * share * most / 1.05:.0f}", share * inner / 1.05
        below, beside = _SIDE - _PAD + 16, _SIDE - _PAD - along + 4
        parts.append(f'<text class="tick" x="{_PAD + along:.1f}" y="{below}" text-anchor="middle">{label}</text>')
        parts.append(f'<text class="tick" x="{_PAD - 6}" y="{beside:.1f}" text-anchor="end">{label}</text>')
    parts.append(f'<text class="tick" x="{_SIDE / 2}" y="{_SIDE - 6}" text-anchor="middle">expected, in 100</text>')
    parts.append(
        f'<text class="tick" x="12" y="{_SIDE / 2}" text-anchor="middle" transform="rotate(-90 12 {_SIDE / 2})">'
        "observed, in 100</text>"
    )
    sentence = "; ".join(f"expected {100 * row['expected']:.1f}, observed {100 * row['observed']:.1f}" for row in rows)
    return _svg(title, f"{title}, in 100 people. {sentence}.", _SIDE, _SIDE, parts)


def _forest_row(row: dict[str, Any], y: int, x: Any) -> list[str]:
    parts = [f'<text class="name" x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(str(row["name"]))}</text>']
    if not _has(row):
        return [*parts, f'<text class="tick" x="{_LEFT + 6}" y="{y + 4}">{escape(str(row.get("note", "")))}</text>']
    kind = "few" if row.get("note") else "point"
    parts.append(
        f'<line class="interval" x1="{x(row["low"]):.1f}" x2="{x(row["high"]):.1f}" y1="{y}" y2="{y}"/>'
        f'<circle class="{kind}" cx="{x(row["value"]):.1f}" cy="{y}" r="4"/>'
    )
    return parts


def _has(row: dict[str, Any]) -> bool:
    return all(isinstance(row.get(end), float | int) for end in ("value", "low", "high")) and row["value"] > 0


def _sentence(title: str, rows: Sequence[dict[str, Any]]) -> str:
    sentence = "; ".join(f"{row['name']} {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})" for row in rows)
    return f"{title}. {sentence}."


def _svg(title: str, described: str, width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'aria-label="{escape(described, quote=True)}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


# The state of a gate is shown by a sign, a word and a colour, never by a colour alone.
_SIGNS = {"passed": "✓", "waived": "◐", "failed": "✗", "not run": "–", "insufficient": "?"}


def report_html(report: GateReport) -> str:
    """Returns the whole page."""
    return _TEMPLATE.render(
        report=report,
        verdict=report.headline,
        signs=_SIGNS,
        drawing_of=_drawing,
        figures_of=_figures,
        columns_of=_columns,
    )


def _drawing(result: GateResult) -> Markup:
    drawn = ""
    if result.gate == "G8":
        drawn = calibration("Expected and observed", result.rows)
    elif result.gate == "G9":
        drawn = forest("Observed/expected by group", [_ratio(row) for row in result.rows], 1.0, 0.8, 1.25,
                             "observed/expected; band: 0.8 to 1.25; open circle: insufficient")  # fmt: skip
    elif result.gate == "G10":
        rows = [
            {"name": row["group"], "value": row["ratio"], "low": row["low"], "high": row["high"],
             "note": "" if row["sufficient"] else "insufficient"}
            for row in result.rows
        ]  # fmt: skip
        drawn = forest("Need at an equal score, against the others", rows, 1.0, 0.8, 1.25,
                             "times the others' need; band: 0.8 to 1.25; open circle: insufficient")  # fmt: skip
    return Markup(drawn)  # noqa: S704 - made by the functions above, which escape what they are given


def _ratio(row: dict[str, Any]) -> dict[str, Any]:
    few = row["state"] == "insufficient"
    return {"name": row["group"], **row["observed_expected"], "note": "insufficient" if few else ""}


def _figures(result: GateResult) -> dict[str, Any]:
    return {name: value for name, value in result.figures.items() if not isinstance(value, dict | list)}


def _columns(result: GateResult) -> list[str]:
    return list(dict.fromkeys(name for row in result.rows for name in row))


def _cell(value: Any) -> str:
    if isinstance(value, dict) and "value" in value:
        ends = (value.get("value"), value.get("low"), value.get("high"))
        return "not computable" if None in ends else f"{ends[0]:.3f} ({ends[1]:.3f} to {ends[2]:.3f})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _label(name: str) -> str:
    return name.replace("_", " ")


templates().filters |= {"cell": _cell, "label": _label}
_TEMPLATE = templates().get_template("gates.html")
