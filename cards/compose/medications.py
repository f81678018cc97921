"""Composes the two cards about what is taken already: the medication review, and genetic results that matter to it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cards.card import HEADLINE_LENGTH, OTHER_SOURCES, SEVERITY, TOPICS, Card, CardIdentity, Source, Suggestion
from cards.compose.details import bullet, new_sentences, what_to_do
from cards.extension import CardExtension, Fact, FindingReference
from cards.finding import Finding
from cards.replacements import may_be_stopped
from cards.rules.engine.finding import OfferedSuggestion, RuleFinding
from cards.text import actions_last, escape, first_few, plain, sentences
from fhir.mapping.medications.identity import MedicationIdentity

MEDICATION_REVIEW: Final = "medication-review"
GENES_AND_MEDICATIONS: Final = "genes-and-medications"
"""The outputs of the two cards, by which they are remembered."""
MOST_LINES: Final = 6
_MOST_WORDS: Final = 160
"""So many words are lines in full: with headline, suggestions and the other drugs the card stays under 250."""
MOST_OFFERS: Final = 4
_NAMED: Final = 3
_DANGER: Final = re.compile(r"(?<= against it) \([^()]*\)\.|(?<=\d): [^:]* risk\.")
"""What a headline can do without where the line below it says it."""
_GENES_LINES: Final = 3
_GENES_NAMED: Final = 2


class _Line(Struct, frozen=True):
    """One finding of one rule, with all the drugs that it is about."""

    findings: tuple[RuleFinding, ...]

    @property
    def finding(self) -> RuleFinding:
        """Of a pair the one that names most of its drugs."""
        return max(self.findings, key=lambda finding: len(finding.partners))

    @property
    def rank(self) -> tuple[int, int, str]:
        return -SEVERITY[self.finding.indicator], -self.finding.priority, self.finding.rule

    @property
    def names(self) -> str:
        return ", ".join(dict.fromkeys(finding.drug for finding in self.findings))


def fits_finding(offer: OfferedSuggestion, finding: RuleFinding, medication: MedicationIdentity) -> bool:
    """Whether a suggestion does what the finding asks for, of a drug that is taken already.

    A drug is stopped or held by a button only where the finding is certain and asks for no lower dose, taper or value
    instead. What would begin another drug, or changes the other drug of a pair, is left to the clinician.
    """
    declared = offer.suggestion.declared
    if declared.create or declared.stop_partner is not None or declared.change_partner is not None:
        return False
    if not declared.takes_draft_away:
        is_step = declared.change is not None and finding.asks == "steps"
        return not is_step or may_be_stopped(medication) or declared.in_steps
    return finding.is_certain and may_be_stopped(medication) and finding.asks != "change"


def review_card(findings: Iterable[RuleFinding], identity: CardIdentity, *, since: str, is_brief: bool = False) -> Card:
    """Return the card of the findings, the worst first; one rule about several drugs is one line.

    It warns at most, because what is taken was ordered before, but for a dose or a level that kills, for harm to an
    unborn child, and for a danger that came after the order, `since` this day or later. `is_brief`: with the sentence
    and the suggestions of the worst finding, and no more than the drugs of the others.
    """
    lines = sorted(_grouped(findings), key=lambda line: line.rank)
    evidence, worst = lines[0].finding.evidence[0], lines[0].finding.indicator
    grave = [line.finding for line in lines if line.finding.indicator == "critical"]
    is_deadly = any(
        finding.asks == "change" or finding.family in ("monitoring", "pregnancy") or came_later(finding, since)
        for finding in grave
    )
    return identity.card(
        "critical" if is_deadly else "info" if worst == "info" else "warning",
        _summary(lines),
        "\n".join(_detail_in_brief(lines) if is_brief else _detail(lines)),
        Source(label=evidence.label, url=evidence.link, topic=TOPICS["review"]),
        _extension([line.finding for line in lines], lines, MEDICATION_REVIEW),
        suggestions=_offers(lines[:1] if is_brief else lines),
    )


def came_later(finding: RuleFinding, since: str, kind: str = "") -> bool:
    """Whether a problem or result of it is of this day or later, and of a day after the one of the order.

    `kind`: only what stands in resources of this type.
    """
    ordered, *others = finding.facts
    sources = ((fact.source or "", fact.effective) for fact in others)
    days = [day[:10] for source, day in sources if day and source.startswith(kind) and source[:10] != "Medication"]
    newest = max(days, default="")
    return ordered.effective is not None and newest > ordered.effective[:10] and newest >= since


def _grouped(findings: Iterable[RuleFinding]) -> Iterator[_Line]:
    by_finding: dict[tuple[str, str, str], list[RuleFinding]] = {}
    for finding in findings:
        # What is said of one drug alone, such as its dose, is not said of the others.
        sentence = "" if finding.partners else finding.summary.lower().replace(finding.drug.lower(), "")
        by_finding.setdefault((finding.rule, finding.band, sentence), []).append(finding)
    yield from (_Line(tuple(of_finding)) for of_finding in by_finding.values())


def _is_headline(lines: Sequence[_Line]) -> bool:
    return len(lines) == 1 and (len(lines[0].findings) == 1 or bool(lines[0].finding.partners))


def _summary(lines: Sequence[_Line]) -> str:
    if _is_headline(lines):
        return plain(lines[0].finding.summary, 139)
    names = list(dict.fromkeys(finding.drug for line in lines for finding in line.findings))
    # The danger of the worst finding is the headline; where it has no room for the names, they stand below.
    worst, told = lines[0].finding.summary, lines[0].finding.drug if len(lines) == 1 else lines[0].names
    more = {1: "The same", 2: "1 more finding"}.get(len(lines), f"{len(lines) - 1} more findings")
    others = [name for name in names if name not in told]
    ends = [f" {more}: {first_few(others, _NAMED)}."] if others else []
    ends.append(f" {more}." if len(lines) > 1 else f" The same: {len(others)} more." if others else "")
    heads = [plain(worst, 139), *sentences(worst)[:1], _DANGER.sub(".", sentences(worst)[0])]
    fitting = (text for end in ends for head in heads if len(text := f"{head}{end}") <= HEADLINE_LENGTH)
    return next(fitting, f"{plain(heads[-1], HEADLINE_LENGTH - len(ends[0]))}{ends[0]}")


def _detail(lines: Sequence[_Line]) -> Iterator[str]:
    """Yield a line for each finding; that of a single one does not say the headline and the source again."""
    if _is_headline(lines):
        yield from _of_headline(lines[0].finding)
        # Of a pair both dates count: which drug is the newer one decides what is done.
        without = _OF_DRAFT[1:] if lines[0].finding.partners else _OF_DRAFT
        if charted := _facts(lines[0].finding, without=without):
            yield f"- Why: {charted}."
        return
    most = len(lines) if len(lines) <= MOST_LINES else MOST_LINES - 1
    first, in_full, told_of = lines[0], list[str](), defaultdict[str, set[str]](set)
    is_said = len(first.findings) == 1 and _summary(lines).startswith(first.finding.summary)
    texts = [map(partial(new_sentences, told=told_of[line.names]), actions_last(line.finding.detail)) for line in lines]
    explained, steps = zip(*texts[:most], strict=True)
    leads = ("" if is_said and line is first else f"**{_sentence(line)}**" for line in lines)
    for line in (f"{lead} {to_do}" for lead, to_do in zip(leads, steps, strict=False)):
        if in_full and len(" ".join((*in_full, line)).split()) > _MOST_WORDS:
            break
        in_full.append(line)
    yield from (f"- {line.strip()}" for line in in_full if line.strip())
    if remaining := lines[len(in_full) :]:
        yield f"- Also: {'; '.join(escape(line.names, 80) for line in remaining)}."
    charted = "; ".join(dict.fromkeys(filter(None, (_facts(line.finding) for line in lines[: len(in_full)]))))
    told = " ".join(dict.fromkeys(filter(None, explained[: len(in_full)])))
    yield from bullet(f"Why: {charted}. {told}" if charted else f"Note: {told}" if told else "")
    yield from _other_sources(lines)


def _of_headline(finding: RuleFinding) -> Iterator[str]:
    """Yield what a card says below the headline of its only finding: what can happen, and what to do."""
    facts, actions = actions_last(finding.detail)
    yield from bullet(facts)
    yield from bullet(what_to_do(finding, actions, None))


def _detail_in_brief(lines: Sequence[_Line]) -> Iterator[str]:
    yield f"- **{_sentence(lines[0])}**"
    if remaining := lines[1:]:
        names = dict.fromkeys(finding.drug for line in remaining for finding in line.findings)
        count = f"{len(remaining)} more findings" if len(remaining) > 1 else "one more finding"
        yield f"- Also {count}: {escape(first_few(list(names), _NAMED), 120)}."


def _sentence(line: _Line) -> str:
    sentence = escape(line.finding.summary, 160)
    if len(line.findings) > 1 and not line.finding.partners:
        return f"{escape(line.names, 160)}: {sentence}"
    return sentence


def _other_sources(lines: Sequence[_Line]) -> Iterator[str]:
    """Yield what the findings rest on, without the source of the card, which is that of the first one."""
    labels = list(dict.fromkeys(line.finding.evidence[0].label for line in lines))
    if labels[1:]:
        yield f"{OTHER_SOURCES} {'; '.join(labels[1:])}."


_OF_DRAFT: Final = ("draft", "daily_dose")


def _facts(finding: RuleFinding, without: tuple[str, ...] = (*_OF_DRAFT, "medication")) -> str:
    """Return what of the chart it is based on and is not said yet, with its date; not the facts of these names."""
    text = f"{finding.summary} {finding.detail}"
    facts = [fact for fact in finding.facts if fact.text and fact.name not in without]
    # "eGFR 25 mL/min/1.73 m² on …" has been said where the summary has "eGFR 25".
    shown = (fact for fact in facts if fact.is_always_shown or " ".join(fact.text.split()[:2]) not in text)
    return "; ".join(dict.fromkeys(fact.explained_text(120) for fact in shown))


def _offers(lines: Sequence[_Line]) -> Iterator[Suggestion]:
    """Yield the suggestions of the findings, the worst first: one change of an order, each test once, at most four.

    None is preselected: what is taken was ordered for a reason.
    Of a drug the worst finding alone changes the order: no lower dose is offered where that one asks to hold it.
    """
    changed: set[str] = set()
    labels: set[str] = set()
    worst: dict[str, RuleFinding] = {}
    for finding in (finding for line in lines for finding in line.findings):
        is_lesser = worst.setdefault(finding.drug, finding) is not finding
        for suggestion in finding.offers:
            actions = suggestion.actions
            orders = {str((action.resource or {}).get("id")) for action in actions if action.type == "update"}
            is_settled = suggestion.label in labels or bool(orders & changed) or len(labels) == MOST_OFFERS
            if is_settled or (orders and is_lesser):
                continue
            changed |= orders
            labels.add(suggestion.label)
            yield replace(suggestion, uuid="", is_recommended=False)


# Genetic results


def genes_card(findings: Sequence[RuleFinding], identity: CardIdentity, *, is_new: bool = True) -> Card:
    """Return the card of the findings, the worst first; of more than three drugs the others are in the last line.

    `is_new`: a result of the last weeks is among them.
    """
    ranked = sorted(findings, key=lambda finding: (-SEVERITY[finding.indicator], -finding.priority, finding.drug))
    evidence, lines = ranked[0].evidence[0], [_Line(tuple(ranked))]
    return identity.card(
        ranked[0].indicator,
        _genes_summary(ranked, is_new=is_new),
        "\n".join(_genes_detail(ranked)),
        Source(label=evidence.label, url=evidence.link, topic=TOPICS["genes"]),
        _extension(ranked, lines, GENES_AND_MEDICATIONS),
        suggestions=_offers(lines),
    )


def _genes_summary(ranked: Sequence[RuleFinding], *, is_new: bool) -> str:
    if len(ranked) == 1:
        return plain(f"{'New: ' if is_new else ''}{ranked[0].summary}", 139)
    names = first_few([finding.drug for finding in ranked], _GENES_NAMED)
    subject = "A new genetic result matters" if is_new else "Genetic results matter"
    return plain(f"{subject} to {len(ranked)} current medications: {names}.", 139)


def _genes_detail(ranked: Sequence[RuleFinding]) -> Iterator[str]:
    if len(ranked) == 1:
        yield from _of_headline(ranked[0])
        yield from bullet(f"Why: {'; '.join(_gene_result(fact) for fact in ranked[0].facts if fact.name == 'gene')}.")
        return
    in_full = ranked if len(ranked) <= _GENES_LINES else ranked[: _GENES_LINES - 1]
    for finding in in_full:
        results = "; ".join(_gene_result(fact) for fact in finding.facts if fact.name == "gene")
        yield f"- **{escape(finding.drug, 60)}**: {f'{results}. ' if results else ''}{finding.detail}"
    if remaining := ranked[len(in_full) :]:
        yield f"- Also: {'; '.join(escape(finding.summary, 140) for finding in remaining)}"


def _gene_result(fact: Fact) -> str:
    return f"{escape(fact.text, 120)} ({(fact.effective or 'undated')[:10]})"


def _extension(findings: Iterable[RuleFinding], lines: Iterable[_Line], output: str) -> CardExtension:
    """Return the findings, one of each line, and all facts of all drugs."""
    facts = dict.fromkeys(fact for line in lines for finding in line.findings for fact in finding.facts)
    references = tuple(FindingReference(finding.rule, finding.band) for finding in findings)
    # A drug more in a finding that was shown is news; the same drugs, no worse, are not.
    parts = dict.fromkeys(f"{reference.rule} {reference.band}" for reference in references)
    drugs = dict.fromkeys(str(fact.value) for fact in facts if fact.name == "draft")
    finding = Finding(output, output, parts=(*parts, *drugs), is_list=len(references) > 1)
    return CardExtension(finding=finding, findings=references, facts=tuple(facts), output=output)
