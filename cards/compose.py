"""Drafted orders to cards: everything found about one order on one card, or the reason why there is none."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from msgspec import Struct, structs, to_builtins

from cards.card import SUMMARY_LIMIT, Card, Source, Suggestion, check_card
from cards.markdown import escape, plain
from cards.proofs import Proofs
from cards.rules.chart import Chart
from cards.rules.draft import Draft
from cards.rules.drafted import Drafted
from cards.rules.engine import Judgement, RuleBook, rule_book
from cards.rules.fact import Fact
from cards.rules.finding import Finding, Silence
from cards.rules.governance import Quiet, never_quiet
from cards.rules.together import each_once
from cards.suggest import Allowance, Bench, Found, Original, suggestions_for
from cards.topics import TOPICS
from fhir.record.record import PatientRecord

EXTENSION = "org.cds-hooks-onnx"
MOST_LINES = 5
MOST_SUGGESTIONS = 4
_HARM = {"critical": 0, "warning": 1, "info": 2}
# A Medication among the drafts is part of an order, not one of its own.
_PARTS = frozenset({"Medication"})
_TESTS = frozenset({"ServiceRequest"})
_MOST_NAMED = 5


class OrderOutcome(Struct, frozen=True):
    """What checking the drafts came to: at most one card for each draft, and a reason for everything not said."""

    cards: tuple[Card, ...]
    silences: tuple[Silence, ...]


def check_orders(
    record: PatientRecord,
    drafts: Iterable[Draft],
    judged: Collection[str] | None,
    new_uuid: Callable[[], str],
    book: RuleBook | None = None,
    original: Original = lambda _reference: None,
    quiet: Quiet = never_quiet,
    proofs: Proofs | None = None,
    *,
    signing: bool = False,
) -> OrderOutcome:
    """The cards for the drafts named in `judged` (None: for all); the other drafts count as active orders.

    `original` gives the client's own JSON of an active order, for suggestions that stop or change it; `quiet` says why
    a finding is not shown here. What is not shown is judged all the same: no suggestion can go against it.

    `proofs` remembers between calls which orders are valid FHIR.

    `signing`: nothing more will be entered, so that what is missing is asked for and not waited for.

    What is found about two drafts together stands on one card: on the draft that the rule can do most about.
    """
    chart = Chart(record, drafts, signing=signing)
    check = _Check(chart, book if book is not None else rule_book(), new_uuid, original, proofs or Proofs())
    silences: list[Silence] = []
    by_draft = {id(one.draft): one for one in check.chart.drafted}
    asked = []
    for draft in check.chart.drafts:
        if judged is not None and not draft.is_named(judged):
            continue
        drafted = by_draft.get(id(draft))
        if drafted is None or not drafted.medication.recognised:
            silences.extend(_passed_over(draft, drafted))
        else:
            asked.append(drafted)
    if asked:
        silences.extend(_unknown_on_list(chart))
    shown = [(one.draft.name, _said(check.judge(one).findings, quiet, silences)) for one in asked]
    findings, told_elsewhere = each_once(shown)
    silences.extend(told_elsewhere)
    cards: list[Card] = []
    for drafted, found in zip(asked, findings, strict=True):
        card, reasons = check.card(drafted, found)
        silences.extend(reasons)
        if card is not None:
            cards.append(card)
    return OrderOutcome(tuple(cards), tuple(silences))


def _said(findings: Iterable[Finding], quiet: Quiet, silences: list[Silence]) -> tuple[Finding, ...]:
    """The findings that are shown; the reasons against the others go to the silences."""
    said = []
    for finding in findings:
        why_not = quiet(finding)
        if why_not is None:
            said.append(finding)
        else:
            silences.append(why_not)
    return tuple(said)


def _passed_over(draft: Draft, drafted: Drafted | None) -> Iterator[Silence]:
    if drafted is not None:
        words = plain(drafted.medication.words) or "the drafted medication"
        yield Silence(draft.name, "not-recognised", f"Not recognised, so not checked: {words}.")
    elif draft.fault is not None:
        fault = plain(draft.fault.replace("`", "").replace("$.", ""), 120)
        yield Silence(draft.name, "draft-unreadable", f"{draft.name} cannot be read ({fault}): not checked.")
    elif draft.order is not None:
        yield Silence(
            draft.name, "not-to-be-given", f"{draft.name} is not to be given (its status or doNotPerform): not checked."
        )
    elif draft.kind not in _PARTS:
        kind = f"a {plain(draft.kind)}" if draft.kind else "a resource without a type"
        yield Silence(draft.name, "not-a-medication", f"{draft.name} is {kind}, no medication order: not checked.")


def _unknown_on_list(chart: Chart) -> Iterator[Silence]:
    """What the patient takes and no table knows: no draft was checked against it."""
    words = {plain(one.medication.words) for one in chart.active if not one.medication.recognised}
    named = sorted(words - {""})
    if words:
        more = len(words) - len(named[:_MOST_NAMED])
        said = "; ".join(named[:_MOST_NAMED]) or "a medication without a name"
        also = f" and {more} more" if more and named else ""
        text = f"On the medication list, not recognised, so nothing was checked against it: {said}{also}."
        yield Silence("medications", "not-recognised", text)


class _Check:
    """One call: the patient with the drafts, and what was found about each of them, judged once."""

    def __init__(
        self, chart: Chart, book: RuleBook, new_uuid: Callable[[], str], original: Original, proofs: Proofs
    ) -> None:
        self.allowance = Allowance()
        self.chart = chart
        self.book = book
        self.new_uuid = new_uuid
        self.original = original
        self.proofs = proofs
        self._judged: dict[int, Judgement] = {}

    def judge(self, drafted: Drafted) -> Judgement:
        known = self._judged.get(id(drafted))
        if known is None:
            known = self._judged[id(drafted)] = self.book.judge(self.chart, drafted)
        return known

    def found(self, drafted: Drafted) -> Found:
        return self.judge(drafted).found

    def card(self, drafted: Drafted, found: Sequence[Finding]) -> tuple[Card | None, list[Silence]]:
        silences = list(self.judge(drafted).silences)
        name = drafted.draft.name
        if drafted.medication.doubt:
            silences.append(Silence(name, "identity-in-doubt", f"{name}: {plain(drafted.medication.doubt, 200)}"))
        if not found:
            if not silences and not self.judge(drafted).found:
                silences.append(Silence(name, "no-rule", f"No rule here is about {plain(drafted.medication.name)}."))
            return None, silences
        findings = tuple(sorted(found, key=_rank))
        bench = Bench(
            self.chart, drafted, self.found, self.original, self.book, self.new_uuid, self.proofs, self.allowance
        )
        uuid = self.new_uuid()
        suggestions: list[Suggestion] = []
        for finding in findings:
            offered, withheld = suggestions_for(finding, bench)
            # What is only worth monitoring must not be preselected on an order that should not stand.
            if finding.indicator != findings[0].indicator:
                offered = [structs.replace(one, is_recommended=False) for one in offered]
            suggestions.extend(offered)
            silences.extend(withheld)
        return _card(uuid, findings, _distinct(suggestions), drafted), silences


def _rank(finding: Finding) -> tuple[int, bool, int]:
    """By harm, then by how sure the facts are, then by the rule's own priority."""
    return _HARM[finding.indicator], not finding.is_certain, -finding.priority


def _card(uuid: str, findings: Sequence[Finding], suggestions: Sequence[Suggestion], drafted: Drafted) -> Card:
    first = findings[0]
    evidence = first.evidence[0]
    return check_card(
        Card(
            uuid=uuid,
            summary=_summary(first),
            detail="\n".join(_lines(findings, drafted)),
            indicator=first.indicator,
            source=Source(label=evidence.label, url=evidence.url, topic=TOPICS["orders"]),
            suggestions=tuple(suggestions),
            selection_behavior="at-most-one" if suggestions else None,
            override_reasons=tuple(dict.fromkeys(reason for one in findings for reason in one.override_reasons)),
            extension={EXTENSION: _extension(findings)},
        )
    )


def _summary(finding: Finding) -> str:
    """The summary of the worst finding; the lint sees to its length, a long drug name is cut rather than refused."""
    summary = finding.summary
    return summary if len(summary) <= SUMMARY_LIMIT else f"{summary[: SUMMARY_LIMIT - 1]}…"


# The detail: at most five lines


def _lines(findings: Sequence[Finding], drafted: Drafted) -> Iterator[str]:
    yield f"**{_order_words(drafted)}**{_facts_line(findings)}"
    spoken, rest = _spoken(findings)
    for group in spoken:
        first, *others = group
        # The card's own summary is not said twice.
        lead = "" if first is findings[0] else f"**{_inline(first)}** "
        also = "".join(f" Also: **{_inline(one)}**" for one in others)
        yield f"- {lead}{first.detail}{also} ({_citation(group)})"
    notes = list(dict.fromkeys(note for one in findings for note in one.notes))
    notes = [f"Also: {_inline(one)}" for one in rest] + notes
    if notes:
        yield f"- {' '.join(notes)}"


def _spoken(findings: Sequence[Finding]) -> tuple[list[list[Finding]], list[Finding]]:
    """The findings by line, and those for which no line is left.

    Each has a line of its own where there is room, else those of one merge group share the line of their worst.
    """
    if len(findings) <= MOST_LINES - 2:
        return [[one] for one in findings], []
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.group, []).append(finding)
    lines = list(groups.values())
    return lines[: MOST_LINES - 2], [one for group in lines[MOST_LINES - 2 :] for one in group]


def _inline(finding: Finding) -> str:
    return escape(finding.summary, SUMMARY_LIMIT)


def _order_words(drafted: Drafted) -> str:
    return escape(drafted.medication.words or drafted.medication.name)


def _facts_line(findings: Sequence[Finding]) -> str:
    said = " ".join(one.detail for one in findings)
    facts = [fact for one in findings for fact in one.facts if fact.text and fact.name != "draft"]
    texts = dict.fromkeys(_fact_words(fact) for fact in _fullest(facts) if fact.text not in said)
    return f": {'; '.join(texts)}." if texts else ""


def _fullest(facts: Iterable[Fact]) -> Iterable[Fact]:
    """One fact about each thing of the chart: of those with the same name and source the one that says most."""
    found: dict[tuple[object, ...], Fact] = {}
    for fact in facts:
        key = (fact.name, fact.source or fact.text)
        known = found.get(key)
        if known is None or len(fact.text) > len(known.text):
            found[key] = fact
    return found.values()


def _fact_words(fact: Fact) -> str:
    text = escape(fact.text, 160)
    if fact.effective and fact.effective[:10] not in fact.text:
        return f"{text} ({fact.effective[:10]})"
    return text


def _citation(findings: Sequence[Finding]) -> str:
    """What the findings of a line rest on: two documents of one finding, the first of each of several."""
    if len(findings) == 1:
        return "; ".join(one.label for one in findings[0].evidence[:2])
    return "; ".join(dict.fromkeys(one.evidence[0].label for one in findings))


# The rest


def _distinct(suggestions: Iterable[Suggestion]) -> list[Suggestion]:
    """Each label and each thing that is done once, at most one of them recommended."""
    kept: list[Suggestion] = []
    for suggestion in suggestions:
        if any(one.label == suggestion.label or _done(one) == _done(suggestion) for one in kept):
            continue
        if suggestion.is_recommended and any(one.is_recommended for one in kept):
            suggestion = structs.replace(suggestion, is_recommended=False)
        kept.append(suggestion)
    return kept[:MOST_SUGGESTIONS]


def _done(suggestion: Suggestion) -> list[tuple[object, ...]]:
    """What accepting it does, without the names of new orders."""
    return [(action.type, action.resource_id, {**(action.resource or {}), "id": None}) for action in suggestion.actions]


def _extension(findings: Sequence[Finding]) -> dict[str, object]:
    facts = dict.fromkeys(fact for one in findings for fact in one.facts)
    return {
        "findings": [{"rule": one.rule, "band": one.band} for one in findings],
        "facts": [to_builtins(fact) for fact in facts],
    }
