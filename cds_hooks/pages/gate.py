"""The gate in front of every page: who asks, whether it is for them, and the entry of the record that they saw it.

Where pages need a login (CDS_LOGIN), what is not in the table of pages (`access/roles.py`) is closed. Without a login
the rules of `OperatorAccess` hold, and a session that an EHR opened still opens the pages of its patient.
"""

from typing import Final
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds_hooks.access.forms import came_from_this_site
from cds_hooks.access.roles import DOORS, Door, Role, door_of
from cds_hooks.access.sessions import Sessions, cookies_of
from cds_hooks.logs import log
from cds_hooks.pages.answers import refused, root_of, wants_page
from cds_hooks.routes.operations import ADMITTED, OperatorAccess
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import add_event
from cds_hooks.web.site import Failure, Site
from cds_hooks.web.visiting import PageLink, Visiting, Visitor, set_visiting

EVENT: Final = "page-view"
"""The kind of the entries of the record that say who saw which page of a patient."""

SEEN: Final = "cds_hooks.seen"
"""Member of the ASGI scope: what else the page showed, as a word for the record ("what-if")."""

_READING: Final = ("GET", "HEAD")
_NOT_YOURS: Final = Failure(
    "Not for your role",
    "Refused",
    "This page is for people with another role than yours. Nothing of it was shown.",
    "Ask the operator of this server for the role, or log in with another account.",
)
_LOG_IN: Final = Failure(
    "Log in first",
    "Refused",
    "This page is for people who have logged in, so nothing was shown or done.",
    "Open the page in a browser and log in. Programs send CDS_OPERATOR_TOKEN as bearer to the pages that take it.",
)
_OTHER_SITE: Final = Failure(
    "Sent by another site",
    "Refused",
    "The form did not come from a page of this server, so nothing was done.",
    "Open the page at this server and send the form from there.",
)
_SAME_FOR_ALL: Final = tuple(
    door for door in DOORS if door.roles is None and not door.path.startswith(("/log", "/open"))
)
"""Whoever asks there is not looked up: a health check must not depend on the sessions."""
_AWAY: Final = Failure(
    "Your login cannot be read",
    "Failed",
    "The database of accounts and sessions does not answer at the moment. Nothing was shown or done.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)
_NOT_RECORDED: Final = Failure(
    "The view cannot be recorded",
    "Failed",
    "Each view of a patient's page is recorded, and the record cannot be written at the moment. Nothing was shown.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)


class Gate:
    """Lets those in who may come in, and records who saw a page of a patient."""

    def __init__(
        self, app: ASGIApp, configured: Settings, sessions: Sessions, visitors: OperatorAccess, site: Site
    ) -> None:
        self._app = app
        self._url = configured.database_url
        self._needs_login = configured.login != "none"
        self._is_open = configured.trust_file is None and not self._needs_login
        self._sessions = sessions
        self._visitors = visitors
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        door = door_of(scope["path"])
        try:
            visitor = None if door in _SAME_FOR_ALL else await self._visitor(request)
        except RecordUnavailable:
            log().error("record away", status=503)
            await self._refused(request, _AWAY, 503)(scope, receive, send)
            return
        is_machine = self._needs_login and door is not None and door.token and self._visitors.is_machine(request)
        set_visiting(Visiting(scope["path"], visitor, self._needs_login, self._links(request, visitor)))
        refusal = self._refusal(request, door, visitor) if not is_machine else None
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope[ADMITTED] = self._needs_login
        if door is None or not door.of_patients or (self._is_open and visitor is None):
            await self._app(scope, receive, send)
            return
        actor = visitor.actor if visitor is not None else "operator" if self._visitors.is_machine(request) else "anyone"
        await self._app(scope, receive, _Recorded(self, request, actor, send).send)

    async def _visitor(self, request: Request) -> Visitor | None:
        token = cookies_of(request.headers).get(self._sessions.cookie)
        return await to_thread.run_sync(self._sessions.visitor, token) if token else None

    def _refusal(self, request: Request, door: Door | None, visitor: Visitor | None) -> Response | None:
        """The answer to a request that may not go on; None for one that may."""
        if door is not None and door.roles is None:  # its forms, if any, are checked by the page
            return None
        is_reading = request.method in _READING
        if not is_reading and (self._needs_login or visitor is not None) and not came_from_this_site(request.headers):
            return self._refused(request, _OTHER_SITE, 403)
        if not self._needs_login:
            return None
        if visitor is None:
            return self._to_login(request) if is_reading and wants_page(request) else self._unknown(request)
        roles = door.roles if door is not None else None
        if door is not None and not is_reading and door.changes is not None:
            roles = door.changes
        if roles is None or roles.isdisjoint(visitor.roles):
            return self._refused(request, _NOT_YOURS, 403)
        return None

    def _links(self, request: Request, visitor: Visitor | None) -> tuple[PageLink, ...]:
        is_operator = not self._needs_login and self._visitors.may_see_metrics(request)
        shown = [door for door in DOORS if door.title and (is_operator or self._may_open(door, visitor))]
        return tuple(PageLink(door.path[1:] + ("/" if door.path == "/docs" else ""), door.title) for door in shown)

    def _may_open(self, door: Door, visitor: Visitor | None) -> bool:
        if not self._needs_login:
            return door.roles is not None and Role.VIEWER in door.roles
        return visitor is not None and door.roles is not None and not door.roles.isdisjoint(visitor.roles)

    def _to_login(self, request: Request) -> Response:
        path = request.scope["path"]
        query = request.scope["query_string"].decode("latin-1")
        page = quote(f"{path}?{query}" if query else path, safe="/")
        address = f"{root_of(path)}login?page={page}"
        return Response(status_code=303, headers={"location": address, "cache-control": "no-store"})

    def _unknown(self, request: Request) -> Response:
        answer = self._refused(request, _LOG_IN, 401)
        answer.headers["www-authenticate"] = "Bearer"
        return answer

    def _refused(self, request: Request, failure: Failure, status: int) -> Response:
        return refused(self._site, request, failure, status)

    async def record(self, request: Request, actor: str) -> bool:
        """Whether the record has taken that this person saw this page; the path names the decision, if any."""
        detail = {"page": request.scope["path"][:300]}
        if (seen := request.scope.get(SEEN)) is not None:
            detail["with"] = seen
        try:
            await to_thread.run_sync(add_event, self._url, EVENT, actor, detail)
        except RecordUnavailable:
            log().error("view not recorded", status=503)
            return False
        return True

    def not_recorded(self, request: Request) -> Response:
        """The answer instead of a page whose view cannot be recorded."""
        return self._refused(request, _NOT_RECORDED, 503)


class _Recorded:
    """Sends an answer on once the record has taken that it was seen; another answer where it has not."""

    def __init__(self, gate: Gate, request: Request, actor: str, send: Send) -> None:
        self._gate = gate
        self._request = request
        self._actor = actor
        self._send = send
        self._is_refused = False

    async def send(self, message: Message) -> None:
        """One message of the answer."""
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._is_refused = not await self._gate.record(self._request, self._actor)
            if self._is_refused:
                answer = self._gate.not_recorded(self._request)
                await answer(self._request.scope, self._request.receive, self._send)
        if not self._is_refused:
            await self._send(message)
