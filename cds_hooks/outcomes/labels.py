"""What each model predicts, and from when on a prediction without an event counts as one without an event.

A prediction is mature when its horizon and the label lag have passed: not earlier, because events of the last days are
not yet reported. The horizon is in the model's manifest. So are the event and the lag, where it declares them.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import MsgspecError, Struct, field

from cds_hooks.outcomes.thresholds import InForce, thresholds_in_force
from cds_hooks.settings import Settings
from models_onnx.artifact.folder import MANIFEST, VERSION_SIGN
from models_onnx.artifact.manifest import DAYS_PER_YEAR, Manifest, ModelOutcome, Thresholds, Twin

DAY: Final = 86_400_000_000
"""Microseconds of a day."""

DEATH: Final = "death"
ADMISSION: Final = "admission"
_EVENT_OF_COLUMN: Final = {"death_5y": DEATH, "death_180d": DEATH, "readmitted": ADMISSION}
"""The outcome columns of the models of this package, whose manifests were signed before they could name an event."""


class Label(Struct, frozen=True):
    """What one model predicts. `event` is None where only reports by prediction id can say that it happened."""

    model: str
    event: str | None
    horizon_days: float
    lag_days: float
    area: float | None = None
    """Area under the ROC curve in the evaluation of the manifest; None where it has none."""
    thresholds: InForce = field(default_factory=InForce)

    @property
    def horizon(self) -> int:
        """The horizon in microseconds."""
        return round(self.horizon_days * DAY)

    @property
    def wait(self) -> int:
        """How long after a prediction it is mature, in microseconds."""
        return self.horizon + round(self.lag_days * DAY)


Labels = Mapping[str, Label]
"""By the id of the model."""


class _Manifest(Struct):
    """What is read of a manifest: it was held against its schema when it was published, which takes a second."""

    id: str
    outcome: ModelOutcome
    thresholds: Thresholds | None = None
    twin: Twin | None = None
    evaluation: dict[str, Any] = {}


def label_of(manifest: Manifest | _Manifest, lag_days: float, thresholds: InForce) -> Label:
    """Return the label of a model; `lag_days` where its manifest names no lag."""
    outcome = manifest.outcome
    days = outcome.horizon_days if outcome.horizon_days is not None else outcome.horizon_years * DAYS_PER_YEAR
    lag = outcome.label_lag_days if outcome.label_lag_days is not None else lag_days
    event = outcome.event or _EVENT_OF_COLUMN.get(outcome.column)
    area = manifest.evaluation.get("all", {}).get("auroc", {}).get("value")
    return Label(manifest.id, event, days, lag, area, thresholds)


def labels_of(manifests: Iterable[Manifest | _Manifest], configured: Settings) -> dict[str, Label]:
    """Return the labels of these models."""
    several = list(manifests)
    thresholds = thresholds_in_force(several, configured)
    return {manifest.id: label_of(manifest, configured.label_lag_days, thresholds[manifest.id]) for manifest in several}


def site_labels(configured: Settings) -> dict[str, Label]:
    """Return the labels of the package's models and of the site's own folder; one that cannot be read is left out."""
    manifests = []
    site_folder, shipped = configured.models_folder, Path(str(files("models_onnx") / "artifacts"))
    for folder in (shipped,) if site_folder is None else (shipped, site_folder):
        for file in sorted(folder.glob(f"*/{MANIFEST}")):  # as the registry, which loads the runtime of the models
            with suppress(MsgspecError, OSError):
                if VERSION_SIGN not in file.parent.name:
                    manifests.append(msgspec.json.decode(file.read_bytes(), type=_Manifest))
    return labels_of(manifests, configured)
