"""The service `notes-and-lists`: one card where the newest notes of a chart and its lists cannot both hold.

A server has it where the site has a file for the text part (CDS_TEXT_FILE); no other loads this module. What a note
says is quoted as what somebody wrote. It is no input of another service, and the card offers nothing to do but to look.
"""

from typing import Final

import msgspec

from cards.card import Card, Source
from cds_hooks.prefetch.needs import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.protocol.originals import OriginalOrders
from cds_hooks.services._service import Advice, Service, ServiceInput, no_card
from cds_hooks.text.chart import ReadableChart, Resource, read_chart
from cds_hooks.text.disagreements import CardWords, words_of_card
from fhir.record.refusals import WhyNot

_ID: Final = "notes-and-lists"
_NOTE: Final = "DocumentReference"
_LISTS: Final = ("AllergyIntolerance", "Condition", "MedicationRequest", "MedicationStatement")
_MOST_NOTES: Final = 10
_LONGEST_NOTE: Final = 50_000
"""The most characters of a note that are read while an EHR waits: about 20 pages, read in some 0.2 s."""


async def decide(call: ServiceInput) -> Advice:
    """One card with both quotes of each disagreement, else the reason for none."""
    record = call.record
    if record.deceased:
        return no_card(_ID, "deceased", "The patient has died.")
    if not record.was_requested(_NOTE):
        return no_card(_ID, "input-missing", "The notes of the chart are not known: nothing is said of them.")
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
    kept = {document.id for document in call.record.documents}
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


SERVICE = Service(
    id=_ID,
    hooks=(PATIENT_VIEW,),
    title="Where notes and lists disagree",
    description=(
        "Quotes the newest notes of the chart and its lists where both cannot hold: a drug that was stopped or "
        "started, a problem that is denied, an allergy that only a note has."
    ),
    usage_requirements="For clinicians who keep the lists of a chart; needs the text of notes in the prefetch.",
    needs=Needs.of(resources=_LISTS, notes=True),
    decide=decide,
    returns_resources=frozenset({_NOTE}),
)
