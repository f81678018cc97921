"""Opens the parts of the server that every call uses: restraint, the record, models, what reads FHIR servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cds_hooks.call.computing import Computing
from cds_hooks.call.configuration import InForce, content_in_force
from cds_hooks.call.hold_back.released import Key
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.call.model_versions import ModelVersions
from cds_hooks.call.prefetch.fetch import PrefetchFetcher
from cds_hooks.call.protocol.visit_memory import VisitMemory
from cds_hooks.call.security.trust import Trust
from cds_hooks.call.services import Service
from cds_hooks.call.services._model import SiteThresholds, site_thresholds
from cds_hooks.evidence.storage.content import UserNames, open_user_names
from cds_hooks.evidence.storage.decision import DecisionLog
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.people.governance.approvals import ApprovalBook, ModelApprovals
from cds_hooks.people.governance.releases import Releases
from cds_hooks.settings import Settings
from cds_hooks.telemetry.metrics import Metrics
from cds_hooks.telemetry.tracing import Tracing, open_tracing


@dataclass(frozen=True, slots=True)
class ServerComponents:
    """The parts of the server that every call uses; `app.py` puts them together once."""

    settings: Settings
    decisions: DecisionLog
    metrics: Metrics
    computing: Computing
    fetching: PrefetchFetcher
    restraint: Restraint
    models: ModelApprovals
    in_force: InForce
    releases: Releases
    versions: ModelVersions
    users: UserNames = field(default_factory=lambda: UserNames("none"))
    tracing: Tracing = field(default_factory=Tracing)
    services: Mapping[str, Service] = field(default_factory=dict)
    """All services by id; none where nobody has to know what the others would show, as in a replay."""
    visits: VisitMemory = field(init=False)
    """What the calls of a visit repeat."""
    thresholds: SiteThresholds = field(init=False)
    """How high an estimate has to be for a card at this site."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "visits", VisitMemory(self.settings.visit_memory_bytes))
        object.__setattr__(self, "thresholds", site_thresholds(self.settings))


def open_components(
    configured: Settings,
    services: dict[str, Service],
    trust: Trust,
    approvals: ApprovalBook | None,
    versions: ModelVersions,
    served: Mapping[Key, str],
) -> ServerComponents:
    """Return the parts, with the record open and its schema up to date.

    Raises:
        RecordUnavailable: The record cannot be opened.
        RulesFileError: The site's rules file cannot be used.
        TracingUnavailable: Spans are to be sent, and the packages for it are not installed.
    """
    releases = Releases(served, by_two_people=not trust.development)
    restraint = Restraint(
        configured.rules_file,
        needs_approval=not trust.development,
        in_force=approvals.in_force if approvals is not None else None,
        now=configured.clock,
        database_url=configured.database_url,
    )
    return ServerComponents(
        configured,
        open_decision_log(configured.database_url),
        Metrics(),
        Computing(configured.call_seconds),
        PrefetchFetcher(trust, configured.fetch_milliseconds),
        restraint,
        ModelApprovals(configured.model_state, approvals, lambda: (configured.as_of or datetime.now(UTC)).date()),
        InForce(lambda: content_in_force(configured, services, versions, restraint.site), restraint),
        releases,
        versions,
        open_user_names(configured.record_user, configured.user_keys),
        open_tracing(configured),
        services,
    )
