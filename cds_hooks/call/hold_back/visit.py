"""Which cards are shown at one opening of a chart: the order of what is lost if a card is missed, cards and words."""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

from msgspec import Struct

from cards.card import Card
from cards.extension import WorklistEntry
from cds_hooks.call.hold_back.memory import MOST_CARDS

MOST_WORDS: Final = 250
"""The words of all cards at an opening together, unless critical cards need more; our own choice."""


class VisitRank(IntEnum):
    """What is lost if a card is missed at this visit, the most first; the order is the project's own choice."""

    DANGER = 0
    """A critical card, a warning, abnormal results that nobody followed."""
    TIME_BOUND = 1
    """What can be done in these weeks only, such as a vaccine in a pregnancy."""
    UNTREATED = 2
    """A disease that harms soon if nothing is done: atrial fibrillation without anticoagulant, kidneys that fail."""
    FINDING = 3
    """What another disease or a medication asks for."""
    TALK = 4
    """A talk about a benefit of later years, or about goals of care."""
    TESTS = 5
    """A test for an estimate, once in 90 days."""
    VACCINES = 6
    PREVENTION = 7
    QUESTIONS = 8
    """What only asks for an entry of the chart."""


class CardNotes(Struct, kw_only=True):
    """What its advisor says of a card beside what stands on it."""

    brief: Card | None = None
    """Its form of fewer words, where other cards of this opening leave it no more."""
    reminder: WorklistEntry | None = None
    """What goes to the worklist in its place; a card with one only reminds."""
    rank: VisitRank | None = None
    """Where it stands among the cards of an opening, if that is not the rank of its advisor."""
    reads: frozenset[str] | None = None
    """The analytes and resource types that can change it; None: all that the service asks for."""
    advisor: str = ""
    packages: tuple[str, ...] = ()
    """The packages from outside with a part in it."""


class VisitCard(Struct, frozen=True):
    """A card that waits for its place at an opening.

    `kind` names what a patient gets once at a discharge, `words` are those of the card, `least` those of its shorter
    form, 0 where it has none. `newest` is the date of its newest fact, as ISO text.
    """

    uuid: str
    rank: VisitRank
    is_critical: bool = False
    kind: str = ""
    words: int = 0
    least: int = 0
    newest: str = ""


def by_harm(cards: Iterable[VisitCard]) -> list[VisitCard]:
    """Return the cards in the order in which an opening shows them: by what is lost if one is missed, then by date."""
    by_date = sorted(cards, key=lambda card: card.newest, reverse=True)
    return sorted(by_date, key=lambda card: (not card.is_critical, card.rank))


def choose_for_visit(cards: Sequence[VisitCard], most: int = MOST_CARDS) -> dict[str, int]:
    """Return the cards that are shown at this opening, by uuid, with how many words each may have.

    The one whose miss does the most harm comes first, then that with the newest fact. A critical card is always shown.
    At most `most` cards and 250 words are shown, and of each kind one. A card is shown in its shorter form where
    another finding would have no words left; a test or a reminder has what is left.
    """
    ordered = by_harm(cards)
    findings = [card.least or card.words for card in ordered[:most] if card.rank <= VisitRank.FINDING]
    shown: dict[str, int] = {}
    taken = set[str]()
    words = MOST_WORDS
    for position, card in enumerate(ordered, start=1):
        preferred = card.words if card.words <= words - sum(findings[position:]) else card.least or card.words
        fits = next((form for form in (preferred, card.least) if 0 < form <= words), 0)
        has_room = len(shown) < most and (fits or card.rank is VisitRank.DANGER)
        if not card.is_critical and (not has_room or (card.kind and card.kind in taken)):
            continue
        shown[card.uuid] = fits or card.least or card.words
        words -= shown[card.uuid]
        taken.add(card.kind)
    return shown


def visit_card(card: Card, notes: CardNotes) -> VisitCard:
    """Return where the card stands among those of this opening."""
    extension, rank = card.own_extension, VisitRank.FINDING if notes.rank is None else notes.rank
    finding = extension.finding
    if card.indicator != "info" or extension.results:
        rank = VisitRank.DANGER
    elif finding is not None and finding.repeat == "one-test":
        rank = VisitRank.TESTS
    least = words_to_read(notes.brief) if notes.brief is not None else 0
    newest = max((fact.effective for fact in extension.facts if fact.effective), default="")
    kind = finding.about if finding is not None and finding.repeat == "one-follow-up" else ""
    return VisitCard(card.uuid, rank, card.indicator == "critical", kind, words_to_read(card), least, newest)


def words_to_read(card: Card) -> int:
    """Return how many words a reader of the card sees, reasons for an override and the name of the source apart."""
    words = [card.summary, card.detail or "", *(link.label for link in card.links)]
    for offer in card.suggestions:
        words += [offer.label, *(action.description for action in offer.actions)]
    return len(" ".join(words).split())
