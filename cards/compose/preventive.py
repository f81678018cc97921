"""The cards of preventive services at a visit: abnormal results to follow up, and what is due.

The card of abnormal results stands first: each result with its date, what follows, by when and by which source. The
card of what is due says from what, what is not known and what was not seen.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from typing import Final

from cards.card import (
    HEADLINE_LENGTH,
    REASONS_OF_WHAT_IS_DUE,
    SEVERITY,
    TOPICS,
    Card,
    CardIdentity,
    OrderSuggestion,
    Source,
    order_suggestions,
)
from cards.compose.model import WHY
from cards.extension import CardExtension, PreventiveState, PreventiveStates, ResultToFollow
from cards.finding import Finding
from cards.preventive.abnormal import OpenResult
from cards.preventive.judgement import Judgement
from cards.preventive.knowledge import PreventiveKnowledge, order_resource
from cards.text import capitalized, escape, first_few, plain

USPSTF_URL: Final = (
    "https://www.uspreventiveservicestaskforce.org/uspstf/recommendation-topics/uspstf-a-and-b-recommendations"
)
FOR_CHECK_UP: Final = "check-up"
"""Why a service that is due waits for a check-up: it makes no card of another visit, and is named on one with room."""
_LINES, _LINES_IN_BRIEF = 6, 3
_SUMMARY_NAMES: Final = 4
_CANCER: Final = " cancer"


def preventive_card(
    judged: Sequence[Judgement],
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
    due = [judgement for judgement in judged if judgement.state == "due" and judgement.because != FOR_CHECK_UP]
    offered = _with_order(due)[: lines if is_brief else None]
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
            facts=tuple(dict.fromkeys(fact for judgement in due for fact in judgement.facts)),
            preventive=states,
        ),
        suggestions=order_suggestions(_offers(offered, patient_id, states.as_of), identity),
        reasons=REASONS_OF_WHAT_IS_DUE,
    )


def _finding(states: PreventiveStates) -> Finding:
    due = tuple(f"{service.service} {service.because}" for service in states.services if service.state == "due")
    return Finding("preventive services", "preventive-services", parts=due, is_list=len(due) > 1)


def preventive_states(judged: Iterable[Judgement], knowledge: PreventiveKnowledge, as_of: str) -> PreventiveStates:
    """Every answer, for the extension and the decision record."""
    return PreventiveStates(
        knowledge=knowledge.as_of, as_of=as_of, services=tuple(_state(judgement) for judgement in judged)
    )


def _state(judgement: Judgement) -> PreventiveState:
    last = judgement.last
    return PreventiveState(
        service=judgement.service.id,
        grade=judgement.service.grade,
        year=judgement.service.year,
        state=judgement.state,
        because=judgement.because,
        text=judgement.text,
        last=last.day.isoformat() if last is not None and last.day is not None else None,
        source=last.source if last is not None else None,
        next_due=judgement.next_due.isoformat() if judgement.next_due is not None else None,
    )


def _summary(due: Sequence[Judgement]) -> str:
    noun = "preventive service is" if len(due) == 1 else "preventive services are"
    names = [judgement.service.short for judgement in due]
    # "colorectal, cervical, breast cancer": so there is room for every name.
    short = [name.removesuffix(_CANCER) if later.endswith(_CANCER) else name for name, later in pairwise([*names, ""])]
    summary = f"{len(due)} {noun} due: {', '.join(short)}."
    if len(summary) > HEADLINE_LENGTH:
        summary = f"{len(due)} {noun} due: {first_few(names, _SUMMARY_NAMES)}."
    return plain(summary, 139)


def _with_order(due: Iterable[Judgement]) -> list[Judgement]:
    return [judgement for judgement in due if judgement.order is not None]


def _detail(
    due: Sequence[Judgement], judged: Sequence[Judgement], not_sent: Iterable[str], lines: int
) -> Iterable[str]:
    ordered = _with_order(due)[:lines]
    yield from (f"- {', '.join(map(_service_title, same))}: {text}." for text, same in _by_text(ordered))
    remaining = [judgement for judgement in due if judgement not in ordered]
    if remaining:
        if lines == _LINES:
            yield f"- {'; '.join(f'{_service_title(item)}: {_text(item)}' for item in remaining)}."
        else:
            yield f"- {'Also due' if ordered else 'Due'}: {', '.join(item.service.short for item in remaining)}."
    abnormal = [judgement for judgement in judged if judgement.because == "abnormal"]
    yield from (f"- Follow up: {judgement.service.short}, {_text(judgement)}." for judgement in abnormal)
    unknown = _by_text(judgement for judgement in judged if judgement.state == "not known" and lines == _LINES)
    later = [judgement for judgement in judged if judgement.because == FOR_CHECK_UP]
    named = [*ordered, *(remaining if lines == _LINES else ())]
    if later and lines == _LINES and len(due) <= _SUMMARY_NAMES:
        named += later
        texts = (f"{', '.join(map(_service_title, same))}: {text}" for text, same in _by_text(later))
        yield f"- For a check-up: {'; '.join(texts)}."
    yield ""
    lacking = list(not_sent)
    also = f"; {', '.join(lacking)} (not sent)" if lacking else ""
    citations = f" ({'; '.join(_citations(named))})" if named else ""  # a shortened card may name none
    yield f"{WHY} recommended at average risk without symptoms{citations}."
    yield f"Not seen: tests done elsewhere{also}; family history."
    if unknown:
        texts = (f"{', '.join(item.service.short for item in same)} ({text})" for text, same in unknown)
        yield f"Not judged: {'; '.join(texts)}."


def _by_text(judged: Iterable[Judgement]) -> list[tuple[str, list[Judgement]]]:
    """Return the judgments of the same reason together: it is said once."""
    groups: dict[str, list[Judgement]] = {}
    for judgement in judged:
        groups.setdefault(_text(judgement), []).append(judgement)
    return list(groups.items())


def _service_title(judgement: Judgement) -> str:
    return f"**{judgement.service.name}**"


def _citations(named: Iterable[Judgement]) -> Iterable[str]:
    """Yield each recommendation's grade and year, with the services that are based on it."""
    by_citation: dict[str, list[str]] = {}
    for judgement in named:
        by_citation.setdefault(judgement.service.citation, []).append(judgement.service.short)
    yield from (f"{citation}: {', '.join(services)}" for citation, services in by_citation.items())


def _text(judgement: Judgement) -> str:
    """Return the reason with the chart's words made harmless for Markdown."""
    return escape(judgement.text, 400)


def _offers(due: Iterable[Judgement], patient_id: str, day: str) -> Iterable[OrderSuggestion]:
    for judgement in due:
        if judgement.order is not None:
            label = plain(f"Order: {judgement.order.text.partition(', ')[0]}", 80)
            yield OrderSuggestion(label, "Draft order.", order_resource(judgement.order, patient_id, day))


# Abnormal results


def results_card(
    results: Sequence[OpenResult], identity: CardIdentity, patient_id: str, today: date, *, is_brief: bool = False
) -> Card:
    """Return the card of abnormal results that nothing on record has followed, those with a warning first.

    `is_brief`: what follows is said of the first; of the others the headline has the names, and the orders stay.
    """
    ordered = sorted(results, key=lambda result: -SEVERITY[result.row.indicator])
    offers = [
        OrderSuggestion(
            plain(f"Order: {result.row.order.text}", 80),
            "Draft order.",
            order_resource(result.row.order, patient_id, today.isoformat()),
        )
        for result in ordered
        if result.row.order is not None
    ]
    first = ordered[0]
    followed = tuple(ResultToFollow(result.row.id, result.time.date, result.due_by.isoformat()) for result in ordered)
    parts = tuple(f"{result.result} {result.date}" for result in followed)
    # No reminder: it stays until somebody answers it.
    finding = Finding("abnormal-results", "abnormal-results", "until-answered", parts=parts, is_list=len(parts) > 1)
    return identity.card(
        first.row.indicator,
        _summary_of_results(ordered),
        "\n".join(
            _result_line(result, today, is_alone=len(results) == 1) for result in ordered[: 1 if is_brief else None]
        ),
        Source(label=first.row.document, url=first.row.url, topic=TOPICS["results"]),
        CardExtension(
            finding=finding,
            facts=tuple(dict.fromkeys(fact for result in ordered for fact in result.facts)),
            results=followed,
        ),
        suggestions=order_suggestions(offers, identity),
        reasons=REASONS_OF_WHAT_IS_DUE,
    )


def _summary_of_results(results: Sequence[OpenResult]) -> str:
    if len(results) == 1:
        return plain(f"Abnormal result, no follow-up on record: {results[0].title} ({results[0].time.date}).", 139)
    names = first_few([f"{result.title} ({result.time.date})" for result in results], 2)
    return plain(f"{len(results)} abnormal results, no follow-up on record: {names}.", 139)


def _result_line(result: OpenResult, today: date, *, is_alone: bool) -> str:
    overdue = f"; due by {result.due_by}, overdue" if result.due_by < today else f"; due by {result.due_by}"
    needed = f"{escape(capitalized(result.needed), 300)}{overdue} ({result.row.citation})."
    if is_alone:  # the headline names it
        return f"- {needed}"
    return f"- **{escape(result.title, 160)}** ({result.time.date}): {needed}"
