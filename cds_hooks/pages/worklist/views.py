"""The addresses of the worklist: the page, its CSV, and the form that takes a finding off or puts it back."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.forms import read_form
from cds_hooks.errors import HookError
from cds_hooks.logs import log
from cds_hooks.pages.answers import refused
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.worklist.acts import record_act
from cds_hooks.pages.worklist.record_reader import WorklistKeeper
from cds_hooks.pages.worklist.rows import Filter, make_lists, render_worklist, worklist_page_csv
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.settings import Settings
from cds_hooks.storage import RecordUnavailable, decision_of
from cds_hooks.web.site import HEADERS, Failure, Site
from cds_hooks.web.visiting import visiting

_PAGES_AT_ONCE: Final = 2
_OPERATOR_ONLY: Final = Failure(
    "Not for this address",
    "Refused",
    "The worklist names patients. Without CDS_LOGIN it is shown to the operator of this server only.",
    "Set CDS_LOGIN, so that clinicians can log in (docs/operations/access.md), or open it at CDS_OPERATOR_LISTEN.",
)
_AWAY: Final = Failure(
    "The record cannot be read or written",
    "Failed",
    "The record of decisions does not answer at the moment. Nothing was changed.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)
_DIGEST: Final = frozenset("0123456789abcdef")


class _Worklist:
    def __init__(self, configured: Settings, visitors: OperatorAccess, site: Site) -> None:
        self._url = configured.database_url
        self._as_of = configured.as_of
        self._visitors = visitors
        self._site = site
        self._keeper = WorklistKeeper(configured.database_url, self._now)
        self._files = ModelFiles(configured.models_folder)
        self._limiter = CapacityLimiter(_PAGES_AT_ONCE)

    def _now(self) -> datetime:
        return self._as_of or datetime.now(UTC)

    async def _answer(self, request: Request, how: Callable[[], Response]) -> Response:
        if not self._visitors.may_see_metrics(request):
            return refused(self._site, request, _OPERATOR_ONLY, 403)
        try:
            return await to_thread.run_sync(how, limiter=self._limiter)
        except RecordUnavailable:
            log().error("record away", status=503)
            return refused(self._site, request, _AWAY, 503)

    async def show(self, request: Request) -> Response:
        """The page."""
        return await self._answer(request, partial(self._page, request))

    def _page(self, request: Request) -> Response:
        wanted = Filter.of(request.query_params)
        progress, now = self._keeper.follow(), self._now()
        lists = make_lists(self._keeper, wanted, now.timestamp())
        did = request.query_params.get("did", "")
        body = render_worklist(self._site, lists, wanted, progress, now, did, self._title_of)
        return Response(body.encode("utf-8", "replace"), media_type="text/html", headers=HEADERS)

    def _title_of(self, model_id: str) -> str:
        manifest = self._files.manifest(model_id)
        return manifest.title if manifest is not None else model_id

    async def csv(self, request: Request) -> Response:
        """The whole list as a file."""
        return await self._answer(request, partial(self._file, request))

    def _file(self, request: Request) -> Response:
        self._keeper.follow()
        lists = make_lists(self._keeper, Filter.of(request.query_params), self._now().timestamp())
        name = {"content-disposition": 'attachment; filename="worklist.csv"'}
        return Response(worklist_page_csv(lists), headers=HEADERS | name, media_type="text/csv")

    async def act(self, request: Request) -> Response:
        """Takes a finding off the list, or puts it back."""
        if not self._visitors.may_see_metrics(request):
            return refused(self._site, request, _OPERATOR_ONLY, 403)
        try:
            fields = await read_form(request)
        except HookError as error:
            return refused(self._site, request, _unusable(error.text), error.status)
        return await self._answer(request, partial(self._acted, request, fields))

    def _acted(self, request: Request, fields: dict[str, str]) -> Response:
        visitor = visiting().visitor
        actor = visitor.actor if visitor is not None else "anyone" if self._site.development else "operator"
        decision, finding, days = (fields.get(name, "") for name in ("decision", "finding", "days"))
        try:
            known = decision_of(decision)
            if known is None or len(finding) != 16 or not _DIGEST.issuperset(finding):
                raise ValueError("The form names no finding of this list.")
            number = int(days) if days.isascii() and days.isdigit() and len(days) < 4 else 0
            record_act(self._url, actor, known, finding, fields.get("act", ""), self._now().timestamp(), number)
        except ValueError as error:
            return refused(self._site, request, _unusable(str(error)), 400)
        query = Filter.of(fields).query(did=finding)
        return Response(status_code=303, headers=HEADERS | {"location": f"worklist?{query}#list"})


def _unusable(text: str) -> Failure:
    return Failure("The form cannot be used", "Refused", text, "Nothing was changed. Open the worklist again.")


def worklist_routes(configured: Settings, visitors: OperatorAccess, site: Site) -> list[Route]:
    """The page of the worklist."""
    page = _Worklist(configured, visitors, site)
    return [
        Route("/worklist", page.show),
        Route("/worklist", page.act, methods=["POST"]),
        Route("/worklist/list.csv", page.csv),
    ]
