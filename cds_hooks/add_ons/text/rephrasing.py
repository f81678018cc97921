"""A summary that a language model words anew, sentence by sentence checked against the chart.

The extractive summary comes first and stays whole: a line of it gives way only to confirmed sentences that tell all its
entries. Contradictions, allergies and drugs are never sent and never replaced, so nothing can be made to vanish.

`check_sentence` says whether a sentence says only what the entries say that it cites. Every word of a sentence is a
word of a cited entry, a word that tells its kind or status, or a joining word of a closed list; everything else is
unsupported. An entry is named in full, and its numbers stand behind its name, with unit, date and sign. A sentence is
of entries of one status: what is past, ordered, denied, doubted or of a relative is called so, and what is not is not.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from cds_hooks.add_ons.text.chart import ChartNote, Fact, Kind, ReadableChart, Resource
from cds_hooks.add_ons.text.endpoint import Answered, Caller, Endpoint, EndpointFailed, as_data
from cds_hooks.add_ons.text.prompts import Prompt
from cds_hooks.add_ons.text.summary import MOST_SENTENCES, Sentence, Summary, Writing, summarise_chart

_TOKEN: Final = re.compile(r"\d{4}-\d{2}-\d{2}|\d+(?:[./,]\d+)*|[^\W\d_]+|[<>%≤≥]")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WRITTEN_DATE: Final = re.compile(
    r"\b(\d{1,2}) (jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6} (\d{4})\b", re.IGNORECASE
)
_MARKUP: Final = re.compile(r"[\[\]{}`|\\@_*#^~$]|<[a-z/!]|https?:|www\.|//|\?|!", re.IGNORECASE)
_LONGEST: Final = 300


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_JOINING: Final = _words(
    "a an the of and with on in at for since is are has have patient s her his their from to by then both also as this "
    "problem diagnosi condition result value level list listed record recorded chart known dated date measured mean it "
    "there earlier first"
)
_DENIED: Final = _words("no not without deny denie denied never none negative absent nil neither nor free ruled")
_PAST: Final = _words("past previou previously resolved history former formerly ended inactive ago")
_WERE: Final = _words("was were had")
_CURRENT: Final = _words("current currently active now ongoing present taking take")
_LATEST: Final = _words("latest last newest recent most current currently now")
_DOUBT: Final = _words("possible possibly suspected probable probably may might likely unconfirmed confirmed query")
_ORDERED: Final = _words("open ordered requested planned due pending awaited")
_ALLERGIC: Final = _words("allergy allergie allergic intolerance intolerant reaction")
_SAID: Final = _words("said say letter note report summary document")
_RISE: Final = _words("rose risen higher increased up")
_FALL: Final = _words("fell fallen lower decreased down")
_OF_STATUS: Final = {
    "stopped": _words("stopped discontinued"),
    "on hold": _words("hold held"),
    "completed": _words("completed finished"),
}
_RELATIVE: Final = _words("family relative")
_STATUS: Final = (
    _DENIED | _PAST | _WERE | _CURRENT | _LATEST | _DOUBT | _ORDERED | _ALLERGIC | _SAID | _RISE | _FALL | _RELATIVE
).union(*_OF_STATUS.values())


class Entry(Struct, frozen=True):
    """One entry of a chart as a sentence is compared with it.

    A sentence names it with all words of one of `names`. It needs a word of each of `needed`; of the words that tell a
    status it may have only `allowed` ones.
    """

    source: str
    kind: str
    group: str
    names: tuple[frozenset[str], ...]
    tokens: tuple[str, ...]
    needed: tuple[frozenset[str], ...] = ()
    allowed: frozenset[str] = frozenset()
    day: str = ""
    value: float | None = None
    is_latest: bool = True


class Verdict(Struct, frozen=True):
    """Whether a sentence is confirmed (`fault` ""), and the resources that it tells in full, with their values."""

    fault: str = ""
    complete: frozenset[str] = field(default_factory=frozenset)


def _stem(word: str) -> str:
    word = word.lower().replace("µ", "u").replace("μ", "u")
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def _tokens(text: str) -> tuple[str, ...]:
    def iso(match: re.Match[str]) -> str:
        return f"{match[3]}-{_MONTHS.index(match[2].lower()) + 1:02d}-{int(match[1]):02d}"

    return tuple(_stem(token) for token in _TOKEN.findall(_WRITTEN_DATE.sub(iso, text.replace("'", " "))))


def entries_of(chart: ReadableChart) -> tuple[Entry, ...]:
    """Return what sentences over a chart can rest on: its facts, and the names that its notes affirm, deny or doubt."""
    latest: dict[str, str] = {}
    for fact in chart.of_kind("result"):
        latest[fact.name.lower()] = max(latest.get(fact.name.lower(), ""), fact.day)
    facts = (_of_fact(fact, latest) for fact in chart.facts)
    return (*facts, *(entry for note in chart.notes for entry in _of_note(note)))


def _of_fact(fact: Fact, latest: Mapping[str, str]) -> Entry:
    text = f"{fact.text} {fact.day}"
    needed: list[frozenset[str]] = []
    allowed = _WERE
    group, value = f"{fact.source} {fact.name}", None
    match fact.kind:
        case "problem":
            allowed = _CURRENT
        case "past":
            needed, allowed = [_PAST], _PAST | _WERE
        case "allergy":
            needed, allowed = [_ALLERGIC], _ALLERGIC | _CURRENT
        case "drug":
            allowed = _CURRENT
        case "stopped":
            of_status = _OF_STATUS.get(fact.value, frozenset({_stem(fact.value)}))
            needed, allowed = [of_status], of_status | _WERE
        case "result":
            number = re.match(r"-?\d+(?:\.\d+)?", fact.value)
            value = float(number[0]) if number else None
            unit = fact.value[number.end() :] if number else ""
            group, allowed = f"result {fact.name.lower()}{unit}", _WERE | _LATEST | _RISE | _FALL | _PAST
        case "family":
            relative = fact.text.partition(":")[0]
            needed, allowed = [frozenset(_tokens(relative)) | _RELATIVE], _RELATIVE | _WERE | {"history"}
        case "open":
            needed, allowed = [_ORDERED], _ORDERED
    if fact.status == "unconfirmed":
        needed, allowed = [*needed, _DOUBT], allowed | _DOUBT | {"not"}
    if fact.status == "remission":
        needed = [*needed, frozenset({"remission"})]
    if fact.status == "ended":
        needed, allowed = [*needed, frozenset({"longer"})], allowed | {"no"}
    is_latest = fact.kind != "result" or fact.day == latest[fact.name.lower()]
    names = (_name_words(fact.name),)
    return Entry(
        fact.source, fact.kind, group, names, _tokens(text), tuple(needed), allowed, fact.day, value, is_latest
    )


def _name_words(*texts: str) -> frozenset[str]:
    """Return the words of a name that a sentence must have."""
    return frozenset(word for text in texts for word in _tokens(text)) - _JOINING


def _of_note(note: ChartNote) -> Iterator[Entry]:
    title = _tokens(note.title)
    for finding in note.reading.findings:
        if finding.experiencer != "patient" or finding.assertion == "hypothetical":
            continue
        needed, allowed = [_SAID], _SAID | _WERE | frozenset(title)
        if finding.assertion == "negated":
            needed, allowed = [*needed, _DENIED], allowed | _DENIED
        if finding.assertion == "possible":
            needed, allowed = [*needed, _DOUBT], allowed | _DOUBT
        if finding.temporality == "historical":
            needed, allowed = [*needed, _PAST], allowed | _PAST
        tokens = (*title, *_tokens(f"{finding.text} {finding.concept}"))
        names = (_name_words(finding.text), _name_words(finding.concept))
        group = f"{note.source} {finding.concept}"
        yield Entry(note.source, "note", group, names, tokens, tuple(needed), allowed)


class _Run:
    """The words of a sentence that are of one entry, one behind the other."""

    def __init__(self, first: str, entries: Sequence[Entry]) -> None:
        self.words = [first]
        self.entries = entries


def check_sentence(text: str, cites: Iterable[str], entries: Sequence[Entry]) -> Verdict:
    """Compare a sentence with the entries that it cites; `fault` says in a few words what is wrong with it."""
    if len(text) > _LONGEST:
        return Verdict("it is too long")
    if _MARKUP.search(text):
        return Verdict("it has markup, a link, an address or a question")
    cited = tuple(dict.fromkeys(cites))
    sources = {entry.source for entry in entries}
    if not cited:
        return Verdict("it cites nothing")
    if not sources.issuperset(cited):
        return Verdict("it cites what is not in the chart")
    tokens = _tokens(text)
    runs = _runs(tokens, [entry for entry in entries if entry.source in cited])
    if isinstance(runs, str):
        return Verdict(runs)
    used: dict[str, Entry] = {}
    complete: set[str] = set()
    group = ""
    for run in runs:
        entry = _entry_of(run, group)
        if entry is None:
            return Verdict("a number or a word is not of the entry beside whose name it stands")
        group = entry.group
        key = f"{entry.source} {entry.group}"
        used[key] = entry
        if entry.kind != "result" or any(word[0].isdigit() and "-" not in word for word in run.words):
            complete.add(key)
    if {entry.source for entry in used.values()} != set(cited):
        return Verdict("it cites what it does not tell of")
    fault = _status_fault(tokens, list(used.values())) or _change_fault(tokens, list(used.values()))
    return Verdict(fault, frozenset() if fault else _resources_in_full(complete, entries))


def _runs(tokens: Sequence[str], entries: Sequence[Entry]) -> list[_Run] | str:
    """Return the words that are of entries, as runs of one entry each; a text where a word is of none."""
    runs: list[_Run] = []
    for position, token in enumerate(tokens):
        holding = [entry for entry in entries if _holds(entry, tokens, position)]
        if not holding and (token in _JOINING or token in _STATUS):
            continue
        if token in _JOINING:
            continue
        if not holding:
            return "a number, unit or date is in no cited entry" if token[0].isdigit() else "it says more than is cited"
        if token in _STATUS and not any(token in name for entry in holding for name in entry.names):
            continue
        kept = [entry for entry in runs[-1].entries if entry in holding] if runs else []
        if kept:
            runs[-1].entries = kept
            runs[-1].words.append(token)
        else:
            runs.append(_Run(token, holding))
    return runs


def _holds(entry: Entry, tokens: Sequence[str], position: int) -> bool:
    """Whether an entry has a word; a number only with the sign before it and the unit behind it."""
    token = tokens[position]
    if not token[0].isdigit():
        return token in entry.tokens
    before = tokens[position - 1] if position else ""
    behind = tokens[position + 1] if position + 1 < len(tokens) else ""
    sign = before if before in "<>≤≥" else ""
    if len(token) == 4 and before in ("in", "since"):
        return any(other.startswith(f"{token}-") or other == token for other in entry.tokens)
    for index, other in enumerate(entry.tokens):
        if other != token:
            continue
        earlier = entry.tokens[index - 1] if index else ""
        following = entry.tokens[index + 1] if index + 1 < len(entry.tokens) else ""
        has_sign = (earlier if earlier in "<>≤≥" else "") == sign
        has_unit = behind == following or behind in _JOINING or behind in _STATUS or not behind
        if has_sign and (has_unit or behind[:1].isdigit()):
            return True
    return False


def _entry_of(run: _Run, group: str) -> Entry | None:
    """Return the entry of a run: it has all words of the name, or goes on about the same test with its next value."""
    first = run.words[0]
    for entry in run.entries:
        begins = not first[0].isdigit() or any(first in name for name in entry.names if len(name) > 1)
        if begins and not _is_date(first) and any(name <= set(run.words) for name in entry.names):
            return entry
    for entry in run.entries:
        if entry.group == group and entry.kind == "result" and first[0].isdigit() and not _is_date(first):
            return entry
    return None


def _is_date(token: str) -> bool:
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}", token) is not None


def _status_fault(tokens: Sequence[str], used: Sequence[Entry]) -> str:
    for entry in used:
        if any(needed.isdisjoint(tokens) for needed in entry.needed):
            return "it does not say the status of what it tells"
        for token in tokens:
            if token in _STATUS and token not in entry.allowed and all(token not in name for name in entry.names):
                return "it says another status than the entry"
    older = [entry for entry in used if not entry.is_latest]
    if any(entry.day not in tokens for entry in older):
        return "it tells an older result without its date"
    if not _LATEST.isdisjoint(tokens):
        first: dict[str, Entry] = {}
        for entry in used:
            first.setdefault(entry.group, entry)
        if not all(entry.is_latest for entry in first.values()):
            return "it calls an older result the last one"
    return ""


def _change_fault(tokens: Sequence[str], used: Sequence[Entry]) -> str:
    """Return what is wrong with "rose" or "fell": two dated values of a test that changed so, the earlier first."""
    rises, falls = not _RISE.isdisjoint(tokens), not _FALL.isdisjoint(tokens)
    if not (rises or falls):
        return ""
    if (rises and falls) or len(used) != 2 or used[0].group != used[1].group:
        return "it tells a change that the entries do not show"
    before, after = used
    if before.day >= after.day or before.value is None or after.value is None:
        return "it tells a change that the entries do not show"
    is_right = after.value > before.value if rises else after.value < before.value
    return "" if is_right else "it tells a change that the entries do not show"


def _resources_in_full(complete: set[str], entries: Sequence[Entry]) -> frozenset[str]:
    keys: dict[str, set[str]] = {}
    for entry in entries:
        keys.setdefault(entry.source, set()).add(f"{entry.source} {entry.group}")
    return frozenset(source for source, of_source in keys.items() if of_source <= complete)


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
    shown = [sentence for sentence in kept if covered.issuperset(sentence.cites)]
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
