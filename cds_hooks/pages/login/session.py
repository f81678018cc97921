"""Begins a session: records who came in, sets the cookie, and sends the browser to a page of this server."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from cds_hooks.access.sessions import Person
from cds_hooks.pages.server import PageServer
from cds_hooks.storage.entries import add_event
from cds_hooks.web.site import HEADERS
from cds_hooks.web.visitor import visiting

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
