"""Which cards are shown at one opening of a chart: the order of what is lost if a card is missed, cards and words."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import cached_property
from typing import Final

from msgspec import Struct

from cards.card import OTHER_SOURCES, Card
from cards.extension import WorklistEntry

MOST_CARDS: Final = 3
"""So many cards about a patient as a whole are shown at one opening of the chart; the project's own choice."""
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


class CardNotes(Struct, kw_only=True, dict=True):
    """What its advisor says of a card beside what stands on it."""

    shorten: Callable[[], Card | None] | None = None
    """Writes its form of fewer words, asked only where other cards of this opening may leave it no more."""
    reminder: WorklistEntry | None = None
    """What goes to the worklist in its place; a card with one only reminds."""
    rank: VisitRank | None = None
    """Where it stands among the cards of an opening, if that is not the rank of its advisor."""
    reads: frozenset[str] | None = None
    """The analytes and resource types that can change it; None: all that the service asks for."""
    advisor: str = ""
    packages: tuple[str, ...] = ()
    """The packages from outside with a part in it."""
    words: str = ""
    """The digest of what a site declares of its advisor, which two people approve."""

    @cached_property
    def brief(self) -> Card | None:
        """Its form of fewer words; None where it has none."""
        return self.shorten() if self.shorten is not None else None


def rank_of(card: Card, notes: CardNotes) -> VisitRank:
    """Return where the card stands among those of this opening."""
    if card.indicator != "info":
        return VisitRank.DANGER
    return VisitRank.FINDING if notes.rank is None else notes.rank


def by_harm(cards: Sequence[Card], notes_of: Callable[[Card], CardNotes]) -> list[Card]:
    """Return the cards in the order in which an opening shows them: by what is lost if one is missed, then by date."""
    dates = {card.uuid: max((fact.effective or "" for fact in card.own_extension.facts), default="") for card in cards}
    by_date = sorted(cards, key=lambda card: dates[card.uuid], reverse=True)
    return sorted(by_date, key=lambda card: (card.indicator != "critical", rank_of(card, notes_of(card))))


def choose_for_visit(
    cards: Sequence[Card], notes_of: Callable[[Card], CardNotes], most: int = MOST_CARDS
) -> dict[str, Card]:
    """Return which of the cards, in order, are shown at this opening, by uuid, each as it came or in its shorter form.

    A critical card is always shown. At most `most` cards and 250 words are shown. A card is shown in its shorter form
    where another finding would have no words left; a test or a reminder has what is left.
    """
    ranks = [rank_of(card, notes_of(card)) for card in cards]
    findings = [card for card, rank in zip(cards[:most], ranks, strict=False) if rank <= VisitRank.FINDING]
    shown: dict[str, Card] = {}
    words = MOST_WORDS
    for position, (card, rank) in enumerate(zip(cards, ranks, strict=True), start=1):
        for_others = sum(words_to_read(notes_of(other).brief or other) for other in findings[position:])
        length = words_to_read(card)
        form = card if length <= words - for_others else notes_of(card).brief or card
        length = length if form is card else words_to_read(form)
        if card.indicator == "critical" or (len(shown) < most and (rank is VisitRank.DANGER or length <= words)):
            shown[card.uuid] = form
            words -= length
    return shown


def words_to_read(card: Card) -> int:
    """Return how many words a reader of the card sees, reasons for an override and the names of sources apart."""
    words = [card.summary, (card.detail or "").partition(f"\n{OTHER_SOURCES}")[0], *[link.label for link in card.links]]
    for offer in card.suggestions:
        words += [offer.label, *[action.description for action in offer.actions]]
    return len(" ".join(words).split())
