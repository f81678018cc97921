"""The tester's page: /try, and the names of drugs and tests for its search field."""

import asyncio
from typing import Annotated, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cds_hooks.pages.server import PageServer
from cds_hooks.pages.tester.actions import Tester
from cds_hooks.pages.tester.rendering import page_values
from cds_hooks.pages.tester.state import Bench, UnusableForm, bench_of
from cds_hooks.web.site import SCRIPT_HEADERS, Failure, Refusal

_FORMS_OF_A_BODY: Final = 3
"""A form carries the request, the answers and a chart that was uploaded: so many times the longest body of a call."""
_PREPARED: Final = (
    "An order for an invented patient is prepared; nothing was sent. Choose another patient, hook or order, and send."
)


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the tester's page."""
    tester = Tester(server.settings, server.services, server.app)

    async def show() -> Response:
        bench = Bench()
        await tester.open_first(bench)
        bench.note = _PREPARED
        return await shown(bench)

    async def press(request: Request) -> Response:
        form = request.state.form
        try:
            bench = await asyncio.to_thread(bench_of, form)
        except UnusableForm as error:
            text = "Nothing was sent. Go back, or open /try again."
            raise Refusal(Failure("The form cannot be used", "Refused", str(error), text), 400) from error
        await tester.press(bench, form.get("do", ""), form)
        return await shown(bench)

    async def shown(bench: Bench) -> Response:
        def page() -> Response:
            values = page_values(tester, bench, tester.entries())
            return server.page("tester/try.html", headers=SCRIPT_HEADERS, **values)

        return await server.in_thread(page)

    def names(q: Annotated[str, Query(max_length=100)] = "") -> Response:
        match = tester.catalogue.search(q)
        return JSONResponse({"names": [orderable.name for orderable in match]}, headers={"cache-control": "no-store"})

    most_bytes = _FORMS_OF_A_BODY * server.settings.max_body_bytes
    return [
        server.route("/try", show),
        server.route("/try", press, ["POST"], upload=True, most_bytes=most_bytes),
        server.route("/try/orders", names),
    ]
