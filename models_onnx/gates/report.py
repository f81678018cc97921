"""A gate report as one HTML file: no script, nothing loaded from elsewhere, light and dark, by keyboard and by ear."""

from html import escape
from importlib.resources import files
from typing import Any

from models_onnx.gates import plots
from models_onnx.gates.result import Result
from models_onnx.gates.run import Report

# A sign, a word and a colour: none of them alone says how a gate stands.
_SIGNS = {"passed": "✓", "waived": "◐", "failed": "✗", "not run": "–", "insufficient": "?"}

_STYLE = (files("models_onnx") / "card" / "page.css").read_text(encoding="utf-8")


def html(report: Report) -> str:
    """The whole page."""
    red = [result for result in report.results if not result.green]
    verdict = "Every gate is green." if not red else f"{len(red)} of {len(report.results)} gates are not green."
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Gates of {escape(report.id)} {escape(report.version)}</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#gates">To the gates</a>'
        f"<header><h1>{escape(report.title)}</h1><p>Gate report of <code>{escape(report.id)}</code> version "
        f"{escape(report.version)}, {escape(report.as_of)}. <strong>{verdict}</strong></p>"
        f'<p class="soft">File sha256 <code>{report.sha256}</code>. A gate that did not run is red.</p></header>'
        f"<main>{_overview(report)}<section id='gates' aria-label='Gate by gate'>"
        f"{''.join(_gate(result) for result in report.results)}</section></main></body></html>\n"
    )


def _overview(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row"><a href="#{each.gate}">{each.gate}</a></th><td>{escape(each.title)}</td>'
        f"<td>{_state(each)}</td></tr>"
        for each in report.results
    )
    return (
        "<table><caption class='soft'>All gates</caption><thead><tr><th scope='col'>Gate</th><th scope='col'>What</th>"
        f"<th scope='col'>State</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _gate(result: Result) -> str:
    opened = "" if result.status == "passed" else " open"
    said = "".join(f"<li>{escape(fault)}</li>" for fault in result.faults)
    why = f"<ul>{said}</ul>" if said and result.status == "failed" else f"<p>{escape(result.why)}</p>"
    return (
        f'<details id="{result.gate}"{opened}><summary><h2>{result.gate} {escape(result.title)}</h2> {_state(result)}'
        f"</summary>{why}{_drawing(result)}{_figures(result)}{_table(result)}</details>"
    )


def _state(result: Result) -> str:
    kind = result.status.replace(" ", "-")
    return f'<span class="state {kind}"><span aria-hidden="true">{_SIGNS[result.status]}</span> {result.status}</span>'


def _drawing(result: Result) -> str:
    drawn = ""
    if result.gate == "G8":
        drawn = plots.calibration("Expected and observed", result.rows)
    elif result.gate == "G9":
        drawn = plots.forest("Observed/expected by group", [_ratio(row) for row in result.rows], 1.0, 0.8, 1.25,
                             "observed/expected; band: 0.8 to 1.25; open circle: insufficient")  # fmt: skip
    elif result.gate == "G10":
        rows = [
            {"name": row["group"], "value": row["ratio"], "low": row["low"], "high": row["high"],
             "note": "" if row["sufficient"] else "insufficient"}
            for row in result.rows
        ]  # fmt: skip
        drawn = plots.forest("Need at an equal score, against the others", rows, 1.0, 0.8, 1.25,
                             "times the others' need; band: 0.8 to 1.25; open circle: insufficient")  # fmt: skip
    return f"<figure>{drawn}</figure>" if drawn else ""


def _ratio(row: dict[str, Any]) -> dict[str, Any]:
    few = row["state"] == "insufficient"
    return {"name": row["group"], **row["observed_expected"], "note": "insufficient" if few else ""}


def _figures(result: Result) -> str:
    flat = {name: value for name, value in result.figures.items() if not isinstance(value, dict | list)}
    if not flat:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{_label(name)}</th><td>{_cell(value)}</td></tr>' for name, value in flat.items()
    )
    return f"<table><caption class='soft'>Figures</caption><tbody>{rows}</tbody></table>"


def _table(result: Result) -> str:
    if not result.rows:
        return ""
    names = list(dict.fromkeys(name for row in result.rows for name in row))
    first = result.rows[0]
    head = "".join(f"<th scope='col'{_side(first.get(name))}>{_label(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_td(row.get(name)) for name in names)}</tr>" for row in result.rows)
    # Focusable, so that a wide table can be scrolled by keyboard.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{result.gate} in rows"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _td(value: Any) -> str:
    return f"<td{_side(value)}>{_cell(value)}</td>"


def _side(value: Any) -> str:
    """Numbers stand on the right, under their heading."""
    return ' class="n"' if isinstance(value, float | int) and not isinstance(value, bool) else ""


def _cell(value: Any) -> str:
    if isinstance(value, dict) and "value" in value:
        ends = (value.get("value"), value.get("low"), value.get("high"))
        return "not computable" if None in ends else f"{ends[0]:.3f} ({ends[1]:.3f} to {ends[2]:.3f})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return escape("" if value is None else str(value))


def _label(name: str) -> str:
    return escape(name.replace("_", " "))
