"""Logging in and out: by a local account, or by way of the site's OpenID provider."""

import asyncio
import hashlib
import hmac
from typing import Annotated, Final

from fastapi import Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.accounts import check_login
from cds_hooks.access.code_flow import FlowFailed
from cds_hooks.access.oidc import OpenIdLogin
from cds_hooks.access.passwords import LONGEST
from cds_hooks.access.pending import UnderWay, come_back, new_secret, send_away
from cds_hooks.access.sessions import Person
from cds_hooks.access.throttle import Attempt, TooManyTries, address_of_client, count_try, forgive
from cds_hooks.hold_back.acts import LOCAL
from cds_hooks.logs import log
from cds_hooks.pages.login.card_link import card_link_routes
from cds_hooks.pages.login.launch import launch_routes
from cds_hooks.pages.login.session import EVENT, let_in, local_page
from cds_hooks.pages.server import PageServer, posted
from cds_hooks.storage.entries import add_event
from cds_hooks.web.site import HEADERS, Failure, Refusal
from cds_hooks.web.visitor import visiting

_WRONG: Final = "The name or the password is not right."
_NO_COOKIE: Final = "The form was too old, or your browser keeps no cookies for this server. Try once more."
_NOT_STARTED_HERE: Final = Failure(
    "This login was not begun here",
    "Refused",
    "The answer of the site's provider does not belong to a login that this browser has begun, or it was used before.",
    "Open the page that you wanted again and log in from there.",
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

    def show(self, page: str = "/") -> Response:
        """Show the form; it comes with a cookie that the same browser has to send back with it."""
        return self._form(local_page(page))

    async def check(self, request: Request, form: Annotated[LoginForm, Depends(posted(LoginForm))]) -> Response:
        """Let in who has an account and its password."""
        page, name = local_page(form.page), form.name.strip()[:200]
        browser = request.cookies.get(self._sessions.login_cookie, "")
        if not browser or not hmac.compare_digest(form.form_token.encode(), _token_for(browser).encode()):
            return self._form(page, name, _NO_COOKIE, 403)
        if not self._by_account:
            return self._form(page, name, "This server has no accounts of its own; use your account of the site.", 403)
        peer = request.client.host if request.client is not None else ""
        forwarded_for = request.headers.get("x-forwarded-for", "")
        address = address_of_client(peer, forwarded_for, self._proxies)
        try:
            attempt = await asyncio.to_thread(count_try, self._server.store, name, address)
            await asyncio.sleep(attempt.wait_seconds)
            return await asyncio.to_thread(self._checked, request, name, form.password, page, attempt)
        except TooManyTries as error:
            minutes = max(1, round(error.seconds / 60))
            log().info("login refused", status=429, reason="too-many-tries")
            sentence = f"Too many logins have failed. Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
            answer = self._form(page, name, sentence, 429)
            answer.headers["retry-after"] = str(max(1, round(error.seconds)))
            return answer

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
        if self._provider is None:
            return self._form("/", "", "This server has no provider for logins.", 404)
        browser = new_secret()
        login = UnderWay("oidc", "", new_secret(), new_secret(), local_page(page))
        state = await asyncio.to_thread(send_away, self._server.store, login, browser)
        try:
            address = await self._provider.address(state, login)
        except FlowFailed as error:
            raise _not_let_in(error) from error
        headers = {"location": address, "set-cookie": self._sessions.set_login_cookie(browser)}
        return Response(status_code=303, headers=HEADERS | headers)

    async def from_provider(self, request: Request, state: str = "") -> Response:
        """Let in whom the provider vouches for, if this browser has begun the login."""
        browser = request.cookies.get(self._sessions.login_cookie, "")
        login = await asyncio.to_thread(come_back, self._server.store, "oidc", state, browser)
        if login is None or self._provider is None:
            log().info("login refused", status=403, reason="state")
            raise Refusal(_NOT_STARTED_HERE, 403)
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


def _not_let_in(error: FlowFailed) -> Refusal:
    log().warning("login refused", status=403, reason="provider")
    return Refusal(Failure("You were not logged in", "Refused", str(error), "Tell the operator of this server."), 403)


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
