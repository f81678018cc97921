"""A summary that a language model words anew, sentence by sentence checked against the chart.

The extractive summary comes first and stays whole: a line of it gives way only to confirmed sentences that tell all its
entries. Contradictions, allergies and drugs are never sent and never replaced, so nothing can be made to vanish.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from cds_hooks.text.chart import Fact, Kind, ReadableChart, Resource
from cds_hooks.text.claims import check_sentence, entries_of
from cds_hooks.text.endpoint import Answered, Caller, Endpoint, EndpointFailed, as_data
from cds_hooks.text.prompts import Prompt
from cds_hooks.text.summary import MOST_SENTENCES, Sentence, Summary, Writing, summarise_chart

TAG: Final = "AIAST"
TAG_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
"""HL7 Terminology 7.1: "Artificial Intelligence asserted"; the AI Transparency guide (HL7, ballot 2026) asks for it."""
_SENT: Final[tuple[Kind, ...]] = ("problem", "past", "result", "family", "procedure", "open")
_MOST_ENTRIES: Final = 80
_PARTICIPANTS: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def rephrase(
    resources: Iterable[Resource],
    chart: ReadableChart,
    named_endpoint: tuple[str, Endpoint],
    prompt: Prompt,
    caller: Caller,
    *,
    most: int = MOST_SENTENCES,
) -> Summary:
    """Return the summary of a chart in a language model's words as far as they are confirmed; else in the chart's own.

    `chart` is what `read_chart` gives of the resources; `named_endpoint` are the name and the endpoint that is asked.
    """
    summary = summarise_chart(chart, most)
    name, endpoint = named_endpoint
    facts = _facts_to_send(chart, resources)
    writing = Writing(
        name, endpoint.model, prompt.name, prompt.digest(endpoint.model), dict(Counter(fact.kind for fact in facts))
    )
    if not facts:
        return replace(
            summary, writing=writing, notice="There is nothing in the chart that a language model may be sent."
        )
    aliases = {f"f{number}": fact.source for number, fact in enumerate(facts, start=1)}
    entries = [{"id": alias, "kind": fact.kind, "text": fact.text} for alias, fact in zip(aliases, facts, strict=True)]
    try:
        answered = caller.ask(name, endpoint, prompt, as_data(entries))
    except EndpointFailed as failure:
        return replace(summary, writing=writing, notice=f"{failure} This is the chart's own text.")
    return _checked(summary, chart, answered, writing, aliases, endpoint.least_share, most)


def _checked(
    summary: Summary,
    chart: ReadableChart,
    answered: Answered,
    writing: Writing,
    aliases: dict[str, str],
    least_share: float,
    most: int,
) -> Summary:
    entries = entries_of(chart)
    kinds = {entry.source: entry.kind for entry in entries}
    kept: list[Sentence] = []
    complete: set[str] = set()
    deleted: Counter[str] = Counter()
    for reply in answered.sentences[: 3 * most]:
        text = " ".join(reply.text.split())
        cites = tuple(dict.fromkeys(aliases.get(cite, cite) for cite in reply.cites))
        verdict = check_sentence(text, cites, entries)
        if verdict.fault:
            deleted[verdict.fault] += 1
            continue
        kept.append(Sentence(text if text.endswith(".") else f"{text}.", cites, kinds[cites[0]], TAG))
        complete |= verdict.complete
    deleted["there are too many"] = max(0, len(answered.sentences) - 3 * most)
    writing = replace(
        writing, seconds=answered.seconds, sent_bytes=answered.sent_bytes, confirmed=len(kept), deleted=dict(+deleted)
    )
    if writing.share < least_share:
        text = (
            f"Only {len(kept)} of {len(answered.sentences)} sentences of the language model are confirmed by the chart."
        )
        return replace(summary, writing=writing, notice=f"{text} This is the chart's own text.")
    sentences = _merged(summary.sentences, kept, complete)
    if len(sentences) > most:
        return replace(
            summary, writing=writing, notice="The language model's text is longer. This is the chart's own text."
        )
    return replace(summary, sentences=tuple(sentences), writing=writing)


def _merged(lines: Sequence[Sentence], kept: Sequence[Sentence], complete: set[str]) -> list[Sentence]:
    """Return the lines of the chart's own text, those that the model's sentences tell in full replaced by them."""
    replaced = [line for line in lines if line.kind in _SENT and complete.issuperset(line.cites)]
    covered = {cite for line in replaced for cite in line.cites}
    shown = [sentence for sentence in kept if covered.issuperset(sentence.cites) and sentence.kind in _SENT]
    lost = covered - {cite for sentence in shown for cite in sentence.cites}
    merged: list[Sentence] = []
    for line in lines:
        if line not in replaced or not lost.isdisjoint(line.cites):
            merged.append(line)
        elif shown:
            merged.extend(shown)
            shown = []
    return merged


def _facts_to_send(chart: ReadableChart, resources: Iterable[Resource]) -> list[Fact]:
    """Choose what may leave: no drugs, allergies and notes, at most so many, none with anything of the person."""
    personal = {word.lower() for resource in resources for word in _of_person(resource) if len(word) > 2}
    facts = [
        fact
        for fact in chart.of_kind(*_SENT)
        if not personal & {word.strip(".,()").lower() for word in fact.text.split()}
    ]
    results = sorted((fact for fact in facts if fact.kind == "result"), key=lambda fact: fact.day, reverse=True)
    others = [fact for fact in facts if fact.kind != "result"]
    return [*others, *results][:_MOST_ENTRIES]


def _of_person(value: Any) -> Iterable[str]:
    """Yield the words of names, numbers and addresses of the patient."""
    if isinstance(value, dict):
        if "resourceType" in value:
            members = ("name", "identifier", "telecom", "address", "contact", "birthDate")
            yield from _of_person(
                [value.get(member) for member in members] if value["resourceType"] == "Patient" else []
            )
            return
        yield from _of_person([member for name, member in value.items() if name not in ("system", "use", "type")])
    elif isinstance(value, list):
        for member in value:
            yield from _of_person(member)
    elif isinstance(value, str):
        yield from value.split()


def provenance(summary: Summary, at: datetime) -> Resource | None:
    """Return the FHIR Provenance of what a language model wrote in a summary; None where it wrote nothing."""
    written = [sentence for sentence in summary.sentences if sentence.tag]
    if not written or summary.writing is None:
        return None
    writing = summary.writing
    sources = dict.fromkeys(cite for sentence in written for cite in sentence.cites)
    author = f"{writing.model} at the endpoint {writing.endpoint}, prompt {writing.prompt} ({writing.digest[:12]})"
    agents = (("author", author), ("verifier", "cds-hooks-onnx: each sentence is compared with what it cites"))
    return {
        "resourceType": "Provenance",
        "meta": {"security": [security_tag()]},
        "target": [{"display": sentence.text} for sentence in written],
        "recorded": at.astimezone(UTC).isoformat(timespec="seconds"),
        "agent": [
            {"type": {"coding": [{"system": _PARTICIPANTS, "code": role}]}, "who": {"display": who}}
            for role, who in agents
        ],
        "entity": [{"role": "source", "what": {"reference": source}} for source in sources],
    }


def security_tag() -> dict[str, str]:
    """Return the coding of what an artificial intelligence asserted."""
    return {"system": TAG_SYSTEM, "code": TAG, "display": "Artificial Intelligence asserted"}
