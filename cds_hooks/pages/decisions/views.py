"""The search in the record, and what happened around one decision, with its replay where a form asks for it."""

from functools import partial
from itertools import islice
from typing import Final

from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cds_hooks.decision_history import decision_history
from cds_hooks.pages.count_keeper import Counted
from cds_hooks.pages.decisions.replay import replay
from cds_hooks.pages.decisions.search import (
    CHOICES,
    IN_ADDRESS,
    MOST_IN_FILE,
    SEARCHES,
    Asked,
    Listing,
    Row,
    file_rows,
    list_rows,
    read_asked,
    rows_of,
)
from cds_hooks.pages.decisions.timeline import timeline
from cds_hooks.pages.explain.explanation import explain
from cds_hooks.pages.model_files import evidence_of
from cds_hooks.pages.server import PageServer
from cds_hooks.storage.decision import Decision, decision_of
from cds_hooks.storage.outcomes import outcomes_of
from cds_hooks.storage.queries import DecisionFilter, feedback_on, find_places, get_decision
from cds_hooks.web.files import csv_download
from cds_hooks.web.site import HEADERS, Failure, Refusal

_MOST_BESIDE: Final = 21
_IN_ADDRESS: Final = Failure(
    "Not in an address",
    "Refused",
    "A patient, a hook call or a card is never asked for in an address, because logs and histories keep addresses.",
    "Open /decisions and type it into the form.",
)
_NO_DECISION: Final = Failure(
    "No such decision",
    "Not found",
    "There is no decision of this id in the record. It may have been taken out by a retention run.",
    "Search for it at /decisions.",
)


class _Decisions:
    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._url = server.settings.database_url

    def search(self, request: Request) -> Response:
        """Show the decisions that the address or the form asks for."""
        if request.method == "POST":
            fields = request.state.form
        else:
            fields = dict(request.query_params)
            if set(fields) - set(IN_ADDRESS):
                raise Refusal(_IN_ADDRESS, 400)
        form = read_asked(fields)
        if form.faults:
            return self._listed(form, None, None, 400)
        if request.method == "POST" and form.address and not fields.get("file") and not form.get("before"):
            return RedirectResponse(f"decisions?{form.address}#found", 303, HEADERS)
        card, counted = form.get("card"), self._server.counts.counted()
        if card:
            decision_id = decision_of(card)
            if decision_id is not None and get_decision(self._url, decision_id) is not None:
                return RedirectResponse(f"decisions/{decision_id}", 303, HEADERS)
            return self._listed(form, None, counted, 404)
        if fields.get("file"):
            rows = list_rows(self._url, form, counted, MOST_IN_FILE)
            return csv_download("decisions", file_rows(rows, partial(feedback_on, self._url)))
        return self._listed(form, list_rows(self._url, form, counted), counted)

    def _listed(self, form: Asked, listing: Listing | None, counted: Counted | None, status: int = 200) -> Response:
        return self._server.page(
            "decisions/decisions.html",
            status=status,
            asked=form,
            found=listing,
            counted=counted,
            services=sorted(self._server.services),
            choices=CHOICES,
            searches=SEARCHES,
            most_in_file=MOST_IN_FILE,
        )

    def show(self, request: Request) -> Response:
        """Show one decision: what happened, what it rests on, what was not shown, and a replay that a form asks for."""
        decision_id = decision_of(request.path_params["decision_id"])
        decision = get_decision(self._url, decision_id) if decision_id is not None else None
        if decision is None:
            raise Refusal(_NO_DECISION)
        title = self._server.service_titles.get(decision.service, decision.service)
        acts_then = partial(self._server.components.releases.until, self._url, decision.decided_at / 1e6)
        history = decision_history(decision, feedback_on(self._url, decision.id), acts_then)
        return self._server.page(
            "decisions/decision.html",
            it=explain(decision, title, self._server.files.manifest, evidence_of, history),
            time=timeline(self._url, decision, history, outcomes_of(self._url, decision.id)),
            beside=self._beside(decision),
            replay=replay(self._server.settings, decision) if request.method == "POST" else None,
        )

    def _beside(self, decision: Decision) -> tuple[Row, ...]:
        """Return the other decisions of the same call of a hook."""
        if not decision.hook_instance:
            return ()
        wanted = DecisionFilter(hook_instance=decision.hook_instance)
        places = islice(find_places(self._url, wanted, None, _MOST_BESIDE), _MOST_BESIDE)
        return rows_of(entry for entry in places if entry.decision.id != decision.id)


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of these pages."""
    pages = _Decisions(server)
    return [
        server.route("/decisions", pages.search, ["GET", "POST"]),
        server.route("/decisions/{decision_id}", pages.show),
        server.route("/decisions/{decision_id}", pages.show, ["POST"], limiter=CapacityLimiter(1)),
    ]
