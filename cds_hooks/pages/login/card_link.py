"""The link of a card: /open/DECISION/TOKEN begins a session that may see the page of that decision and nothing else.

The token leaves the address bar at once, because the browser is sent on to the page. Whoever has a session that may see
the decision keeps it.
"""

from time import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.links import PATH, ExplanationLinks
from cds_hooks.access.roles import Role
from cds_hooks.access.sessions import Person
from cds_hooks.pages.doors import door_of
from cds_hooks.pages.login.session import let_in
from cds_hooks.pages.server import PageServer
from cds_hooks.storage import Decision, decision_of
from cds_hooks.storage.queries import get_decision
from cds_hooks.web.site import HEADERS, Failure, Refusal
from cds_hooks.web.visitor import PatientBound, visiting

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


def card_link_routes(server: PageServer) -> list[Route]:
    """Return the address of the links of cards."""
    links = ExplanationLinks(server.settings)

    def open_link(request: Request, decision_id: str, token: str) -> Response:
        """Send the browser to the page of the decision, in a session that may see it."""
        if request.method == "HEAD":  # what looks at links before people do begins no session
            return Response(status_code=204, headers=HEADERS)
        is_written_so = decision_of(decision_id) == decision_id
        decision = get_decision(server.settings.database_url, decision_id) if is_written_so else None
        if decision is None:
            raise Refusal(_WRONG)
        state = links.state(token, decision.id, decision.client, decision.decided_at / 1e6, time())
        if state == "expired":
            raise Refusal(_EXPIRED, 410)
        if state != "good":
            raise Refusal(_WRONG)
        page = f"/explain/{decision.id}"
        if _may_see(decision, page):
            return Response(status_code=303, headers=HEADERS | {"location": f"{visiting().root}{page[1:]}"})
        return let_in(server, request, _holder(decision, links.seconds), page)

    return [server.route(f"{PATH}/{{decision_id}}/{{token}}", open_link)]


def _holder(decision: Decision, seconds: float) -> Person:
    """Return whoever has the link; nobody knows who that is, so the record names the link."""
    return Person(
        f"link {decision.client} {decision.id}",
        "Link of a card",
        frozenset({Role.CLINICIAN_LINK}),
        bound=PatientBound(decision.client, decision.patient, decision.id),
        longest=seconds,
    )


def _may_see(decision: Decision, page: str) -> bool:
    """Return whether who opens the link has a session that may see the decision already."""
    visitor, door = visiting().visitor, door_of(page)
    if visitor is None or door is None or door.roles is None or door.roles.isdisjoint(visitor.roles):
        return False
    return visitor.may_see(decision.client, decision.patient, decision.id)
