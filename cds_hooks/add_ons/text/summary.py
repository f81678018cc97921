"""A summary of a chart, extracted: each sentence with the resources that it rests on, contradictions first."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from msgspec import Struct, field

from cds_hooks.add_ons.text.chart import ChartNote, Fact, ReadableChart, affirmed, ingredients, latest_notes, read_chart
from cds_hooks.add_ons.text.disagreements import disagreements
from fhir.terminology.allergens import allergen_classes_of, allergen_of_words
from fhir.terminology.medication_names import read_name

MOST_SENTENCES: Final = 14


class Sentence(Struct, frozen=True):
    """One sentence with the resources that it rests on; `kind` says what it is of.

    `tag` is "AIAST" where a language model wrote it: HL7's code for what an artificial intelligence asserted.
    """

    text: str
    cites: tuple[str, ...]
    kind: str
    tag: str = ""


class Writing(Struct, frozen=True):
    """The part that a language model had in a summary: which one, under which prompt, and what became of its answer.

    `digest` is that of the prompt with the model. `sent` counts the entries that left by their kind; `deleted` counts
    the sentences that were not confirmed by their fault.
    """

    endpoint: str
    model: str
    prompt: str
    digest: str
    sent: dict[str, int]
    sent_bytes: int = 0
    seconds: float = 0.0
    confirmed: int = 0
    deleted: dict[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share (0 to 1) of the sentences that were confirmed; 0 where there were none."""
        written = self.confirmed + sum(self.deleted.values())
        return self.confirmed / written if written else 0.0


class Summary(Struct, frozen=True):
    """The sentences of a summary, and how many results are left out of it.

    Where a language model was asked, `writing` tells of it, and `notice` why nothing of it is shown.
    """

    sentences: tuple[Sentence, ...]
    left_out: int = 0
    writing: Writing | None = None
    notice: str = ""


def summarise(resources: Iterable[dict[str, Any]], on: date, *, most: int = MOST_SENTENCES) -> Summary:
    """Summarize a chart on a day: what contradicts itself, problems, allergies, drugs, results, the family, notes."""
    return summarise_chart(read_chart(resources, on), most)


def summarise_chart(chart: ReadableChart, most: int = MOST_SENTENCES) -> Summary:
    """Return the same of a chart that was read."""
    first = [*contradictions(chart)]
    for kind, label in (
        ("problem", "Problems"),
        ("allergy", "Allergies"),
        ("drug", "Takes"),
        ("stopped", "Not taken now"),
    ):
        first.extend(_listed(label, chart.of_kind(kind)))  # type: ignore[arg-type]  # the kinds of the line above
    first += [Sentence(f"Not read: {note.title} ({note.why}).", (note.source,), "note") for note in chart.unread]
    last = [*_listed("Past", chart.of_kind("past")), *_listed("Operations", chart.of_kind("procedure"))]
    last += [*_listed("Family", chart.of_kind("family")), *_listed("Open", chart.of_kind("open"))]
    last += [sentence for note in latest_notes(chart.notes) if (sentence := _of_note(note)) is not None]
    results = _results(chart.of_kind("result"))
    room = max(1, most - len(first) - len(last))
    if len(results) > room:
        results, rest = results[: room - 1], results[room - 1 :]
        cites = tuple(cite for sentence in rest for cite in sentence.cites)
        results.append(Sentence("; ".join(sentence.text.rstrip(".") for sentence in rest) + ".", cites, "result"))
    return Summary(tuple((*first, *results, *last)[:most]), max(0, len(first) + len(last) + 1 - most))


def _listed(label: str, facts: Sequence[Fact]) -> list[Sentence]:
    if not facts:
        return []
    texts = dict.fromkeys(fact.text for fact in facts)
    return [Sentence(f"{label}: {'; '.join(texts)}.", tuple(fact.source for fact in facts), facts[0].kind)]


def _results(facts: Sequence[Fact]) -> list[Sentence]:
    """Return the last result of each test with the one before it, those that changed most lately first."""
    by_name: dict[str, list[Fact]] = {}
    for fact in facts:
        by_name.setdefault(fact.name.lower(), []).append(fact)
    sentences: list[tuple[str, bool, Sentence]] = []
    for of_test in by_name.values():
        latest, *earlier = sorted(of_test, key=lambda fact: fact.day, reverse=True)
        kept = (latest, *earlier[:1])
        before = "".join(f", earlier {fact.value} on {fact.day}" for fact in kept[1:])
        sentence = Sentence(f"{latest.text}{before}.", tuple(fact.source for fact in kept), "result")
        sentences.append((latest.day, bool(earlier), sentence))
    return [sentence for _, _, sentence in sorted(sentences, key=lambda entry: entry[:2], reverse=True)]


def _of_note(note: ChartNote) -> Sentence | None:
    """Return what a note says the patient has and has not, by the names that are read in it."""
    has = dict.fromkeys(finding.text.lower() for finding in affirmed(note))
    denied = dict.fromkeys(
        f"no {finding.text.lower()}"
        for finding in note.reading.findings
        if finding.assertion == "negated" and finding.experiencer == "patient"
    )
    possible = dict.fromkeys(
        f"possibly {finding.text.lower()}"
        for finding in note.reading.findings
        if finding.assertion == "possible" and finding.experiencer == "patient"
    )
    names = [*has, *denied, *possible]
    return (
        Sentence(f"Said in the {note.title_within}: {', '.join(names[:12])}.", (note.source,), "note")
        if names
        else None
    )


def contradictions(chart: ReadableChart) -> list[Sentence]:
    """Where a chart says two things that cannot both hold: both are named."""
    against_notes = [
        Sentence(f"Contradiction: {disagreement.sentence}", disagreement.cites, "contradiction")
        for disagreement in disagreements(chart)
    ]
    return [*_drugs_against_allergies(chart), *against_notes, *_doubles(chart)]


def _drugs_against_allergies(chart: ReadableChart) -> list[Sentence]:
    sentences: list[Sentence] = []
    for allergy in chart.of_kind("allergy"):
        for drug in chart.of_kind("drug"):
            if _is_meant(allergy.name, drug.name):
                text = f"Contradiction: allergy to {allergy.text}, and {drug.text} is taken."
                sentences.append(Sentence(text, (allergy.source, drug.source), "contradiction"))
    return sentences


def _is_meant(allergen: str, drug: str) -> bool:
    """Whether a drug is of what somebody is allergic to: the same ingredient or a member of the class."""
    allergy, members = allergen_of_words(allergen), read_name(drug).ingredients
    return not allergy.ingredients.isdisjoint(members) or not allergy.named_classes.isdisjoint(
        allergen_classes_of(members)
    )


def _doubles(chart: ReadableChart) -> list[Sentence]:
    sentences: list[Sentence] = []
    drugs = chart.of_kind("drug")
    for index, drug in enumerate(drugs):
        for other in drugs[index + 1 :]:
            if ingredients(drug.name) & ingredients(other.name) and drug.text != other.text:
                text = f"Contradiction: the list has {drug.text} and {other.text}."
                sentences.append(Sentence(text, (drug.source, other.source), "contradiction"))
    names = {fact.name.lower(): fact for fact in chart.of_kind("problem")}
    for first, second in (("type 1 diabetes", "type 2 diabetes"),):
        pair = [fact for word in (first, second) for name, fact in names.items() if word in name]
        if len(pair) > 1:
            text = f"Contradiction: {pair[0].text} and {pair[1].text} are both listed."
            sentences.append(Sentence(text, (pair[0].source, pair[1].source), "contradiction"))
    return sentences
