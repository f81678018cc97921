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
from msgspec import UNSET, MsgspecError, Struct, UnsetType, field

from cds_hooks.settings import Settings
from models_onnx.artifact.folder import MANIFEST, VERSION_SIGN
from models_onnx.artifact.manifest import (
    DAYS_PER_YEAR,
    InputDistribution,
    Manifest,
    ModelInput,
    ModelOutcome,
    ReferenceCohort,
    RiskBin,
)

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
    bins: tuple[RiskBin, ...] = ()
    """The cohort of the release by its estimates: what happened to how many."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By input the range that the model was trained on."""
    distributions: Mapping[str, InputDistribution] = field(default_factory=dict)
    """By input its values in the cohort of the release; empty where the manifest has none."""

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
    evaluation: dict[str, Any] = {}
    reference: ReferenceCohort | None = None
    features: tuple[ModelInput, ...] = ()
    distributions: dict[str, InputDistribution] | UnsetType = UNSET


def label_of(manifest: Manifest | _Manifest, lag_days: float) -> Label:
    """Return the label of a model; `lag_days` where its manifest names no lag."""
    outcome = manifest.outcome
    days = outcome.horizon_days if outcome.horizon_days is not None else outcome.horizon_years * DAYS_PER_YEAR
    lag = outcome.label_lag_days if outcome.label_lag_days is not None else lag_days
    event = outcome.event or _EVENT_OF_COLUMN.get(outcome.column)
    area = manifest.evaluation.get("all", {}).get("auroc", {}).get("value")
    bins = manifest.reference.bins if manifest.reference is not None else ()
    ranges = {feature.name: (feature.trained_low, feature.trained_high) for feature in manifest.features}
    distributions = {} if isinstance(manifest.distributions, UnsetType) else manifest.distributions
    return Label(manifest.id, event, days, lag, area, bins, ranges, distributions)


def labels_of(manifests: Iterable[Manifest | _Manifest], configured: Settings) -> dict[str, Label]:
    """Return the labels of these models."""
    return {manifest.id: label_of(manifest, configured.label_lag_days) for manifest in manifests}


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
