"""Lists the services that the wards of St. Mary's call."""

from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.people.access.roles import STAFF
from cds_hooks.people.pages.doors import Door
from cds_hooks.people.pages.server import PageServer

DOOR = Door("/wards", "", STAFF, "Wards")


def routes(server: PageServer) -> list[Route]:
    """Return the address of the page."""

    def show() -> Response:
        return server.page("wards.html", titles=sorted(server.service_titles.values()))

    return [server.route("/wards", show)]
