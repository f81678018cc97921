"""What each model predicts, and from when on a prediction without an event counts as one without an event.

A prediction is mature when its horizon and the label lag have passed: not earlier, because events of the last days are
not yet reported. The horizon is in the model's manifest. So are the event and the lag, where it declares them.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, MsgspecError, Struct, UnsetType, field

from cds_hooks.settings import Settings
from fhir.terminology.toml_file import TomlFault, read_toml
from models_onnx.artifact.folder import MANIFEST, VERSION_SIGN
from models_onnx.artifact.manifest import (
    DAYS_PER_YEAR,
    InputDistribution,
    Manifest,
    ModelInput,
    ModelOutcome,
    ReferenceCohort,
    RiskBin,
    Thresholds,
    Twin,
)
from models_onnx.monitoring.alerting import Deployed

# Which threshold of each model is in force at this site, found without loading services or model files


SERVICE_FILES: Final = "*.service.toml"
_BAR: Final = 5.0
"""Cards for one event where a model declares no number: a card's PPV is to be 0.2 or more (responsible-ai.md, 4.2)."""
_CLOSE: Final = 1e-6


class OfModel(Protocol):
    """What is read of a manifest."""

    @property
    def id(self) -> str:
        """The id of the model."""

    @property
    def thresholds(self) -> Thresholds | None:
        """Those that were tested."""

    @property
    def twin(self) -> Twin | None:
        """The model that takes over where inputs are missing."""


class _Said(Struct, frozen=True):
    """What the file of a service of the site says of the threshold."""

    id: str = ""
    model: str | None = None
    share: float | None = None
    within_age_band: bool | None = None


class ThresholdsInForce(Struct, frozen=True):
    """The thresholds of one model: `of_services` has those of the services of the site's folder, by their id."""

    usual: Deployed | None = None
    of_services: Mapping[str, Deployed | None] = field(default_factory=dict)

    def at(self, service: str) -> Deployed | None:
        """Return that of a service; None where there is no single one, or its share was not tested."""
        return self.of_services.get(service, self.usual)


def thresholds_in_force(manifests: Iterable[OfModel], configured: Settings) -> dict[str, ThresholdsInForce]:
    """Return the thresholds in force by model."""
    several = list(manifests)
    main_of = {manifest.twin.id: manifest.id for manifest in several if manifest.twin is not None}
    of_services = list(_said_by_services(configured.models_folder))
    in_force = {}
    for manifest in several:
        names = (manifest.id, main_of.get(manifest.id, manifest.id))
        by_service = {
            service.id: _deployed(manifest, names, service, configured)
            for service in of_services
            if service.model in names
        }
        in_force[manifest.id] = ThresholdsInForce(_deployed(manifest, names, _Said(), configured), by_service)
    return in_force


def _deployed(manifest: OfModel, names: tuple[str, str], service: _Said, configured: Settings) -> Deployed | None:
    """Return the threshold where a service says this; `names` are the model and the one that it is the twin of."""
    thresholds = manifest.thresholds
    if thresholds is None:
        return None
    share_of_model = next(
        (configured.shares_by_model[name] for name in names if name in configured.shares_by_model), None
    )
    is_by_age = service.within_age_band
    if is_by_age is None:
        is_by_age = configured.within_age_band and service.share is None and share_of_model is None
    if is_by_age and thresholds.age_bands:
        return None
    share = service.share or share_of_model or configured.share_of_all_models or thresholds.capacity
    row = next((threshold for threshold in thresholds.table if abs(threshold.capacity - share) < _CLOSE), None)
    if row is None:
        return None
    return Deployed(row.probability, 1 / ((thresholds.alerts_per_event or _BAR) - 1), row.net_benefit, row.sensitivity)


def _said_by_services(folder: Path | None) -> Iterator[_Said]:
    """Yield what the services of the site's folder say; a file that cannot be read stops the server, not this."""
    for path in sorted(folder.glob(SERVICE_FILES)) if folder is not None else ():
        with suppress(TomlFault, MsgspecError):
            yield msgspec.convert(read_toml(path), _Said)


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
    thresholds: ThresholdsInForce = field(default_factory=ThresholdsInForce)
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
    thresholds: Thresholds | None = None
    twin: Twin | None = None
    evaluation: dict[str, Any] = {}
    reference: ReferenceCohort | None = None
    features: tuple[ModelInput, ...] = ()
    distributions: dict[str, InputDistribution] | UnsetType = UNSET


def label_of(manifest: Manifest | _Manifest, lag_days: float, thresholds: ThresholdsInForce) -> Label:
    """Return the label of a model; `lag_days` where its manifest names no lag."""
    outcome = manifest.outcome
    days = outcome.horizon_days if outcome.horizon_days is not None else outcome.horizon_years * DAYS_PER_YEAR
    lag = outcome.label_lag_days if outcome.label_lag_days is not None else lag_days
    event = outcome.event or _EVENT_OF_COLUMN.get(outcome.column)
    area = manifest.evaluation.get("all", {}).get("auroc", {}).get("value")
    bins = manifest.reference.bins if manifest.reference is not None else ()
    ranges = {feature.name: (feature.trained_low, feature.trained_high) for feature in manifest.features}
    distributions = {} if isinstance(manifest.distributions, UnsetType) else manifest.distributions
    return Label(manifest.id, event, days, lag, area, thresholds, bins, ranges, distributions)


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
