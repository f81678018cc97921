"""The tester's page between two presses: the fields of its form, and what each button does with them.

Sends the calls of the tester's page; what is known of each exchange: cards, silences, stages.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Annotated, Any, Final

import httpx
import msgspec
import orjson
from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, Field, InstanceOf, StringConstraints
from pydantic_core import PydanticCustomError
from starlette.types import ASGIApp, Receive, Scope, Send

from cards.extension import EXTENSION_KEY
from cds_hooks.call.hold_back.reasons import NoCard, explain_no_card
from cds_hooks.call.protocol.body import is_nested_deeper
from cds_hooks.call.stages import SENT_AS_TRIAL
from cds_hooks.evidence.storage.sent import SentCard
from cds_hooks.people.pages.explain.explanation import SCOPE
from cds_hooks.people.pages.explain.recorded_decision import ReadableCard, readable_card
from cds_hooks.people.pages.tester.orders import Orderable, compose, follow, search_orderables
from cds_hooks.people.web.charts import stage_rows
from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError, Resource, chart_of, resources_of
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for, outcome_text
from fhir.record.refusals import WhyNot

_SECONDS: Final = 60.0
# The form carries the path back: it may lead to no other address.
_PATH: Final = re.compile(r"/cds-services/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}(?:/feedback)?")
_HEADERS: Final = {"content-type": "application/json", "accept": "application/json"}


class _Ours(Struct):
    """What this server says beyond the protocol."""

    decision: str = ""
    silence: list[WhyNot] = []
    timings: dict[str, float] = {}


class _Answered(Struct):
    """An answer with cards."""

    cards: list[SentCard]
    extension: dict[str, Any] = {}


class Exchanged(Struct):
    """One call and its answer, as the page carries it from form to form.

    `body` is the answer's text, `seconds` the time to its last byte; `status` is 0 and `failure` says why where no
    answer came. `outcomes` say by the card's position what was done with it.
    """

    service: str
    hook: str
    path: str
    patient: str
    status: int
    headers: dict[str, str]
    body: str
    seconds: float
    failure: str = ""
    outcomes: dict[int, str] = {}

    @property
    def document(self) -> Any:
        """The answer as JSON; None where it is none."""
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(self.body)
        return None

    @property
    def text(self) -> str:
        """The whole answer for reading."""
        return indented(self.document) if self.document else self.body

    @property
    def _answered(self) -> _Answered | None:
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(self.body, type=_Answered) if self.status == 200 else None
        return None

    @property
    def is_answered(self) -> bool:
        """Whether it is a 200 with a list of cards: only then is an empty list silence."""
        return self._answered is not None

    @property
    def cards(self) -> list[ReadableCard]:
        """The cards of the answer; none where it holds no list of cards."""
        answered = self._answered
        return [readable_card(card, lambda _: ()) for card in answered.cards] if answered is not None else []

    @property
    def ours(self) -> _Ours:
        """What this server says beyond the protocol; empty where it did not answer."""
        answered = self._answered
        return msgspec.convert((answered.extension if answered else {}).get(EXTENSION_KEY, {}), _Ours)

    @property
    def why_no_cards(self) -> str:
        """Why there is no answer with cards, as the server words it."""
        return self.failure or outcome_text(self.document)

    @property
    def scope(self) -> list[WhyNot]:
        """What was looked for."""
        return [silence for silence in self.ours.silence if silence.reason in SCOPE]

    @property
    def unsaid(self) -> list[WhyNot]:
        """What was looked at and not shown."""
        return [silence for silence in self.ours.silence if silence.reason not in SCOPE]

    @property
    def no_card(self) -> NoCard:
        """What an answer without a card means."""
        return explain_no_card(self.ours.silence)

    @property
    def stages(self) -> list[tuple[str, float, float]]:
        """The stages that the server measured, then the rest: recording the decision and the way there and back."""
        measured, total = self.ours.timings, self.seconds * 1000
        rest = "Write the answer, record the decision, and the way there and back" if measured else "The whole call"
        return stage_rows(measured | {rest: max(0.0, total - sum(measured.values()))})


async def post(app: ASGIApp, path: str, body: bytes, token: str = "") -> tuple[int, dict[str, str], str, float, str]:
    """Call this server in its own process.

    Returns:
        Status, headers, text of the body, seconds, and why there is no answer where there is none.
    """
    if not _PATH.fullmatch(path):
        return 0, {}, "", 0.0, "Not sent: this is not the path of a service"

    async def send_as_trial(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, SENT_AS_TRIAL: True}, receive, send)

    headers = _HEADERS | ({"authorization": f"Bearer {token}"} if token else {})
    transport = httpx.ASGITransport(app=send_as_trial, raise_app_exceptions=False)
    start = perf_counter()
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=_SECONDS) as client:
            answer = await client.post(path, content=body, headers=headers)
    except (httpx.HTTPError, ValueError) as error:  # such as a token with a character that no header takes
        return 0, {}, "", perf_counter() - start, f"No answer: {type(error).__name__}"
    return answer.status_code, dict(answer.headers), answer.text, perf_counter() - start, ""


Entry = dict[str, Any]
SAMPLE: Final = "sample:"
FILE: Final = "file"
_WITH_DRAFTS: Final = ("order-select", "order-sign")
_OF_DRAFTS: Final = ("add", "words", "ready", "remove")
_BAD: Final = (TypeError, AttributeError, LookupError)


class Carried(Struct):
    """What one form hands on to the next in a hidden field; `subject` is a digest of whom it is about."""

    drafts: list[Resource] = []
    exchange: Exchanged | None = None
    feedback: list[tuple[str, str, int | str]] = []
    """Path, body and status of each feedback that was sent, or why none came."""
    subject: str = ""


def _carried(text: object) -> Carried:
    try:
        return msgspec.json.decode(str(text), type=Carried)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise PydanticCustomError("carried", "the form is not one of this page; open /try again") from error


Typed = Annotated[str, StringConstraints(strip_whitespace=True)]


class Fields(BaseModel):
    """The fields of the form; at first the patient and the service of the order that the page opens with."""

    do: str = ""
    patient: str = f"{SAMPLE}ckd4-metformin"
    upload: str = ""
    """The Bundle or request that was opened, where `patient` is a file."""
    file: Typed = ""
    paste: Typed = ""
    call: str = "order-select/order-safety-select"
    """The hook and the service."""
    order: Typed = ""
    dose: Typed = ""
    ready: str = "metformin-ckd4-coded"
    request: str = ""
    token: Typed = ""
    """The client's token for the next call; it is never written into the page."""
    carried: Annotated[InstanceOf[Carried], BeforeValidator(_carried)] = Field(default_factory=Carried)

    @property
    def hook(self) -> str:
        """The hook that is chosen."""
        return self.call.partition("/")[0]

    @property
    def service(self) -> str:
        """The service that is chosen."""
        return self.call.partition("/")[2]


class UnusableForm(ValueError):
    """Nothing can be done with what the form holds; the message says what to do, `field` where on the page."""

    def __init__(self, message: str, field: str = "patient") -> None:
        super().__init__(message)
        self.field = field


@dataclass
class Bench:
    """The page of one form, and what a press of a button made of it.

    `entries` are what discovery lists; `app` gives the whole server, to which calls are sent in this process.
    """

    fields: Fields
    entries: list[Entry]
    now: Callable[[], datetime]
    app: Callable[[], ASGIApp]
    matches: list[Orderable] | None = None
    """What can be ordered by the name that was typed, where it is not one thing."""
    note: str = ""
    problem: UnusableForm | None = None
    """Why the press did nothing."""

    @property
    def carried(self) -> Carried:
        """What the form handed on."""
        return self.fields.carried

    async def press(self) -> None:
        """Do what the button says; what cannot be done is said in `problem`, and nothing is sent."""
        fields = self.fields
        if text := fields.file or fields.paste:
            fields.upload, fields.patient = text, FILE
        self._keep_to_patient()
        name, _, argument = fields.do.partition(":")
        buttons: dict[str, Callable[[], Awaitable[None]]] = {
            "build": self.build,
            "send": self._build_and_send,
            "resend": self._send,
            "open": self._open,
            "add": lambda: self._add(argument or fields.order),
            "words": lambda: self._add(fields.order, in_words=True),
            "ready": self._add_ready,
            "remove": lambda: self._remove(argument),
            "accept": lambda: self._answer(argument, is_accepted=True),
            "override": lambda: self._answer(argument, is_accepted=False),
        }
        try:
            if name in buttons:
                await buttons[name]()
        except UnusableForm as error:
            self.problem = error
        except ChartError as error:
            self.problem = UnusableForm(f"{str(error)[:1].upper()}{str(error)[1:].removesuffix('.')}.")

    @property
    def problem_at(self) -> str:
        """The part of the page to which the button led, where the problem is said."""
        name = self.fields.do.partition(":")[0]
        return "drafts" if name in _OF_DRAFTS else "request" if name == "build" else "answer"

    async def open_first(self) -> None:
        """Prepare the call that the page opens with: an order that a card answers. Nothing is sent or recorded."""
        await self._add_ready()
        self._keep_to_patient()
        with suppress(ChartError, UnusableForm):  # a site may serve no check of orders: then nothing is prepared
            await self.build()
        self.note = (
            "An order for an invented patient is prepared; nothing was sent. Choose another patient, hook or order, "
            "and send."
        )

    def _keep_to_patient(self) -> None:
        """Drop the drafts, the request and the answer of another patient than the one who is chosen now."""
        chosen = self.fields.upload if self.fields.patient == FILE else ""
        subject = hashlib.sha256(f"{self.fields.patient} {chosen}".encode("utf-8", "replace")).hexdigest()
        if self.carried.subject not in ("", subject):
            self.fields.carried, self.fields.request = Carried(), ""
            self.note = "Drafts and answers about the patient before were dropped."
        self.carried.subject = subject

    # Asking

    async def build(self) -> None:
        """Build the request of the service that is chosen."""
        fields = self.fields
        entry = next((entry for entry in self.entries if f"{entry['hook']}/{entry['id']}" == fields.call), None)
        if entry is None:
            raise UnusableForm(f"There is no service {fields.service} for {fields.hook} here; choose another one.")
        try:
            fields.request = await asyncio.to_thread(self._request, entry)
        except _BAD as error:
            raise UnusableForm("A part of the chart or of a draft is not valid FHIR.") from error
        self.carried.exchange, self.carried.feedback = None, []

    def _request(self, entry: Entry) -> str:
        chart = self.chart()
        drafts = drafts_for(chart, self.carried.drafts)
        if entry["hook"] in _WITH_DRAFTS and not drafts:
            raise UnusableForm(
                f"{entry['hook']} is about orders, and there is none yet. Add one under Draft orders, such as "
                "naproxen 500, or a ready-made draft.",
                "order",
            )
        return indented(build_request(entry, chart, drafts, True, self.now().date()))

    def chart(self) -> Chart:
        """Return the chart of the patient that is chosen.

        Raises:
            ChartError: the file holds no chart of one patient.
            UnusableForm: there is no such patient, or the file holds something else.
        """
        if self.fields.patient == FILE:
            if not self.fields.upload:
                raise UnusableForm("Choose a file with the patient's Bundle, or paste it, and open it.")
            try:
                return chart_of(object_in(self.fields.upload, "The file"), "The file")
            except _BAD as error:
                text = "The file must be a Bundle, a Patient or a CDS Hooks request in the published form."
                raise UnusableForm(text) from error
        sample = self.fields.patient.removeprefix(SAMPLE)
        if sample not in {sample.id for sample in list_samples()}:
            raise UnusableForm("No sample patient has this name; choose one from the list.")
        return Chart(resources_of(load_patient(sample, self.now())))

    async def _build_and_send(self) -> None:
        await self.build()
        await self._send()

    async def _send(self) -> None:
        """Send what stands in the field, as it stands there: broken JSON too, to see what a server says."""
        text = self.fields.request
        if not text.strip():
            raise UnusableForm("No request has been built yet; build one first.", "request")
        path = f"/cds-services/{self.fields.service}"
        answer = await post(self.app(), path, text.encode("utf-8", "replace"), self.fields.token)
        self.carried.exchange = Exchanged(self.fields.service, self.fields.hook, path, patient_of(text), *answer)
        self.carried.feedback = []

    async def _open(self) -> None:
        """Open a Bundle, a Patient or a CDS Hooks request, whose drafts come along."""
        if not (self.fields.file or self.fields.paste):
            raise UnusableForm("Choose a file, or paste its JSON, and open it then.")
        if drafts := self.chart().drafts:
            self.carried.drafts = drafts
            self._lead_to_orders()
        self.note = "The chart was read. Choose a hook and a service, and send the call."

    # Drafts

    async def _add(self, name: str, *, in_words: bool = False) -> None:
        if not name:
            raise UnusableForm("Write the name of a drug or a test.", "order")
        matches = [Orderable("MedicationRequest", name)] if in_words else []
        matches = matches or await asyncio.to_thread(search_orderables, name)
        if len(matches) != 1:
            self.matches = matches
            return
        self.carried.drafts.append(compose(matches[0], self.fields.dose, self.now().date()))
        self.fields.order = ""
        self._lead_to_orders()

    async def _add_ready(self) -> None:
        draft = self.fields.ready
        if draft not in {order.draft for sample in list_samples() for order in sample.orders}:
            raise UnusableForm("Choose one of the ready-made drafts.", "ready")
        self.carried.drafts += resources_of(load_draft(draft, self.now()))
        self._lead_to_orders()

    async def _remove(self, number: str) -> None:
        drafts = enumerate(self.carried.drafts)
        self.carried.drafts = [draft for position, draft in drafts if str(position) != number]

    def _lead_to_orders(self) -> None:
        """Drafts are for the hooks of orders: where another one is chosen, the check of orders at order-select."""
        listed = [entry["id"] for entry in self.entries if entry["hook"] == "order-select"]
        if self.fields.hook not in _WITH_DRAFTS and listed:
            checking = [service for service in listed if service.startswith("order-safety")]
            self.fields.call = f"order-select/{(checking or listed)[0]}"

    # Cards

    async def _answer(self, numbered: str, *, is_accepted: bool) -> None:
        """Take an answer: a suggestion (`card:suggestion`), a reason to override (`card:reason`), or none (`card`)."""
        at, _, choice = numbered.partition(":")
        exchange = self.carried.exchange
        try:
            if exchange is None:
                raise LookupError(at)
            card = exchange.cards[int(at)]
            if is_accepted:
                chosen = card.suggestions[int(choice)]
                did: dict[str, Any] = {"outcome": "accepted", "acceptedSuggestions": [{"id": chosen.uuid}]}
                sent = exchange.document["cards"][int(at)]["suggestions"][int(choice)]
                self.carried.drafts = follow(self.carried.drafts, sent.get("actions", []))
                self._lead_to_orders()
                words = f"Accepted {chosen.label}"
            else:
                did, words = {"outcome": "overridden"}, "Dismissed"
                if choice:
                    reason = card.override_reasons[int(choice)]
                    did["overrideReason"] = {"reason": msgspec.to_builtins(reason)}
                    words = f"Overridden {reason.display}"
        except (*_BAD, ValueError) as error:
            raise UnusableForm("This card is not on the page any more; send the call again.") from error
        exchange.outcomes[int(at)] = words
        item = {"card": card.uuid, "outcomeTimestamp": self.now().isoformat(timespec="seconds"), **did}
        path, body = f"/cds-services/{exchange.service}/feedback", {"feedback": [item]}
        status, *_, failure = await post(self.app(), path, orjson.dumps(body), self.fields.token)
        self.carried.feedback.append((path, indented(body), status or failure))


def object_in(text: str, what: str) -> dict[str, Any]:
    """Return the JSON object in a text.

    Raises:
        UnusableForm: it is no JSON object; the message says `what` it should be and where it is wrong.
    """
    try:
        document = msgspec.json.decode(text.lstrip("\ufeff"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnusableForm(f"{what} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise UnusableForm(f"{what} must be a JSON object.")
    if is_nested_deeper(document):
        raise UnusableForm(f"{what} is nested deeper than any FHIR resource.")
    return document


def patient_of(request: str) -> str:
    """Return the id of the patient whom a request names; "" where it names none."""
    with suppress(UnusableForm, *_BAD):
        return str(object_in(request, "The request")["context"]["patientId"])
    return ""


def indented(value: Any) -> str:
    """Return JSON for reading."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
