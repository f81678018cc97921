"""Sends style sheets and scripts, the counts for Prometheus, and the OpenAPI document."""

from functools import cache

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount

from cds_hooks.call.routes.openapi import describe
from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.web.files import Files
from cds_hooks.people.web.site import HEADERS, STATIC


def routes(server: PageServer) -> list[BaseRoute]:
    """Return the addresses; pages ask for static files with their digest, so a new one has a new address."""

    def metrics() -> Response:
        return Response(server.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @cache
    def document() -> Response:
        return JSONResponse(describe(server.services))

    def reference() -> Response:
        return server.page("documentation/api.html", document=describe(server.services))

    static = Files(STATIC, HEADERS | {"cache-control": "public, max-age=86400"})
    programs = [server.route("/metrics", metrics), server.route("/openapi.json", document)]
    programs.append(server.route("/api", reference))
    return [Mount("/static", static), *programs]
