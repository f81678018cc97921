"""What one CDS service declares, and the registry that finds them by hook and id."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cards.card import Card, Link
from cards.proofs import Proofs
from cards.rules.finding import Silence
from cards.rules.governance import Quiet, never_quiet
from cds_hooks.dialects import DEVELOPMENT, ClientProfile, is_offered, published_entry
from cds_hooks.predictor import Predict
from cds_hooks.prefetch import NOTHING_ASKED, TOKENS_OF_3, Brought, Needs, Templates, templates_for
from cds_hooks.protocol.hooks import LIBRARY, DeclaredHook, Hook, WrongDeclaration, read_declarations
from cds_hooks.protocol.request import CDSRequest
from cds_hooks.trusted_models import trust_site_keys
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
    kfre_region: str = "north_america"
    """The calibration of the kidney failure risk equation that this site uses."""
    referral_risk: float = 0.03
    """The 5-year risk of kidney failure from which this site discusses a referral."""
    proofs: Proofs = field(default_factory=Proofs)
    """What was proven about this user's orders for this patient in the last minutes."""
    quiet: Quiet = never_quiet
    """Why a finding of the medication rules is not shown to this client."""
    prefetch: Brought = NOTHING_ASKED
    """What is known of the patient and what is not; a service asks for what it cannot do without (`require`)."""
    sent: tuple[bytes, ...] = ()
    """The body of the call, and what the FHIR server sent, for services that give resources back changed."""

    @property
    def explain_url(self) -> str:
        """The page that explains this decision."""
        return f"{self.public_url}/explain/{self.decision_id}"

    def links_of(self, card: Card) -> tuple[Link, ...]:
        """The links of a card of the medication rules: its first rule with its sources, and this decision."""
        (ours,) = (card.extension or {}).values()
        rule = f"{self.public_url}/rules/{ours['findings'][0]['rule']}"
        return (
            *card.links,
            Link(label="The rule and its sources", url=rule, type="absolute"),
            Link(label="Why this card", url=self.explain_url, type="absolute"),
        )

    def model_url(self, model_id: str) -> str:
        """The page that says how a model works and for whom it was tested; it holds nothing of a patient."""
        return f"{self.public_url}/models/{model_id}"

    def equation_url(self, equation_id: str) -> str:
        """The page of a published equation: for whom it is, what goes in, its source attributes."""
        return f"{self.public_url}/equations/{equation_id}"


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
    gives_back: frozenset[str] = frozenset()
    """Resource types that it gives back changed, for which it needs them as they came."""
    needs_patient: Callable[[CDSRequest], bool] = lambda _request: True
    """Whether a call can be answered only with the Patient at hand."""
    templates: Templates = field(default_factory=Templates)
    """What a client up to CDS Hooks 2.0.1 is asked for; one of 3.0 for `templates_of_3`."""
    templates_of_3: Templates = field(default_factory=Templates)
    answers: Mapping[str, Hook] = field(default_factory=dict)
    """How the context of each of its hooks is read."""

    def __post_init__(self) -> None:
        answers = {name: self.answers.get(name) or LIBRARY[name] for name in self.hooks}
        of_3 = templates_for(self.needs, has_drafts=all(_has_drafts(hook) for hook in answers.values()))
        object.__setattr__(self, "answers", answers)
        object.__setattr__(self, "templates_of_3", of_3)
        object.__setattr__(self, "templates", of_3.for_protocol("2.0"))

    def asks(self, version: str) -> Templates:
        """What a client of this version of CDS Hooks is asked for."""
        return self.templates_of_3 if version.startswith(TOKENS_OF_3) else self.templates

    def discovery(self, client: ClientProfile = DEVELOPMENT) -> list[dict[str, Any]]:
        """Its entries in GET /cds-services as this client gets them, one for each hook."""
        entry = {
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "usageRequirements": self.usage_requirements,
            "prefetch": {template.key: template.query_for(client.version) for template in self.asks(client.version)},
        }
        offered = [hook for hook in self.answers.values() if is_offered(hook, client)]
        return [published_entry({"hook": hook.name, **entry}, hook, client) for hook in offered]

    def answering(self, declared: DeclaredHook) -> "Service":
        """The same service for one hook more; WrongDeclaration where it does not answer the hook this one extends."""
        if declared.like not in self.hooks:
            raise WrongDeclaration(f"{declared.hook.name}: {self.id} does not answer {declared.like}.")
        name = declared.hook.name
        return replace(self, hooks=(*self.hooks, name), answers={**self.answers, name: declared.hook})


def _has_drafts(hook: Hook) -> bool:
    return "draft_orders" in hook.context.__struct_fields__


def find_services(declared: Iterable[DeclaredHook] = ()) -> dict[str, Service]:
    """Every service of `cds_hooks/services/`, by id; one module declares one `SERVICE`.

    With hooks that a site declares, WrongDeclaration where they name a service that cannot answer them.
    """
    import cds_hooks.services as package

    trust_site_keys()  # before a service loads its model
    found: dict[str, Service] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        service: Service = importlib.import_module(f"{package.__name__}.{module.name}").SERVICE
        if service.id in found:
            raise ValueError(f"two services have the id {service.id}")
        found[service.id] = service
    for hook in declared:
        for name in hook.services:
            if name not in found:
                raise WrongDeclaration(f"{hook.hook.name}: there is no service {name}; there are {', '.join(found)}.")
            found[name] = found[name].answering(hook)
    return found


def services_with(hooks_file: Path | None) -> dict[str, Service]:
    """Every service, also for the hooks that a site's file declares; WrongDeclaration where it cannot be used."""
    return find_services(read_declarations(hooks_file) if hooks_file is not None else ())
