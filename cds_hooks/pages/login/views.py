"""Logging in and out: by a local account, or by way of the site's OpenID provider."""

import asyncio
import hashlib
import hmac
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.accounts import check_login
from cds_hooks.access.code_flow import FlowFailed
from cds_hooks.access.forms import TOKEN_FIELD, read_fields, read_form
from cds_hooks.access.oidc import OpenIdLogin
from cds_hooks.access.passwords import LONGEST
from cds_hooks.access.pending import UnderWay, come_back, new_secret, send_away
from cds_hooks.access.sessions import Person, Sessions, cookies_of
from cds_hooks.access.store import AccessStore
from cds_hooks.access.throttle import TooManyTries, count_try, forgive
from cds_hooks.errors import HookError
from cds_hooks.logs import log
from cds_hooks.pages.answers import refused, root_of
from cds_hooks.pages.models.rendering import LoginForm, login_page
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import add_event
from cds_hooks.web.site import HEADERS, Failure, Site
from cds_hooks.web.visiting import visiting

EVENT: Final = "login"
"""The kind of the entries of the record that say who logged in or out."""

_LOCAL: Final = re.compile(r"/[A-Za-z0-9_\-./~%?=&,:+@]*")
_WRONG: Final = "The name or the password is not right."
_NO_COOKIE: Final = "The form was too old, or your browser keeps no cookies for this server. Try once more."
_AWAY: Final = Failure(
    "Nobody can log in at the moment",
    "Failed",
    "The accounts or the record cannot be read or written. You were not logged in.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)
_NOT_STARTED_HERE: Final = Failure(
    "This login was not begun here",
    "Refused",
    "The answer of the site's provider does not belong to a login that this browser has begun, or it was used before.",
    "Open the page that you wanted again and log in from there.",
)


class Login:
    """The pages of the login and what their forms do."""

    def __init__(self, configured: Settings, store: AccessStore, sessions: Sessions, site: Site) -> None:
        self._url = configured.database_url
        self._store = store
        self._sessions = sessions
        self._site = site
        self._by_account = configured.login in ("accounts", "both")
        self._provider = OpenIdLogin(configured) if configured.login in ("oidc", "both") else None

    async def show(self, request: Request) -> Response:
        """The form; it comes with a cookie that the same browser has to send back with it."""
        return self._form(local_page(request.query_params.get("page", "/")))

    async def check(self, request: Request) -> Response:
        """Lets in who has an account and its password."""
        try:
            fields = await read_fields(request)
        except HookError as error:
            return self._failed(request, Failure("The form cannot be used", "Refused", error.text, ""), error.status)
        page, name = local_page(fields.get("page", "/")), fields.get("name", "").strip()[:200]
        browser = cookies_of(request.headers).get(self._sessions.login_cookie, "")
        if not browser or not hmac.compare_digest(fields.get(TOKEN_FIELD, "").encode(), _token_for(browser).encode()):
            return self._form(page, name, _NO_COOKIE, 403)
        address = request.client.host if request.client is not None else ""
        try:
            return await asyncio.to_thread(self._checked, request, name, fields.get("password", ""), page, address)
        except TooManyTries as error:
            minutes = max(1, round(error.seconds / 60))
            log().info("login refused", status=429, reason="too-many-tries")
            sentence = f"Too many logins have failed. Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
            answer = self._form(page, name, sentence, 429)
            answer.headers["retry-after"] = str(max(1, round(error.seconds)))
            return answer
        except RecordUnavailable:
            return self._failed(request, _AWAY, 503)

    def _checked(self, request: Request, name: str, password: str, page: str, address: str) -> Response:
        if not self._by_account:
            return self._form(page, name, "This server has no accounts of its own; use your account of the site.", 403)
        count_try(self._store, name, address)
        known = check_login(self._store, name, password) if len(password) <= LONGEST else None
        if known is None:
            log().info("login refused", status=403, reason="wrong-name-or-password")
            return self._form(page, name, _WRONG, 403)
        with self._store.transaction() as connection:
            forgive(connection, known.name)
        return self._let_in(request, Person(f"account {known.name}", known.full_name, known.roles, known.name), page)

    async def to_provider(self, request: Request) -> Response:
        """Sends the browser to the site's provider."""
        if self._provider is None:
            return self._form("/", "", "This server has no provider for logins.", 404)
        browser = new_secret()
        what = UnderWay("oidc", "", new_secret(), new_secret(), local_page(request.query_params.get("page", "/")))
        try:
            state = await asyncio.to_thread(send_away, self._store, what, browser)
            address = await self._provider.address(state, what)
        except RecordUnavailable:
            return self._failed(request, _AWAY, 503)
        except FlowFailed as error:
            return self._not_let_in(request, error)
        headers = {"location": address, "set-cookie": self._sessions.set_login_cookie(browser)}
        return Response(status_code=303, headers=HEADERS | headers)

    async def from_provider(self, request: Request) -> Response:
        """Lets in whom the provider vouches for, if this browser has begun the login."""
        browser = cookies_of(request.headers).get(self._sessions.login_cookie, "")
        state = request.query_params.get("state", "")
        try:
            what = await asyncio.to_thread(come_back, self._store, "oidc", state, browser)
            if what is None or self._provider is None:
                log().info("login refused", status=403, reason="state")
                return self._failed(request, _NOT_STARTED_HERE, 403)
            person = await self._provider.person(request.query_params, what)
            return await asyncio.to_thread(self._let_in, request, person, what.page)
        except RecordUnavailable:
            return self._failed(request, _AWAY, 503)
        except FlowFailed as error:
            return self._not_let_in(request, error)

    async def out(self, request: Request) -> Response:
        """Ends the session."""
        try:
            await read_form(request)
            token = cookies_of(request.headers).get(self._sessions.cookie)
            visitor = visiting().visitor
            if token and visitor is not None:
                await asyncio.to_thread(self._sessions.end, token)
                await asyncio.to_thread(add_event, self._url, EVENT, visitor.actor, {"act": "out"})
        except HookError as error:
            return self._failed(request, Failure("Nobody was signed out", "Refused", error.text, ""), error.status)
        except RecordUnavailable:
            return self._failed(request, _AWAY, 503)
        headers = {"location": "login", "set-cookie": self._sessions.drop_cookie(self._sessions.cookie)}
        return Response(status_code=303, headers=HEADERS | headers)

    def _let_in(self, request: Request, person: Person, page: str) -> Response:
        return let_in(self._sessions, self._url, request, person, page)

    def _form(self, page: str, name: str = "", problem: str = "", status: int = 200) -> Response:
        browser = new_secret()
        form = LoginForm(page, _token_for(browser), self._by_account, self._provider is not None, name, problem)
        headers = HEADERS | {"set-cookie": self._sessions.set_login_cookie(browser)}
        return Response(login_page(self._site, form), status, headers, media_type="text/html")

    def _not_let_in(self, request: Request, error: FlowFailed) -> Response:
        log().warning("login refused", status=403, reason="provider")
        failure = Failure("You were not logged in", "Refused", str(error), "Tell the operator of this server.")
        return self._failed(request, failure, 403)

    def _failed(self, request: Request, failure: Failure, status: int) -> Response:
        return refused(self._site, request, failure, status)


def let_in(sessions: Sessions, url: str, request: Request, person: Person, page: str) -> Response:
    """Begins a session under a new cookie, records it, and sends the browser to a page of this server."""
    old = cookies_of(request.headers).get(sessions.cookie)
    add_event(url, EVENT, person.actor, {"act": "in", "roles": sorted(person.roles)})
    token = sessions.begin(person, replacing=old)
    # relative, so that it cannot lead to another host whatever the page is called
    answer = Response(status_code=303, headers=HEADERS | {"location": f"{root_of(request.url.path) or './'}{page[1:]}"})
    answer.headers.append("set-cookie", sessions.set_cookie(token))
    answer.headers.append("set-cookie", sessions.drop_cookie(sessions.login_cookie))
    return answer


def local_page(text: str) -> str:
    """The page of this server that a text names; "/" for everything else."""
    is_page = _LOCAL.fullmatch(text) is not None and "//" not in text and ".." not in text
    return text if is_page and not text.startswith(("/log", "/launch", "/open")) else "/"


def _token_for(browser: str) -> str:
    return hashlib.sha256(f"form of the login:{browser}".encode("utf-8", "surrogatepass")).hexdigest()


def login_routes(configured: Settings, store: AccessStore, sessions: Sessions, site: Site) -> list[Route]:
    """The addresses of the login; none where pages need none."""
    if configured.login == "none":
        return [Route("/logout", Login(configured, store, sessions, site).out, methods=["POST"])]
    pages = Login(configured, store, sessions, site)
    return [
        Route("/login", pages.show),
        Route("/login", pages.check, methods=["POST"]),
        Route("/login/site", pages.to_provider),
        Route("/login/back", pages.from_provider),
        Route("/logout", pages.out, methods=["POST"]),
    ]
