"""Writes what `cds-hooks model evaluate` found: the report as an HTML page, and the figures that pages show later."""

from pathlib import Path
from typing import Any

from models_onnx.artifact.files import write_whole
from models_onnx.model_card.evaluation_file import LaterEvaluation, encode_evaluation


def write_own_report(path: Path, trained: Any) -> None:
    """The report of an evaluation out of fold: curves of the reference cohort, effects of the model that was fitted."""
    from cds_hooks.pages.models.evaluation_report import evaluation_page
    from models_onnx.artifact.folder import Artifact
    from models_onnx.model_card.plots import bins_of
    from models_onnx.serving.effects import effects
    from models_onnx.serving.runtime import Model

    manifest, bins = trained.manifest, bins_of(trained.manifest)
    told, shapes = manifest.evaluation, effects(Model(Artifact(manifest, trained.content)))
    page = evaluation_page(manifest, told["how"], bins, bins, told["all"], told["subgroups"], shapes)
    write_whole(path, page)


def write_reports_of_rows(other: Any, rows: Path, folder: Path, html: Path | None, out: Path | None) -> None:
    """The same of an evaluation on other rows, with curves of those rows, and the figures by group as JSON."""
    from cds_hooks.pages.models.evaluation_report import evaluation_page
    from models_onnx.serving.effects import effects
    from models_onnx.serving.registry import load_model
    from models_onnx.workbench.training.report import COARSE, FINE, later_evaluation, row_bins

    manifest = other.manifest
    how = f"On {rows.name}, {len(other.cohort):,} {manifest.row_words} it was not trained on."
    if html is not None:
        people = (other.probability, other.cohort.y, other.cohort.weight)
        shapes = effects(load_model(manifest.id, folder))
        fine, coarse = row_bins(*people, FINE), row_bins(*people, COARSE)
        page = evaluation_page(manifest, how, fine, coarse, other.whole, other.subgroups, shapes)
        write_whole(html, page)
    if out is not None:
        write_later(out, later_evaluation(manifest, rows.name, other.rows_sha256, how, other.subgroups))


def write_later(out: Path, later: LaterEvaluation) -> None:
    """The figures that the pages of the model show where they lie beside its folder."""
    write_whole(out, encode_evaluation(later))
