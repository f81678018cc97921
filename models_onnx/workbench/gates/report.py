"""A gate report as one HTML file: no script, nothing loaded from elsewhere, light and dark, accessible."""

from typing import Any

from models_onnx.model_card.formats import templates
from models_onnx.workbench.gates.gate import GateReport, GateResult

# The state of a gate is shown by a sign, a word and a colour, never by a colour alone.
_SIGNS = {"passed": "✓", "waived": "◐", "failed": "✗", "not run": "–", "insufficient": "?"}


def report_html(report: GateReport) -> str:
    """Returns the whole page."""
    return _TEMPLATE.render(
        report=report, verdict=report.headline, signs=_SIGNS, figures_of=_figures, columns_of=_columns
    )


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
