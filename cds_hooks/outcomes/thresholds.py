"""Which threshold of each model is in force at this site, found without loading services or model files.

The same order as when a card is decided on (`services/_model.py`): the service's own share, the share that the site
sets for the model and with it for its twin, the share that the site sets for all models, the model's own. Where cards
are shown by thresholds for each age, a model has no single threshold, and none is named.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import MsgspecError, Struct, field

from cds_hooks.settings import Settings
from fhir.terminology.toml_file import TomlFault, read_toml
from models_onnx.artifact.manifest import Thresholds, Twin
from models_onnx.monitoring.performance import Deployed

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


class InForce(Struct, frozen=True):
    """The thresholds of one model: `of_services` has those of the services of the site's folder, by their id."""

    usual: Deployed | None = None
    of_services: Mapping[str, Deployed | None] = field(default_factory=dict)

    def at(self, service: str) -> Deployed | None:
        """Return that of a service; None where there is no single one, or its share was not tested."""
        return self.of_services.get(service, self.usual)


def thresholds_in_force(manifests: Iterable[OfModel], configured: Settings) -> dict[str, InForce]:
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
        in_force[manifest.id] = InForce(_deployed(manifest, names, _Said(), configured), by_service)
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
    return Deployed(row.probability, 1 / ((thresholds.alerts_per_event or _BAR) - 1), row.net_benefit)


def _said_by_services(folder: Path | None) -> Iterator[_Said]:
    """Yield what the services of the site's folder say; a file that cannot be read stops the server, not this."""
    for path in sorted(folder.glob(SERVICE_FILES)) if folder is not None else ():
        with suppress(TomlFault, MsgspecError):
            yield msgspec.convert(read_toml(path), _Said)
