"""The TRIPOD+AI list of a model, filled from its card and its manifest (Collins et al., BMJ 2024;385:e078378).

`tripod.csv` has the 52 items of table 2 of the statement by number, with their subject in our words, and what fills
each: a place in the card, or a fact of the manifest. An item that no file of a model can answer stays open for the
authors of the study.
"""

import csv
from importlib.resources import files
from typing import Any

from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.attributes import Card
from models_onnx.model_card.markdown import one_line
from models_onnx.model_card.origin import absence_words, is_adopted, lineage_rows, provenance_of, provenance_rows
from models_onnx.workbench.sample_size import HIGHEST_AUROC, sample_size

_OPEN = "*Open: no file of the model says it; the authors of the study do.*"


def tripod_list(card: Card, manifest: Manifest) -> str:
    """Returns the list as Markdown: number, subject, and what the model's files say of it."""
    rows = list(csv.DictReader((files(__package__) / "tripod.csv").read_text(encoding="utf-8").splitlines()))
    facts = _facts(manifest)
    answers = [(row, _answer(row["sources"].split(), card, facts)) for row in rows]
    filled = sum(bool(answer) for _, answer in answers)
    lines = [
        f"# TRIPOD+AI list of {one_line(manifest.title)}",
        "",
        f"`{manifest.id}` version {manifest.version}, sha256 `{manifest.file.sha256}`. Filled from its model card and "
        f"manifest: {filled} of {len(rows)} items; the others are for the authors.",
        "",
        "| Item | Section | Subject | Reported |",
        "| --- | --- | --- | --- |",
        *(f"| {row['item']} | {row['section']} | {row['topic']} | {answer or _OPEN} |" for row, answer in answers),
    ]
    return "\n".join(lines) + "\n"


def _answer(sources: list[str], card: Card, facts: dict[str, str]) -> str:
    texts = [facts[source[1:]] if source.startswith("=") else _of_card(card, source) for source in sources]
    return " ".join(one_line(text) for text in dict.fromkeys(texts) if text)


def _of_card(card: Card, path: str) -> str:
    value: Any = card
    for name in path.split("."):
        value = value.get(name, {}) if isinstance(value, dict) else {}
    if isinstance(value, dict):
        if "not_available" in value:
            return f"Not available as of {value['as_of']}: {value['not_available']}"
        value = value.get("words", "")
    return str(value)


def _facts(manifest: Manifest) -> dict[str, str]:
    cohort, outcome, adopted = manifest.cohort, manifest.outcome, is_adopted(manifest)
    what = "Evaluation of a model that was fitted elsewhere" if adopted else "Development, with internal validation"
    horizon = f"{outcome.horizon_days or 365.25 * outcome.horizon_years:g} days"
    counts = f"{cohort.n:,} {manifest.row_words}, {cohort.events:,} with the outcome"
    recalibrated = provenance_of(manifest).recalibrated_on
    measured = [name for name in manifest.evaluation["all"] if name not in ("n", "events")]
    return {
        "title": f"{what} of {manifest.title}: {manifest.population.words} who {outcome.words}.",
        "kind": f"{what}.",
        "provenance": " ".join(f"{fact}: {words}." for fact, words in provenance_rows(manifest)),
        "period": f"{manifest.period.training}; reference cohort and latest figures: {manifest.period.recalibration}.",
        "ranges": "The same functions read each input in the table and in use, refuse values in other units or outside "
        "its plausible range, and count what they refuse as missing; this does not differ by group.",
        "outcome": f"{outcome.words} (column {outcome.column}, horizon {horizon}).",
        "choice": "" if adopted else f"{len(manifest.features)} inputs were declared before the fit, which drops none.",
        "inputs": "; ".join(
            f"{item.words} ({item.unit}, {', '.join(item.loinc) or item.fhir}; {item.trained_low:g} to "
            f"{item.trained_high:g}, mean {item.reference_value:g})"
            for item in manifest.features
        )
        + ".",
        "sample_size": _sample_size(manifest),
        "missing": absence_words(manifest),
        "how": str(manifest.evaluation["how"]),
        "estimator": f"{manifest.estimator}." + ("" if adopted else " Its settings are those of the declaration."),
        "measures": f"{', '.join(name.replace('_', ' ') for name in measured)}; "
        "curves of ROC, precision and recall, calibration, net benefit and thresholds, on the model's page.",
        "recalibrated": f"Recalibrated on {recalibrated}." if recalibrated else "It was not updated.",
        "file": f"model.onnx ({manifest.file.bytes:,} bytes) computes probability and contributions for anybody "
        "who has the file: cds-hooks score, or any ONNX runtime.",
        # an estimator of somebody's own may weigh classes; the families of the project do not
        "imbalance": "" if adopted or manifest.estimator.startswith("an ") else "None was used.",
        "data": f"{manifest.data.name}, sha256 {manifest.data.sha256}; the table is not part of the model.",
        "code": " ".join(f"{fact}: {value}." for fact, value in lineage_rows(manifest)),
        "counts": f"{counts}. {manifest.reference.n:,} of them are the reference cohort.",
        "required": f"Needed for a score: {', '.join(manifest.required.always)}"
        + "".join(f"; at least {g.at_least} of the {len(g.members)} {g.words}" for g in manifest.required.groups)
        + ". Without them, or outside the trained ranges, there is no score, and the reason is said.",
    }


def _sample_size(manifest: Manifest) -> str:
    """Returns the size beside the least of Riley et al. (BMJ 2020;368:m441) for the discrimination reached."""
    cohort, auroc = manifest.cohort, manifest.evaluation["all"]["auroc"]["value"]
    counts = f"{cohort.n:,} {manifest.row_words} with {cohort.events:,} events for {len(manifest.features)} inputs"
    if auroc is None or not 0.5 < auroc < HIGHEST_AUROC:
        return f"{counts}."
    least = sample_size(cohort.events / cohort.n, len(manifest.features), auroc=auroc)
    return f"{counts}; Riley's criteria ask for {least.people:,} people with one parameter for each input."
