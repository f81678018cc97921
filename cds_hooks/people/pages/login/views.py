"""Logging in and out: by a local account, or by way of the site's OpenID provider."""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from time import time
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.evidence.storage.decision import Decision, decision_of
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.queries import get_decision
from cds_hooks.people.access.accounts import (
    LONGEST,
    Attempt,
    TooManyTries,
    address_of_client,
    check_login,
    count_try,
    forgive,
)
from cds_hooks.people.access.code_flow import (
    FlowFailed,
    OpenIdLogin,
    SmartLaunch,
    UnderWay,
    come_back,
    new_secret,
    send_away,
)
from cds_hooks.people.access.links import PATH, ExplanationLinks
from cds_hooks.people.access.roles import Role
from cds_hooks.people.access.sessions import Person
from cds_hooks.people.governance.acts import LOCAL
from cds_hooks.people.pages.server import PageServer, posted
from cds_hooks.people.web.site import HEADERS, Failure, PageRefusal
from cds_hooks.people.web.visitor import PatientBound, visiting
from cds_hooks.telemetry.logs import log

_WRONG: Final = "The name or the password is not right."
_MOST_WAITING: Final = 16
_TOO_MANY_AT_ONCE: Final = "Too many people log in at this moment. Try again in a few seconds."
_Result = TypeVar("_Result")
_NO_COOKIE: Final = "The form was too old, or your browser keeps no cookies for this server. Try once more."
_NOT_STARTED_HERE: Final = Failure(
    "This login was not started here",
    "The answer does not belong to a login or a launch that this browser has begun, or it was used before.",
    "Open the page that you wanted again and log in from there, or open the app from the patient's chart again.",
)


class LoginForm(BaseModel):
    """What somebody types to log in, and the token that ties the form to a browser."""

    name: str = ""
    password: str = ""
    page: str = "/"
    form_token: str = ""


class _Login:
    """The pages of the login and what their forms do."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._sessions = server.sessions
        self._proxies = server.settings.proxy_networks
        self._by_account = server.settings.login in ("accounts", "both")
        file = server.settings.oidc_file if server.settings.login in ("oidc", "both") else None
        self._provider = OpenIdLogin(file, server.settings.public_url) if file is not None else None
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="login")
        """One hash takes 64 MiB and 0.1 s of a processor: logins wait for each other and for nothing else."""
        self._waiting = 0

    def show(self, page: str = "/") -> Response:
        """Show the form; it comes with a cookie that the same browser has to send back with it."""
        return self._form(local_page(page))

    async def check(self, request: Request, form: Annotated[LoginForm, Depends(posted(LoginForm))]) -> Response:
        """Let in who has an account and its password."""
        page, name = local_page(form.page), form.name.strip()[:200]
        browser = request.cookies.get(self._sessions.login_cookie, "")
        if not browser or not hmac.compare_digest(form.form_token.encode(), _token_for(browser).encode()):
            return await self._refused(page, name, _NO_COOKIE, 403)
        if not self._by_account:
            sentence = "This server has no accounts of its own; use your account of the site."
            return await self._refused(page, name, sentence, 403)
        peer = request.client.host if request.client is not None else ""
        forwarded_for = request.headers.get("x-forwarded-for", "")
        address = address_of_client(peer, forwarded_for, self._proxies)
        if self._waiting >= _MOST_WAITING:
            log().info("login refused", status=503, reason="too-many-at-once")
            answer = await self._refused(page, name, _TOO_MANY_AT_ONCE, 503)
            answer.headers["retry-after"] = "5"
            return answer
        self._waiting += 1
        try:
            attempt = await self._beside(count_try, self._server.store, name, address)
            await asyncio.sleep(attempt.wait_seconds)
            return await self._beside(self._checked, request, name, form.password, page, attempt)
        except TooManyTries as error:
            minutes = max(1, round(error.seconds / 60))
            log().info("login refused", status=429, reason="too-many-tries")
            sentence = f"Too many logins have failed. Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
            answer = await self._refused(page, name, sentence, 429)
            answer.headers["retry-after"] = str(max(1, round(error.seconds)))
            return answer
        finally:
            self._waiting -= 1

    async def _beside(self, work: Callable[..., _Result], *values: Any) -> _Result:
        """Return what the work returns, in the thread of the logins and with the context of this request."""
        in_context = partial(copy_context().run, work, *values)
        return await asyncio.get_running_loop().run_in_executor(self._checking, in_context)

    def _checked(self, request: Request, name: str, password: str, page: str, attempt: Attempt) -> Response:
        store = self._server.store
        account = check_login(store, name, password) if len(password) <= LONGEST else None
        if account is None:
            log().info("login refused", status=403, reason="wrong-name-or-password")
            return self._form(page, name, _WRONG, 403)
        with store.transaction() as connection:
            forgive(connection, account.name, attempt)
        person = Person(f"account {account.name}", account.full_name, account.roles, account.name, LOCAL)
        return let_in(self._server, request, person, page)

    async def to_provider(self, page: str = "/") -> Response:
        """Send the browser to the site's provider."""
        provider = self._provider
        if provider is None:
            return self._form("/", "", "This server has no provider for logins.", 404)
        login = UnderWay("oidc", "", new_secret(), new_secret(), local_page(page))
        try:
            return await _send_away(self._server, login, lambda state: provider.address(state, login))
        except FlowFailed as error:
            raise _not_let_in(error) from error

    async def from_provider(self, request: Request, state: str = "") -> Response:
        """Let in whom the provider vouches for, if this browser has begun the login."""
        login = await _come_back(self._server, request, "oidc", state)
        if self._provider is None:
            raise PageRefusal(_NOT_STARTED_HERE, 403)
        try:
            person = await self._provider.person(request.query_params, login)
        except FlowFailed as error:
            raise _not_let_in(error) from error
        return await asyncio.to_thread(let_in, self._server, request, person, login.page)

    def end(self, request: Request) -> Response:
        """End the session."""
        token = request.cookies.get(self._sessions.cookie)
        visitor = visiting().visitor
        if token and visitor is not None:
            self._sessions.end(token)
            add_event(self._server.settings.database_url, EVENT, visitor.actor, {"act": "out"})
        headers = {"location": "login", "set-cookie": self._sessions.drop_cookie(self._sessions.cookie)}
        return Response(status_code=303, headers=HEADERS | headers)

    async def _refused(self, page: str, name: str, problem: str, status: int) -> Response:
        """Return the form again; sixty of them at once, made on the event loop, would hold a probe for 50 ms."""
        return await self._server.in_thread(partial(self._form, page, name, problem, status))

    def _form(self, page: str, name: str = "", problem: str = "", status: int = 200) -> Response:
        browser = new_secret()
        return self._server.page(
            "login/login.html",
            status=status,
            headers=HEADERS | {"set-cookie": self._sessions.set_login_cookie(browser)},
            form={
                "page": page,
                "token": _token_for(browser),
                "by_account": self._by_account,
                "by_provider": self._provider is not None,
                "name": name,
                "problem": problem,
            },
        )


async def _send_away(server: PageServer, login: UnderWay, address_of: Callable[[str], Awaitable[str]]) -> Response:
    """Send the browser to whoever is to vouch for the person, with a cookie that the same browser has to bring back."""
    browser = new_secret()
    state = await asyncio.to_thread(send_away, server.store, login, browser)
    headers = {"location": await address_of(state), "set-cookie": server.sessions.set_login_cookie(browser)}
    return Response(status_code=303, headers=HEADERS | headers)


async def _come_back(server: PageServer, request: Request, kind: str, state: str) -> UnderWay:
    """Return the login that this browser has begun."""
    browser = request.cookies.get(server.sessions.login_cookie, "")
    login = await asyncio.to_thread(come_back, server.store, kind, state, browser)
    if login is None:
        log().info("login refused" if kind == "oidc" else "launch refused", status=403, reason="state")
        raise PageRefusal(_NOT_STARTED_HERE, 403)
    return login


def _not_let_in(error: FlowFailed) -> PageRefusal:
    log().warning("login refused", status=403, reason="provider")
    return PageRefusal(Failure("You were not logged in", str(error), "Tell the operator of this server."), 403)


def _token_for(browser: str) -> str:
    return hashlib.sha256(f"form of the login:{browser}".encode("utf-8", "surrogatepass")).hexdigest()


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the login, where pages need one, of the launch and of the links of cards."""
    pages = _Login(server)
    login = [
        server.route("/login", pages.show),
        server.route("/login", pages.check, ["POST"], of_session=False),
        server.route("/login/site", pages.to_provider),
        server.route("/login/back", pages.from_provider),
    ]
    return [
        *(login if server.settings.login != "none" else ()),
        server.route("/logout", pages.end, ["POST"]),
        *launch_routes(server),
        *card_link_routes(server),
    ]


# Begins a session: records who came in, sets the cookie, and sends the browser to a page of this server


EVENT: Final = "login"
"""The kind of the entries of the record that say who logged in or out."""

_LOCAL: Final = re.compile(r"/[A-Za-z0-9_\-./~%?=&,:+@]*")


def let_in(server: PageServer, request: Request, person: Person, page: str) -> Response:
    """Begin a session under a new cookie, record it, and send the browser to a page of this server."""
    sessions = server.sessions
    old = request.cookies.get(sessions.cookie)
    add_event(server.settings.database_url, EVENT, person.actor, {"act": "in", "roles": sorted(person.roles)})
    token = sessions.begin(person, replacing=old)
    # relative, so that it cannot lead to another host whatever the page is called
    answer = Response(status_code=303, headers=HEADERS | {"location": f"{visiting().root or './'}{page[1:]}"})
    answer.headers.append("set-cookie", sessions.set_cookie(token))
    answer.headers.append("set-cookie", sessions.drop_cookie(sessions.login_cookie))
    return answer


def local_page(text: str) -> str:
    """Return the page of this server that a text names; "/" for everything else."""
    is_page = _LOCAL.fullmatch(text) is not None and "//" not in text and ".." not in text
    return text if is_page and not text.startswith(("/log", "/launch", "/open")) else "/"


# The SMART EHR launch: /launch, the way back from the EHR's authorization server, and the session that follows


Launching = Annotated[str, Query(max_length=2000)]


def launch_routes(server: PageServer) -> list[Route]:
    """Return the addresses of the launch; register `/launch` and `/launch/back` in the EHR."""
    smart = SmartLaunch(server.trust, server.settings.public_url)

    async def begin(iss: Launching = "", launch: Launching = "") -> Response:
        """Send the browser, which the EHR opened, on to the EHR's authorization server."""
        if not iss or not launch:
            raise _not_opened(FlowFailed("An EHR opens this address with iss and launch."))
        login = UnderWay("smart", iss, new_secret(), new_secret())
        try:
            smart.base_of(iss)
            return await _send_away(server, login, lambda state: smart.address(state, login, launch))
        except FlowFailed as error:
            raise _not_opened(error) from error

    async def back(request: Request, state: str = "") -> Response:
        """Begin the session of one patient: the EHR's authorization server sends the browser here."""
        login = await _come_back(server, request, "smart", state)
        try:
            launched = await smart.launched(request.query_params, login)
        except FlowFailed as error:
            raise _not_opened(error) from error
        decision = decision_of(launched.app_context)
        page = f"/explain/{decision}" if decision is not None else "/explain"
        return await asyncio.to_thread(let_in, server, request, launched.person, page)

    return [server.route("/launch", begin), server.route("/launch/back", back)]


def _not_opened(error: FlowFailed) -> PageRefusal:
    log().info("launch refused", status=403, reason="smart")
    failure = Failure("The app was not opened", str(error), "Tell the operator of this server.")
    return PageRefusal(failure, 403)


# The link of a card: /open/DECISION/TOKEN begins a session that may see the page of that decision and nothing else


_WRONG_LINK: Final = Failure(
    "This link opens nothing",
    "It belongs to no decision of this server, or it is not whole. Nothing was shown.",
    "Open it from the card again. If it stays so, tell the operator of this server.",
)
_EXPIRED: Final = Failure(
    "This link has expired",
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
            raise PageRefusal(_WRONG_LINK)
        state = links.state(token, decision.id, decision.caller, decision.decided_at / 1e6, time())
        if state == "expired":
            raise PageRefusal(_EXPIRED, 410)
        if state != "good":
            raise PageRefusal(_WRONG_LINK)
        page = f"/explain/{decision.id}"
        if _may_see(decision, page):
            return Response(status_code=303, headers=HEADERS | {"location": f"{visiting().root}{page[1:]}"})
        return let_in(server, request, _holder(decision, links.seconds), page)

    return [server.route(f"{PATH}/{{decision_id}}/{{token}}", open_link)]


def _holder(decision: Decision, seconds: float) -> Person:
    """Return whoever has the link; nobody knows who that is, so the record names the link."""
    return Person(
        f"link {decision.caller} {decision.id}",
        "Link of a card",
        frozenset({Role.CLINICIAN_LINK}),
        bound=PatientBound(decision.caller, decision.patient, decision.id),
        longest=seconds,
    )


def _may_see(decision: Decision, page: str) -> bool:
    """Return whether who opens the link has a session that may see the decision already."""
    visitor = visiting().visitor
    if visitor is None or not visiting().may_open(page[1:]):
        return False
    return visitor.may_see(decision.caller, decision.patient, decision.id)
