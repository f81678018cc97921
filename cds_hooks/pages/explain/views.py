"""Why a decision was as it was: its page, the same with other values, and the list of the answers about a patient.

Who opens it is checked in two steps: by the gate or the rules of the operator, and, where the session is of one
patient, by whose decision it is. What a form holds is in the body and never in an address.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from time import time_ns
from typing import Final

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.forms import read_form
from cds_hooks.access.roles import ANSWERERS
from cds_hooks.answer.call import ServerComponents
from cds_hooks.errors import HookError
from cds_hooks.logs import log
from cds_hooks.pages.answers import failed, on_a_thread, page_answer, refused
from cds_hooks.pages.explain.card_answers import AnswerRefused, answer_forms, read_answer
from cds_hooks.pages.explain.explanation import Answering, Explanation, explain
from cds_hooks.pages.explain.missing_inputs import EarlierEstimate, Move, earlier_estimates, missing_moves
from cds_hooks.pages.explain.recorded_decision import read_basis
from cds_hooks.pages.explain.what_if import WhatIf, ask, what_if
from cds_hooks.pages.gate import SEEN
from cds_hooks.pages.model_files import ModelFiles, evidence_of
from cds_hooks.pages.models.rendering import explanation_page, patient_page
from cds_hooks.routes.feedback import remember_answers
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.storage import Decision, FeedbackItem, RecordUnavailable, decision_of
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.queries import DecisionFilter, feedback_on, find_decisions, get_decision, store_feedback
from cds_hooks.web.site import HEADERS, SCRIPT_HEADERS, Failure, Site
from cds_hooks.web.visiting import visiting

ANSWER_EVENT: Final = "card-answer"
"""The kind of the entries of the record that say who answered which card on its page; the answer itself is feedback."""

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
    "Open it from its card again, or ask the operator. The card in the chart says what it rests on.",
)
_OTHER_PATIENT: Final = Failure(
    "Of another patient",
    "Refused",
    "This page is about another patient than the one whose chart is open, so nothing of it is shown.",
    "Open the app from the chart of that patient.",
)
_NOT_YOURS_TO_ANSWER: Final = Failure(
    "Not for your role",
    "Refused",
    "Cards are answered by clinicians and pharmacists who are known here. Nothing was recorded.",
    "Answer the card in the chart, or log in with an account that has the role.",
)
_NO_CARD: Final = Failure(
    "No such card",
    "Refused",
    "The form names no card of this decision. Nothing was recorded.",
    "Open the page again.",
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
        components: ServerComponents,
        visitors: OperatorAccess,
        site: Site,
        files: ModelFiles,
        limiter: CapacityLimiter,
    ) -> None:
        self._url = configured.database_url
        self._components = components
        self._may_write = configured.content_keys is not None
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
        return self._read(request, lambda _, decision: self._page(decision, self._question(decision)))

    async def _sent(self, request: Request) -> Response:
        """A form of the page: what the estimate would be with other values, or the answer to a card."""
        if not self._visitors.may_ask_why(request):
            return failed(self._site, _OPERATOR_ONLY, 403)
        try:
            fields = await read_form(request)
        except HookError as error:
            return refused(self._site, request, _unusable(error.text), error.status)
        how = self._answered if fields.get("act") == "answer" else self._asked
        return await to_thread.run_sync(partial(self._read, request, partial(how, fields)), limiter=self._limiter)

    def _read(self, request: Request, how: Callable[[Request, Decision], Response]) -> Response:
        if not self._visitors.may_ask_why(request):
            return failed(self._site, _OPERATOR_ONLY, 403)
        try:
            found = self._decision(request.path_params["decision_id"])
            return how(request, found) if isinstance(found, Decision) else found
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
        if visitor is not None and not visitor.may_see(decision.client, decision.patient, decision.id):
            return failed(self._site, _OTHER_PATIENT, 403)
        return decision

    def _question(self, decision: Decision) -> WhatIf | None:
        return what_if(read_basis(decision), self._of_site)

    def _asked(self, fields: Mapping[str, str], request: Request, decision: Decision) -> Response:
        question = self._question(decision)
        if question is None:
            return failed(self._site, _NO_QUESTION, 400)
        request.scope[SEEN] = "what-if"
        return self._page(decision, ask(question, fields))

    def _answered(self, fields: Mapping[str, str], _: Request, decision: Decision) -> Response:
        """Records the answer to a card, once, and shows the page again."""
        if not self._may_answer():
            return failed(self._site, _NOT_YOURS_TO_ANSWER, 403)
        cards = {card.uuid: card for card in self._explained(decision).cards if card.uuid}
        card = cards.get(fields.get("card", ""))
        if card is None:
            return failed(self._site, _NO_CARD, 400)
        about, now = (decision.service, decision.client), self._now()
        try:
            item = read_answer(card, fields, about, now, may_write=self._may_write)
        except AnswerRefused as refusal:
            return self._page(decision, self._question(decision), (str(refusal), card.uuid))
        if all(answer.card != card.uuid for answer in feedback_on(self._url, decision.id)):
            self._keep(decision, item)
        place = list(cards).index(card.uuid) + 1
        return Response(status_code=303, headers=HEADERS | {"location": f"{decision.id}#answer-{place}"})

    def _keep(self, decision: Decision, item: FeedbackItem) -> None:
        """Stores an answer and who gave it, unless the card has one, and lets the next calls know."""
        visitor = visiting().visitor
        detail = {"decision": decision.id, "card": item.card, "answer": item.override_reason_code or item.outcome}
        event = (ANSWER_EVENT, visitor.actor if visitor is not None else "anyone", detail)
        new = store_feedback(parse_url(self._url), [item], only_first=True, event=event)
        remember_answers(self._url, new, self._components.governance)
        for one in new:
            self._components.metrics.feedback(decision.service, one.outcome)

    def _may_answer(self) -> bool:
        """Whether who asks may answer cards: a clinician or pharmacist, or anyone in the open development profile."""
        visitor = visiting().visitor
        if visitor is None:
            return self._site.development and not visiting().needs_login
        return not ANSWERERS.isdisjoint(visitor.roles)

    def _now(self) -> int:
        """Microseconds since 1970 by the clock that calls are answered by."""
        as_of = self._components.settings.as_of
        return time_ns() // 1000 if as_of is None else int(as_of.timestamp() * 1e6)

    def _explained(self, decision: Decision) -> Explanation:
        service = self._services.get(decision.service)
        title = service.title if service is not None else decision.service
        return explain(decision, title, self._files.manifest, evidence_of)

    def _page(self, decision: Decision, question: WhatIf | None, problem: tuple[str, str] = ("", "")) -> Response:
        explained = self._explained(decision)
        moves, history = self._around(decision, explained)
        visitor = visiting().visitor
        if visitor is not None and visitor.bound is not None and visitor.bound.decision:
            history = None  # the link is of this decision alone
        forms = answer_forms(explained.cards, feedback_on(self._url, decision.id), may_write=self._may_write)
        answering = Answering(forms, self._may_answer(), *problem)
        page = explanation_page(self._site, explained, moves, history, question, answering)
        has_script = question is not None and bool(question.movable)
        return page_answer(page, headers=SCRIPT_HEADERS if has_script else HEADERS)

    def _around(self, decision: Decision, explained: Explanation) -> tuple[list[Move], list[EarlierEstimate] | None]:
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
        if visitor.bound.decision:
            return Response(status_code=303, headers=HEADERS | {"location": f"explain/{visitor.bound.decision}"})
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
