"""A model's page in Markdown, for docs/models and the terminal: made from its manifest and what lies beside it."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from models_onnx.artifact.folder import CARD
from models_onnx.artifact.manifest import Manifest, ModelInput, horizon_words
from models_onnx.model_card.evaluation_file import (
    METRICS,
    blocks_with_slopes,
    group_rates,
    rates_at_equal_ages,
    read_evaluation,
)
from models_onnx.model_card.origin import absence_words, lineage_rows, provenance_rows
from models_onnx.model_card.plots import BAR, net_benefit_of_everybody, net_benefits
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.release.publishing import COMPARISON


def model_page(manifest: Manifest, folder: Path | None = ARTIFACTS) -> str:
    """Return the page, with a final newline.

    Beside the manifest it tells what lies in `folder` about the model: the comparison of families, the waivers of its
    card, and figures that were computed after it was signed. None: the manifest alone, of a model that is not written.
    """
    evaluation, lineage = manifest.evaluation, lineage_rows(manifest)
    later = read_evaluation(manifest, folder) if folder is not None else None
    own_rates = rates_at_equal_ages(manifest, None)
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
            rates=own_rates or rates_at_equal_ages(manifest, later),
            later=None if own_rates else later,
            thresholds=list(zip(manifest.thresholds.table, net_benefits(manifest), strict=True)),
            benefit_of_everybody=net_benefit_of_everybody(manifest),
            bar=BAR,
            lineage=lineage,
            provenance=provenance_rows(manifest),
            groups=blocks_with_slopes(manifest, later),
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


def families_table(comparison: dict[str, Any]) -> str:
    """Return the table of the report that `cds-hooks model compare` writes."""
    return str(_templates().get_template("evaluation.md").module.families(comparison))  # type: ignore[attr-defined]  # a macro


def groups_tables(title: str, overall: dict[str, Any], groups: list[dict[str, Any]], row_words: str) -> str:
    """Return the tables of an evaluation on other rows: its figures, by group, and at equal ages."""
    macros: Any = _templates().get_template("evaluation.md").module
    rates = group_rates(groups)
    tables = [macros.figures({title: overall}, row_words), macros.groups(groups, row_words, "")]
    return "\n\n".join(map(str, [*tables, *([macros.equal_ages(rates)] if rates else [])])) + "\n"


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


def interval(figure: dict[str, float | None], digits: int = 3) -> str:
    """Return a figure with its 95 % interval, or that it cannot be computed."""
    value, low, high = (figure[end] for end in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "not computable"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _source(item: ModelInput) -> str:
    return "LOINC " + ", ".join(item.loinc) if item.loinc else item.fhir


def _read(folder: Path | None, manifest: Manifest, name: str) -> dict[str, Any]:
    """Returns the document of that name beside the manifest; empty where there is none."""
    if folder is None or not (folder / manifest.id / name).is_file():
        return {}
    document: dict[str, Any] = msgspec.json.decode((folder / manifest.id / name).read_bytes())
    return document
