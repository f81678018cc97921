"""The cards of coverage requirements: the answer in words, what a person has to do, and where the rule can be read.

Each has a topic of CRD's value set of card types. Nothing on them speaks of refusing care or of its necessity.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from cards.card import SUMMARY_LIMIT, Action, Card, CardIdentity, Coding, Link, Source, Suggestion
from cards.coverage.annotation import CRD_CODES
from cards.coverage.determination import Determination
from cards.coverage.order import Json
from cards.coverage.policy import Payer
from cards.text import escape, plain

ANSWER: Final = Coding(system=CRD_CODES, code="coverage-info", display="Coverage Information")
STEPS: Final = Coding(system=CRD_CODES, code="claim", display="Claim")
DOCUMENT: Final = Coding(system=CRD_CODES, code="guideline", display="Guideline")
ALTERNATIVE: Final = Coding(system=CRD_CODES, code="therapy-alternatives-opt", display="Alternatives - Optional")
INSURANCE: Final = Coding(system=CRD_CODES, code="insurance", display="Insurance")
TYPES: Final = (ANSWER, STEPS, DOCUMENT, ALTERNATIVE, INSURANCE)
ASSOCIATED: Final = "davinci-associated-resource"
_COVERED: Final = {
    "covered": "Covered",
    "conditional": "Coverage depends on facts not in the order",
    "not-covered": "Not a benefit of this plan",
}
_PA: Final = {
    "no-auth": "no prior authorization is needed",
    "auth-needed": "prior authorization is needed",
    "performpa": "the supplier asks for prior authorization",
    "satisfied": "prior authorization has been given",
    "conditional": "it is not clear whether prior authorization is needed",
}
_PLACES: Final = dict.fromkeys(("19", "22"), " in a hospital outpatient department")
_INFO: Final = {
    "location": "Name the place of service on the order: the rule is for some places only.",
    "timeframe": "Name the day of service on the order: the list changes within the time it names.",
    "contract-window": "The day of service is outside the period of this coverage. Ask for the current coverage.",
    "performer": "Name the performer on the order.",
}
_NO_CODE: Final = "Add a billing code (HCPCS or CPT) to the order: without one no rule can be applied."


class Annotated(Struct, frozen=True):
    """An answer, the order with its extension, and what the client calls the order."""

    answer: Determination
    updated: Json
    words: str


def answer_card(annotated: Annotated, identity: CardIdentity) -> Card:
    """Return the answer as a card, for a client that takes no system actions; one click writes it onto the order."""
    answer = annotated.answer
    action = Action(type="update", description=describe(answer), resource=annotated.updated)
    note = Suggestion(label="Note this on the order", uuid=identity.suggestion_uuid(1), actions=(action,))
    return _card(
        annotated,
        identity,
        ANSWER,
        f"{annotated.words}: {describe(answer)}",
        _paragraphs(annotated),
        suggestions=(note,),
    )


def steps_card(annotated: Annotated, identity: CardIdentity) -> Card | None:
    """Return what a person has to do for this order; None where nothing has to be done."""
    steps = list(next_steps(annotated.answer))
    if not steps:
        return None
    detail = "\n".join(f"- {step}" for step in steps)
    summary = f"{annotated.words}: {annotated.answer.payer.name} needs {len(steps)} more entries to decide."
    if len(steps) == 1:
        summary = f"{annotated.words}: {annotated.answer.payer.name} needs one more entry to decide."
    return _card(annotated, identity, STEPS, summary, f"{_heading(annotated)}\n\n{detail}")


def document_card(annotated: Annotated, identity: CardIdentity) -> Card | None:
    """Return where the rule behind the answer can be read; None where no page of it is known."""
    policy = annotated.answer.policy
    pages = [page for page in policy.source.split(" ; ") if page.startswith("http")] if policy is not None else []
    pages = [page.split()[0] for page in pages]
    if policy is None or not pages:
        return None
    links = tuple(
        Link(
            label="Rule of the payer" if number == 1 else f"Rule of the payer, page {number}", url=page, type="absolute"
        )
        for number, page in enumerate(pages, start=1)
    )
    summary = f"{annotated.words}: see the {annotated.answer.payer.name} rule for {policy.category}."
    detail = f"{_heading(annotated)}\n\n{escape(describe(annotated.answer), SUMMARY_LIMIT)}."
    detail += f" The rule is in force from {policy.effective_from}"
    detail += f" to {policy.effective_to}." if policy.effective_to is not None else "."
    detail += "\n- **To do:** Read the rule before the order is signed."
    return _card(annotated, identity, DOCUMENT, summary, detail, links=links)


def proposal_card(
    payer: Payer, about: tuple[str, str], identity: CardIdentity, topic: Coding, text: str, label: str, *actions: Action
) -> Card:
    """Return a card of what a payer's own folder proposes, for one click.

    `about` is the order or the Coverage: its reference, and what it is called.
    """
    suggestion = Suggestion(label=label, uuid=identity.suggestion_uuid(1), actions=actions)
    return Card(
        uuid=identity.uuid,
        summary=plain(f"{payer.name}: {text}", SUMMARY_LIMIT),
        detail=f"**About {escape(about[1])}**\n\n{escape(text)}. It is proposed, and nothing depends on it.",
        indicator="info",
        source=Source(label=payer.name, url=payer.url or None, topic=topic),
        suggestions=(suggestion,),
        selection_behavior="any",
        extension={ASSOCIATED: [about[0]]},
    )


def describe(answer: Determination) -> str:
    """Return the answer in one line."""
    words = _COVERED[answer.covered]
    if answer.pa_needed is None:
        return words
    places = answer.policy.places if answer.policy is not None and answer.pa_needed == "auth-needed" else ()
    where = dict.fromkeys(_PLACES.get(place, f" at place of service {place}") for place in sorted(places))
    return f"{words}; {_PA[answer.pa_needed]}{' or'.join(where)}"


def _card(
    annotated: Annotated,
    identity: CardIdentity,
    topic: Coding,
    summary: str,
    detail: str,
    *,
    suggestions: tuple[Suggestion, ...] = (),
    links: tuple[Link, ...] = (),
) -> Card:
    return Card(
        uuid=identity.uuid,
        summary=plain(summary, SUMMARY_LIMIT),
        detail=detail,
        indicator="info",
        source=Source(label=annotated.answer.payer.name, url=annotated.answer.payer.url or None, topic=topic),
        suggestions=suggestions,
        selection_behavior="any" if suggestions else None,
        links=links,
        extension={ASSOCIATED: [annotated.answer.order]},
    )


def _heading(annotated: Annotated) -> str:
    """Which order it is about, so that nobody has to guess among several."""
    return f"**About the order {escape(annotated.words)}**"


def _paragraphs(annotated: Annotated) -> str:
    answer, lines = annotated.answer, [_heading(annotated), f"{escape(describe(annotated.answer), SUMMARY_LIMIT)}."]
    if answer.satisfied_id is not None:
        lines.append(f"Number of the prior authorization: {escape(answer.satisfied_id)}.")
    steps = list(next_steps(answer))
    if steps:
        lines.append("\n".join(f"- {step}" for step in steps))
    return "\n\n".join(lines)


def next_steps(answer: Determination) -> Iterator[str]:
    """Yield what is missing for a better answer, each in a sentence of Markdown."""
    if answer.reason == "detail-code":
        yield _NO_CODE
        return
    yield from (_INFO[code] for code in answer.info_needed if code in _INFO)
    if answer.doc_needed is not None:
        yield from dict.fromkeys(
            f"{escape(criterion.text)}. {escape(criterion.question)}".strip() for criterion in answer.missing
        )
