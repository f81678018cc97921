"""The routes of the protocol beside the calls: GET /cds-services, and POST /cds-services/{id}/feedback.

A report of answers is read, joined to its cards and stored beside the event loop, one report of each client at a time.
On the loop a thousand answers to the cards of one long response took 6 seconds, in which nobody else was answered.

POST /outcomes: clients report what happened after the decisions that they got.

A body is read, joined to its decisions and stored beside the event loop, one of each client at a time, as feedback is.
What reads and joins reports (`cds_hooks.evidence.outcomes`, 1,000 lines with monitoring) is loaded by the first report.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.json import encode
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cds_hooks.call.components import ServerComponents
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.call.protocol.feedback import MOST_BYTES, MatchedFeedback, match_feedback, read_feedback
from cds_hooks.call.routes.entrance import ReportIntake
from cds_hooks.call.security.trust import TrustedClient, proxied_call
from cds_hooks.call.services import Service
from cds_hooks.call.trusted_models import AbsentModel
from cds_hooks.errors import NotFound, RecordFailed
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import (
    Decision,
    FeedbackItem,
    RecordUnavailable,
    decision_of,
    is_trial,
)
from cds_hooks.evidence.storage.queries import get_decisions, store_feedback

if TYPE_CHECKING:
    from cds_hooks.evidence.outcomes.joining import Joined
    from cds_hooks.evidence.outcomes.labels import Label
    from cds_hooks.evidence.storage.outcomes import Outcome

_DECISIONS_AT_ONCE = 20
"""So many decisions of a report are in memory at the same time; a long one has several hundred kilobytes."""


def protocol_routes(
    services: Mapping[str, Service],
    addresses: Mapping[str, Service],
    components: ServerComponents,
    intake: ReportIntake,
) -> list[Route]:
    """Return discovery of these services, and feedback on their cards, which names a service by its `addresses`."""
    feedback = _Feedback(addresses, components, intake)

    async def discovery(request: Request) -> Response:
        client = await intake.client_of(request)
        listed = [service for service in services.values() if client.may_call(service.names)]
        entries = [entry for service in listed for entry in service.discovery(client.profile)]
        return JSONResponse({"services": entries})

    return [
        Route("/cds-services", discovery),
        Route("/cds-services/{service_id}/feedback", feedback.answer, methods=["POST"]),
    ]


class _Feedback:
    def __init__(self, addresses: Mapping[str, Service], components: ServerComponents, intake: ReportIntake) -> None:
        self._addresses = addresses
        self._components = components
        self._intake = intake
        self._proxies = components.settings.proxy_networks

    async def answer(self, request: Request) -> Response:
        call = proxied_call(request.scope, self._proxies)
        client = await self._intake.client_of(request, call)
        name = request.path_params["service_id"]
        if (service := self._addresses.get(name)) is None:
            raise NotFound.of_service(name, self._addresses)
        client.require(service.names)
        async with self._intake.body(request, client, MOST_BYTES) as body:
            await self._take(body, service.id, client)
        return Response(b"{}", media_type="application/json")

    async def _take(self, body: bytes, service_id: str, client: TrustedClient) -> None:
        """Store what a report says of cards of this client, and remember it."""
        components, url = self._components, self._components.settings.database_url
        old_forms = client.profile.version in ("1.0", "1.1")
        reader = partial(read_feedback, body, service_id, client.name, self._intake.now(), old_forms=old_forms)
        items = await asyncio.to_thread(reader)
        try:
            matched = await asyncio.to_thread(_match, url, items)
            new = await asyncio.to_thread(store_feedback, parse_url(url), matched.items)
            await asyncio.to_thread(remember_answers, url, new, components.restraint)
        except RecordUnavailable as error:
            raise RecordFailed("The feedback could not be stored. Send it again later.") from error
        for item in new:
            if not is_trial(item.client):
                components.metrics.count("cds_feedback", service_id, item.outcome)
        for reason in matched.unmatched:
            components.metrics.count("cds_feedback_unmatched", service_id, reason)


def _match(url: str, items: Sequence[FeedbackItem]) -> MatchedFeedback:
    matched = MatchedFeedback()
    for decisions, about in _by_decision(url, items):
        part = match_feedback(about, decisions)
        matched.items += part.items
        matched.unmatched += part.unmatched
    return matched


def remember_answers(url: str, items: Sequence[FeedbackItem], restraint: Restraint) -> None:
    """Lets the next calls of this process know answers that were stored; the other workers read them."""
    for decisions, about in _by_decision(url, items):
        for key, decision in decisions.items():
            restraint.remember(decision, [item for item in about if decision_of(item.card) == key])


def _by_decision(url: str, items: Sequence[FeedbackItem]) -> Iterator[tuple[dict[str, Decision], list[FeedbackItem]]]:
    """Yield some of the decisions at a time, with all answers about these; answers about none come with none."""
    about = defaultdict[str | None, list[FeedbackItem]](list)
    for item in items:
        about[decision_of(item.card)].append(item)
    keys = list(about)
    for start in range(0, len(keys), _DECISIONS_AT_ONCE):
        some = keys[start : start + _DECISIONS_AT_ONCE]
        yield get_decisions(url, [key for key in some if key]), [item for key in some for item in about[key]]


PATH = "/outcomes"


class RefusedOutcome(Struct):
    """A report that belongs to no decision of this client."""

    index: int
    reason: str
    text: str


class OutcomeAnswer(Struct):
    """How many reports were new, how many known before, and which were not stored."""

    stored: int
    known: int
    refused: list[RefusedOutcome]


def outcome_routes(services: dict[str, Service], components: ServerComponents, intake: ReportIntake) -> list[Route]:
    """Return the route for reports about the decisions of these services."""
    return [Route(PATH, _Outcomes(services, components, intake).answer, methods=["POST"])]


class _Outcomes:
    def __init__(self, services: dict[str, Service], components: ServerComponents, intake: ReportIntake) -> None:
        self._services = services
        self._components = components
        self._intake = intake

    @cached_property
    def _labels(self) -> "Mapping[str, Label]":
        """What each served model predicts."""
        from cds_hooks.evidence.outcomes.labels import labels_of

        models = [model for service in self._services.values() for model in service.models]
        served = [model.manifest for model in models if not isinstance(model, AbsentModel)]
        return labels_of(served, self._components.settings)

    async def answer(self, request: Request) -> Response:
        from cds_hooks.evidence.outcomes.joining import REFUSALS
        from cds_hooks.evidence.outcomes.report import MOST_BYTES

        client = await self._intake.client_of(request)
        async with self._intake.body(request, client, MOST_BYTES) as body:
            joined, new = await self._take(body, client)
        refused = [RefusedOutcome(report.index, report.reason, REFUSALS[report.reason]) for report in joined.refused]
        stored = OutcomeAnswer(len(new), len(joined.items) - len(new), refused)
        return Response(encode(stored), media_type="application/json")

    async def _take(self, body: bytes, client: TrustedClient) -> "tuple[Joined, list[Outcome]]":
        from cds_hooks.evidence.outcomes.joining import Sender, join_reports
        from cds_hooks.evidence.outcomes.report import read_reports
        from cds_hooks.evidence.storage.outcomes import store_outcomes

        components, url = self._components, self._components.settings.database_url
        reports = await asyncio.to_thread(read_reports, body)
        sender = Sender(client.name, "api", self._intake.now())
        try:
            joined = await asyncio.to_thread(join_reports, url, reports, sender, self._labels)
            new = await asyncio.to_thread(store_outcomes, parse_url(url), joined.items)
        except RecordUnavailable as error:
            raise RecordFailed("The outcomes could not be stored. Send them again later.") from error
        for item in new:
            components.metrics.count("cds_outcomes", item.kind, item.value if item.kind != "complete" else "")
        for refused_report in joined.refused:
            components.metrics.count("cds_outcomes_refused", refused_report.reason)
        return joined, new
