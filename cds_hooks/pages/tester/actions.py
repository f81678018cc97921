"""What each button of the tester's page does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from starlette.types import ASGIApp

from cds_hooks.kit.samples import list_samples, load_draft, load_patient
from cds_hooks.kit.simulator.chart import Chart, ChartError, Resource, chart_of, resources_of
from cds_hooks.kit.simulator.request import build_request, drafts_for
from cds_hooks.pages.explain.recorded_decision import SentCard
from cds_hooks.pages.tester.exchange import Caller, Exchanged, Outcome, Sent
from cds_hooks.pages.tester.feedback import accepted_feedback, apply_actions, next_request, override_feedback
from cds_hooks.pages.tester.orders import Catalogue, Orderable, UnusableOrder, compose
from cds_hooks.pages.tester.state import ALL, FILE, FIRST_DRAFT, SAMPLE, Bench, Problem, UnusableForm, object_in
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.web.forms import Form

Entry = dict[str, Any]
_WITH_DRAFTS: Final = ("order-select", "order-sign")
_LEADS_TO: Final = {
    **dict.fromkeys(("add", "named", "words", "ready", "remove"), "drafts"),
    "build": "request",
    "open": "top",
}
"""The part of the page to which a button leads, where that is not the answer (`formaction` in the template)."""
_BAD: Final = (TypeError, AttributeError, LookupError)
_OTHER_FORM: Final = "the file is no Bundle, Patient or CDS Hooks request of the published form"


class Tester:
    """The buttons, with what they need of this server."""

    def __init__(self, configured: Settings, services: dict[str, Service], app: Callable[[], ASGIApp]) -> None:
        """`app` gives the whole server, to which calls are sent in this process."""
        self.catalogue = Catalogue()
        self._configured = configured
        self._services = services
        self._app = app

    def now(self) -> datetime:
        """Return the clock that calls are answered by."""
        return self._configured.as_of or datetime.now(UTC)

    def entries(self) -> list[Entry]:
        """Return what discovery lists."""
        return [entry for service in self._services.values() for entry in service.discovery()]

    async def press(self, bench: Bench, do: str, form: Form) -> None:
        """Do what the button says; what cannot be done is said in `bench.problem`, and nothing is sent."""
        bench.keep_to_patient()
        name, _, argument = do.partition(":")
        buttons: dict[str, Callable[[], Awaitable[None]]] = {
            "build": lambda: self._ask(bench, form, sends=False),
            "send": lambda: self._ask(bench, form, sends=True),
            "all": lambda: self._ask(bench, form, sends=True, every=True),
            "resend": lambda: self._resend(bench),
            "sign": lambda: self._sign(bench, form),
            "open": lambda: self._open(bench, form),
            "add": lambda: self._add(bench, bench.order),
            "named": lambda: self._add(bench, argument),
            "words": lambda: self._add(bench, bench.order, in_words=True),
            "ready": lambda: self._add_ready(bench, form.get("ready", "")),
            "remove": lambda: self._remove(bench, argument),
            "accept": lambda: self._accept(bench, argument),
            "override": lambda: self._override(bench, argument, form),
            "dismiss": lambda: self._override(bench, argument, {}),
        }
        try:
            if name in buttons:
                await buttons[name]()
        except (ChartError, UnusableForm) as error:
            bench.problem = Problem("request" if name == "resend" else "patient", _sentence(str(error)))
        except UnusableOrder as error:
            bench.problem = Problem(error.field, str(error))
        if bench.problem is not None:
            bench.problem = bench.problem._replace(at=_LEADS_TO.get(name, "answer"))

    async def open_first(self, bench: Bench) -> None:
        """Prepare the call that the page opens with: an order that a card answers. Nothing is sent or recorded."""
        await self._add_ready(bench, FIRST_DRAFT)
        bench.keep_to_patient()
        with suppress(ChartError):  # a site may serve no check of orders: then nothing is prepared
            await self._ask(bench, {}, sends=False)

    # Asking

    async def _ask(self, bench: Bench, form: Form, *, sends: bool, every: bool = False) -> None:
        self._take_file(bench, form)
        listed = (entry for entry in self.entries() if entry["hook"] == bench.hook)
        wanted = [entry for entry in listed if every or bench.chosen in (ALL, entry["id"])]
        if not wanted:
            raise ChartError(f"there is no service {bench.chosen} for {bench.hook} at this server; choose another one")
        try:
            built = await asyncio.to_thread(self._build, bench, wanted)
        except _BAD as error:
            raise ChartError("a part of the chart or of a draft is not of the form that FHIR gives it") from error
        bench.forget_answers()
        bench.service, bench.request = built[0] if len(built) == 1 else ("", "")
        bench.requests = built if len(built) > 1 else []
        if sends:
            calls = (self._send(bench, entry, text) for entry, (_, text) in zip(wanted, built, strict=True))
            bench.carried.exchanges = list(await asyncio.gather(*calls))

    def _build(self, bench: Bench, entries: Sequence[Entry]) -> list[tuple[str, str]]:
        chart = self.chart(bench)
        drafts = drafts_for(chart, bench.carried.drafts)
        if bench.hook in _WITH_DRAFTS and not drafts:
            raise UnusableOrder(
                f"{bench.hook} is about orders, and there is none yet. Add one under Draft orders, such as naproxen "
                "500, or a ready-made draft."
            )
        today = self.now().date()
        requests = ((entry, build_request(entry, chart, drafts, True, today)) for entry in entries)
        return [(entry["id"], _pretty(request)) for entry, request in requests]

    def chart(self, bench: Bench) -> Chart:
        """Return the chart of the patient that is chosen.

        Raises:
            ChartError: there is none, or the file holds something else.
        """
        if bench.patient == FILE:
            if not bench.upload:
                raise ChartError("choose a file with the patient's Bundle, or paste it, and open it")
            try:
                return chart_of(object_in(bench.upload, "The file"), "The file")
            except _BAD as error:
                raise ChartError(_OTHER_FORM) from error
        sample = bench.patient.removeprefix(SAMPLE)
        if sample not in {sample.id for sample in list_samples()}:
            raise ChartError("there is no such sample patient; choose one of the list")
        return Chart(resources_of(load_patient(sample, self.now())))

    async def _send(self, bench: Bench, entry: Entry, text: str) -> Exchanged:
        path = f"/cds-services/{entry['id']}"
        answer = await Caller(self._app()).post(path, text.encode(), bench.token)
        return Exchanged(entry["id"], entry["hook"], path, _patient_of(text), *answer)

    async def _resend(self, bench: Bench) -> None:
        """Send what stands in the field, as it stands there: broken JSON too, to see what a server says."""
        if not bench.service or not bench.request.strip():
            raise UnusableForm("There is no request yet; build one first.")
        bench.forget_answers()
        bench.carried.exchanges = [await self._send(bench, {"id": bench.service, "hook": bench.hook}, bench.request)]

    async def _sign(self, bench: Bench, form: Form) -> None:
        """Send the call at the signing of what was accepted."""
        listed = [entry for entry in self.entries() if entry["hook"] == "order-sign"]
        if not listed:
            raise ChartError("this server has no service for order-sign")
        bench.call = f"order-sign/{listed[0]['id']}"
        await self._ask(bench, form, sends=True)

    # Files

    def _take_file(self, bench: Bench, form: Form) -> bool:
        text = form.get("file", "").strip() or form.get("paste", "").strip()
        if text:
            bench.upload, bench.patient = text, FILE
            bench.keep_to_patient()
        return bool(text)

    async def _open(self, bench: Bench, form: Form) -> None:
        """Open a Bundle, a Patient or a CDS Hooks request, whose drafts come along."""
        if not self._take_file(bench, form):
            raise UnusableForm("Choose a file, or paste its JSON, and open it then.")
        drafts = self.chart(bench).drafts
        if drafts:
            bench.carried.drafts = drafts
            self._take_drafts(bench)
        bench.note = "The chart was read. Choose a hook and a service, and send the call."

    # Drafts

    async def _add(self, bench: Bench, name: str, *, in_words: bool = False) -> None:
        if not name:
            raise UnusableOrder("Write the name of a drug or a test.")
        what = self.catalogue.orderable(name)
        if what is None and in_words:
            what = Orderable("MedicationRequest", name, "", "")
        if what is None:
            bench.matches = await asyncio.to_thread(self.catalogue.search, name)
            if len(bench.matches) != 1:
                return
            what, bench.matches = bench.matches[0], []
        bench.carried.drafts.append(compose(what, bench.dosing, self.now().date()))
        bench.order = ""
        self._take_drafts(bench)

    async def _add_ready(self, bench: Bench, draft: str) -> None:
        if draft not in {order.draft for sample in list_samples() for order in sample.orders}:
            raise UnusableOrder("Choose one of the ready-made drafts.", "ready")
        bench.carried.drafts += resources_of(load_draft(draft, self.now()))
        self._take_drafts(bench)

    async def _remove(self, bench: Bench, number: str) -> None:
        drafts = [draft for position, draft in enumerate(bench.carried.drafts) if str(position) != number]
        bench.carried.drafts = drafts

    def _take_drafts(self, bench: Bench) -> None:
        """Drafts are for the hooks of orders: where another one is chosen, the check of orders at order-select."""
        if bench.hook not in _WITH_DRAFTS:
            listed = [entry["id"] for entry in self.entries() if entry["hook"] == "order-select"]
            checking = [service for service in listed if service.startswith("order-safety")]
            bench.call = f"order-select/{(checking or listed)[0]}" if listed else bench.call

    # Cards

    async def _accept(self, bench: Bench, numbered: str) -> None:
        exchanged, card, position, rest = self._card(bench, numbered)
        number = next((number for number in range(len(card.suggestions)) if [str(number)] == rest), None)
        if number is None:
            raise UnusableForm("There is no such suggestion on the card; send the call again.")
        chosen = card.suggestions[number]
        exchanged.outcomes[position] = Outcome("accepted", chosen.label)
        try:
            self._follow(bench, exchanged.document["cards"][position]["suggestions"][number].get("actions", []))
        except _BAD as error:
            raise UnusableForm("The request is not of the published form, so no draft can be changed in it.") from error
        await self._feed_back(bench, exchanged, accepted_feedback(card.uuid, chosen.uuid, self.now()))

    def _follow(self, bench: Bench, actions: Sequence[Any]) -> None:
        """Set the drafts after the actions of a suggestion, and the request with them."""
        request = _object_or_none(bench.request)
        drafts: list[Resource] = bench.carried.drafts
        if request is not None and "draftOrders" in (request.get("context") or {}):
            drafts = resources_of(request["context"]["draftOrders"])
        bench.carried.drafts, changes = apply_actions(drafts, actions)
        bench.carried.changes += changes
        if request is not None:
            bench.request = _pretty(next_request(request, bench.carried.drafts))

    async def _override(self, bench: Bench, numbered: str, form: Form) -> None:
        exchanged, card, position, _ = self._card(bench, numbered)
        number = form.get(f"reason-{numbered.replace(':', '-')}", "")
        reason = next((reason for at, reason in enumerate(card.override_reasons) if str(at) == number), None)
        if form and card.override_reasons and reason is None:
            bench.problem = Problem("cards", "Choose a reason to override the card, or dismiss it without one.")
            return
        did, what = ("overridden", reason.display) if reason is not None else ("dismissed", "")
        exchanged.outcomes[position] = Outcome(did, what)
        await self._feed_back(bench, exchanged, override_feedback(card.uuid, reason, self.now()))

    def _card(self, bench: Bench, numbered: str) -> tuple[Exchanged, SentCard, int, list[str]]:
        """Return the card at `exchange:card`, and the rest of `numbered`."""
        numbers = numbered.split(":")
        try:
            exchanged, position = bench.carried.exchanges[int(numbers[0])], int(numbers[1])
            return exchanged, exchanged.cards[position], position, numbers[2:]
        except (LookupError, ValueError) as error:
            raise UnusableForm("There is no such card on the page; send the call again.") from error

    async def _feed_back(self, bench: Bench, exchanged: Exchanged, item: dict[str, Any]) -> None:
        path, body = f"/cds-services/{exchanged.service}/feedback", {"feedback": [item]}
        status, _, _, _, failure = await Caller(self._app()).post(path, orjson.dumps(body), bench.token)
        bench.carried.feedback.append(Sent(path, body, status, failure))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _pretty(request: dict[str, Any]) -> str:
    return orjson.dumps(request, option=orjson.OPT_INDENT_2).decode()


def _object_or_none(text: str) -> dict[str, Any] | None:
    with suppress(UnusableForm):
        return object_in(text, "The request")
    return None


def _patient_of(text: str) -> str:
    context = (_object_or_none(text) or {}).get("context")
    patient = context.get("patientId") if isinstance(context, dict) else None
    return patient if isinstance(patient, str) else ""
