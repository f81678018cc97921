"""Where the last notes of a chart and its lists cannot both hold, each with the words of both.

What a note says stays what somebody wrote: it changes no list, it is a reason to look. The words of a note are the
names that are read in it, never its sentences.

The service `notes-and-lists`: one card where the newest notes of a chart and its lists cannot both hold.

A server has it where the site has a file for the text part (CDS_TEXT_FILE); no other loads this module. What a note
says is quoted as what somebody wrote. It is no input of another service, and the card offers nothing to do but to look.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
from msgspec import Struct

from cards.card import Card, Source
from cds_hooks.add_ons.text.chart import (
    ChartNote,
    ReadableChart,
    Resource,
    drugs_of,
    ingredients,
    latest_notes,
    read_chart,
    shown,
)
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.protocol.originals import OriginalOrders
from cds_hooks.call.services._exclusions import DECEASED, not_known
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.notes.findings import Finding
from fhir.record.refusals import WhyNot
from fhir.record.resources import DocumentReference
from fhir.terminology.allergens import allergen_of_words

_WHOLLY: Final = re.compile(
    r"\b(?:no|not|never|denies|without)(?: (?:any|ever|had|known|has|have|been|diagnosed|with|an?|history|hx|h/o|of"
    r"|previous|past|prior|diagnosis|or|nor|and|[a-z]{3,20},))* $",
    re.IGNORECASE,
)
_LONGEST_SUMMARY: Final = 140
"""CDS Hooks 2.0.1: a card's summary has fewer than 140 characters."""


class Disagreement(Struct, frozen=True):
    """One disagreement: of what, the words of the list and of the note, and their resources.

    `is_of_allergy`: a note has an allergy that the list has not.
    """

    of: str
    listed: str
    quote: str
    title: str
    sentence: str
    cites: tuple[str, ...]
    is_of_allergy: bool = False


def disagreements(chart: ReadableChart) -> list[Disagreement]:
    """Drugs that a note stops or starts against the list, problems that it denies, allergies that only a note has."""
    notes = latest_notes(chart.notes)
    return [
        *_of_drugs(chart, notes),
        *(disagreement for note in notes for disagreement in (*_of_problems(chart, note), *_of_allergies(chart, note))),
    ]


def _of_drugs(chart: ReadableChart, notes: list[ChartNote]) -> Iterator[Disagreement]:
    for fact in chart.of_kind("drug", "stopped"):
        members = ingredients(fact.name)
        for note in notes:
            if fact.day and note.day and note.day < fact.day:
                continue
            statuses = ("stopped", "never") if fact.kind == "drug" else ("active",)
            for drug in drugs_of(note, *statuses):
                if members & ingredients(drug.drug):
                    status = "stopped" if fact.kind == "drug" else "taken"
                    yield Disagreement(
                        drug.drug,
                        fact.text,
                        f"{shown(drug.text)}: {status}",
                        note.title,
                        f"the list has {fact.text}; the {note.title_within} says {drug.drug} {status}.",
                        (fact.source, note.source),
                    )
                    break


def _of_problems(chart: ReadableChart, note: ChartNote) -> Iterator[Disagreement]:
    denied = {
        finding.concept.lower(): finding
        for finding in note.reading.findings
        if finding.assertion == "negated" and finding.experiencer == "patient" and len(finding.concept) > 3
        if _denies_all(note.text, finding)
    }
    for fact in chart.of_kind("problem"):
        finding = next((denied[concept] for concept in denied if concept in fact.name.lower()), None)
        if finding is not None:
            yield Disagreement(
                fact.name,
                fact.text,
                f"no {shown(finding.text)}",
                note.title,
                f"{fact.text} is listed; the {note.title_within} denies it.",
                (fact.source, note.source),
            )


def _denies_all(text: str, finding: Finding) -> bool:
    """Whether the whole disease is denied: "no asthma", not "no AF on telemetry" or "no further seizures"."""
    before, after = text[max(0, finding.start - 40) : finding.start], text[finding.end : finding.end + 20]
    return _WHOLLY.search(before) is not None and re.match(r"\s*(?:$|[.,;)\n]|(?:or|and|nor)\b)", after) is not None


def _of_allergies(chart: ReadableChart, note: ChartNote) -> Iterator[Disagreement]:
    listed = chart.of_kind("allergy")
    texts = "; ".join(fact.text for fact in listed) or "it is empty"
    for drug in drugs_of(note, "allergy"):
        if not any(_is_same_allergen(fact.name, drug.drug) for fact in listed):
            yield Disagreement(
                f"allergy to {drug.drug}",
                f"allergies: {texts}" if listed else "no allergy is listed",
                f"allergy: {shown(drug.text)}",
                note.title,
                f"the {note.title_within} says allergy to {drug.drug}; the allergy list does not ({texts}).",
                (*(fact.source for fact in listed), note.source),
                is_of_allergy=True,
            )


def _is_same_allergen(listed: str, words: str) -> bool:
    """Whether two names are of one ingredient, or one is of a class that the other is or is of."""
    first, second = allergen_of_words(listed), allergen_of_words(words)
    classes = first.named_classes & second.allergen_classes | second.named_classes & first.allergen_classes
    return bool(first.ingredients & second.ingredients or classes)


class CardWords(Struct, frozen=True):
    """What the card "the notes and the list disagree" says."""

    summary: str
    detail: str
    indicator: Literal["info", "warning"]


def words_of_card(chart: ReadableChart) -> CardWords | None:
    """Return the words of the card, which quotes the list and the note for each disagreement; None where they agree."""
    open_ones = disagreements(chart)
    if not open_ones:
        return None
    more = f" and {len(open_ones) - 1} more" if len(open_ones) > 1 else ""
    lines = [
        f"- List: “{disagreement.listed}”. {disagreement.title}: “{disagreement.quote}”. "
        f"({', '.join(disagreement.cites)})"
        for disagreement in open_ones
    ]
    return CardWords(
        f"The notes and the list disagree: {open_ones[0].of[: _LONGEST_SUMMARY - 50]}{more}",
        "What a note says is what somebody wrote; look which of both holds.\n\n" + "\n".join(lines),
        "warning" if any(disagreement.is_of_allergy for disagreement in open_ones) else "info",
    )


_ID: Final = "notes-and-lists"
_NOTE: Final = "DocumentReference"
_LISTS: Final = ("AllergyIntolerance", "Condition", "MedicationRequest", "MedicationStatement")
_MOST_NOTES: Final = 10
_LONGEST_NOTE: Final = 50_000
"""The most characters of a note that are read while an EHR waits: about 20 pages, read in some 0.2 s."""


def find(call: ServiceInput) -> Advice:
    """One card with both quotes of each disagreement, else the reason for none."""
    chart = _chart(call)
    words = words_of_card(chart)
    if words is None:
        return no_card(_ID, *_why_none(chart))
    return Advice(cards=[card_of(words, call.card_uuid())], silences=_unread(chart))


def card_of(words: CardWords, uuid: str) -> Card:
    """Return the card that says these words."""
    source = Source(label="Notes and lists of this chart")
    return Card(uuid=uuid, summary=words.summary, indicator=words.indicator, detail=words.detail, source=source)


def _chart(call: ServiceInput) -> ReadableChart:
    """Return the lists as the record has them and the notes with texts, which the record of facts does not hold."""
    kept = {document.id for document in call.record.facts(DocumentReference)}
    notes = [note for note in OriginalOrders(call.sent, _NOTE).every() if note["id"] in kept]
    newest = sorted(notes, key=lambda note: str(note.get("date") or ""), reverse=True)[:_MOST_NOTES]
    return read_chart([*_listed(call), *newest], call.record.as_of.date(), longest_note=_LONGEST_NOTE)


def _listed(call: ServiceInput) -> list[Resource]:
    facts = msgspec.json.encode([*call.record.every_fact()])
    resources: list[Resource] = msgspec.json.decode(facts)
    return [resource for resource in resources if resource["resourceType"] in (*_LISTS, "Medication")]


def _why_none(chart: ReadableChart) -> tuple[str, str]:
    """Return the code and the sentence of why there is no card."""
    if chart.unread:
        return "input-missing", " ".join(silence.text for silence in _unread(chart))
    if not chart.notes:
        return "below-threshold", "No note with a text came with the chart."
    count = "The newest note says" if len(chart.notes) == 1 else "The newest notes say"
    return "below-threshold", f"{count} nothing that the lists of problems, allergies and medications rule out."


def _unread(chart: ReadableChart) -> list[WhyNot]:
    return [WhyNot(note.source, "input-missing", f"{note.title} is not read: {note.why}.") for note in chart.unread]


ADVISOR = Advisor(
    id=_ID,
    hooks=(PATIENT_VIEW,),
    title="Where notes and lists disagree",
    description=(
        "Quotes the newest notes of the chart and its lists where both cannot hold: a drug that was stopped or "
        "started, a problem that is denied, an allergy that only a note has."
    ),
    usage_requirements="For clinicians who keep the lists of a chart; needs the text of notes in the prefetch.",
    needs=Needs.of(resources=_LISTS, notes=True),
    exclusions=(DECEASED, not_known(_NOTE, "The notes of the chart are not known, so they were not compared.")),
    find=find,
    returns_resources=frozenset({_NOTE}),
)
