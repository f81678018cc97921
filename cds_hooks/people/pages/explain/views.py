"""Why a decision was as it was: its page, and the answers about a patient with the summary of the chart.

Who opens it is checked in two steps: by the gate, and, where the session is of one patient, by whose decision it is.
What a form holds is in the body and never in an address.

The form by which a clinician answers a card on the page of its decision, and the answer that was given.

The choices are the card's own: one for each suggestion, one for each reason to override, and "This is wrong". Text is
offered only where the record encrypts it.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from itertools import islice
from typing import Annotated, Any, Final

from fastapi import Depends
from msgspec import Struct
from pydantic import BaseModel
from starlette.responses import Response
from starlette.routing import Route

from cards.card import OVERRIDE_SYSTEM
from cds_hooks.call.routes.feedback import remember_answers
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import ANSWERED_ON_PAGE, Decision, FeedbackItem, decision_of, is_trial
from cds_hooks.evidence.storage.outcomes import Outcome, outcomes_of
from cds_hooks.evidence.storage.queries import (
    DecisionFilter,
    feedback_on,
    find_decisions,
    get_decision,
    store_feedback,
)
from cds_hooks.evidence.storage.sent import SentCard, read_response
from cds_hooks.people.access.roles import ANSWERERS
from cds_hooks.people.pages.decisions.views import Row, rows_of
from cds_hooks.people.pages.explain.explanation import Explanation, explain
from cds_hooks.people.pages.explain.recorded_decision import ReadableCard, read_basis
from cds_hooks.people.pages.explain.timeline import read_timeline
from cds_hooks.people.pages.model_files import evidence_of
from cds_hooks.people.pages.server import PageServer, posted
from cds_hooks.people.web.charts import stage_rows
from cds_hooks.people.web.numbers import format_seconds, format_time
from cds_hooks.people.web.site import HEADERS, Failure, PageRefusal
from cds_hooks.people.web.visitor import visiting

ANSWER_EVENT: Final = "card-answer"
"""The kind of the entries of the record that say who answered which card on its page; the answer itself is feedback."""

_ANSWERS: Final = 50
_MOST_BESIDE: Final = 21
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_NO_DECISION: Final = Failure(
    "No such page",
    "No decision with this number is on record here.",
    "Open the page from its card again. If the card is from another server or an older record, ask its operator.",
)
_OTHER_PATIENT: Final = Failure(
    "Of another patient",
    "This page is about another patient than the one whose chart is open, so nothing of it is shown.",
    "Open the app from the chart of that patient.",
)
_NOT_YOURS_TO_ANSWER: Final = Failure(
    "Not for your role",
    "Cards are answered by clinicians and pharmacists who are known here. Nothing was recorded.",
    "Answer the card in the chart, or log in with an account that has the role.",
)
_NO_CARD: Final = Failure(
    "No such card",
    "The form names no card of this decision. Nothing was recorded.",
    "Open the page again.",
)

_NO_SUMMARY: Final = Failure(
    "No summary here",
    "A summary is of the patient whose chart the EHR has open. No chart opened this page, or this site shows none.",
    "Open the app from the chart of the patient. The operator sets CDS_TEXT_FILE where the site wants summaries.",
)


class AnswerFields(BaseModel):
    """The form of the page: the answer to a card."""

    card: str
    answer: str = ""
    words: str = ""


class _Explaining:
    """The pages of single decisions."""

    def __init__(self, server: PageServer) -> None:
        settings = server.settings
        self._server = server
        self._url = settings.database_url
        self._may_write = settings.content_keys is not None

    def show(self, decision_id: str) -> Response:
        """Show why the decision was as it was."""
        return self._page(self._decision(decision_id))

    def _decision(self, text: str) -> Decision:
        """Return the decision of the address, if it is for who asks."""
        decision_id = decision_of(text) if _UUID.fullmatch(text) else None
        decision = get_decision(self._url, decision_id) if decision_id is not None else None
        if decision is None:
            raise PageRefusal(_NO_DECISION)
        visitor = visiting().visitor
        if visitor is not None and not visitor.may_see(decision.caller, decision.patient, decision.id):
            raise PageRefusal(_OTHER_PATIENT, 403)
        return decision

    def record_answer(self, decision_id: str, form: Annotated[AnswerFields, Depends(posted(AnswerFields))]) -> Response:
        """Record the answer to a card, once, and show the page again."""
        decision = self._decision(decision_id)
        if not self._may_answer():
            raise PageRefusal(_NOT_YOURS_TO_ANSWER, 403)
        cards = {card.uuid: card for card in self._explained(decision).cards if card.uuid}
        card = cards.get(form.card)
        if card is None:
            raise PageRefusal(_NO_CARD, 400)
        about, now = (decision.service, decision.client), int(self._server.now().timestamp() * 1e6)
        try:
            item = read_answer(card, form.answer, form.words, about, now, may_write=self._may_write)
        except AnswerRefused as refusal:
            return self._page(decision, (str(refusal), card.uuid))
        if all(answer.card != card.uuid for answer in feedback_on(self._url, decision.id)):
            self._store(decision, item)
        position = list(cards).index(card.uuid) + 1
        return Response(status_code=303, headers=HEADERS | {"location": f"{decision.id}#answer-{position}"})

    def _store(self, decision: Decision, item: FeedbackItem) -> None:
        """Store an answer and who gave it, unless the card has one, and let the next calls know."""
        visitor, components = visiting().visitor, self._server.components
        detail = {"decision": decision.id, "card": item.card, "answer": item.override_reason_code or item.outcome}
        event = (ANSWER_EVENT, visitor.actor if visitor is not None else "anyone", detail)
        new = store_feedback(parse_url(self._url), [item], only_first=True, event=event)
        remember_answers(self._url, new, components.restraint)
        for feedback in new if not is_trial(decision.client) else ():
            components.metrics.count("cds_feedback", decision.service, feedback.outcome)

    def _may_answer(self) -> bool:
        """Return whether who asks may answer cards: by their role, or anyone in the open development profile."""
        visitor = visiting().visitor
        if visitor is None:
            return self._server.site.development and not visiting().needs_login
        return not ANSWERERS.isdisjoint(visitor.roles)

    def _explained(self, decision: Decision) -> Explanation:
        server = self._server
        title = server.service_titles.get(decision.service, decision.service)
        acts_then = partial(server.components.releases.until, self._url, decision.decided_at / 1e6)
        return explain(decision, title, server.files.manifest, evidence_of, acts_then)

    def _recorded(self, decision: Decision, answers: "Iterable[CardAnswer]") -> dict[str, Any]:
        """Return what happened around a decision, and the other decisions of its hook call."""
        beside: tuple[Row, ...] = ()
        if decision.hook_instance:
            wanted = DecisionFilter(hook_instance=decision.hook_instance)
            same_call = islice(find_decisions(self._url, wanted, _MOST_BESIDE), _MOST_BESIDE)
            beside = rows_of(other for other in same_call if other.id != decision.id)
        basis = read_basis(decision)
        took = sum(basis.timings.values())
        keys_by_state: dict[str, list[str]] = {}
        for key, state in basis.prefetch.items():
            keys_by_state.setdefault(state["state"] if isinstance(state, dict) else state, []).append(key)
        return {
            "moments": timeline(decision, took, answers, outcomes_of(self._url, decision.id)),
            "stages": stage_rows(basis.timings),
            "took": took,
            "keys": keys_by_state,
            "config": basis.config,
            "trace": basis.trace.get("id", ""),
            "beside": beside,
        }

    def _page(self, decision: Decision, problem: tuple[str, str] = ("", "")) -> Response:
        explained, visitor = self._explained(decision), visiting().visitor
        answers = card_answers(decision, feedback_on(self._url, decision.id))
        reads_record = visiting().may_open("decisions") and (visitor is None or visitor.bound is None)
        return self._server.page(
            "explain/explanation.html",
            it=explained,
            timeline=read_timeline(self._url, decision, explained.cards, explained.inputs),
            record=self._recorded(decision, answers) if reads_record else None,
            answers=answer_forms(explained.cards, answers),
            may_write=self._may_write,
            may_answer=self._may_answer(),
            problem=problem[0],
            problem_of=problem[1],
        )

    def show_patient(self) -> Response:
        """Show the answers about the one patient of a session that an EHR opened."""
        visitor = visiting().visitor
        if visitor is None or visitor.bound is None:
            raise PageRefusal(_NO_DECISION)
        if visitor.bound.decision:
            return Response(status_code=303, headers=HEADERS | {"location": f"explain/{visitor.bound.decision}"})
        wanted = DecisionFilter(client=visitor.bound.client, patient=visitor.bound.patient)
        rows = rows_of(islice(find_decisions(self._url, wanted, _ANSWERS), _ANSWERS))
        return self._server.page("explain/patient.html", patient=visitor.bound.patient, rows=rows)

    def show_summary(self) -> Response:
        """Show what the chart of that patient says; the text part is imported by the first view."""
        settings, visitor = self._server.settings, visiting().visitor
        if settings.text_file is None or visitor is None or visitor.bound is None or visitor.bound.decision:
            raise PageRefusal(_NO_SUMMARY)
        served, bound = import_module("cds_hooks.add_ons.text.served"), visitor.bound
        resources, sent_at = served.recorded_chart(self._url, bound.client, bound.patient)
        summary, _ = served.shown_summary(settings, resources, visitor.actor, bound.client, bound.patient)
        sent = format_time(sent_at) if sent_at is not None else ""
        return self._server.page("explain/summary.html", patient=bound.patient, summary=summary, sent=sent)


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of these pages."""
    page = _Explaining(server)
    return [
        server.route("/explain", page.show_patient),
        server.route("/summary", page.show_summary),
        server.route("/explain/{decision_id}", page.show),
        server.route("/explain/{decision_id}", page.record_answer, ["POST"]),
    ]


# What happened around one decision, in the order of time: the call, the answers to its cards, reported outcomes


class CardAnswer(Struct, frozen=True):
    """An answer: to which card, given when (microseconds since 1970-01-01 UTC), in one sentence and in own words."""

    card: str
    summary: str
    at: int
    sentence: str
    comment: str


def card_answers(decision: Decision, items: Iterable[FeedbackItem]) -> list[CardAnswer]:
    """Return the feedback on the cards of a decision in words; cards and suggestions are told apart by uuid alone."""
    cards = {card.uuid: card for card in read_response(decision.response).cards}
    return [_card_answer(item, cards.get(item.card)) for item in items]


def _card_answer(item: FeedbackItem, card: SentCard | None) -> CardAnswer:
    labels = {suggestion.uuid: suggestion.label for suggestion in card.suggestions} if card is not None else {}
    followed, how = "Not followed", item.override_reason_display or item.override_reason_code or ""
    if item.outcome == "accepted":
        chosen = item.accepted_suggestions
        followed = "Followed"
        how = "; ".join(labels.get(uuid, f"suggestion {uuid}, which the card did not offer") for uuid in chosen)
    sentence = f"{followed}{f' ({how})' if how else ''} on {item.outcome_timestamp[:10]}"
    summary = card.summary if card is not None else f"Card {item.card}, which this answer did not have"
    return CardAnswer(item.card, summary, item.received_at, sentence, item.user_comment or "")


def timeline(
    decision: Decision, took: float, answers: Iterable[CardAnswer], outcomes: Sequence[Outcome]
) -> list[tuple[str, str]]:
    """Return each time with what happened; the call `took` so many milliseconds."""
    call = (int(decision.decided_at - took * 1000), _call(decision))
    moments = sorted([call, *map(_answered, answers), *map(_reported, outcomes)])
    return [(format_seconds(at), sentence) for at, sentence in moments]


def _call(decision: Decision) -> str:
    hook = decision.hook or "a hook that was not read"
    who = f"{decision.client} called {hook}"
    if is_trial(decision.client):
        who = f"{decision.caller} tried {hook}, from /try or with a sample patient; a trial counts nowhere"
    shown_to = decision.user_id or "no user named, or users are not recorded here"
    return (
        f"{who}. Service {decision.service}, hook instance {decision.hook_instance or 'not recorded'}, for: {shown_to}"
    )


def _answered(answer: CardAnswer) -> tuple[int, str]:
    comment = f". In their own words: {answer.comment}" if answer.comment else ""
    return answer.at, f"{answer.summary}: {answer.sentence}{comment}"


def _reported(item: Outcome) -> tuple[int, str]:
    """Return what happened to patient or order as the client reported it; each correction is a version of its own."""
    happened = f", which happened {item.happened}" if item.happened else ""
    version = f", version {item.version}: a correction" if item.version > 1 else ""
    subject = f"{item.kind} {item.subject}".rstrip()
    return item.received_at, f"Outcome reported: {subject} is {item.value}{happened} (source: {item.source}{version})"


MOST_WORDS: Final = 500
"""The longest text, in characters."""
WRONG: Final = "wrong"


class AnswerForm(Struct, frozen=True):
    """What is offered for one card, its answers by their values, or, in `given`, the answer that it has."""

    number: int
    choices: dict[str, str]
    given: str = ""


class AnswerRefused(Exception):
    """The form cannot be taken; the message is a sentence."""


def answer_forms(cards: Iterable[ReadableCard], answers: Sequence[CardAnswer]) -> dict[str, AnswerForm]:
    """Return the form of each card that has a uuid, by the uuid; of several answers to a card the first is shown."""
    given = {answer.card: answer.sentence for answer in reversed(answers)}
    return {
        card.uuid: AnswerForm(
            number, {value: words for value, (words, _) in _choices(card).items()}, given.get(card.uuid, "")
        )
        for number, card in enumerate(cards, 1)
        if card.uuid
    }


def read_answer(
    card: ReadableCard, chosen: str, written: str, about: tuple[str, str], received_at: int, *, may_write: bool
) -> FeedbackItem:
    """Return the answer that the form holds; `about` are service and client, `received_at` microseconds since 1970.

    Raises:
        AnswerRefused: No answer was chosen, or the text is too long or belongs to no answer.
    """
    text, choices = " ".join(written.split()), _choices(card)
    if text and (chosen != WRONG or not may_write):
        raise AnswerRefused("Write a text only with “This is wrong”.")
    if len(text) > MOST_WORDS:
        raise AnswerRefused(f"The text has {len(text)} characters; {MOST_WORDS} can be kept.")
    if chosen not in choices:
        raise AnswerRefused("Choose one of the answers.")
    at = datetime.fromtimestamp(received_at / 1e6, UTC).isoformat().replace("+00:00", "Z")
    fields = {"outcome": "overridden", "user_comment": text or None} | choices[chosen][1]
    return FeedbackItem(card.uuid, *about, outcome_timestamp=at, received_at=received_at, **fields)


def _choices(card: ReadableCard) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return by its value each answer that a card offers: its words, and the members of the feedback that it makes."""
    followed = {
        f"s{number}": (
            f"Followed: {suggestion.label}",
            {"outcome": "accepted", "accepted_suggestions": (suggestion.uuid,)} | _reason(None, None),
        )
        for number, suggestion in enumerate(card.suggestions)
        if suggestion.uuid
    }
    not_followed = {
        f"r{number}": (
            f"Not followed: {reason.display}", _reason(reason.code or reason.display, reason.display, reason.system)
        )
        for number, reason in enumerate(card.override_reasons)
    }  # fmt: skip
    return followed | not_followed | {WRONG: ("This is wrong", _reason("this-is-wrong", "This is wrong"))}


def _reason(code: str | None, display: str | None, system: str | None = None) -> dict[str, Any]:
    system = f"{system or OVERRIDE_SYSTEM}{ANSWERED_ON_PAGE}"
    return {"override_reason_code": code, "override_reason_system": system, "override_reason_display": display}
