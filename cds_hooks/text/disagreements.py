"""Where the last notes of a chart and its lists cannot both hold, each with the words of both.

What a note says stays what somebody wrote: it changes no list, it is a reason to look. The words of a note are the
names that are read in it, never its sentences.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from cds_hooks.text.chart import ChartNote, ReadableChart, drugs_of, ingredients, latest_notes, shown
from fhir.notes.findings import Finding
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
                if members and members & ingredients(drug.drug):
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
