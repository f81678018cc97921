"""The link of a card: /open/DECISION/TOKEN begins a session that may see the page of that decision and nothing else.

The token leaves the address bar at once, because the browser is sent on to the page. Whoever has a session that may see
the decision keeps it.
"""

import asyncio
from time import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.links import PATH, ExplanationLinks
from cds_hooks.access.roles import Role, door_of
from cds_hooks.access.sessions import Person, Sessions
from cds_hooks.logs import log
from cds_hooks.pages.answers import refused, root_of
from cds_hooks.pages.login.views import let_in
from cds_hooks.settings import Settings
from cds_hooks.storage import Decision, RecordUnavailable, decision_of
from cds_hooks.storage.queries import get_decision
from cds_hooks.web.site import HEADERS, Failure, Site
from cds_hooks.web.visiting import PatientBound, visiting

_WRONG: Final = Failure(
    "This link opens nothing",
    "Refused",
    "It belongs to no decision of this server, or it is not whole. Nothing was shown.",
    "Open it from the card again. If it stays so, tell the operator of this server.",
)
_EXPIRED: Final = Failure(
    "This link has expired",
    "Refused",
    "The link on a card opens its page for a while only. Nothing was shown.",
    "Open the patient's chart again: the link of a new card works. Whoever has a login here can use that.",
)
_AWAY: Final = Failure(
    "The page cannot be opened at the moment",
    "Failed",
    "The record or the sessions cannot be read or written. Nothing was shown.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)


class _Opening:
    def __init__(self, configured: Settings, sessions: Sessions, site: Site) -> None:
        self._url = configured.database_url
        self._links = ExplanationLinks(configured)
        self._sessions = sessions
        self._site = site

    async def open(self, request: Request) -> Response:
        """Sends the browser to the page of the decision, in a session that may see it."""
        if request.method == "HEAD":  # what looks at links before people do begins no session
            return Response(status_code=204, headers=HEADERS)
        try:
            return await asyncio.to_thread(self._open, request)
        except RecordUnavailable:
            log().error("record away", status=503)
            return refused(self._site, request, _AWAY, 503)

    def _open(self, request: Request) -> Response:
        named = request.path_params["decision_id"]
        known = decision_of(named)
        decision = get_decision(self._url, known) if known is not None and known == named else None
        if decision is None:
            return refused(self._site, request, _WRONG, 404)
        state = self._links.state(
            request.path_params["token"], decision.id, decision.client, decision.decided_at / 1e6, time()
        )
        if state != "good":
            failure, status = (_EXPIRED, 410) if state == "expired" else (_WRONG, 404)
            return refused(self._site, request, failure, status)
        page = f"/explain/{decision.id}"
        if _may_see(decision, page):
            return Response(status_code=303, headers=HEADERS | {"location": f"{root_of(request.url.path)}{page[1:]}"})
        return let_in(self._sessions, self._url, request, self._holder(decision), page)

    def _holder(self, decision: Decision) -> Person:
        """Whoever has the link; nobody knows who that is, so the record names the link."""
        return Person(
            f"link {decision.client} {decision.id}",
            "Link of a card",
            frozenset({Role.CLINICIAN_LINK}),
            bound=PatientBound(decision.client, decision.patient, decision.id),
            longest=self._links.seconds,
        )


def _may_see(decision: Decision, page: str) -> bool:
    """Whether who opens the link has a session that may see the decision already."""
    visitor, door = visiting().visitor, door_of(page)
    if visitor is None or door is None or door.roles is None or door.roles.isdisjoint(visitor.roles):
        return False
    return visitor.may_see(decision.client, decision.patient, decision.id)


def opening_routes(configured: Settings, sessions: Sessions, site: Site) -> list[Route]:
    """The address of the links of cards; none where they open nothing."""
    page = _Opening(configured, sessions, site)
    return [Route(f"{PATH}/{{decision_id}}/{{token}}", page.open)]
