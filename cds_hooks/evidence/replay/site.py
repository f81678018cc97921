"""A site as a replay needs it: its services, rules, models and clients, without a server and without writing."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace
from numpy import float64
from numpy.typing import NDArray

from cds_hooks.call.components import ServerComponents
from cds_hooks.call.computing import Computing
from cds_hooks.call.configuration import Content, InForce, content_in_force, served_versions
from cds_hooks.call.hold_back.released import Released
from cds_hooks.call.prefetch.fetch import PrefetchFetcher
from cds_hooks.call.security.trust import DevelopmentTrust, TrustedClient, development_client
from cds_hooks.call.security.trust_file import read_trust_file
from cds_hooks.call.services import Service, every_service, services_for, versions_for
from cds_hooks.call.trusted_models import AbsentModel
from cds_hooks.evidence.replay.memory import RecordedRestraint
from cds_hooks.evidence.storage.content import UserNames
from cds_hooks.evidence.storage.decision import (
    TRIAL,
    Decision,
    RecordHealth,
    RecordUnavailable,
    StoredChart,
)
from cds_hooks.people.governance.approvals import ModelApprovals, approvals_of
from cds_hooks.people.governance.releases import Releases
from cds_hooks.settings import Settings
from cds_hooks.telemetry.metrics import Metrics
from models_onnx.serving.runtime import Model, Prediction


class _NothingRecorded:
    """A log that keeps nothing: a replay computes and does not answer."""

    health = RecordHealth("the record of a replay")

    async def append(self, decision: Decision, chart: StoredChart | None = None) -> None:
        """Keep nothing."""

    async def check(self) -> None:
        """Nothing can fail."""

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class ReplaySite:
    """What answers calls here now. `candidates` are models that are tried in place of those with the same id."""

    components: ServerComponents
    services: Mapping[str, Service]
    clients: Mapping[str, TrustedClient]
    restraint: RecordedRestraint
    candidates: Mapping[str, Model]

    @property
    def in_force(self) -> Content:
        """What is in force here now, by kind and name."""
        return self.components.in_force.content

    def client_of(self, name: str) -> TrustedClient | None:
        """Return the client that a decision names; None where the site has none of it any more."""
        return self.clients.get(name.removeprefix(TRIAL))

    def served_model(self, model_id: str) -> Model | None:
        """Return the model of this id as it is served here; None where it is not."""
        loaded = (model for service in self.services.values() for model in service.models)
        return next((model for model in loaded if not isinstance(model, AbsentModel) and _id(model) == model_id), None)

    def predict(self, model: Model, values: NDArray[float64]) -> Prediction:
        """Return the prediction by the model, or by the candidate that has its id and its inputs."""
        return self.candidates.get(_id(model), model).predict(values)


def _id(model: Model) -> str:
    return model.manifest.id


def open_site(
    configured: Settings, candidates: Mapping[str, Model] | None = None, tried: Mapping[str, bool] | None = None
) -> ReplaySite:
    """Return the site of these settings.

    `tried` are rules that show cards here whatever was approved, switched or released (True), or that are off (False).

    Raises:
        TrustFileError, RulesFileError, DeclarationError: One of its files cannot be used.
        RecordUnavailable: The approvals on record cannot be read.
    """
    services = every_service(services_for(configured))
    versions = versions_for(configured, services)
    has_trust_file = configured.trust_file is not None
    approvals = approvals_of(configured) if has_trust_file else None
    if approvals is not None:
        approvals.read()
    rules_in_force = approvals.in_force if approvals is not None else None
    restraint = RecordedRestraint(configured.rules_file, needs_approval=has_trust_file, in_force=rules_in_force)
    in_force = InForce(lambda: content_in_force(configured, services, versions, restraint.site), restraint)
    in_force.start()
    releases = Releases(served_versions(services, versions), by_two_people=has_trust_file)
    with suppress(RecordUnavailable):
        releases.read(configured.database_url)
    in_force.digest_with(releases.current)
    if tried:
        restraint.tried = tried
        releases.current = _without_rules(releases.current, tried)
    components = ServerComponents(
        configured,
        _NothingRecorded(),
        Metrics(),
        Computing(configured.call_seconds),
        PrefetchFetcher(DevelopmentTrust(), configured.fetch_milliseconds),
        restraint,
        ModelApprovals(configured.model_state, approvals, lambda: restraint.day),
        in_force,
        releases,
        versions,
        UserNames("none"),
    )
    return ReplaySite(components, services, _clients(configured), restraint, candidates or {})


def _without_rules(released: Released, rules: Collection[str]) -> Released:
    """Return what may show cards, as if nobody had ever released or stopped these rules."""
    other_states = {key: state for key, state in released.states.items() if key[0] != "rule" or key[1] not in rules}
    return replace(released, states=other_states)


def _clients(configured: Settings) -> dict[str, TrustedClient]:
    if configured.trust_file is None:
        client = development_client(configured)
        return {client.name: client}
    return {client.name: client for client in read_trust_file(configured.trust_file).clients}
