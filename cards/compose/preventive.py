"""The one card of preventive services at a visit: what is due and from what, what is not known, what was not seen."""

from collections.abc import Iterable, Sequence
from typing import Final

from cards.card import (
    OVERRIDE_REASONS,
    PATIENT_DECLINES,
    TOPICS,
    Card,
    CardIdentity,
    OrderSuggestion,
    Source,
    order_suggestions,
)
from cards.extension import EXTENSION_KEY, CardExtension, PreventiveState, PreventiveStates
from cards.preventive.judgement import Judgement
from cards.preventive.knowledge import PreventiveKnowledge, order_resource
from cards.text import escape, first_few, plain

USPSTF_URL: Final = (
    "https://www.uspreventiveservicestaskforce.org/uspstf/recommendation-topics/uspstf-a-and-b-recommendations"
)
_LINES: Final = 6
_SUMMARY_NAMES: Final = 4
# What is due follows from dates and criteria: there is no estimate to distrust.
_OVERRIDE_REASONS: Final = (
    PATIENT_DECLINES,
    *(reason for reason in OVERRIDE_REASONS if reason.code != "recipient-does-not-trust"),
)


def preventive_card(
    judged: Sequence[Judgement],
    knowledge: PreventiveKnowledge,
    identity: CardIdentity,
    patient_id: str,
    day: str,
    not_sent: Iterable[str] = (),
) -> Card:
    """The card where something is due; `not_sent` names what could hold a test and was not sent.

    `day` (ISO) is the day of its orders.
    """
    due = sorted(
        (judgement for judgement in judged if judgement.state == "due"), key=lambda judgement: not _is_urgent(judgement)
    )
    return Card(
        uuid=identity.uuid,
        summary=_summary(due),
        indicator="info",
        detail="\n".join(_detail(due, judged, knowledge, not_sent)),
        source=Source(
            label=f"USPSTF recommendations, grades A and B, as of {knowledge.as_of}",
            url=USPSTF_URL,
            topic=TOPICS["preventive"],
        ),
        suggestions=order_suggestions(_offers(due, patient_id, day), identity),
        selection_behavior="any" if any(judgement.order is not None for judgement in due) else None,
        override_reasons=_OVERRIDE_REASONS,
        links=identity.links,
        extension={
            EXTENSION_KEY: CardExtension(
                facts=tuple(dict.fromkeys(fact for judgement in due for fact in judgement.facts)),
                preventive=preventive_states(judged, knowledge, day),
            )
        },
    )


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


def _is_urgent(judgement: Judgement) -> bool:
    """Whether it follows up a result and is more than a screening that is due."""
    return judgement.because == "positive-test"


def _summary(due: Sequence[Judgement]) -> str:
    urgent = next((judgement for judgement in due if _is_urgent(judgement)), None)
    others = [judgement for judgement in due if judgement is not urgent]
    noun = "preventive service is" if len(others) == 1 else "preventive services are"
    names = [judgement.service.short for judgement in others]
    most_names = _SUMMARY_NAMES if urgent is None else 2
    listed = first_few(names, most_names)
    sentence = f"{len(others)} {noun} due: {listed}." if others else ""
    if urgent is not None and urgent.order is not None:
        day = f" ({urgent.last.when})" if urgent.last is not None else ""
        sentence = f"{urgent.order.text}{day} is needed. {sentence}".strip()
    return plain(sentence, 139)


def _detail(
    due: Sequence[Judgement], judged: Sequence[Judgement], knowledge: PreventiveKnowledge, not_sent: Iterable[str]
) -> Iterable[str]:
    yield from (
        f"- **{judgement.service.name}** ({judgement.service.citation}): {_text(judgement)}."
        for judgement in due[:_LINES]
    )
    if remaining := due[_LINES:]:
        texts = (f"{item.service.short} ({item.service.citation}; {_text(item)})" for item in remaining)
        yield f"- Also due: {'; '.join(texts)}."
    abnormal = [judgement for judgement in judged if judgement.because == "abnormal"]
    yield from (f"- Follow up: {judgement.service.short}, {_text(judgement)}." for judgement in abnormal)
    unknown = [judgement for judgement in judged if judgement.state == "not known"]
    if unknown:
        yield f"- Not known: {'; '.join(f'{judgement.service.short} ({_text(judgement)})' for judgement in unknown)}."
    yield ""
    lacking = list(not_sent)
    also = f"; {', '.join(lacking)} (not sent)" if lacking else ""
    yield f"Not seen: tests done elsewhere or before the entries that were sent{also}; family history, risk behaviour."
    yield f"USPSTF statements as of {knowledge.as_of}; for people at average risk without symptoms."


def _text(judgement: Judgement) -> str:
    """The reason with the chart's words made harmless for Markdown."""
    return escape(judgement.text, 400)


def _offers(due: Sequence[Judgement], patient_id: str, day: str) -> Iterable[OrderSuggestion]:
    for judgement in due:
        if judgement.order is not None:
            label = plain(f"Order: {judgement.order.text}", 80)
            description = f"Draft order for {judgement.service.short}."
            yield OrderSuggestion(label, description, order_resource(judgement.order, patient_id, day))
