"""Lists the services, the published equations, which checks exist for which drug, and the addresses for programs."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.coverage import coverage_tables
from cds_hooks.pages.server import PageServer
from models_onnx.equations.declaration import find_equations


def routes(server: PageServer) -> list[Route]:
    """Return its address."""

    def show(_: Request) -> Response:
        return server.page(
            "services/services.html",
            services=list(server.services.values()),
            equations=list(find_equations().values()),
            coverage=coverage_tables(),
        )

    return [server.route("/services", show)]
