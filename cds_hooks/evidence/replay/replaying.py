"""Replays decisions: the whole call of each, from its recorded chart and facts; one verdict for each."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final, Literal

import msgspec
import orjson
from msgspec import Struct

from cards.extension import EXTENSION_KEY
from cds_hooks.call.configuration import Content, differences, read_content
from cds_hooks.call.hold_back.reasons import has_looked
from cds_hooks.call.prefetch.facts import ChartNotRecorded, FactsOfCall
from cds_hooks.errors import HookError
from cds_hooks.evidence.replay.basis import Basis, read_basis
from cds_hooks.evidence.replay.memory import Remembered
from cds_hooks.evidence.replay.site import ReplaySite
from cds_hooks.evidence.replay.stages import answer_again
from cds_hooks.evidence.storage.decision import Decision, encode_part
from cds_hooks.evidence.storage.queries import charts_of, facts_of
from cds_hooks.people.access.links import without_token
from fhir.record.refusals import WhyNot
from fhir.record.resources import Patient

# Compares what a decision recorded with what was computed again, and names the cause of a difference


_MOST: Final = 12
"""So many differences of one decision are listed; where more differ, the last line says how many."""
_LONGEST: Final = 160
_NAMED: Final = ("model", "rule", "site", "release", "setting")
"""What is named one by one; of tables and code the names follow."""


class Difference(Struct, frozen=True):
    """One place where the record and the replay differ; a value that is not there is None."""

    where: str
    recorded: Any
    replayed: Any

    @property
    def words(self) -> str:
        """The place with both values, shortened."""
        return f"{self.where}: recorded {_short(self.recorded)}, replayed {_short(self.replayed)}"


def differences_in(where: str, recorded: Any, replayed: Any) -> Iterator[Difference]:
    """Yield every place where two JSON values differ; numbers are compared bit for bit."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in dict.fromkeys((*recorded, *replayed)):
            text = f"{where}.{name}" if where else str(name)
            yield from differences_in(text, recorded.get(name), replayed.get(name))
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for at in range(max(len(recorded), len(replayed))):
            old = recorded[at] if at < len(recorded) else None
            new = replayed[at] if at < len(replayed) else None
            yield from differences_in(f"{where}[{at}]", old, new)
    elif recorded != replayed:
        yield Difference(where, recorded, replayed)


def response_for_comparison(response: bytes) -> Any:
    """Return the answer without timings, which no two calls share, and the links' signatures, which follow a secret."""
    read = orjson.loads(response)
    read.get("extension", {}).get(EXTENSION_KEY, {}).pop("timings", None)
    for card in read.get("cards") or []:
        for link in card.get("links") or []:
            link["url"] = without_token(link["url"])
    return read


def first_of(differences: Iterator[Difference]) -> tuple[Difference, ...]:
    """Return the first differences, and how many more there are."""
    every = list(differences)
    more = len(every) - _MOST
    return (*every[:_MOST], *([Difference(f"{more} places more", None, None)] if more > 0 else []))


def causes(
    then: Content | None, now: Content, about: Collection[str], recorded_day: datetime, replayed_day: datetime
) -> tuple[str, ...]:
    """Return what was another when the decision was made, in sentences; `about` are the models and rules it mentions.

    Models and rules that it does not mention are left out. Where nothing is another, that is said, too.
    """
    sentences = []
    if recorded_day.date() != replayed_day.date():
        sentences = [f"day: recorded as of {recorded_day.date()}, replayed as of {replayed_day.date()}"]
    if then is None:
        return (*sentences, "the decision names no configuration that is on record, so nothing more can be compared")
    changed: dict[str, list[str]] = {}
    for kind, name, text in differences(then, now):
        if kind in _NAMED and (kind not in ("model", "rule") or name in about):
            sentences.append(text)
        elif kind not in _NAMED:
            changed.setdefault(kind, []).append(name)
    sentences += [f"{kind} changed: {', '.join(names)}" for kind, names in changed.items()]
    return tuple(sentences) or (
        "nothing that is in force has changed: what was remembered then is not all on record, or this is a fault",
    )


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def mentioned(*parts: Mapping[str, Any]) -> set[str]:
    """Return the ids of models and rules that answers mention: of findings and models."""
    texts: set[str] = set()
    for response in parts:
        for card in response.get("cards") or []:
            extension = card.get("extension", {}).get(EXTENSION_KEY, {})
            texts |= {finding["rule"] for finding in extension.get("findings", [])}
            texts |= {extension["model"]["id"]} if extension.get("model") else set()
    return texts


AT_ONCE: Final = 500
"""So many decisions are read from the record together."""
_CHARTS_AT_ONCE: Final = 20
_NO_CHART: Final = "no chart was recorded with it: the service was off then, or an older version made the decision"
_NOTHING_KEPT: Final = "no facts were kept, and of its chart only the hash: it was made with CDS_KEEP_FACTS=false"


class Verdict(Struct, frozen=True, kw_only=True):
    """What a replay of one decision came to; `because` says why it was not replayed."""

    decision: str
    service: str
    outcome: Literal["same", "differs", "not-replayed"]
    differences: tuple[Difference, ...] = ()
    causes: tuple[str, ...] = ()
    because: str = ""


class Replayed(Struct, frozen=True):
    """A decision, what it recorded, and what was computed again."""

    decision: Decision
    basis: Basis
    answer: bytes | None = None
    """The body of the answer, or an object with the `error` for which there is none; None where it was not replayed."""
    scores: Mapping[str, Any] | None = None
    looked: list[list[str]] | None = None
    """Subject and code of what looked and found nothing, which an answer does not list; None without an answer."""
    because: str = ""
    as_of: datetime | None = None
    patient: Patient | None = None
    """The patient of a call that was replayed from its facts: birth date and sex."""

    @property
    def response(self) -> Mapping[str, Any] | None:
        """The answer as it is compared with another one."""
        return response_for_comparison(self.answer) if self.answer is not None else None


class Replayer:
    """Replays decisions at a site; `as_of` replays them as of another instant than their own."""

    def __init__(self, site: ReplaySite, url: str, as_of: datetime | None = None) -> None:
        """`url` is where the record is, for what was in force then and for the facts that were kept."""
        self._site = site
        self._url = url
        self._as_of = as_of
        self._contents: dict[str, Content | None] = {}

    def verdicts(self, decisions: Iterable[Decision]) -> Iterator[Verdict]:
        """Yield one verdict for each decision, in their order."""
        for row in self.replayed(decisions):
            yield self._verdict(row)

    def replayed(self, decisions: Iterable[Decision]) -> Iterator[Replayed]:
        """Yield each decision computed again."""
        source = iter(decisions)
        while batch := list(islice(source, AT_ONCE)):
            facts = facts_of(self._url, [decision.id for decision in batch])
            for start in range(0, len(batch), _CHARTS_AT_ONCE):
                group = batch[start : start + _CHARTS_AT_ONCE]
                charts = charts_of(self._url, [decision.id for decision in group])
                for decision in group:
                    row, kept = Replayed(decision, read_basis(decision.basis)), facts.get(decision.id)
                    if kept is None:
                        yield _not(row, _why_nothing_is_kept(decision))
                    else:
                        yield self._by_call(row, kept, charts.get(decision.id))

    def _by_call(self, row: Replayed, facts: bytes, chart: bytes | None) -> Replayed:
        """Return the whole call, from the facts that are kept of it."""
        decision, basis, site = row.decision, row.basis, self._site
        service, client = site.services.get(decision.service), site.client_of(decision.client)
        if service is None or client is None:
            missing = f"service {decision.service}" if service is None else f"client {decision.client}"
            return _not(row, f"there is no {missing} here any more")
        as_of = self._as_of or basis.as_of
        remembered = Remembered(decision.response, basis.silence, basis.withheld)
        site.restraint.recall(remembered, as_of.date())
        try:
            call_facts = FactsOfCall(facts, chart, basis, decision.patient)
            answer = answer_again(site, service, client, decision, basis, call_facts, as_of)
        except HookError as error:
            refusal = msgspec.json.encode({"error": error.text})
            return msgspec.structs.replace(row, answer=refusal, as_of=as_of)
        except ChartNotRecorded:
            return _not(row, _NO_CHART)
        except msgspec.MsgspecError:
            return _not(row, "the facts that were kept cannot be read")
        response, scores = answer.decision.response, answer.selected.advised.advice.scores
        silences = answer.selected.silences
        looked = [[silence.subject, silence.reason] for silence in silences if has_looked(silence)]
        return Replayed(decision, basis, response, scores, looked, as_of=as_of, patient=call_facts.patient)

    def _verdict(self, row: Replayed) -> Verdict:
        decision = row.decision
        if row.answer is None:
            return Verdict(decision=decision.id, service=decision.service, outcome="not-replayed", because=row.because)
        first = first_of(self._differences(row))
        if not first:
            return Verdict(decision=decision.id, service=decision.service, outcome="same")
        then, now = self._content(row.basis.config), self._site.in_force
        about = {(row.basis.scores or {}).get("id", ""), *(load["id"] for load in orjson.loads(decision.models))}
        about |= mentioned(orjson.loads(decision.response), row.response or {})
        about |= {subject for subject, *_ in (*row.basis.silence, *(row.looked or ()))}
        reasons = causes(then, now, about, row.basis.as_of, row.as_of or row.basis.as_of)
        return Verdict(
            decision=decision.id,
            service=decision.service,
            outcome="differs",
            differences=first,
            causes=reasons,
        )

    def _differences(self, row: Replayed) -> Iterator[Difference]:
        scores = encode_part(row.scores)
        if scores != bytes(row.basis.scores_as_recorded):  # the same words in another order are no difference
            yield from differences_in("scores", row.basis.scores, orjson.loads(scores))
        if row.answer is not None and row.answer != row.decision.response:
            recorded, replayed = response_for_comparison(row.decision.response), row.response
            if recorded != replayed:  # comparing them as wholes is many times as fast as place by place
                yield from differences_in("", recorded, replayed)
        looked = [list(silence[:2]) for silence in row.basis.silence if has_looked(WhyNot(*silence))]
        if row.looked is not None and row.looked != looked:
            yield from differences_in("looked", looked, row.looked)

    def _content(self, digest: str) -> Content | None:
        if digest not in self._contents:
            self._contents[digest] = read_content(self._url, digest) if digest else None
        return self._contents[digest]


def _why_nothing_is_kept(decision: Decision) -> str:
    if decision.is_refused:
        return "the call was refused, so nothing was computed"
    return _NOTHING_KEPT


def _not(row: Replayed, because: str) -> Replayed:
    return msgspec.structs.replace(row, because=because)
