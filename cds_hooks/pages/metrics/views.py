"""Answers with what was counted."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.server import PageServer


def routes(server: PageServer) -> list[Route]:
    """Return the address."""

    def metrics(_: Request) -> Response:
        return Response(server.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [server.route("/metrics", metrics)]
