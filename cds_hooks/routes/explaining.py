"""Why a decision was as it was: its page, the same with other values, and the list of the answers about a patient.

Who opens it is checked in two steps: by the gate or the rules of the operator, and, where the session is of one
patient, by whose decision it is. What a form holds is in the body and never in an address.
"""

import re
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Final

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.forms import read_form
from cds_hooks.errors import HookError
from cds_hooks.logs import log
from cds_hooks.routes.gate import SEEN, refused
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.routes.page_answers import failed, on_a_thread, page_answer
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.storage import Decision, RecordUnavailable, decision_of
from cds_hooks.storage.queries import DecisionFilter, find_decisions, get_decision
from cds_hooks.web.decision_page import Explanation, explain
from cds_hooks.web.model_files import ModelFiles, evidence_of
from cds_hooks.web.moves import EarlierEstimate, Move, earlier_estimates, missing_moves
from cds_hooks.web.pages import HEADERS, SCRIPT_HEADERS, Failure, Site, explanation_page, patient_page
from cds_hooks.web.recorded_decision import read_basis
from cds_hooks.web.visiting import visiting
from cds_hooks.web.what_if import ask, what_if

_ANSWERS: Final = 50
_EARLIER: Final = 12
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_NO_DECISION: Final = Failure(
    "No such page",
    "Not found",
    "There is no decision of this number on record here.",
    "Open the page from its card again. If the card is from another server or an older record, ask its operator.",
)
_OPERATOR_ONLY: Final = Failure(
    "Not for this address",
    "Refused",
    "Why a decision was as it was is shown to the operator of this server only.",
    "Ask the operator. The card in the chart says what it rests on.",
)
_OTHER_PATIENT: Final = Failure(
    "Of another patient",
    "Refused",
    "This page is about another patient than the one whose chart is open, so nothing of it is shown.",
    "Open the app from the chart of that patient.",
)
_NO_QUESTION: Final = Failure(
    "Nothing can be changed here",
    "Refused",
    "No input of this estimate is named by a source as one that can be changed, or its equation is another one now.",
    "Open the page again.",
)
_AWAY: Final = Failure(
    "The record cannot be read",
    "Failed",
    "The record of decisions does not answer at the moment. Nothing was changed.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)
_OTHER_FORM: Final = Failure(
    "This record cannot be shown",
    "Failed",
    "The decision is on record, but in a form that this version of the server does not read.",
    "Tell the operator of this server. The card in the chart is not affected.",
)


class Explaining:
    """The pages of single decisions; they run in worker threads, so that no hook call waits for one."""

    def __init__(
        self,
        configured: Settings,
        services: Mapping[str, Service],
        visitors: OperatorAccess,
        site: Site,
        files: ModelFiles,
        limiter: CapacityLimiter,
    ) -> None:
        self._url = configured.database_url
        self._of_site = {"calibration": configured.kfre_region}
        self._services = services
        self._visitors = visitors
        self._site = site
        self._files = files
        self._limiter = limiter

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/explain", on_a_thread(self._of_patient, self._limiter)),
            Route("/explain/{decision_id}", on_a_thread(self._show, self._limiter)),
            Route("/explain/{decision_id}", self._sent, methods=["POST"]),
        ]

    def _show(self, request: Request) -> Response:
        return self._read(request, None)

    async def _sent(self, request: Request) -> Response:
        """A form of the page: what the estimate would be with other values."""
        if not self._visitors.may_ask_why(request):
            return failed(self._site, _OPERATOR_ONLY, 403)
        try:
            fields = await read_form(request)
        except HookError as error:
            return refused(self._site, request, _unusable(error.text), error.status)
        return await to_thread.run_sync(partial(self._read, request, fields), limiter=self._limiter)

    def _read(self, request: Request, fields: Mapping[str, str] | None) -> Response:
        if not self._visitors.may_ask_why(request):
            return failed(self._site, _OPERATOR_ONLY, 403)
        try:
            found = self._decision(request.path_params["decision_id"])
            return self._page(request, found, fields) if isinstance(found, Decision) else found
        except RecordUnavailable:
            log().error("record away", status=503)
            return failed(self._site, _AWAY, 503)
        except msgspec.MsgspecError as error:
            log().error("record in another form", status=500, error_type=type(error).__name__)
            return failed(self._site, _OTHER_FORM, 500)

    def _decision(self, text: str) -> Decision | Response:
        """The decision of this id, if it is for who asks; the refusal otherwise."""
        known = decision_of(text) if _UUID.fullmatch(text) else None
        decision = get_decision(self._url, known) if known is not None else None
        if decision is None:
            return failed(self._site, _NO_DECISION)
        visitor = visiting().visitor
        if visitor is not None and not visitor.may_see(decision.client, decision.patient):
            return failed(self._site, _OTHER_PATIENT, 403)
        return decision

    def _page(self, request: Request, decision: Decision, fields: Mapping[str, str] | None) -> Response:
        question = what_if(read_basis(decision), self._of_site)
        if fields is not None:
            if question is None:
                return failed(self._site, _NO_QUESTION, 400)
            question = ask(question, fields)
            request.scope[SEEN] = "what-if"
        service = self._services.get(decision.service)
        title = service.title if service is not None else decision.service
        explained = explain(decision, title, self._files.manifest, evidence_of)
        moves, history = self._around(decision, explained)
        page = explanation_page(self._site, explained, moves, history, question)
        has_script = question is not None and bool(question.movable)
        return page_answer(page, headers=SCRIPT_HEADERS if has_script else HEADERS)

    def _around(self, decision: Decision, explained: Explanation) -> tuple[list[Move], list[EarlierEstimate]]:
        """How far missing inputs could move the estimate, and the estimates before it; empty without one."""
        estimate, model = explained.estimate, explained.model
        if estimate is None or model is None:
            return [], []
        loaded = self._files.model(model.id) if explained.manifest is not None and explained.gaps else None
        moves = missing_moves(loaded, read_basis(decision), estimate.scores) if loaded is not None else []
        wanted = DecisionFilter(
            service=decision.service, client=decision.client, patient=decision.patient, until=decision.decided_at
        )
        before = list(islice(find_decisions(self._url, wanted, _EARLIER), _EARLIER)) if decision.patient else []
        return moves, earlier_estimates(before, model.id)

    def _of_patient(self, _: Request) -> Response:
        """The answers about the one patient of a session that an EHR opened."""
        visitor = visiting().visitor
        if visitor is None or visitor.bound is None:
            return failed(self._site, _NO_DECISION)
        wanted = DecisionFilter(client=visitor.bound.client, patient=visitor.bound.patient)
        try:
            found = list(islice(find_decisions(self._url, wanted, _ANSWERS), _ANSWERS))
        except RecordUnavailable:
            log().error("record away", status=503)
            return failed(self._site, _AWAY, 503)
        titles = {name: service.title for name, service in self._services.items()}
        return page_answer(patient_page(self._site, visitor.bound.patient, found, titles))


def _unusable(text: str) -> Failure:
    return Failure("The form cannot be used", "Refused", text, "Nothing was changed. Open the page again.")
