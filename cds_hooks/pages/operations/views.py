"""The addresses of the operator's pages, and who may open them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import msgspec
from anyio import CapacityLimiter, to_thread
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cds_hooks.access.forms import came_from_this_site
from cds_hooks.errors import CALL_ID, HookError
from cds_hooks.hold_back.governance import Governance
from cds_hooks.logs import log
from cds_hooks.metrics import MetricsFolder
from cds_hooks.pages.count_keeper import CountKeeper
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable, decision_of, new_decision_id
from cds_hooks.storage.queries import get_decision
from cds_hooks.web.form import read_body
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import HEADERS, Failure, Site, failure_page

if TYPE_CHECKING:
    from cds_hooks.pages.operations.comparison import Judged

PAGE_HEADERS: Final = HEADERS | {
    # with no-referrer a browser sends `Origin: null` with its own form, which cannot be told from another site's
    "referrer-policy": "same-origin"
}
_FORM_BYTES: Final = 8192
_PAGES_AT_ONCE: Final = 2
_JUDGING_SECONDS: Final = 0.02
"""So long a page waits for what is worked out beside it; a CSV waits until it is there."""
_Fields = Mapping[str, str]

_OPERATOR_ONLY: Final = Failure(
    "Not for this address",
    "Refused",
    "This page is shown to the operator of this server only.",
    "Open it at CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN as bearer; without a trust file it is open.",
)
_OTHER_SITE: Final = Failure(
    "Sent by another site",
    "Refused",
    "The form did not come from a page of this server, so nothing was done.",
    "Open the page at this server and send the form from there.",
)
_IN_ADDRESS: Final = Failure(
    "Not in an address",
    "Refused",
    "A patient, a hook call or a card is never asked for in an address, because logs and histories keep addresses.",
    "Open /decisions and type it into the form.",
)
_NO_COUNTS: Final = Failure(
    "The counts cannot be read", "Failed", "", "The file is var/monitor.sqlite3; delete it where it is broken."
)
_NO_PART: Final = Failure(
    "No such table", "Not found", "/ops has no table of this name.", "Each table of /ops has its own link to a CSV."
)
_NO_DECISION: Final = Failure(
    "No such decision",
    "Not found",
    "There is no decision of this id in the record. It may have been archived.",
    "Search for it at /decisions; “cds-hooks decisions show” says in which archive it is.",
)
_AWAY: Final = Failure(
    "The record cannot be read",
    "Failed",
    "The record of decisions does not answer at the moment. Nothing was changed.",
    "Try again in a minute; /readyz and the log say what is wrong.",
)
_OTHER_FORM: Final = Failure(
    "This decision cannot be shown",
    "Failed",
    "The decision is on record, but in a form that this version of the server does not read.",
    "“cds-hooks decisions show” prints what can be read of it.",
)


class Oversight:
    """The pages of one server; what only they need is imported when the first is opened."""

    def __init__(
        self,
        configured: Settings,
        services: Mapping[str, Service],
        visitors: OperatorAccess,
        governance: Governance,
        counted: MetricsFolder,
        sealed_at: Callable[[], float | None],
    ) -> None:
        self.configured = configured
        self._governance = governance
        self._metrics = counted
        self._sealed_at = sealed_at
        self._judged: Judged | None = None
        self.services = services
        self.visitors = visitors
        self.keeper = CountKeeper(configured.database_url, configured.counts_file)
        self.files = ModelFiles(configured.models_folder)
        clock = format_time(configured.as_of) if configured.as_of else ""
        development = configured.trust_file is None
        self.site = Site(development=development, alert_share=configured.share_of_all_models, clock=clock)
        # as the other pages, so that no hook call waits for one
        self._limiter = CapacityLimiter(_PAGES_AT_ONCE)
        self._replays = CapacityLimiter(1)

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/ops", self.operations),
            Route("/ops/{part}.csv", self.operations_csv),
            Route("/decisions", self.decisions, methods=["GET", "POST"]),
            Route("/decisions/{decision_id}", self.decision, methods=["GET", "POST"]),
        ]

    async def operations(self, request: Request) -> Response:
        """What goes on, for a span of days, a client or a service that the address names."""
        return self._refusal(request) or await self._in_thread(self._ops, request)

    async def operations_csv(self, request: Request) -> Response:
        """The rows of one part of that page."""
        return self._refusal(request) or await self._in_thread(self._ops, request, part=request.path_params["part"])

    def _ops(self, request: Request, *, part: str = "") -> Response:
        from cds_hooks.pages.operations.comparison import Judged
        from cds_hooks.pages.operations.parts import Around, all_parts, as_csv, ops_page, span_of

        self._judged = self._judged or Judged()
        counted, span = self.keeper.counted(), span_of(request.query_params)
        if counted.book is None:
            return self.failed(replace(_NO_COUNTS, what=counted.note), 503, "../" if part else "")
        budgets = self._governance.site.budgets
        around = Around(self.configured.database_url, self._metrics.page, budgets, self._sealed_at())
        parts = all_parts(counted.book, span, around, self._judged, None if part else _JUDGING_SECONDS)
        if not part:
            return page(ops_page(self.site, span, counted, parts, counted.book.names()))
        named = next((each for each in parts if each.id == part), None)
        if named is None:
            return self.failed(_NO_PART, 404, "../")
        headers = PAGE_HEADERS | {"content-disposition": f'attachment; filename="{named.id}.csv"'}
        return Response(as_csv(named), headers=headers, media_type="text/csv; charset=utf-8")

    async def decisions(self, request: Request) -> Response:
        """The list, as an address or the form asks for it."""
        refused = self._refusal(request)
        if refused is not None:
            return refused
        fields = await self._fields(request)
        return fields if isinstance(fields, Response) else await self._in_thread(self._list, request, fields)

    async def decision(self, request: Request) -> Response:
        """One decision; a form asks for its replay."""
        refused = self._refusal(request)
        if refused is not None:
            return refused
        if request.method != "POST":
            return await self._in_thread(self._one, request, is_replayed=False)
        fields = await self._fields(request)
        if isinstance(fields, Response):
            return fields
        return await self._in_thread(self._one, request, is_replayed=True, limiter=self._replays)

    def _list(self, request: Request, fields: _Fields) -> Response:
        from cds_hooks.pages.decisions.rendering import decisions_page
        from cds_hooks.pages.decisions.search import IN_ADDRESS, list_rows, read_asked

        if request.method != "POST" and set(fields) - set(IN_ADDRESS):
            return self.failed(_IN_ADDRESS, 400)
        asked = read_asked(fields)
        if asked.faults:
            return page(decisions_page(self.site, self.services, asked, None, None), 400)
        named = asked.get("card")
        if named:
            known = decision_of(named)
            if known is not None and get_decision(self.configured.database_url, known) is not None:
                return RedirectResponse(f"decisions/{known}", 303, PAGE_HEADERS)
            return page(decisions_page(self.site, self.services, asked, None, self.keeper.counted()), 404)
        counted = self.keeper.counted()
        found = list_rows(self.configured.database_url, asked, counted)
        return page(decisions_page(self.site, self.services, asked, found, counted))

    def _one(self, request: Request, *, is_replayed: bool) -> Response:
        from cds_hooks.pages.decisions.rendering import decision_page
        from cds_hooks.pages.decisions.replay import replay

        decision_id = decision_of(request.path_params["decision_id"])
        found = get_decision(self.configured.database_url, decision_id) if decision_id is not None else None
        if found is None:
            return self.failed(_NO_DECISION, 404, "../")
        again = replay(self.configured, found) if is_replayed else None
        url = self.configured.database_url
        return page(decision_page(self.site, url, self.services, self.files, found, again))

    def _refusal(self, request: Request) -> Response | None:
        """The answer to who may not open the page, and to a form of another site."""
        root = "../" if request.path_params else ""
        if not self.visitors.may_see_metrics(request):
            return self.failed(_OPERATOR_ONLY, 403, root)
        if request.method == "POST" and not came_from_this_site(request.headers):
            return self.failed(_OTHER_SITE, 403, root)
        return None

    async def _fields(self, request: Request) -> _Fields | Response:
        """The fields of the address or of the posted form; a page that says why they cannot be read."""
        if request.method != "POST":
            return dict(request.query_params)
        root = "../" if "decision_id" in request.path_params else ""
        try:
            body = await read_body(request, _FORM_BYTES, self.configured.body_seconds)
            return dict(parse_qsl(body.decode(), max_num_fields=50, errors="strict"))
        except HookError as error:
            return self.failed(_unusable(error.text), error.status, root)
        except ValueError:
            return self.failed(_unusable("It is not the form of this page in UTF-8."), 400, root)

    async def _in_thread(
        self, how: Callable[..., Response], *given: object, limiter: CapacityLimiter | None = None, **named: object
    ) -> Response:
        request = given[0]
        assert isinstance(request, Request)  # noqa: S101 - each page is made of its request
        root = "../" if request.path_params else ""
        try:
            return await to_thread.run_sync(lambda: how(*given, **named), limiter=limiter or self._limiter)
        except RecordUnavailable:
            log().error("record away", status=503)
            return self.failed(_AWAY, 503, root)
        except msgspec.MsgspecError as error:
            log().error("record in another form", status=500, error_type=type(error).__name__)
            return self.failed(_OTHER_FORM, 500, root)

    def failed(self, failure: Failure, status: int, root: str = "") -> Response:
        """The page of a refusal, with the id under which the log has it."""
        call_id = new_decision_id()
        log().info("call refused", status=status, reason=failure.title, decision=call_id)
        answer = page(failure_page(self.site, failure, call_id, root), status)
        answer.headers[CALL_ID.decode()] = call_id
        return answer


def _unusable(text: str) -> Failure:
    return Failure("The form cannot be read", "Refused", text, "Go back and send it again.")


def page(body: str, status: int = 200) -> Response:
    """A page; half a character of a recorded text, which no page can hold, is replaced."""
    return Response(body.encode("utf-8", "replace"), status, PAGE_HEADERS, media_type="text/html")
