"""The cards of preventive services at a visit: abnormal results to follow up, and what is due.

The card of abnormal results stands first: each result with its date, what follows, by when and by which source. The
card of what is due says from what, what is not known and what was not seen.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from typing import Any, Final

from cards.card import (
    HEADLINE_LENGTH,
    REASONS_OF_WHAT_IS_DUE,
    SEVERITY,
    TOPICS,
    Card,
    CardIdentity,
    Source,
    Suggestion,
    order_suggestion,
)
from cards.compose.model import WHY
from cards.extension import CardExtension, Fact, PreventiveState, PreventiveStates, ResultToFollow
from cards.finding import Finding
from cards.preventive.abnormal import FollowUp
from cards.preventive.knowledge import PREVENTIVE, order_resource
from cards.preventive.recommendation import FOLLOW_UP, FOR_CHECK_UP, Recommendation, ServiceAnswer
from cards.text import capitalized, escape, first_few, plain
from fhir.record.datatypes import parse_time

USPSTF_URL: Final = (
    "https://www.uspreventiveservicestaskforce.org/uspstf/recommendation-topics/uspstf-a-and-b-recommendations"
)
_LINES, _LINES_IN_BRIEF = 6, 3
_SUMMARY_NAMES: Final = 4
_CANCER: Final = " cancer"


def preventive_card(
    judged: Sequence[ServiceAnswer],
    states: PreventiveStates,
    identity: CardIdentity,
    patient_id: str,
    not_sent: Iterable[str] = (),
    *,
    is_brief: bool = False,
) -> Card:
    """Return the card where something is due; `not_sent` names what could hold a test and was not sent.

    `states` are those of `preventive_states`, whose day is that of its orders. `is_brief`: with the first three that
    can be ordered, and no more than the names of the others.
    """
    lines = _LINES_IN_BRIEF if is_brief else _LINES
    due = [answer for answer in judged if answer.state == "due" and answer.because != FOR_CHECK_UP]
    offered = [answer for answer in due if answer.order is not None][: lines if is_brief else None]
    return identity.card(
        "info",
        _summary(due),
        "\n".join(_detail(due, judged, not_sent, lines)),
        Source(
            label=f"USPSTF recommendations, grades A and B, as of {states.knowledge}",
            url=USPSTF_URL,
            topic=TOPICS["preventive"],
        ),
        CardExtension(
            finding=_finding(states),
            facts=_facts(due),
            preventive=states,
        ),
        suggestions=_offers(offered, patient_id, states.as_of),
        reasons=REASONS_OF_WHAT_IS_DUE,
    )


def _finding(states: PreventiveStates) -> Finding:
    due = tuple(f"{service.service} {service.because}" for service in states.services if service.state == "due")
    return Finding("preventive services", "preventive-services", parts=due, is_list=len(due) > 1)


def preventive_states(judged: Iterable[ServiceAnswer], as_of: str) -> PreventiveStates:
    """Every answer, for the extension and the decision record."""
    return PreventiveStates(knowledge=PREVENTIVE.as_of, as_of=as_of, services=tuple(map(_state, judged)))


def _state(answer: ServiceAnswer) -> PreventiveState:
    last = answer.facts[0] if answer.facts else None
    day = parse_time(last.effective) if last is not None and last.effective else None
    return PreventiveState(
        service=answer.row.id,
        grade=answer.row.grade,
        year=answer.row.year,
        state=answer.state,
        because=answer.because,
        text=answer.text,
        last=day.last_day.isoformat() if day is not None else None,
        source=last.source if last is not None else None,
        next_due=answer.next_due.isoformat() if answer.next_due is not None else None,
    )


def _summary(due: Sequence[ServiceAnswer]) -> str:
    noun = "preventive service is" if len(due) == 1 else "preventive services are"
    names = [answer.row.short for answer in due]
    # "colorectal, cervical, breast cancer": so there is room for every name.
    short = [name.removesuffix(_CANCER) if later.endswith(_CANCER) else name for name, later in pairwise([*names, ""])]
    summary = f"{len(due)} {noun} due: {', '.join(short)}."
    if len(summary) > HEADLINE_LENGTH:
        summary = f"{len(due)} {noun} due: {first_few(names, _SUMMARY_NAMES)}."
    return plain(summary, 139)


def _detail(
    due: Sequence[ServiceAnswer], judged: Sequence[ServiceAnswer], not_sent: Iterable[str], lines: int
) -> Iterable[str]:
    shown = sorted(due, key=lambda answer: answer.order is None)[:lines]
    yield from (f"- {line}." for line in _named(shown))
    if remaining := [answer.row.short for answer in due if answer not in shown]:
        yield f"- Also due: {', '.join(remaining)}."
    abnormal = [answer for answer in judged if answer.because == "abnormal"]
    yield from (f"- Follow up: {answer.row.short}, {_text(answer)}." for answer in abnormal)
    later = [answer for answer in judged if answer.because == FOR_CHECK_UP]
    is_full = lines == _LINES and len(due) <= _SUMMARY_NAMES
    if later:
        names = "; ".join(_named(later)) if is_full else ", ".join(answer.row.short for answer in later)
        yield f"- For a check-up: {names}."
    yield ""
    lacking = list(not_sent)
    also = f"; {', '.join(lacking)} (not sent)" if lacking else ""
    # A shortened card leaves each grade to the page of the decision: the source says A or B.
    citations = f" ({'; '.join(_citations([*due, *later]))})" if lines == _LINES else ""
    yield f"{WHY} recommended without symptoms{citations}."
    yield f"Not seen: tests done elsewhere{also}; family history."
    unknown = [answer for answer in judged if answer.state == "not known"]
    if unknown and lines == _LINES:
        texts = (f"{', '.join(item.row.short for item in same)} ({text})" for text, same in _by_text(unknown))
        yield f"Not judged: {'; '.join(texts)}."
    elif unknown:
        yield f"Not judged: {', '.join(answer.row.short for answer in unknown)}."


def _named(judged: Iterable[ServiceAnswer]) -> Iterable[str]:
    yield from (f"{', '.join(f'**{answer.name}**' for answer in same)}: {text}" for text, same in _by_text(judged))


def _by_text(judged: Iterable[ServiceAnswer]) -> list[tuple[str, list[ServiceAnswer]]]:
    """Return the judgments of the same reason together: it is said once."""
    groups: dict[str, list[ServiceAnswer]] = {}
    for answer in judged:
        groups.setdefault(_text(answer), []).append(answer)
    return list(groups.items())


def _citations(named: Iterable[ServiceAnswer]) -> Iterable[str]:
    """Yield each recommendation's grade and year, with the services that are based on it."""
    by_citation: dict[str, list[str]] = {}
    for answer in named:
        by_citation.setdefault(answer.row.citation, []).append(answer.row.short)
    yield from (f"{citation}: {', '.join(services)}" for citation, services in by_citation.items())


def _text(answer: ServiceAnswer) -> str:
    """Return the reason with the chart's words made harmless for Markdown."""
    return escape(answer.text, 400)


def _offers(due: Iterable[Recommendation[Any]], patient_id: str, day: str) -> Iterable[Suggestion]:
    for item in due:
        if item.order is not None:
            text = item.order.text
            # Of a screening without what it is for, which the card says.
            label = plain(f"Order: {text if item.because == FOLLOW_UP else text.partition(', ')[0]}", 80)
            yield order_suggestion(label, "Draft order.", order_resource(item.order, patient_id, day))


# Abnormal results


def results_card(
    results: Sequence[FollowUp], identity: CardIdentity, patient_id: str, today: date, *, is_brief: bool = False
) -> Card:
    """Return the card of abnormal results that nothing on record has followed, those with a warning first.

    `is_brief`: what follows is said of the first; of the others the headline has the names, and the orders stay.
    """
    ordered = sorted(results, key=lambda result: -SEVERITY[result.row.indicator])
    first = ordered[0]
    followed = tuple(ResultToFollow(result.row.id, result.when[:10], str(result.next_due)) for result in ordered)
    parts = tuple(f"{result.row.id} {result.when}" for result in ordered)
    # No reminder: it stays until somebody answers it.
    finding = Finding("abnormal-results", "abnormal-results", "until-answered", parts=parts, is_list=len(parts) > 1)
    summary = _summary_of_results(ordered)
    return identity.card(
        first.row.indicator,
        summary,
        "\n".join(
            _result_line(result, today, is_named=_words(f"{result.name} {result.when}") <= _words(summary))
            for result in ordered[: 1 if is_brief else None]
        ),
        Source(label=first.row.document, url=first.row.url, topic=TOPICS["results"]),
        CardExtension(finding=finding, facts=_facts(ordered), results=followed),
        suggestions=_offers(ordered, patient_id, today.isoformat()),
        reasons=REASONS_OF_WHAT_IS_DUE,
    )


def _facts(due: Iterable[Recommendation[Any]]) -> tuple[Fact, ...]:
    return tuple(dict.fromkeys(fact for item in due for fact in item.facts))


def _summary_of_results(results: Sequence[FollowUp]) -> str:
    """Return the fullest headline that has room: with every name, with short names, or with how many there are."""
    kinds = {"problem" if _is_of_problem(result) else "abnormal result" for result in results}
    kind = min(kinds) if len(kinds) == 1 else "finding"
    lead = capitalized(kind) if len(results) == 1 else f"{len(results)} {kind}s"
    # A disease may be followed although a treatment or a test that it asks for is not on record.
    lead += " to act on" if "problem" in kinds else ", no follow-up on record"
    full = [f"{plain(result.name, 139)} ({result.when})" for result in results]
    values = [_LIMIT.sub("", result.name) for result in results]
    gaps = [
        lacking["gaps"].partition(" on record")[0] if (lacking := _LACKING.match(name)) else name for name in values
    ]
    headlines = [f"{lead}: {first_few(names, 2)}." for names in (full, values, gaps)]
    if len(results) == 1:
        dated = f"{values[0]} ({results[0].when})."
        short_lead = lead.rpartition(", ")[2].capitalize()
        headlines[1:] = [
            *_gaps_of(results[0]),
            f"{lead}: {dated}",
            f"{short_lead}: {dated}",
            f"{short_lead}: {values[0]}.",
        ]
    headlines += [f"{lead}: {first_few([plain(name, _SHORT_NAME) for name in gaps], most)}." for most in (2, 1)]
    return next(headline for headline in headlines if len(headline) <= HEADLINE_LENGTH)


_LIMIT: Final = re.compile(r" \([^()]*\)$")
"""The limit behind a value, as in "INR 9.1 (4.5 or more)"."""
_SHORT_NAME, _SHORTEST_NAME = 40, 24
_LACKING: Final = re.compile(r"(?P<about>.+?)(?::|,) (?P<gaps>no .+ on record(?:, and \d+ more missing)?)")


def _gaps_of(result: FollowUp) -> Iterator[str]:
    """Yield the headlines of a problem or value that say what is missing; a value is not cut off from its unit."""
    if lacking := _LACKING.fullmatch(result.name):
        end = f" ({result.when}): {lacking['gaps'].replace(', and ', ', ')}."
        room = _SHORT_NAME if result.row.analytes else max(HEADLINE_LENGTH - len(end), _SHORTEST_NAME)
        yield from (
            capitalized(f"{name}{end}") for name in (lacking["about"], plain(lacking["about"].partition(" (")[0], room))
        )


def _is_of_problem(result: FollowUp) -> bool:
    of_problem = result.row.of_problem or result.row.problems
    return bool(of_problem) or any(
        (fact.source or "").startswith(("Condition/", "Medication")) for fact in result.facts
    )


def _words(text: str) -> set[str]:
    """Return the words of a name or headline; the "and" of a list is none."""
    return set(re.findall(r"\w+", text.casefold())) - {"and"}


def _result_line(result: FollowUp, today: date, *, is_named: bool) -> str:
    overdue = ", overdue" if result.next_due is not None and result.next_due < today else ""
    needed = f"{escape(capitalized(result.text), 600)}; due by {result.next_due}{overdue} ({result.row.citation})."
    return f"- {needed}" if is_named else f"- **{escape(result.name, 160)}** ({result.when}): {needed}"
