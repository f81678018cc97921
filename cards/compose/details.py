"""Writes the detail of an order's card: the order, what can happen, what to do, why, and what else it rests on."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cards.card import OTHER_SOURCES, SEVERITY, SUMMARY_LIMIT, Suggestion
from cards.compose.steps import NOT_GIVEN, without_repeated_steps
from cards.extension import Fact
from cards.rules.engine.finding import DRUG_FACTS, RuleFinding
from cards.rules.patient.context import ACTIVE_ORDER
from cards.text import actions_last, capitalized, escape, is_action, sentences

MOST_FINDING_LINES = 3
MOST_WORDS = 60
"""So many words stand before the reasons, if the facts of the headline can stand behind them."""


def detail_lines(
    findings: Sequence[RuleFinding], opening: str, forbidding: Sequence[RuleFinding], offer: Suggestion | None
) -> Iterator[str]:
    """Yield the lines, at most eight; `forbidding` are the findings that forbid the draft, `offer` the first button."""
    yield opening
    first, source = findings[0], findings[0].evidence[0].label
    most = MOST_FINDING_LINES if len(findings) <= MOST_FINDING_LINES else MOST_FINDING_LINES - 1
    lines, others = findings[:most], findings[most:]
    notes = dict.fromkeys(note for finding in findings for note in finding.notes)
    if any(finding.rule == _SAME_DRUG for finding in findings):  # which asks to stop or replace the other order
        notes = {note: None for note in notes if not note.startswith(ACTIVE_ORDER)}
    told, asked = actions_last(" ".join(notes))
    told_already = set(sentences(first.summary))
    facts, actions = _facts_and_steps(first, is_settled=bool(forbidding_beside(first, forbidding)))
    facts, added, explained = new_sentences(facts, told_already), list[str](), list[str]()
    told_already.update(sentences(actions))
    is_ended = offer is not None and offer.is_recommended and takes_draft_away(offer)
    for position, finding in enumerate(lines[1:], start=1):
        is_settled = bool(forbidding_beside(finding, forbidding))
        more, to_do = _facts_and_steps(finding, is_settled=is_settled)
        is_of_one_value = finding.rule.startswith(_OF_ONE_VALUE) and _sources(finding) == _sources(first) != set()
        untold = _untold_danger(finding, first)
        if is_of_one_value and finding.rule.startswith(_OF_DISEASE):
            is_of_one_value = not untold
        elif is_of_one_value:
            more = f"{untold} {more}"
            to_do = _WAIT.sub("", to_do) if _WAIT.search(actions) else to_do
        if is_ended:
            to_do = " ".join(step for step in sentences(to_do) if not _WITH_DRAFT.match(step))
        is_told = is_of_one_value or any(_is_same_danger(finding, before) for before in lines[:position])
        lead = "" if is_told else new_sentences(_lead(finding, only_fact=is_settled), told_already)
        more, to_do = new_sentences(more, told_already), new_sentences(to_do, told_already)
        if lead:  # what it rests on stands after the reasons: a card is read up to there
            added.append(f"**{lead}** {to_do}")
            explained.append(more)
        else:
            facts, actions = f"{facts} {more}", f"{actions} {to_do}"
    leads = (_lead(finding, only_fact=bool(forbidding_beside(finding, forbidding))) for finding in others)
    added.append(" ".join(f"**{lead}**" for lead in leads))
    to_do = what_to_do(first, f"{actions} {asked}".strip(), offer)
    told_first = sentences(facts)
    while told_first and len(" ".join((first.summary, opening, *told_first, to_do, *added)).split()) > MOST_WORDS:
        explained.insert(0, told_first.pop())
    for text in (" ".join(told_first), to_do, *added):
        yield from bullet(text)
    reasons, told = _charted(findings), " ".join((told, *explained)).strip()
    why = f"Why: {'; '.join(reasons)}." if reasons else ""
    yield from bullet(f"{why} {told}" if why else f"Note: {told}" if told else "")
    labels = dict.fromkeys(
        _HOW_READ.sub("", evidence.label) for finding in (*lines, *others) for evidence in finding.evidence[:2]
    )
    if sources := [label for label in labels if _document(label) != _document(source)]:
        yield f"{OTHER_SOURCES} {'; '.join(sources)}."


_SAME_DRUG: Final = "dup-same-ingredient"
_OF_DISEASE: Final = "dz-label-"
_OF_ONE_VALUE: Final = ("dz-value-", _OF_DISEASE, "disease-qtc", "renal-label-")
"""Rules of a limit or a disease: beside a graver one about the same entries their headline says nothing new."""


def _sources(finding: RuleFinding) -> set[str | None]:
    """Return the entries of the chart that a finding is about, where it is about one drug alone."""
    is_alone = not finding.other_drugs
    return {fact.source for fact in finding.facts if is_alone and fact.name not in DRUG_FACTS}


def _danger(finding: RuleFinding) -> str:
    """Return the danger in a headline: what stands behind its colon, whatever its degree."""
    return _DEGREE.sub("", sentences(finding.summary)[0].rpartition(": ")[2])


_DEGREE = re.compile(r"\b(?:major|more|risk of) | risk\b")


def _is_same_danger(finding: RuleFinding, other: RuleFinding) -> bool:
    """Whether both tell one danger of the same pair: warfarin with ibuprofen, and ibuprofen at age 70 with warfarin."""
    return finding.other_drugs == other.other_drugs != frozenset() and _danger(finding) == _danger(other)


_WAIT = re.compile(r"\bwait\b[^.;]*(?:[.;]\d[^.;]*)*[.;]?", re.IGNORECASE)
"""A step that waits for a value, which two findings about one value ask for in different words."""
_WITH_DRAFT = re.compile(
    r"If \S+(?: \S+)? (?:is (?:given|kept|needed|used)|stays?|remains?)\b|(?:Give it only i|I)f nothing else|Limit it"
)
"""A step for the case that the order stays, which says nothing beside the advice to end it."""
_WORDS = re.compile(r"[a-z]{4,}")


def _untold_danger(finding: RuleFinding, headline: RuleFinding) -> str:
    """Return the danger of a finding whose headline is not told, where the headline of the card has not all of it."""
    danger = _danger(finding)
    is_told = set(_WORDS.findall(danger.casefold())) <= set(_WORDS.findall(headline.summary.casefold()))
    return "" if is_told or danger == finding.summary else f"Risk: {escape(danger)}"


def _facts_and_steps(finding: RuleFinding, *, is_settled: bool) -> tuple[str, str]:
    """Return what a detail says and asks for, without what its headline says: that the label contraindicates it."""
    text = f"{finding.of_others} {finding.asks_if_taken}".strip() if is_settled else finding.detail
    facts, steps = actions_last(text)
    return (facts.replace(_FORBIDDEN, "").strip() if "contraindicated" in finding.summary else facts), steps


_FORBIDDEN: Final = "The label contraindicates it."


def _document(label: str) -> str:
    """Return the label without its section, which names the source a second time."""
    return _HOW_READ.sub("", label).partition(" label (US), ")[0]


_HOW_READ = re.compile(r"(?:, set [0-9a-f]{8})?, read (?:in a copy )?\d{4}-\d\d-\d\d$")
"""What stands behind a label that was read; a card has it of its own source, which is looked up by it."""


def bullet(text: str) -> Iterator[str]:
    """Yield a text as a point of a list; nothing where it is empty."""
    if words := text.split():
        yield " ".join(("-", *words))


def what_to_do(first: RuleFinding, actions: str, offer: Suggestion | None) -> str:
    """Return what to do: what the first button does where it is advised, what the headline and the detail ask for.

    One that changes or orders something, or waits for a newer value, says more exactly what the headline asks for, and
    stands in its place. A button that is not advised stands there where neither asks for anything.
    """
    steps = sentences(actions) if actions else []
    clauses = _CLAUSE.split(_CONTRAINDICATED.sub("", first.summary))[1:]
    asked = [f"{capitalized(clause.removesuffix('.'))}." for clause in clauses if is_action(clause)]
    if steps:  # which say what to give in the place of what the headline says to avoid
        asked = [step for step in asked if not (step.startswith("Avoid ") and NOT_GIVEN.fullmatch(step))]
        asked = [step for step in asked if not actions.startswith(step.removesuffix("."))]
    takes_away = offer is not None and takes_draft_away(offer)
    if offer is not None and offer.is_recommended:
        others = [*(asked if takes_away and first.is_certain else ()), *steps]
        if _CHANGE.match(offer.label):  # the button writes what the label says
            others = [step for step in others if not _BY_LABEL.fullmatch(step)]
        if takes_away:
            others = [capitalized(NOT_GIVEN.sub("", step)) for step in others]
        steps = [f"{offer.label}.", *others]
    elif offer is not None and not (steps or asked):
        steps = [f"{offer.label}{_case(first) if takes_away else ''}."]
    else:
        steps = [*asked, *steps]
    steps = without_repeated_steps(steps)
    return f"**To do:** {' '.join(steps)}" if steps else ""


def _case(finding: RuleFinding) -> str:
    """Return in which case an order is to be ended whose end is not advised and of which nothing else is said."""
    names = " and ".join(dict.fromkeys(partner.medication.name for partner in finding.partners))
    if names and finding.indicator != "critical":
        return f" if {escape(names)} goes on"
    return " if it is not needed" if finding.indicator == "info" else ""


_CHANGE = re.compile(r"Change|Reduce|Lower")
_BY_LABEL = re.compile(r"(?:Give|Halve)\b(?! at most| less)[^;]*\(label\)\.")
_CLAUSE = re.compile(r"[.:] (?![^()]*\))")
_CONTRAINDICATED = re.compile(r"(?<= is contraindicated )([^:.]+): [^:.]+")
"""The danger behind a contraindication, which may begin as a step does: "lower survival"."""


def new_sentences(text: str, told: set[str]) -> str:
    """Return the sentences of a text that were not told already, and add them to what is told."""
    new = [sentence for sentence in dict.fromkeys(sentences(text)) if sentence not in told]
    told.update(new)
    return " ".join(new)


def _lead(finding: RuleFinding, *, only_fact: bool) -> str:
    """Return the headline of a finding as the beginning of a line: its danger alone where `only_fact`."""
    headline = escape(finding.summary, SUMMARY_LIMIT)
    return sentences(headline)[0] if only_fact else headline


_OF_ORDER: Final = frozenset({"draft", "times_per_day", "times_per_week"})
"""Facts that the reader has before him: the drug and how often it is ordered."""


def _charted(findings: Sequence[RuleFinding]) -> list[str]:
    """Return the facts of the chart behind the findings, each with its date, if no sentence has both already."""
    details = " ".join(finding.detail for finding in findings)
    summaries = " ".join(("", *(finding.summary for finding in findings)))
    facts = [fact for finding in findings for fact in finding.facts if fact.text and fact.name not in _OF_ORDER]
    shown = (fact for fact in _fullest(facts) if fact.is_always_shown or fact.dated_text(160) not in details)
    texts: dict[str, str] = {}
    for fact in shown:  # two facts of one entry may differ in what it was read as
        charted = fact.dated_text(160)
        texts[charted] = max(texts.get(charted, ""), fact.explained_text(160), key=len)
    return [text for charted, text in texts.items() if f" {charted}".casefold() not in summaries.casefold()]


def _fullest(facts: Iterable[Fact]) -> Iterable[Fact]:
    """One fact about each thing of the chart: of those with the same name and source the one that says most."""
    by_subject: dict[tuple[object, ...], Fact] = {}
    for fact in facts:
        key = (fact.name, fact.source or fact.text)
        fullest = by_subject.get(key)
        if fullest is None or len(fact.text) > len(fullest.text):
            by_subject[key] = fact
    return by_subject.values()


def forbidding_beside(finding: RuleFinding, of_card: Sequence[RuleFinding]) -> list[RuleFinding]:
    """Return those that forbid the draft, so that this one advises nothing with which it would be given.

    Dabigatran is contraindicated with a mechanical valve: the warfarin beside it must stay. With an anticoagulant no
    NSAID is given: neither a proton pump inhibitor nor a short course makes it safe.
    """
    if any(other is finding for other in of_card):
        return []
    return [other for other in of_card if SEVERITY[other.indicator] >= SEVERITY[finding.indicator]]


def takes_draft_away(suggestion: Suggestion) -> bool:
    """Return whether nothing comes in the place of an order that it ends or holds."""
    others = [
        action
        for action in suggestion.actions
        if action.type != "delete" and (action.resource or {}).get("status") not in ("on-hold", "stopped", "revoked")
    ]
    kinds = {(action.resource or {}).get("resourceType") for action in others}
    return len(others) < len(suggestion.actions) and "MedicationRequest" not in kinds
