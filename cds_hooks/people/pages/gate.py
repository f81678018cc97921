"""The gate in front of every page: who asks, whether the page's door is open to them, and the record that they saw it.

Where pages need a login (CDS_LOGIN), a path without a door is closed. Without a login the doors say which pages are the
operator's, and a session that an EHR opened still opens the pages of its patient.
"""

from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.people.pages.doors import Door, all_doors, door_of
from cds_hooks.people.pages.server import PageServer, away, wants_page
from cds_hooks.people.web.forms import came_from_this_site
from cds_hooks.people.web.site import Failure
from cds_hooks.people.web.visitor import PageLink, Visiting, Visitor, set_visiting

EVENT: Final = "page-view"
"""The kind of the entries of the record that say who saw which page of a patient."""

_READING: Final = ("GET", "HEAD")
_LOG_IN: Final = Failure(
    "Log in first",
    "This page is for people who have logged in, so nothing was shown or done.",
    "Open the page in a browser and log in. Programs send CDS_OPERATOR_TOKEN as bearer to the pages that take it.",
)
_OTHER_SITE: Final = Failure(
    "Sent by another site",
    "The form did not come from a page of this server, so nothing was done.",
    "Open the page at this server and send the form from there.",
)
_AWAY: Final = away("Your login cannot be read", "The database of accounts and sessions")
_NOT_RECORDED: Final = away("The view cannot be recorded", "The record, in which each view of a patient's page stands,")


def _not_yours(roles: Collection[str], visitor: Visitor) -> Failure:
    """Return what somebody reads who has none of the roles that a page is for."""
    needed = f"the role {' or '.join(sorted(roles))}" if roles else "nobody"
    yours = ", ".join(sorted(visitor.roles)) or "none"
    return Failure(
        "Not for your role",
        f"This page is for {needed}, and yours is {yours}. Nothing of it was shown.",
        "Ask the operator of this server for the role, or log in with another account.",
    )


def _operator_only(door: Door) -> Failure:
    return Failure("Not for this address", "This page is shown to the operator of this server only.", door.refusal)


def _links(opens: Callable[[str], bool]) -> tuple[PageLink, ...]:
    doors = [door for door in all_doors() if door.title and opens(door.path)]
    return tuple(PageLink(door.path[1:] + ("/" if door.path == "/docs" else ""), door.title) for door in doors)


class Gate:
    """Lets those in who may come in, and records who saw a page of a patient."""

    def __init__(self, app: ASGIApp, server: PageServer) -> None:
        """`app` answers those who are let in."""
        self._app = app
        self._server = server
        self._needs_login = server.settings.login != "none"
        self._shows_decisions = server.settings.shows_pages and not self._needs_login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        request = Request(scope)
        door = door_of(scope["path"])
        try:
            visitor = await self._visitor(request) if door is None or not door.anonymous else None
        except RecordUnavailable as error:
            if not self._server.operator.is_machine(request):  # who has a cookie, too, may see what is wrong
                await self._server.refuse_without_store(request, _AWAY, error)(scope, receive, send)
                return
            self._server.count_store_failure(error)
            visitor = None

        def opens(path: str) -> bool:
            leading = door_of(path)
            return leading is not None and self._is_open(request, leading, visitor)

        set_visiting(Visiting(scope["path"], visitor, self._needs_login, _links(opens), opens))
        refusal = self._refusal(request, door, visitor)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        is_open = self._server.site.development and not self._needs_login and visitor is None
        if door is None or not door.of_patients or is_open:
            await self._app(scope, receive, send)
            return
        actor = visitor.actor if visitor is not None else "anyone"
        if visitor is None and self._server.operator.is_machine(request):
            actor = "operator"
        is_refused = False

        async def send_recorded(message: Message) -> None:
            """Send the answer on once the record has taken that it was seen; another answer where it has not."""
            nonlocal is_refused
            if message["type"] == "http.response.start" and message["status"] == 200:
                is_refused = not await self._record(request, actor)
                if is_refused:
                    await self._server.refuse(request, _NOT_RECORDED, 503)(scope, receive, send)
            if not is_refused:
                await send(message)

        await self._app(scope, receive, send_recorded)

    async def _record(self, request: Request, actor: str) -> bool:
        """Return whether the record has taken that this person saw this page; the path names the decision, if any."""
        detail = {"page": request.scope["path"][:300]}
        try:
            await to_thread.run_sync(add_event, self._server.settings.database_url, EVENT, actor, detail)
        except RecordUnavailable as error:
            self._server.count_store_failure(error)
            return False
        return True

    async def _visitor(self, request: Request) -> Visitor | None:
        token = request.cookies.get(self._server.sessions.cookie)
        return await to_thread.run_sync(self._server.sessions.visitor, token) if token else None

    def _refusal(self, request: Request, door: Door | None, visitor: Visitor | None) -> Response | None:
        """Return the answer to a request that may not go on; None for one that may."""
        is_reading = request.method in _READING
        if not is_reading and not came_from_this_site(request.headers):
            return self._server.refuse(request, _OTHER_SITE, 403)
        if door is None and not self._needs_login:
            return None
        if door is not None and self._is_open(request, door, visitor, is_reading=is_reading):
            return None
        if door is not None and not self._needs_login:
            return self._server.refuse(request, _operator_only(door), 403)
        if visitor is None:
            if is_reading and wants_page(request):
                return self._to_login(request)
            answer = self._server.refuse(request, _LOG_IN, 401)
            answer.headers["www-authenticate"] = "Bearer"
            return answer
        roles = door.roles_for(is_reading=is_reading) if door is not None else None
        return self._server.refuse(request, _not_yours(roles or (), visitor), 403)

    def _is_open(self, request: Request, door: Door, visitor: Visitor | None, *, is_reading: bool = True) -> bool:
        """Return whether a door is open to who asks."""
        operator, roles = self._server.operator, door.roles_for(is_reading=is_reading)
        if roles is None:
            return True
        if self._needs_login:
            is_one_of_them = visitor is not None and not roles.isdisjoint(visitor.roles)
            return is_one_of_them or (door.token and operator.is_machine(request))
        if door.is_public and (is_reading or door.changes is None):
            return True
        if door.by_link and (visitor is not None or self._shows_decisions):
            return True
        return operator.is_operator(request)

    def _to_login(self, request: Request) -> Response:
        path = request.scope["path"]
        query = request.scope["query_string"].decode("latin-1")
        page = quote(f"{path}?{query}" if query else path, safe="/")
        address = f"{Visiting(path).root}login?page={page}"
        return Response(status_code=303, headers={"location": address, "cache-control": "no-store"})
