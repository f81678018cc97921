"""The worklist: the page, its CSV, and the form that takes a finding off or puts it back."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.server import PageServer
from cds_hooks.pages.worklist.acts import SNOOZE_DAYS, record_act
from cds_hooks.pages.worklist.record_reader import WorklistKeeper
from cds_hooks.pages.worklist.rows import ROWS_ON_A_PAGE, Filter, file_lines, make_lists
from cds_hooks.storage import decision_of
from cds_hooks.web.files import csv_download
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import HEADERS, Failure, Refusal

_DIGEST: Final = frozenset("0123456789abcdef")


class _Worklist:
    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._keeper = WorklistKeeper(server.follower, server.now)

    def show(self, request: Request) -> Response:
        """Show the page; `did` is the digest of the finding about which something was just done."""
        wanted, did = Filter.of(request.query_params), request.query_params.get("did", "")
        note, now = self._server.counts.counted().note, self._server.now()
        lists = make_lists(self._keeper, wanted, now.timestamp())
        start = min(wanted.start, max(0, len(lists.waiting) - 1) // ROWS_ON_A_PAGE * ROWS_ON_A_PAGE)
        return self._server.page(
            "worklist/worklist.html",
            lists=lists,
            shown=lists.waiting[start : start + ROWS_ON_A_PAGE],
            start=start,
            step=ROWS_ON_A_PAGE,
            wanted=wanted,
            note=note,
            now=format_time(now),
            snoozes=SNOOZE_DAYS,
            did=lists.finding(did) if did else None,
            title_of=self._model_title,
        )

    def _model_title(self, model_id: str) -> str:
        manifest = self._server.files.manifest(model_id)
        return manifest.title if manifest is not None else model_id

    def csv(self, request: Request) -> Response:
        """Send the whole list as a file."""
        self._server.counts.counted()
        lists = make_lists(self._keeper, Filter.of(request.query_params), self._server.now().timestamp())
        return csv_download("worklist", file_lines(lists))

    def act(self, request: Request) -> Response:
        """Take a finding off the list, or put it back."""
        fields = request.state.form
        decision, finding, days = (fields.get(name, "") for name in ("decision", "finding", "days"))
        try:
            decision_id = decision_of(decision)
            if decision_id is None or len(finding) != 16 or not _DIGEST.issuperset(finding):
                raise ValueError("The form names no finding of this list.")
            number = int(days) if days.isascii() and days.isdigit() and len(days) < 4 else 0
            url, moment = self._server.settings.database_url, self._server.now().timestamp()
            record_act(url, self._server.actor, decision_id, finding, fields.get("act", ""), moment, number)
        except ValueError as error:
            text = "Nothing was changed. Open the worklist again."
            raise Refusal(Failure("The form cannot be used", "Refused", str(error), text), 400) from error
        query = Filter.of(fields).query(did=finding)
        return Response(status_code=303, headers=HEADERS | {"location": f"worklist?{query}#list"})


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the worklist."""
    page = _Worklist(server)
    return [
        server.route("/worklist", page.show),
        server.route("/worklist", page.act, ["POST"]),
        server.route("/worklist/list.csv", page.csv),
    ]
