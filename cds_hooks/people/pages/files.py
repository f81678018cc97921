"""Sends style sheets and scripts, and the counts for Prometheus."""

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.web.files import Files
from cds_hooks.people.web.site import HEADERS, STATIC


def routes(server: PageServer) -> list[BaseRoute]:
    """Return the addresses; pages ask for static files with their digest, so a new one has a new address."""

    def metrics() -> Response:
        return Response(server.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    static = Files(STATIC, HEADERS | {"cache-control": "public, max-age=86400"})
    return [Mount("/static", static), server.route("/metrics", metrics)]
