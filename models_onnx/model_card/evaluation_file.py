"""Figures that were computed later than a model was signed, beside its folder: `NAME.evaluation.json`.

`cds-hooks model evaluate NAME --out FILE` writes it. It is not part of the signed release; it names the file that it is
of by SHA-256, and the pages leave it out where the model is another.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from models_onnx.artifact.manifest import Manifest

FILE = "{id}.evaluation.json"
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
SLOPE: Final = "calibration_slope"
_RATES = ("sensitivity", "false_positive_rate")
# The axes whose error rates are told at equal ages; the others are no groups of people.
_JUDGED_AXES = ("sex", "race", "ethnic")


class LaterEvaluation(Struct, frozen=True, kw_only=True):
    """Figures of groups on held-out rows: of which model file, on which table, and how they came about.

    `groups` are blocks as in a manifest, with `sensitivity_standardised` and `false_positive_rate_standardised`.
    """

    id: str
    version: str
    sha256: str
    rows: str
    rows_sha256: str
    how: str
    groups: list[dict[str, Any]]


class GroupRates(Struct, frozen=True):
    """Error rates of one group: as they are and at equal ages, each with its interval."""

    axis: str
    name: str
    sufficient: bool
    rates: tuple[dict[str, float | None], ...]


def later_evaluation(manifest: Manifest, rows: str, rows_sha256: str, how: str, groups: list[Any]) -> LaterEvaluation:
    """Return what the pages show of an evaluation of this model file."""
    return LaterEvaluation(
        id=manifest.id,
        version=manifest.version,
        sha256=manifest.file.sha256,
        rows=rows,
        rows_sha256=rows_sha256,
        how=how,
        groups=groups,
    )


def encode_evaluation(evaluation: LaterEvaluation) -> bytes:
    """Return the file as it is written."""
    return msgspec.json.format(msgspec.json.encode(evaluation), indent=1) + b"\n"


def read_evaluation(manifest: Manifest, folder: Path) -> LaterEvaluation | None:
    """Return the file beside the model in a folder of artifacts; None where there is none, or it is of another file."""
    path = folder / FILE.format(id=manifest.id)
    if not path.is_file():
        return None
    try:
        evaluation = msgspec.json.decode(path.read_bytes(), type=LaterEvaluation)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return evaluation if evaluation.sha256 == manifest.file.sha256 else None


def blocks_with_slopes(manifest: Manifest, later: LaterEvaluation | None) -> list[dict[str, Any]]:
    """Return the figures of all groups; a calibration slope that the manifest does not have is taken from `later`."""
    groups = later.groups if later is not None else []
    slopes = {(group["axis"], group["group"]): {SLOPE: group[SLOPE]} for group in groups if SLOPE in group}
    blocks: list[dict[str, Any]] = manifest.evaluation["subgroups"]
    return [slopes.get((block["axis"], block["group"]), {}) | block for block in blocks]


def rates_at_equal_ages(manifest: Manifest, later: LaterEvaluation | None) -> list[GroupRates]:
    """Of sex, race and ethnicity: as the manifest has them, else as they were computed later; empty for neither."""
    rates = group_rates(manifest.evaluation["subgroups"])
    return rates or (group_rates(later.groups) if later is not None else [])


def group_rates(groups: list[dict[str, Any]]) -> list[GroupRates]:
    """Error rates of the groups of sex, race and ethnicity, as far as they were computed at equal ages."""
    judged = [
        group for group in groups if group["axis"].startswith(_JUDGED_AXES) and f"{_RATES[0]}_standardised" in group
    ]
    names = [name for rate in _RATES for name in (rate, f"{rate}_standardised")]
    return [
        GroupRates(group["axis"], group["group"], group["sufficient"], tuple(group[name] for name in names))
        for group in judged
    ]
