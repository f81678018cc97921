"""What the tester's page shows: everything that its template lays out, worked out before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.no_card import NoCard, explain_no_card
from cds_hooks.kit.samples import list_samples
from cds_hooks.kit.simulator.chart import ChartError, resources_of
from cds_hooks.pages.start.example import example_card
from cds_hooks.pages.tester.actions import Entry, Tester
from cds_hooks.pages.tester.cards import DrawnCard, draw
from cds_hooks.pages.tester.exchange import Exchanged, Judgement, Outcome, Waterfall, judge, waterfall
from cds_hooks.pages.tester.orders import FREQUENCIES, UNITS, dose_of, name_of
from cds_hooks.pages.tester.state import FHIR, Bench, UnusableForm, object_in
from cds_hooks.web.charts import format_ms
from cds_hooks.web.site import static_version
from fhir.mapping.understanding import READ_KINDS, understand_chart

_SCOPE: Final = frozenset({"scope", "not-recognised"})
_MOST_READINGS: Final = 200
_WORST_FIRST: Final = {"critical": 0, "warning": 1}


@dataclass(frozen=True, slots=True)
class ShownCard:
    """A card with its position in the answers (`exchange:card`) and what was done with it."""

    position: str
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
    no_card: NoCard


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
    answers = [_answer(exchange) for exchange in bench.carried.exchanges]
    carried = msgspec.json.encode(bench.carried).decode()
    return {
        "script": static_version("try.js"),
        "it": bench,
        "carried": carried,
        "carried_seal": tester.seal.sign(carried),
        "samples": list_samples(),
        "hooks": _by_hook(entries),
        "servers": tester.servers,
        "who": _who(tester, bench),
        "drafts": _drafts(bench),
        "units": UNITS,
        "frequencies": FREQUENCIES,
        "example": example_card() if not bench.carried.exchanges and _is_first(bench) else None,
        "answers": answers,
        "cards": _cards(bench),
        "prefetch": _prefetch(bench, entries),
        "readings": _readings(bench),
        "request_size": _size(bench.request),
        "accepted": sum(
            outcome.did == "accepted"
            for exchanged in bench.carried.exchanges
            for outcome in exchanged.outcomes.values()
        ),
        "indent": _indented,
    }


def _is_first(bench: Bench) -> bool:
    """Return whether the page is as it opens: the first patient, and no other draft than the first."""
    return bench.patient == Bench().patient and bench.hook == Bench().hook and len(bench.carried.drafts) == 1


def _by_hook(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    entries_by_hook: dict[str, list[Entry]] = {}
    for entry in entries:
        entries_by_hook.setdefault(entry["hook"], []).append(entry)
    return entries_by_hook


def _who(tester: Tester, bench: Bench) -> list[tuple[str, str]]:
    """Return the patient banner: what stands on a chart's first line; empty where the patient is not known here."""
    if bench.patient == FHIR:
        return [("Patient", f"{bench.fhir_patient} at the FHIR server")] if bench.fhir_patient else []
    try:
        patient = tester.chart(bench).patient
    except (ChartError, UnusableForm):
        return []
    patients = {exchange.patient for exchange in bench.carried.exchanges}
    if patients and patients != {patient.get("id")}:
        return [("Patient", f"{', '.join(sorted(patients)) or 'not named'}, as the request says")]
    names = patient.get("name")
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], dict) else {}
    given_names = name.get("given")
    words = [str(name.get("family") or ""), " ".join(map(str, given_names)) if isinstance(given_names, list) else ""]
    return [
        ("Patient", ", ".join(filter(None, words)) or str(name.get("text") or "not named")),
        ("Born", str(patient.get("birthDate") or "not recorded")),
        ("Sex", str(patient.get("gender") or "not recorded")),
        ("Id", str(patient.get("id") or "not recorded")),
    ]


def _drafts(bench: Bench) -> list[Draft]:
    return [
        Draft(number, name_of(draft), dose_of(draft))
        for number, draft in enumerate(bench.carried.drafts)
        if draft.get("resourceType") != "Medication"
    ]


def _cards(bench: Bench) -> list[ShownCard]:
    """Return the cards of all answers in the order in which they were sent, or the gravest first where asked."""
    shown_cards = [
        ShownCard(f"{number}:{position}", exchanged.service, card, exchanged.outcomes.get(position))
        for number, exchanged in enumerate(bench.carried.exchanges)
        for position, card in enumerate(draw(exchanged.cards))
    ]
    if not bench.worst_first:
        return shown_cards
    return sorted(shown_cards, key=lambda shown_card: _WORST_FIRST.get(shown_card.card.indicator, 2))


def _answer(exchanged: Exchanged) -> Answer:
    silences = [Silence(*silence) for silence in exchanged.silences]
    return Answer(
        exchanged=exchanged,
        status=str(exchanged.status) if exchanged.status else "none",
        took=f"{format_ms(exchanged.seconds * 1000)} ms",
        size=_size(exchanged.body),
        raw=_indented(exchanged.document) if exchanged.document is not None else exchanged.body,
        judgement=judge(exchanged),
        waterfall=waterfall(exchanged),
        scope=tuple(silence for silence in silences if silence.reason in _SCOPE),
        unsaid=tuple(silence for silence in silences if silence.reason not in _SCOPE),
        no_card=explain_no_card(silences),
    )


def _prefetch(bench: Bench, entries: Sequence[Entry]) -> list[PrefetchRow]:
    templates = next((entry.get("prefetch") for entry in entries if entry["id"] == bench.service), None)
    if not isinstance(templates, dict) or not bench.request:
        return []
    try:
        sent = object_in(bench.request, "The request").get("prefetch")
    except UnusableForm:
        return []
    prefetch: Mapping[str, Any] = sent if isinstance(sent, dict) else {}
    return [PrefetchRow(key, _sent(prefetch, key), str(query)) for key, query in templates.items()]


def _readings(bench: Bench) -> list[str]:
    """Return what the server reads of each resource of the request, in a line; what is not understood stands first."""
    try:
        prefetch = object_in(bench.request, "The request").get("prefetch") if bench.request else None
    except UnusableForm:
        return []
    values = prefetch.values() if isinstance(prefetch, dict) else ()
    entries = [resource for value in values if isinstance(value, dict) for resource in resources_of(value)]
    readings = [reading for reading in understand_chart(entries) if reading.kind in READ_KINDS]
    return [reading.sentence for reading in sorted(readings, key=lambda reading: reading.understood)][:_MOST_READINGS]


def _sent(prefetch: Mapping[str, Any], key: str) -> str:
    if key not in prefetch:
        return "not sent"
    value = prefetch[key]
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
