"""Writes the detail of an order's card: the order, what can happen, what to do, why, and what else it rests on."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cards.card import OTHER_SOURCES, SEVERITY, SUMMARY_LIMIT, Action, Suggestion
from cards.extension import Fact
from cards.rules.engine.finding import RuleFinding
from cards.text import actions_last, capitalized, escape, is_action, sentences

MOST_FINDING_LINES = 3
_WORD = re.compile(r"\w+")


def detail_lines(
    findings: Sequence[RuleFinding], opening: str, forbidding: Sequence[RuleFinding], offer: Suggestion | None
) -> Iterator[str]:
    """Yield the lines, at most eight; `forbidding` are the findings that forbid the draft, `offer` the first button."""
    yield opening
    first, source = findings[0], findings[0].evidence[0].label
    most = MOST_FINDING_LINES if len(findings) <= MOST_FINDING_LINES else MOST_FINDING_LINES - 1
    lines, others = findings[:most], findings[most:]
    of_the_card = (finding for finding in findings if not _is_beside(finding, first))
    notes = dict.fromkeys(note for finding in of_the_card for note in finding.notes)
    told, asked = actions_last(" ".join(note for note in notes if not _is_begun_by(note, notes)))
    facts, actions = actions_last(first.asks_if_taken if forbidding_beside(first, forbidding) else first.detail)
    facts, added = _beyond(facts, first.summary), list[str]()
    for finding in lines[1:]:
        is_settled, said = bool(forbidding_beside(finding, forbidding)), f"{first.summary} {facts} {' '.join(added)}"
        more, to_do = actions_last(finding.asks_if_taken if is_settled else finding.detail)
        lead = _beyond_headline(finding, first, only_fact=is_settled)
        more, to_do = _beyond(more, finding.summary), _beyond(to_do, f"{first.summary} {actions} {lead}")
        if _is_said(lead.replace("contraindicated", "") if first.forbids else lead, said):
            facts, actions = f"{facts} {_beyond(more, said)}", f"{actions} {to_do}"
        else:
            added += bullet(f"**{lead}** {more} {to_do}{_of_the_line([finding], first)}")
    yield from bullet(facts)
    yield from bullet(what_to_do(first.summary, f"{actions} {asked}".strip(), offer, _case(first)))
    yield from added
    if others:
        briefly = " ".join(
            f"**{_beyond_headline(finding, findings[0], only_fact=bool(forbidding_beside(finding, forbidding)))}**"
            for finding in others
        )
        yield f"- {briefly}{_of_the_line(others, findings[0])}"
    reasons = _charted(findings)
    why = f"Why: {'; '.join(reasons)}." if reasons else ""
    yield from bullet(f"{why} {told}" if why else f"Note: {told}" if told else "")
    labels = dict.fromkeys(
        _HOW_READ.sub("", evidence.label) for finding in (*lines, *others) for evidence in finding.evidence[:2]
    )
    if sources := [label for label in labels if _document(label) != _document(source)]:
        yield f"{OTHER_SOURCES} {'; '.join(sources)}."


def _document(label: str) -> str:
    """Return the label without its section, which names the source a second time."""
    return _HOW_READ.sub("", label).partition(" label (US), ")[0]


_HOW_READ = re.compile(r"(?:, set [0-9a-f]{8})?, read (?:in a copy )?\d{4}-\d\d-\d\d$")
"""What stands behind a label that was read; a card has it of its own source, which is looked up by it."""


def bullet(text: str) -> Iterator[str]:
    """Yield a text as a point of a list; nothing where it is empty."""
    if words := text.split():
        yield " ".join(("-", *words))


_ENDS_THE_ORDER: Final = re.compile(r"\b(?:cancel|do not (?:give|use|start)|hold it|stop it)\b", re.IGNORECASE)
_FORBIDS: Final = re.compile(r"(?:avoid|do not|limit the dose|lower the dose|never)\b", re.IGNORECASE)
_HOLDS: Final = re.compile(rf"{_FORBIDS.pattern}|(?:consider )?(?:avoid|hold|not |repeat|stop|withhold)", re.IGNORECASE)
"""What a headline asks for in general; the detail or the button says what to do instead."""
_VAGUE: Final = re.compile(r"Avoid (?:it(?: if possible)?|the pair)\.|Repeat the test\.")
_NOT_GIVEN: Final = re.compile(r"Do not (?:give|use) it\.")
_BY_LABEL: Final = re.compile(r" \((?:[a-z]+ )?label\b[^)]*\)")
"""What a headline says of its source; as a step it says nothing."""
_CHOICE: Final = re.compile(r"(?:(?<=\. )|^)(?:choose|consider)\b", re.IGNORECASE)


def what_to_do(summary: str, actions: str, offer: Suggestion | None, case: str = "") -> str:
    """Return what to do: what the first button does where it is advised, and what headline and detail ask for.

    Where these ask for nothing, it is the first button, which ends the order in a `case` alone.
    """
    is_advised, takes_away = offer is not None and offer.is_recommended, offer is not None and takes_draft_away(offer)
    actions = _BY_LABEL.sub("", actions)
    if offer is not None and takes_away:
        actions = _NOT_GIVEN.sub(lambda _: f"{offer.label}.", actions, count=1)
    steps = [step for step in sentences(actions) if step and not _VAGUE.fullmatch(step)]
    if sum(_CHOICE.match(step) is not None for step in steps) > 1:
        steps = [step for step in steps if not step.startswith("Consider another drug")]
    actions = " ".join(steps)
    asked = [clause for clause in _CLAUSE.split(_BY_LABEL.sub("", summary))[1:] if is_action(clause)]
    if actions or takes_away:
        general = _HOLDS if is_advised and takes_away else _FORBIDS
        asked = [clause for clause in asked if not general.match(clause) and not _is_begun(clause, actions)]
    steps = [f"{capitalized(clause.removesuffix('.'))}." for clause in asked] + steps
    if offer is not None and is_advised and takes_away:
        exception = case if case.startswith(" unless") and case != _EXCEPTED else ""
        steps = steps if _ENDS_THE_ORDER.search(" ".join(steps)) else [f"{offer.label}{exception}.", *steps]
    elif offer is not None and is_advised and not _names(offer, actions):
        rest = (step for step in sentences(actions) if step and not step.startswith("Correct it"))
        steps = [f"{offer.label}.", *rest]  # in place of what the headline asks for in general
    elif offer is not None and not steps:
        steps = [f"{offer.label}{case if takes_away else ''}."]
    return f"**To do:** {' '.join(steps)}" if steps else ""


def _case(finding: RuleFinding) -> str:
    """Return in which case an order is to be ended of which nothing else is said."""
    names = " and ".join(dict.fromkeys(partner.medication.name for partner in finding.partners))
    if "does not apply" in finding.detail:
        return _EXCEPTED
    if exception := _EXCEPTION.search(f"{finding.summary} {finding.detail}"):
        return f" {exception[0]}"
    if any("relief comes first" in note for note in finding.notes):
        return " unless it is for comfort"
    if names and finding.indicator != "critical":
        return f" if {escape(names)} goes on"
    of_some = _OF_SOME.search(finding.detail)
    return f" {of_some[1]}" if of_some else " if it is not needed" * (finding.indicator == "info")


_EXCEPTED: Final = " unless an exception applies"
_EXCEPTION: Final = re.compile(r"\bunless [^.;:,()]{4,80}(?=[.;])")
"""What a card names itself as the case in which the order may stay."""
_OF_SOME: Final = re.compile(
    r"(?:contraindicate[sd](?: it)?|recommended?(?: it)?|excludes it) ((?:if|in|until|with) (?:[^.;:()]|\.\d)+\b)"
)
"""What a label says of some patients with a disease, of whom this one may be none: in which the order ends."""


def _is_begun(clause: str, actions: str) -> bool:
    """Whether the actions ask for this already, or name the other choice that it only asks for."""
    return _is_said(clause, actions) or (_CHOICE.match(clause) is not None and _CHOICE.search(actions) is not None)


def _names(offer: Suggestion, text: str) -> bool:
    """Whether a text names the drug or the test of a button already; of a new dose, its number."""
    verb, *words = _WORD_OR_NUMBER.findall(offer.label)
    named = frozenset(_WORD_OR_NUMBER.findall(text.casefold()))
    if verb in ("Change", "Reduce") and (numbers := [word for word in words if word[0].isdigit()]):
        return numbers[0] in named
    return any(word.casefold() in named for word in words if len(word) > _SHORT_WORD or word.isupper())


_SHORT_WORD = 5
_WORD_OR_NUMBER = re.compile(r"\d[\d.,]*(?<![.,])|[^\W\d]+")
_CLAUSE = re.compile(r"[.:;] ")


def _is_begun_by(note: str, notes: Iterable[str]) -> bool:
    """Whether another note says this one and more: "… relief comes first; order another opioid before …"."""
    return any(other != note and other.startswith(note.removesuffix(".")) for other in notes)


def _is_beside(finding: RuleFinding, headline: RuleFinding) -> bool:
    return finding.indicator == "info" and headline.indicator != "info"


def _of_the_line(findings: Iterable[RuleFinding], headline: RuleFinding) -> str:
    """Return the notes of information in a card that is none: "this card is for information only" is of the line."""
    beside = (finding for finding in findings if _is_beside(finding, headline))
    notes = dict.fromkeys(note for finding in beside for note in finding.notes)
    return "".join(f" {note.replace('this card is', 'this point is')}" for note in notes)


def _beyond(text: str, said: str) -> str:
    """Return the sentences of a text that say more than what is said already."""
    return " ".join(sentence for sentence in sentences(text) if not _is_said(sentence, said))


def _is_said(sentence: str, said: str) -> bool:
    """Whether a text has all words and numbers of a sentence; that a label says so is no more."""
    return _stems(sentence) - _stems(said) <= _OF_LABELS


def _stems(text: str) -> frozenset[str]:
    words = _WORD.findall(text.casefold())
    return frozenset([word[:_STEM] for word in words if len(word) >= _STEM - 1 or word[0].isdigit()])


_STEM = 5
_OF_LABELS = _stems("label section says with from this that when risk")


def _beyond_headline(finding: RuleFinding, headline: RuleFinding, *, only_fact: bool = False) -> str:
    """Return the summary of a line without what the headline asks for: its danger alone where `only_fact`."""
    whole = sentences(escape(finding.summary, SUMMARY_LIMIT))
    return whole[0] if only_fact else _beyond(" ".join(whole), headline.summary) or whole[0]


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
    others = [action for action in suggestion.actions if not _ends_order(action)]
    kinds = {(action.resource or {}).get("resourceType") for action in others}
    return len(others) < len(suggestion.actions) and "MedicationRequest" not in kinds


def _ends_order(action: Action) -> bool:
    return action.type == "delete" or (action.resource or {}).get("status") in ("on-hold", "stopped", "revoked")
