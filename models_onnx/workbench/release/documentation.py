"""The figures of a model in Markdown, for the terminal: those of its manifest, and those on other rows."""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from models_onnx.artifact.manifest import Manifest
from models_onnx.workbench.release.card import interval

if TYPE_CHECKING:
    from models_onnx.workbench.training.commands import ExternalEvaluation

METRICS: Final = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_intercept": "Calibration intercept (in the large)",
    "calibration_slope": "Calibration slope",
    "observed_expected": "Observed / expected",
    "c_index": "C-index over the follow-up",
    "alert_rate": "Alert rate at the default threshold",
    "ppv": "PPV at the default threshold",
    "sensitivity": "Sensitivity at the default threshold",
    "false_positive_rate": "False positive rate at the default threshold",
}
"""The figures of an evaluation in the order of the pages, with their titles."""


def figures_page(manifest: Manifest) -> str:
    """Return the figures of a model on people it was not trained on, of all and by group, in Markdown."""
    latest = "" if manifest.is_all_recent else manifest.period.recalibration
    groups = manifest.evaluation["subgroups"]
    tables = _tables(periods(manifest), groups, manifest.row_words, latest)
    return f"# {manifest.title}\n\n{manifest.evaluation['how']}\n\n{tables}\n"


def periods(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return the evaluation of each period by its title: all rows, and the latest where these are fewer."""
    evaluation = manifest.evaluation
    blocks = {f"all ({manifest.table_period})": evaluation["all"]}
    if not manifest.is_all_recent:
        blocks[f"latest ({manifest.period.recalibration})"] = evaluation["latest"]
    if newest := evaluation.get("newest"):
        blocks[f"newest followed ({newest['words']})"] = newest
    return blocks


def failed_floors(manifest: Manifest) -> str:
    """Return each floor of the declaration that does not hold, with its value."""
    failed = [floor for floor in manifest.evaluation["floors"] if not floor["passed"]]
    # a model that separates everybody has no slope: its value is None
    values = ["not computable" if floor["value"] is None else f"{floor['value']:.3g}" for floor in failed]
    return "; ".join(
        f"{floor['name']} is {value}, the floor is {floor['limit']}"
        for floor, value in zip(failed, values, strict=True)
    )


def other_rows_page(evaluated: "ExternalEvaluation") -> str:
    """Return an evaluation on other rows: who was left out, its figures, and what calibration asks for."""
    left_out = [f"left out: {step.words}: {step.count:,}\n" for step in evaluated.cohort.left_out]
    tables = _tables({"these rows": evaluated.whole}, evaluated.subgroups, evaluated.manifest.row_words, "")
    return f"{evaluated.how}\n\n{''.join(left_out)}{tables}\n{_proposal(evaluated)}\n"


def _tables(blocks: dict[str, Any], groups: Any, row_words: str, latest: str) -> str:
    macros: Any = _templates().get_template("evaluation.md").module
    return f"{macros.figures(blocks, row_words)}\n\n{macros.groups(groups, row_words, latest)}"


def _proposal(evaluated: "ExternalEvaluation") -> str:
    """Return what the calibration on another table asks for: nothing, or the model trained again."""
    from models_onnx.workbench.gates.checks.fairness import ENOUGH_FOR_ERRORS, SLOPE_ACT
    from models_onnx.workbench.gates.checks.figures import CALIBRATION
    from models_onnx.workbench.gates.gate import is_outside

    ratio, slope = (evaluated.whole[name] for name in ("observed_expected", "calibration_slope"))
    if evaluated.whole["events"] < ENOUGH_FOR_ERRORS:
        return f"No new version is proposed: {evaluated.whole['events']} events, {ENOUGH_FOR_ERRORS} are needed."
    if not is_outside(slope, SLOPE_ACT) and not is_outside(ratio, CALIBRATION):
        return "No new version is proposed: observed/expected and slope may be within their limits."
    return (
        f"These people have {ratio['value']:.2f} times the events expected (slope {slope['value']:.2f}). Proposed is a "
        f"new version, which changes nothing until it is released: cds-hooks model train {evaluated.manifest.id} "
        f"--table {evaluated.rows} --out FOLDER"
    )


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("models_onnx", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown of numbers and of words of the project's own
    )
    templates.globals["metrics"] = METRICS
    templates.filters |= {
        "sentence": lambda text: text[:1].upper() + text[1:],
        "interval": interval,
        "people": lambda block: f"{block['n']:,} ({block['events']:,})",
    }
    return templates
