"""What one CDS service declares, and the registry that finds them by hook and id."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cards.card import Card
from cards.rules.finding import Silence
from cds_hooks.predictor import Predict
from cds_hooks.prefetch import Needs, Templates, templates_for
from cds_hooks.protocol.hooks import LIBRARY, Hook
from cds_hooks.protocol.request import CDSRequest
from fhir.mapping.feature import FeatureVector
from fhir.record.record import PatientRecord


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a service may know when it decides: the request, the facts, and how to name its cards."""

    request: CDSRequest
    record: PatientRecord
    card_uuid: Callable[[], str]
    alert_share: float
    public_url: str
    decision_id: str
    predict: Predict

    @property
    def explain_url(self) -> str:
        """The page that explains this decision."""
        return f"{self.public_url}/explain/{self.decision_id}"


@dataclass(slots=True)
class Advice:
    """What a service has to say: cards, or a reason for each card that is not there; and what it was based on."""

    cards: list[Card] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    features: FeatureVector | None = None
    orders: dict[str, Any] | None = None
    models: tuple[dict[str, str], ...] = ()
    scores: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One CDS service: who it is, which hooks it answers, what it needs, how it decides."""

    id: str
    hooks: tuple[str, ...]
    title: str
    description: str
    usage_requirements: str
    needs: Needs
    decide: Callable[[Situation], Awaitable[Advice]]
    templates: Templates = field(default_factory=Templates)
    answers: Mapping[str, Hook] = field(default_factory=dict)
    """How the context of each of its hooks is read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "templates", templates_for(self.needs))
        object.__setattr__(self, "answers", {name: self.answers.get(name) or LIBRARY[name] for name in self.hooks})

    def discovery(self) -> list[dict[str, Any]]:
        """Its entries in GET /cds-services, one for each hook."""
        return [
            {
                "hook": hook,
                "id": self.id,
                "title": self.title,
                "description": self.description,
                "usageRequirements": self.usage_requirements,
                "prefetch": {template.key: template.query for template in self.templates},
            }
            for hook in self.hooks
        ]


def find_services() -> dict[str, Service]:
    """Every service of `cds_hooks/services/`, by id; one module declares one `SERVICE`."""
    import cds_hooks.services as package

    found: dict[str, Service] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        service: Service = importlib.import_module(f"{package.__name__}.{module.name}").SERVICE
        if service.id in found:
            raise ValueError(f"two services have the id {service.id}")
        found[service.id] = service
    return found
