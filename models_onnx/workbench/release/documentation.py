"""A model's page in Markdown, for docs/models and the terminal, made from its manifest; its figures elsewhere."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from models_onnx.artifact.folder import CARD
from models_onnx.artifact.manifest import Manifest, ModelInput, horizon_words
from models_onnx.model_card.calibration import BAR, net_benefit_of_everybody, net_benefits
from models_onnx.model_card.origin import absence_words, lineage_rows, provenance_rows
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.release.card import interval
from models_onnx.workbench.release.publishing import COMPARISON

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


def model_page(manifest: Manifest, folder: Path | None = ARTIFACTS) -> str:
    """Return the page, with a final newline.

    Beside the manifest it tells what lies in `folder` about the model: the comparison of families and the waivers of
    its card. None: the manifest alone, of a model that is not written.
    """
    evaluation, lineage = manifest.evaluation, lineage_rows(manifest)
    return (
        _templates()
        .get_template("model_page.md")
        .render(
            model=manifest,
            evaluation=evaluation,
            blocks=periods(manifest),
            has_latest=not manifest.is_all_recent,
            absence=absence_words(manifest),
            comparison=_read(folder, manifest, COMPARISON),
            waivers=_read(folder, manifest, CARD).get("product", {}).get("waivers", []),
            unfollowed=[block["group"] for block in evaluation["subgroups"] if "insufficient" in block],
            thresholds=list(zip(manifest.thresholds.table, net_benefits(manifest), strict=True)),
            benefit_of_everybody=net_benefit_of_everybody(manifest),
            bar=BAR,
            lineage=lineage,
            provenance=provenance_rows(manifest),
            groups=evaluation["subgroups"],
        )
    )


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
    macros: Any = _templates().get_template("evaluation.md").module
    row_words = evaluated.manifest.row_words
    left_out = [f"left out: {step.words}: {step.count:,}\n" for step in evaluated.cohort.left_out]
    tables = [
        macros.figures({"these rows": evaluated.whole}, row_words),
        macros.groups(evaluated.subgroups, row_words, ""),
    ]
    return f"{evaluated.how}\n\n{''.join(left_out)}" + "\n\n".join(map(str, tables)) + f"\n{_proposal(evaluated)}\n"


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
        "horizon_words": horizon_words,
        "number": "{:,}".format,
        "percent": lambda share: "" if share is None else f"{100 * share:.1f} %",
        "sentence": lambda text: text[:1].upper() + text[1:],
        "interval": interval,
        "people": lambda block: f"{block['n']:,} ({block['events']:,})",
        "source": _source,
    }
    return templates


def _source(item: ModelInput) -> str:
    return "LOINC " + ", ".join(item.loinc) if item.loinc else item.fhir


def _read(folder: Path | None, manifest: Manifest, name: str) -> dict[str, Any]:
    """Return the document of that name beside the manifest; empty where there is none."""
    if folder is None or not (folder / manifest.id / name).is_file():
        return {}
    document: dict[str, Any] = msgspec.json.decode((folder / manifest.id / name).read_bytes())
    return document
