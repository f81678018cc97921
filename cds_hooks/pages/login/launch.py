"""The SMART EHR launch: /launch, the way back from the EHR's authorization server, and the session that follows."""

import asyncio
from typing import Annotated, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.code_flow import FlowFailed
from cds_hooks.access.pending import UnderWay, come_back, new_secret, send_away
from cds_hooks.access.smart import SmartLaunch
from cds_hooks.logs import log
from cds_hooks.pages.login.session import let_in
from cds_hooks.pages.server import PageServer
from cds_hooks.storage import decision_of
from cds_hooks.web.site import HEADERS, Failure, Refusal

_NOT_STARTED_HERE: Final = Failure(
    "This launch was not begun here",
    "Refused",
    "The answer of the EHR does not belong to a launch that this browser has begun, or it was used before.",
    "Open the app from the patient's chart again.",
)
Launching = Annotated[str, Query(max_length=2000)]


def launch_routes(server: PageServer) -> list[Route]:
    """Return the addresses of the launch; register `/launch` and `/launch/back` in the EHR."""
    smart = SmartLaunch(server.trust, server.settings.public_url)
    sessions = server.sessions

    async def begin(iss: Launching = "", launch: Launching = "") -> Response:
        """Send the browser, which the EHR opened, on to the EHR's authorization server."""
        if not iss or not launch:
            raise _not_opened(FlowFailed("An EHR opens this address with iss and launch."))
        browser = new_secret()
        login = UnderWay("smart", iss, new_secret(), new_secret())
        try:
            smart.base_of(iss)
            state = await asyncio.to_thread(send_away, server.store, login, browser)
            address = await smart.address(state, login, launch)
        except FlowFailed as error:
            raise _not_opened(error) from error
        headers = {"location": address, "set-cookie": sessions.set_login_cookie(browser)}
        return Response(status_code=303, headers=HEADERS | headers)

    async def back(request: Request, state: str = "") -> Response:
        """Begin the session of one patient: the EHR's authorization server sends the browser here."""
        browser = request.cookies.get(sessions.login_cookie, "")
        login = await asyncio.to_thread(come_back, server.store, "smart", state, browser)
        if login is None:
            log().info("launch refused", status=403, reason="state")
            raise Refusal(_NOT_STARTED_HERE, 403)
        try:
            launched = await smart.launched(request.query_params, login)
        except FlowFailed as error:
            raise _not_opened(error) from error
        decision = decision_of(launched.app_context)
        page = f"/explain/{decision}" if decision is not None else "/explain"
        return await asyncio.to_thread(let_in, server, request, launched.person, page)

    return [server.route("/launch", begin), server.route("/launch/back", back)]


def _not_opened(error: FlowFailed) -> Refusal:
    log().info("launch refused", status=403, reason="smart")
    failure = Failure("The app was not opened", "Refused", str(error), "Tell the operator of this server.")
    return Refusal(failure, 403)
