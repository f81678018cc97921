"""The tester's page: /try, and the names of drugs and tests for its search field."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import orjson
from fastapi import Query
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cds_hooks.kit.samples import list_samples
from cds_hooks.kit.simulator.chart import ChartError, resources_of
from cds_hooks.pages.explain.recorded_decision import SentCard
from cds_hooks.pages.server import PageServer
from cds_hooks.pages.start.example import example_card
from cds_hooks.pages.tester.actions import Entry, Tester
from cds_hooks.pages.tester.exchange import Exchanged, Finding, Outcome, judge
from cds_hooks.pages.tester.orders import FREQUENCIES, UNITS, dose_of, name_of
from cds_hooks.pages.tester.state import Bench, UnusableForm, bench_of, object_in
from cds_hooks.web.site import SCRIPT_HEADERS, Failure, PageRefusal, static_version
from fhir.mapping.understanding import READ_KINDS, understand_chart

_FORMS_OF_A_BODY: Final = 3
"""A form carries the request, the answers and a chart that was uploaded: so many times the longest body of a call."""
_PREPARED: Final = (
    "An order for an invented patient is prepared; nothing was sent. Choose another patient, hook or order, and send."
)


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the tester's page."""
    tester = Tester(server.settings, server.services, server.app)

    async def show() -> Response:
        bench = Bench()
        await tester.open_first(bench)
        bench.note = _PREPARED
        return await shown(bench)

    async def press(request: Request) -> Response:
        form = request.state.form
        try:
            bench = await asyncio.to_thread(bench_of, form)
        except UnusableForm as error:
            text = "Nothing was sent. Go back, or open /try again."
            raise PageRefusal(Failure("The form cannot be used", "Refused", str(error), text), 400) from error
        await tester.press(bench, form.get("do", ""), form)
        return await shown(bench)

    async def shown(bench: Bench) -> Response:
        def page() -> Response:
            values = page_values(tester, bench, tester.entries())
            return server.page("tester/try.html", headers=SCRIPT_HEADERS, **values)

        return await server.in_thread(page)

    def names(q: Annotated[str, Query(max_length=100)] = "") -> Response:
        match = tester.catalogue.search(q)
        return JSONResponse({"names": [orderable.name for orderable in match]}, headers={"cache-control": "no-store"})

    most_bytes = _FORMS_OF_A_BODY * server.settings.max_body_bytes
    return [
        server.route("/try", show),
        server.route("/try", press, ["POST"], upload=True, most_bytes=most_bytes),
        server.route("/try/orders", names),
    ]


# What the tester's page shows: everything that its template lays out, worked out before


_MOST_READINGS: Final = 200


class ShownCard(Struct, frozen=True):
    """A card with its position in the answers (`exchange:card`) and what was done with it."""

    position: str
    service: str
    card: SentCard
    outcome: Outcome | None


class ShownExchange(Struct, frozen=True):
    """One exchange, its size, its text indented for reading, and what the kit found."""

    exchanged: Exchanged
    size: str
    raw: str
    findings: list[Finding]


def page_values(tester: Tester, bench: Bench, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what the template shows; it computes for some milliseconds, so that it is called in a thread."""
    exchanges = bench.carried.exchanges
    hooks: dict[str, list[Entry]] = {}
    for entry in entries:
        hooks.setdefault(entry["hook"], []).append(entry)
    try:
        sent = object_in(bench.request, "The request").get("prefetch")
    except UnusableForm:
        sent = None
    prefetch: Mapping[str, Any] = sent if isinstance(sent, dict) else {}
    return {
        "script": static_version("try.js"),
        "it": bench,
        "carried": msgspec.json.encode(bench.carried).decode(),
        "samples": list_samples(),
        "hooks": hooks,
        "who": _who(tester, bench),
        "drafts": [
            (number, name_of(draft), dose_of(draft))
            for number, draft in enumerate(bench.carried.drafts)
            if draft.get("resourceType") != "Medication"
        ],
        "units": UNITS,
        "frequencies": FREQUENCIES,
        "example": example_card() if not exchanges and _is_first(bench) else None,
        "answers": [
            ShownExchange(exchanged, _size(exchanged.body), _raw(exchanged), judge(exchanged))
            for exchanged in exchanges
        ],
        "cards": [
            ShownCard(f"{number}:{position}", exchanged.service, card, exchanged.outcomes.get(position))
            for number, exchanged in enumerate(exchanges)
            for position, card in enumerate(exchanged.cards)
        ],
        "prefetch": _prefetch(prefetch, bench.service, entries),
        "readings": _readings(prefetch),
        "request_size": _size(bench.request),
        "indent": _indented,
    }


def _is_first(bench: Bench) -> bool:
    """Return whether the page is as it opens: the first patient, and no other draft than the first."""
    return bench.patient == Bench().patient and bench.hook == Bench().hook and len(bench.carried.drafts) == 1


def _who(tester: Tester, bench: Bench) -> list[tuple[str, str]]:
    """Return the patient banner: what stands on a chart's first line; empty where the patient is not known here."""
    try:
        patient = tester.chart(bench).patient
    except (ChartError, UnusableForm):
        return []
    patients = {exchange.patient for exchange in bench.carried.exchanges}
    if patients and patients != {patient.get("id")}:
        return [("Patient", f"{', '.join(sorted(patients)) or 'not named'}, as the request says")]
    names = patient.get("name")
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], dict) else {}
    given = name.get("given")
    words = [str(name.get("family") or ""), " ".join(map(str, given)) if isinstance(given, list) else ""]
    return [
        ("Patient", ", ".join(filter(None, words)) or str(name.get("text") or "not named")),
        ("Born", str(patient.get("birthDate") or "not recorded")),
        ("Sex", str(patient.get("gender") or "not recorded")),
        ("Id", str(patient.get("id") or "not recorded")),
    ]


def _prefetch(sent: Mapping[str, Any], service: str, entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """Return each key that the service asks for, its query, and what the request has of it."""
    templates = next((entry.get("prefetch") for entry in entries if entry["id"] == service), None)
    return [(key, str(query), _sent(sent, key)) for key, query in (templates or {}).items()]


def _readings(prefetch: Mapping[str, Any]) -> list[str]:
    """Return what the server reads of each resource of the request, in a line; what is not understood stands first."""
    entries = [resource for value in prefetch.values() for resource in resources_of(value)]
    readings = [reading for reading in understand_chart(entries) if reading.kind in READ_KINDS]
    return [reading.sentence for reading in sorted(readings, key=lambda reading: reading.understood)][:_MOST_READINGS]


def _sent(prefetch: Mapping[str, Any], key: str) -> str:
    value = prefetch.get(key)
    if not isinstance(value, dict):
        return "sent as null" if key in prefetch else "not sent"
    entries = value.get("entry")
    if value.get("resourceType") != "Bundle":
        return str(value.get("resourceType") or "sent")
    count = len(entries) if isinstance(entries, list) else 0
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _raw(exchanged: Exchanged) -> str:
    return _indented(exchanged.document) if exchanged.document is not None else exchanged.body


def _size(text: str) -> str:
    size = len(text.encode())
    return f"{size:,} bytes" if size < 1000 else f"{size / 1000:,.1f} KB"


def _indented(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
