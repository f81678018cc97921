"""What the tester's page shows: everything that its template lays out, worked out before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from cards.rules.engine.finding import Silence
from cds_hooks.kit.samples import list_samples
from cds_hooks.kit.simulator.chart import ChartError
from cds_hooks.pages.tester.actions import Entry, Tester
from cds_hooks.pages.tester.cards import DrawnCard, draw, drawings
from cds_hooks.pages.tester.exchange import Exchanged, Judgement, Outcome, Waterfall, judge, waterfall
from cds_hooks.pages.tester.orders import FREQUENCIES, UNITS, dose_of, name_of
from cds_hooks.pages.tester.state import FHIR, Bench, Carried, UnusableForm, object_in
from cds_hooks.web.latency import format_ms
from cds_hooks.web.site import static_version

_SCOPE: Final = frozenset({"scope", "not-recognised"})
_WORST_FIRST: Final = {"critical": 0, "warning": 1}


@dataclass(frozen=True, slots=True)
class ShownCard:
    """A card with its place in the answers (`exchange:card`) and what was done with it."""

    place: str
    service: str
    card: DrawnCard
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One exchange: the answer in words, what the kit found, where the time went, what was not said."""

    exchanged: Exchanged
    status: str
    took: str
    size: str
    raw: str
    judgement: Judgement
    waterfall: Waterfall
    scope: tuple[Silence, ...]
    unsaid: tuple[Silence, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """One row of the draft orders; `number` is its place in the list."""

    number: int
    name: str
    dose: str


@dataclass(frozen=True, slots=True)
class PrefetchRow:
    """One key that the service asks for, and what the request has of it."""

    key: str
    sent: str
    query: str


def page_values(tester: Tester, bench: Bench, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what the template shows; it computes for some milliseconds, so that it is called in a thread."""
    answers = [_answer(each) for each in bench.carried.exchanges]
    return {
        "script": static_version("try.js"),
        "it": bench,
        "carried": _carried(bench.carried),
        "samples": list_samples(),
        "hooks": _by_hook(entries),
        "servers": tester.servers,
        "who": _who(tester, bench),
        "drafts": _drafts(bench),
        "units": UNITS,
        "frequencies": FREQUENCIES,
        "ways": drawings(),
        "can_draw": not bench.server and tester.draws_dialects,
        "answers": answers,
        "cards": _cards(bench),
        "prefetch": _prefetch(bench, entries),
        "request_size": _size(bench.request),
        "accepted": sum(
            outcome.did == "accepted"
            for exchanged in bench.carried.exchanges
            for outcome in exchanged.outcomes.values()
        ),
        "indent": _indented,
    }


def _carried(carried: Carried) -> str:
    return msgspec.json.encode(carried).decode()


def _by_hook(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry["hook"], []).append(entry)
    return found


def _who(tester: Tester, bench: Bench) -> list[tuple[str, str]]:
    """The patient banner: what stands on a chart's first line; empty where the patient is not known here."""
    if bench.patient == FHIR:
        return [("Patient", f"{bench.fhir_patient} at the FHIR server")] if bench.fhir_patient else []
    try:
        patient = tester.chart(bench).patient
    except (ChartError, UnusableForm):
        return []
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


def _drafts(bench: Bench) -> list[Draft]:
    return [
        Draft(number, name_of(each), dose_of(each))
        for number, each in enumerate(bench.carried.drafts)
        if each.get("resourceType") != "Medication"
    ]


def _cards(bench: Bench) -> list[ShownCard]:
    """The cards of all answers, the most urgent first, in the order of the answers otherwise."""
    shown = [
        ShownCard(f"{number}:{position}", exchanged.service, card, exchanged.outcomes.get(position))
        for number, exchanged in enumerate(bench.carried.exchanges)
        for position, card in enumerate(draw(exchanged.cards, bench.draw))
    ]
    return sorted(shown, key=lambda each: _WORST_FIRST.get(each.card.indicator, 2))


def _answer(exchanged: Exchanged) -> Answer:
    silences = [Silence(*each) for each in exchanged.silences]
    return Answer(
        exchanged=exchanged,
        status=str(exchanged.status) if exchanged.status else "none",
        took=f"{format_ms(exchanged.seconds * 1000)} ms",
        size=_size(exchanged.body),
        raw=_indented(exchanged.document) if exchanged.document is not None else exchanged.body,
        judgement=judge(exchanged),
        waterfall=waterfall(exchanged),
        scope=tuple(each for each in silences if each.reason in _SCOPE),
        unsaid=tuple(each for each in silences if each.reason not in _SCOPE),
    )


def _prefetch(bench: Bench, entries: Sequence[Entry]) -> list[PrefetchRow]:
    asked = next((each.get("prefetch") for each in entries if each["id"] == bench.service), None)
    if not isinstance(asked, dict) or not bench.request:
        return []
    try:
        sent = object_in(bench.request, "The request").get("prefetch")
    except UnusableForm:
        return []
    given: Mapping[str, Any] = sent if isinstance(sent, dict) else {}
    return [PrefetchRow(key, _sent(given, key), str(query)) for key, query in asked.items()]


def _sent(given: Mapping[str, Any], key: str) -> str:
    if key not in given:
        return "not sent"
    value = given[key]
    if not isinstance(value, dict):
        return "sent as null"
    if value.get("resourceType") != "Bundle":
        return str(value.get("resourceType") or "sent")
    entries = value.get("entry")
    count = len(entries) if isinstance(entries, list) else 0
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _size(text: str) -> str:
    size = len(text.encode())
    return f"{size:,} bytes" if size < 1000 else f"{size / 1000:,.1f} KB"


def _indented(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
