"""The SMART EHR launch: /launch, the way back from the EHR's authorization server, and the session that follows."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.code_flow import FlowFailed
from cds_hooks.access.pending import UnderWay, come_back, new_secret, send_away
from cds_hooks.access.sessions import Sessions, cookies_of
from cds_hooks.access.smart import SmartLaunch
from cds_hooks.access.store import AccessStore
from cds_hooks.logs import log
from cds_hooks.pages.answers import refused
from cds_hooks.pages.login.views import let_in
from cds_hooks.storage import RecordUnavailable, decision_of
from cds_hooks.web.site import HEADERS, Failure, Site

_AWAY: Final = Failure(
    "The app cannot be opened at the moment",
    "Failed",
    "The record or the sessions cannot be read or written. Nothing was shown.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)
_NOT_STARTED_HERE: Final = Failure(
    "This launch was not begun here",
    "Refused",
    "The answer of the EHR does not belong to a launch that this browser has begun, or it was used before.",
    "Open the app from the patient's chart again.",
)
_LONGEST: Final = 2000


class _Launch:
    def __init__(self, url: str, smart: SmartLaunch, store: AccessStore, sessions: Sessions, site: Site) -> None:
        self._url = url
        self._smart = smart
        self._store = store
        self._sessions = sessions
        self._site = site

    async def begin(self, request: Request) -> Response:
        """What the EHR opens: sends the browser on to the EHR's authorization server."""
        issuer, launch = (request.query_params.get(name, "")[:_LONGEST] for name in ("iss", "launch"))
        if not issuer or not launch:
            return self._refused(request, FlowFailed("An EHR opens this address with iss and launch."))
        browser = new_secret()
        what = UnderWay("smart", issuer, new_secret(), new_secret())
        try:
            self._smart.base_of(issuer)
            state = await asyncio.to_thread(send_away, self._store, what, browser)
            address = await self._smart.address(state, what, launch)
        except RecordUnavailable:
            return refused(self._site, request, _AWAY, 503)
        except FlowFailed as error:
            return self._refused(request, error)
        headers = {"location": address, "set-cookie": self._sessions.set_login_cookie(browser)}
        return Response(status_code=303, headers=HEADERS | headers)

    async def back(self, request: Request) -> Response:
        """Where the EHR's authorization server sends the browser: begins the session of one patient."""
        browser = cookies_of(request.headers).get(self._sessions.login_cookie, "")
        state = request.query_params.get("state", "")
        try:
            what = await asyncio.to_thread(come_back, self._store, "smart", state, browser)
            if what is None:
                log().info("launch refused", status=403, reason="state")
                return refused(self._site, request, _NOT_STARTED_HERE, 403)
            launched = await self._smart.launched(request.query_params, what)
            decision = decision_of(launched.app_context)
            page = f"/explain/{decision}" if decision is not None else "/explain"
            return await asyncio.to_thread(let_in, self._sessions, self._url, request, launched.person, page)
        except RecordUnavailable:
            return refused(self._site, request, _AWAY, 503)
        except FlowFailed as error:
            return self._refused(request, error)

    def _refused(self, request: Request, error: FlowFailed) -> Response:
        log().info("launch refused", status=403, reason="smart")
        failure = Failure("The app was not opened", "Refused", str(error), "Tell the operator of this server.")
        return refused(self._site, request, failure, 403)


def launch_routes(url: str, smart: SmartLaunch, store: AccessStore, sessions: Sessions, site: Site) -> list[Route]:
    """The addresses of the launch; register `/launch` and `/launch/back` in the EHR."""
    pages = _Launch(url, smart, store, sessions, site)
    return [Route("/launch", pages.begin), Route("/launch/back", pages.back)]
