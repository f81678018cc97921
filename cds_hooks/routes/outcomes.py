"""POST /outcomes: clients report what happened after the decisions that they got.

A body is read, joined to its decisions and stored beside the event loop, one of each client at a time, as feedback is.
What reads and joins reports (`cds_hooks.outcomes`, 1,000 lines with monitoring) is loaded by the first report.
"""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from time import time_ns
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.json import encode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.components import ServerComponents
from cds_hooks.errors import RecordFailed
from cds_hooks.routes.bodies import ReportIntake
from cds_hooks.security import TrustedClient
from cds_hooks.services import Service
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.trusted_models import AbsentModel

if TYPE_CHECKING:
    from cds_hooks.outcomes.joining import Joined
    from cds_hooks.outcomes.labels import Label
    from cds_hooks.storage.outcomes import Outcome

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
        from cds_hooks.outcomes.labels import labels_of

        models = [model for service in self._services.values() for model in service.models]
        served = [model.manifest for model in models if not isinstance(model, AbsentModel)]
        return labels_of(served, self._components.settings)

    async def answer(self, request: Request) -> Response:
        from cds_hooks.outcomes.joining import REFUSALS
        from cds_hooks.outcomes.report import MOST_BYTES

        client = await self._intake.client_of(request)
        async with self._intake.body(request, client, MOST_BYTES) as body:
            joined, new = await self._take(body, client)
        refused = [RefusedOutcome(report.index, report.reason, REFUSALS[report.reason]) for report in joined.refused]
        stored = OutcomeAnswer(len(new), len(joined.items) - len(new), refused)
        return Response(encode(stored), media_type="application/json")

    async def _take(self, body: bytes, client: TrustedClient) -> "tuple[Joined, list[Outcome]]":
        from cds_hooks.outcomes.joining import Sender, join_reports
        from cds_hooks.outcomes.report import read_reports
        from cds_hooks.storage.outcomes import store_outcomes

        components, url = self._components, self._components.settings.database_url
        reports = await asyncio.to_thread(read_reports, body)
        sender = Sender(client.name, "api", self._now())
        try:
            joined = await asyncio.to_thread(join_reports, url, reports, sender, self._labels)
            new = await asyncio.to_thread(store_outcomes, parse_url(url), joined.items)
        except RecordUnavailable as error:
            raise RecordFailed("The outcomes could not be stored. Send them again later.") from error
        for item in new:
            components.metrics.outcome(item.kind, item.value if item.kind != "complete" else "")
        for refused_report in joined.refused:
            components.metrics.refused_outcome(refused_report.reason)
        return joined, new

    def _now(self) -> int:
        """Microseconds since 1970 by the clock that calls are answered by."""
        as_of = self._components.settings.as_of
        return time_ns() // 1000 if as_of is None else int(as_of.timestamp() * 1e6)
