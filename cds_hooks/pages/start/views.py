"""The start page: what this server is and offers."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.coverage import coverage_tables
from cds_hooks.pages.rules.description import rule_entries
from cds_hooks.pages.server import PageServer
from models_onnx.equations.declaration import find_equations


def routes(server: PageServer) -> list[Route]:
    """Return its address."""

    def start(_: Request) -> Response:
        return server.page(
            "start/start.html",
            services=list(server.services.values()),
            models=list(server.files.manifests().values()),
            rules=rule_entries(),
            equations=list(find_equations().values()),
            coverage=coverage_tables(),
        )

    return [server.route("/", start)]
