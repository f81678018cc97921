"""What judging an order comes to: findings with their facts and evidence, or silences with their reasons."""

from msgspec import Struct

from cards.card import Coding, Indicator
from cards.rules.compiled import CompiledSuggestion
from cards.rules.fact import Fact
from cards.rules.rule import Change, Evidence
from cards.rules.taken import Taken


class Offer(Struct, frozen=True):
    """A suggestion whose conditions hold; `orders` are the positions of those of its tests that are not ordered yet.

    `change` is what is changed in this draft, worked out where the rule says only how.
    """

    suggestion: CompiledSuggestion
    is_recommended: bool
    orders: tuple[int, ...]
    change: Change | None = None


class Finding(Struct, frozen=True):
    """A rule has spoken.

    `is_certain` is False where it rests on old or contradicting values, which `notes` tell; `suggestions` are the
    rule's own in its own order; `partners` is what stands on the other side of a pair; findings of one `group` can
    share a line.
    """

    rule: str
    band: str
    indicator: Indicator
    is_certain: bool
    summary: str
    detail: str
    priority: int
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    suggestions: tuple[Offer, ...]
    partners: tuple[Taken, ...]
    evidence: tuple[Evidence, ...]
    override_reasons: tuple[Coding, ...]
    group: str = ""


class Silence(Struct, frozen=True, gc=False):
    """Why nothing was said: `subject` is a rule, a draft or an input, `reason` a code, `text` a sentence."""

    subject: str
    reason: str
    text: str

    def of_a_whole_order(self) -> "Silence":
        """The same about an order that is complete: what it lacks will not be entered any more."""
        return Silence(self.subject, self.reason, self.text.replace(" is not entered yet.", " is not stated."))
