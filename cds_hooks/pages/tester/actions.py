"""What each button of the tester's page does."""

import asyncio
import hashlib
import shlex
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from starlette.types import ASGIApp

from cds_hooks.kit.samples import list_samples, load_draft, load_patient
from cds_hooks.kit.simulator.chart import Chart, ChartError, Resource, chart_of, resources_of
from cds_hooks.kit.simulator.fixture import MEMBER, Fixture, cards_of, fixture_of, write_fixture
from cds_hooks.kit.simulator.request import build_request, drafts_for, with_fhir_server
from cds_hooks.pages.tester.cards import Choice, DrawnCard, draw
from cds_hooks.pages.tester.exchange import Caller, Exchanged, Outcome, Sent
from cds_hooks.pages.tester.feedback import accepted_feedback, apply_actions, next_request, override_feedback
from cds_hooks.pages.tester.orders import Catalogue, Orderable, UnusableOrder, compose
from cds_hooks.pages.tester.state import (
    ALL,
    FHIR,
    FILE,
    FIRST_DRAFT,
    SAMPLE,
    WORST_FIRST,
    Bench,
    FormSeal,
    Problem,
    UnusableForm,
    object_in,
)
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.web.forms import Form

Entry = dict[str, Any]
_WITH_DRAFTS: Final = ("order-select", "order-sign")
_LEADS_TO: Final = {
    **dict.fromkeys(("add", "words", "ready", "remove"), "drafts"),
    **dict.fromkeys(("build", "curl", "save"), "request"),
    "open": "top",
}
"""The part of the page to which a button leads, where that is not the answer (`formaction` in the template)."""
_BAD: Final = (TypeError, AttributeError, LookupError)


class Tester:
    """The buttons, with what they need of this server."""

    def __init__(self, configured: Settings, services: dict[str, Service], app: Callable[[], ASGIApp]) -> None:
        """`app` gives the whole server, to which calls are sent in this process."""
        self.catalogue = Catalogue()
        self.servers: Final = configured.tester_servers
        self._configured = configured
        self._services = services
        self._app = app
        self.seal: Final = FormSeal(configured)

    def now(self) -> datetime:
        """Return the clock that calls are answered by."""
        return self._configured.as_of or datetime.now(UTC)

    async def entries(self, server: str) -> list[Entry]:
        """Return what discovery lists, here or at another server of the setting."""
        if server in self.servers:
            return await self._caller(server).discovery()
        return [entry for service in self._services.values() for entry in service.discovery()]

    async def press(self, bench: Bench, do: str, form: Form) -> bytes | None:
        """Does what the button says, and gives the file back where it saves one.

        What cannot be done is said in `bench.problem`, and nothing is sent.
        """
        if bench.server not in self.servers:
            bench.server = ""
        bench.keep_to_patient()
        name, _, argument = do.partition(":")
        buttons: dict[str, Callable[[], Awaitable[bytes | None]]] = {
            "build": lambda: self._ask(bench, form, sends=False),
            "send": lambda: self._ask(bench, form, sends=True),
            "all": lambda: self._ask(bench, form, sends=True, every=True),
            "resend": lambda: self._resend(bench),
            "sign": lambda: self._sign(bench, form),
            "open": lambda: self._open(bench, form),
            "add": lambda: self._add(bench),
            "named": lambda: self._add_named(bench, argument),
            "order": lambda: self._order(bench, argument),
            "choose": lambda: self._choose(bench),
            "words": lambda: self._add(bench, in_words=True),
            "ready": lambda: self._add_ready(bench, form.get("ready", "")),
            "remove": lambda: self._remove(bench, argument),
            "accept": lambda: self._accept(bench, argument),
            "override": lambda: self._override(bench, argument, form),
            "dismiss": lambda: self._override(bench, argument, {}),
            "curl": lambda: self._curl(bench),
            "save": lambda: self._save(bench),
        }
        saved = None
        try:
            if name in buttons:
                saved = await buttons[name]()
        except (ChartError, UnusableForm) as error:
            bench.problem = Problem("request" if name == "resend" else "patient", f"{_sentence(str(error))}")
        except UnusableOrder as error:
            bench.problem = Problem(error.field, str(error))
        if bench.problem is not None:
            bench.problem = bench.problem._replace(at=_LEADS_TO.get(name, "answer"))
        return saved

    # Asking

    async def _ask(self, bench: Bench, form: Form, *, sends: bool, every: bool = False) -> None:
        self._take_file(bench, form)
        listed = await self.entries(bench.server)
        wanted = [
            entry for entry in listed if entry["hook"] == bench.hook and (every or bench.chosen in (ALL, entry["id"]))
        ]
        if not wanted:
            raise ChartError(f"there is no service {bench.chosen} for {bench.hook} at this server; choose another one")
        try:
            built = await asyncio.to_thread(self._build, bench, wanted)
        except _BAD as error:
            raise ChartError("a part of the chart or of a draft is not of the form that FHIR gives it") from error
        bench.forget_answers()
        if len(built) == 1:
            (bench.service, bench.request) = built[0]
        else:
            bench.service, bench.request, bench.requests = "", "", built
        if sends:
            bench.carried.exchanges = list(
                await asyncio.gather(
                    *(self._send(bench, entry, text) for entry, (_, text) in zip(wanted, built, strict=True))
                )
            )
            bench.carried.answered = _digest(bench.request)

    def _build(self, bench: Bench, entries: Sequence[Entry]) -> list[tuple[str, str]]:
        chart = self.chart(bench)
        drafts = drafts_for(chart, bench.carried.drafts)
        if bench.hook in _WITH_DRAFTS and not drafts:
            raise UnusableOrder(
                f"{bench.hook} is about orders, and there is none yet. Add one under Draft orders, such as naproxen "
                "500, or a ready-made draft."
            )
        today, asks_timings = self.now().date(), not bench.server
        built = []
        for entry in entries:
            request = build_request(entry, chart, drafts, asks_timings, today)
            if bench.patient == FHIR:
                request = with_fhir_server(request, bench.fhir_server, bench.fhir_token or None, ())
            built.append((entry["id"], _pretty(request)))
        return built

    def chart(self, bench: Bench) -> Chart:
        """Return the chart of the patient that is chosen.

        Raises:
            ChartError: there is none, or the file holds something else.
        """
        if bench.patient == FHIR:
            if not bench.fhir_server or not bench.fhir_patient:
                raise ChartError("give the address of the FHIR server and the patient's id there")
            return Chart([{"resourceType": "Patient", "id": bench.fhir_patient}])
        if bench.patient == FILE:
            if not bench.upload:
                raise ChartError("choose a file with the patient's Bundle, or paste it, and open it")
            try:
                return chart_of(object_in(bench.upload, "The file"), "The file")
            except _BAD as error:
                raise ChartError("the file is no Bundle, Patient or CDS Hooks request of the published form") from error
        sample = bench.patient.removeprefix(SAMPLE)
        if sample not in {sample.id for sample in list_samples()}:
            raise ChartError("there is no such sample patient; choose one of the list")
        return Chart(resources_of(load_patient(sample, self.now())))

    async def _send(self, bench: Bench, entry: Entry, text: str) -> Exchanged:
        path = f"/cds-services/{entry['id']}"
        answer = await self._caller(bench.server).post(path, text.encode(), bench.token)
        return Exchanged(entry["id"], entry["hook"], path, _patient_of(text), *answer)

    async def _resend(self, bench: Bench) -> None:
        """What stands in the field, as it stands there: broken JSON too, to see what a server says."""
        if not bench.service or not bench.request.strip():
            raise UnusableForm("There is no request yet; build one first.")
        bench.forget_answers()
        sent = await self._send(bench, {"id": bench.service, "hook": bench.hook}, bench.request)
        bench.carried.exchanges = [sent]
        bench.carried.answered = _digest(bench.request)

    async def _sign(self, bench: Bench, form: Form) -> None:
        """The call at the signing of what was accepted."""
        listed = [entry for entry in await self.entries(bench.server) if entry["hook"] == "order-sign"]
        if not listed:
            raise ChartError("this server has no service for order-sign")
        bench.call = f"order-sign/{listed[0]['id']}"
        await self._ask(bench, form, sends=True)

    def _caller(self, server: str) -> Caller:
        return Caller(self._app(), server)

    # Files

    def _take_file(self, bench: Bench, form: Form) -> bool:
        text = form.get("file", "").strip() or form.get("paste", "").strip()
        if text:
            bench.upload, bench.patient = text, FILE
            bench.keep_to_patient()
        return bool(text)

    async def _open(self, bench: Bench, form: Form) -> None:
        """A Bundle, a CDS Hooks request or a saved call, whichever the file is."""
        if not self._take_file(bench, form):
            raise UnusableForm("Choose a file, or paste its JSON, and open it then.")
        document = object_in(bench.upload, "The file")
        try:
            if MEMBER in document:
                await self._open_call(bench, fixture_of(document, "The file"))
            elif "hook" in document:
                await self._open_call(bench, Fixture("", self.now(), document, 200, None))
            else:
                chart_of(document, "The file")
                bench.note = "The chart was read. Choose a hook and a service, and send the call."
        except _BAD as error:
            raise ChartError("the file is no Bundle, Patient or CDS Hooks request of the published form") from error

    async def _open_call(self, bench: Bench, saved: Fixture) -> None:
        chart_of(saved.request, "The file")
        call = saved.at(self.now())
        listed = [entry["id"] for entry in await self.entries(bench.server) if entry["hook"] == call.hook]
        if not listed:
            raise ChartError(f"this server has no service for {call.hook or 'this hook'}")
        bench.forget_answers()
        bench.service = call.service if call.service in listed else listed[0]
        bench.call = f"{call.hook}/{bench.service}"
        bench.request, bench.upload = _pretty(call.request), orjson.dumps(call.request).decode()
        bench.carried.subject = bench.subject
        bench.carried.drafts = resources_of((call.request.get("context") or {}).get("draftOrders") or {})
        bench.note = "The call was opened, and its dates were moved to today. Send it to see what is answered now."

    async def _save(self, bench: Bench) -> bytes | None:
        exchanges = bench.carried.exchanges
        if len(exchanges) != 1 or bench.carried.answered != _digest(bench.request):
            bench.problem = Problem(
                "request", "Send this request to one service first: what was answered is saved with it."
            )
            return None
        request, answer = object_in(bench.request, "The request"), exchanges[0]
        cards = cards_of(answer.document) if answer.status == 200 else None
        return write_fixture(Fixture(bench.service, self.now(), request, answer.status, cards))

    async def _curl(self, bench: Bench) -> None:
        if not bench.service or not bench.request.strip():
            raise UnusableForm("There is no request yet; build one first.")
        address = f"{bench.server or self._configured.public_url}/cds-services/{bench.service}"
        try:
            body = orjson.dumps(orjson.loads(bench.request)).decode()
        except orjson.JSONDecodeError:
            body = bench.request
        header = "-H 'Content-Type: application/json'"
        bench.curl = f"curl -sS -X POST {header} {shlex.quote(address)} -d {shlex.quote(body)}"

    # Drafts

    async def _add(self, bench: Bench, *, in_words: bool = False) -> None:
        if not bench.order:
            raise UnusableOrder("Write the name of a drug or a test.")
        what = self.catalogue.orderable(bench.order)
        if what is None and in_words:
            what = Orderable("MedicationRequest", bench.order, "", "")
        if what is None:
            bench.matches = await asyncio.to_thread(self.catalogue.search, bench.order)
            if len(bench.matches) != 1:
                return
            what, bench.matches = bench.matches[0], []
        bench.carried.drafts.append(compose(what, bench.dosing, self.now().date()))
        bench.order = ""
        await self._take_drafts(bench)

    async def _add_named(self, bench: Bench, name: str) -> None:
        """Adds one of the candidates that the search for a name gave."""
        bench.order = name
        await self._add(bench)

    async def open_first(self, bench: Bench) -> None:
        """Prepares the call that the page opens with: an order that a card answers. Nothing is sent or recorded."""
        await self._add_ready(bench, FIRST_DRAFT)
        bench.keep_to_patient()
        with suppress(ChartError):  # a site may serve no check of orders: then nothing is prepared
            await self._ask(bench, {}, sends=False)

    async def _choose(self, bench: Bench) -> None:
        """Shows another patient: `press` has dropped what was about the one before."""
        bench.note = ""

    async def _order(self, bench: Bench, order: str) -> None:
        bench.worst_first = order == WORST_FIRST

    async def _add_ready(self, bench: Bench, draft: str) -> None:
        if draft not in {order.draft for sample in list_samples() for order in sample.orders}:
            raise UnusableOrder("Choose one of the ready-made drafts.", "ready")
        bench.carried.drafts += resources_of(load_draft(draft, self.now()))
        await self._take_drafts(bench)

    async def _remove(self, bench: Bench, number: str) -> None:
        drafts = [draft for position, draft in enumerate(bench.carried.drafts) if str(position) != number]
        bench.carried.drafts = drafts

    async def _take_drafts(self, bench: Bench) -> None:
        """Drafts are for the hooks of orders: where another one is chosen, the check of orders at order-select.

        A server that has no such service gets its first one of that hook.
        """
        if bench.hook not in _WITH_DRAFTS:
            listed = [entry for entry in await self.entries(bench.server) if entry["hook"] == "order-select"]
            checking = [entry for entry in listed if entry["id"].startswith("order-safety")]
            bench.call = f"order-select/{(checking or listed)[0]['id']}" if listed else bench.call

    # Cards

    async def _accept(self, bench: Bench, position_on_page: str) -> None:
        exchanged, card, position, rest = self._card(bench, position_on_page)
        chosen = next((choice for number, choice in enumerate(card.choices) if [str(number)] == rest), None)
        if chosen is None:
            raise UnusableForm("There is no such suggestion on the card; send the call again.")
        exchanged.outcomes[position] = Outcome("accepted", chosen.label)
        try:
            self._follow(bench, chosen)
        except _BAD as error:
            raise UnusableForm("The request is not of the published form, so no draft can be changed in it.") from error
        if card.uuid and chosen.uuid:
            await self._feed_back(bench, exchanged, accepted_feedback(card.uuid, chosen.uuid, self.now()))
        else:
            bench.note = "No feedback is sent: the card has no uuid."

    def _follow(self, bench: Bench, chosen: Choice) -> None:
        """The drafts after the suggestion, and the request with them."""
        request = _object_or_none(bench.request)
        drafts: list[Resource] = bench.carried.drafts
        if request is not None and "draftOrders" in (request.get("context") or {}):
            drafts = resources_of(request["context"]["draftOrders"])
        bench.carried.drafts, changes = apply_actions(drafts, chosen.actions)
        bench.carried.changes += changes
        if request is not None:
            bench.request = _pretty(next_request(request, bench.carried.drafts))

    async def _override(self, bench: Bench, position_on_page: str, form: Form) -> None:
        exchanged, card, position, _ = self._card(bench, position_on_page)
        number = form.get(f"reason-{position_on_page.replace(':', '-')}", "")
        reason = next((card_reason for at, card_reason in enumerate(card.reasons) if str(at) == number), None)
        if form and card.reasons and reason is None:
            bench.problem = Problem("cards", "Choose a reason to override the card, or dismiss it without one.")
            return
        did, what = ("overridden", reason.words) if reason is not None else ("dismissed", "")
        exchanged.outcomes[position] = Outcome(did, what)
        if not card.uuid:
            bench.note = "No feedback is sent: the card has no uuid."
            return
        coding = reason.coding if reason is not None else None
        await self._feed_back(bench, exchanged, override_feedback(card.uuid, coding, "", self.now()))

    def _card(self, bench: Bench, position_on_page: str) -> tuple[Exchanged, DrawnCard, int, list[str]]:
        """Return the card at `exchange:card`, and the rest of the place."""
        numbers = position_on_page.split(":")
        try:
            exchanged = bench.carried.exchanges[int(numbers[0])]
            position = int(numbers[1])
            return exchanged, draw(exchanged.cards)[position], position, numbers[2:]
        except (LookupError, ValueError) as error:
            raise UnusableForm("There is no such card on the page; send the call again.") from error

    async def _feed_back(self, bench: Bench, exchanged: Exchanged, item: dict[str, Any]) -> None:
        path, body = f"/cds-services/{exchanged.service}/feedback", {"feedback": [item]}
        status, _, _, _, failure = await self._caller(bench.server).post(path, orjson.dumps(body), bench.token)
        bench.carried.feedback.append(Sent(path, body, status, failure))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _pretty(request: dict[str, Any]) -> str:
    return orjson.dumps(request, option=orjson.OPT_INDENT_2).decode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()


def _object_or_none(text: str) -> dict[str, Any] | None:
    try:
        return object_in(text, "The request")
    except UnusableForm:
        return None


def _patient_of(text: str) -> str:
    context = (_object_or_none(text) or {}).get("context")
    patient = context.get("patientId") if isinstance(context, dict) else None
    return patient if isinstance(patient, str) else ""
