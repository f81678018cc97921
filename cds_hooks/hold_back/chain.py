"""The chain of reasons to hold back: every check in the order in which it is asked, and how it is asked.

Checks of findings are asked while a service decides, before a card is composed; checks of cards afterwards, one check
after the other about all cards that are left. The first reason counts. A guide to a check of your own:
docs/adding/hold-back-check.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cards.card import Card, Suggestion
from cards.extension import RestingFinding, WorklistEntry
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import SuppressionCheck
from cds_hooks.hold_back.budgets import Budgets
from cds_hooks.hold_back.checks import ActsThen, Check, CheckedCall
from cds_hooks.hold_back.from_event import FromEvent
from cds_hooks.hold_back.loop_guard import LoopGuard
from cds_hooks.hold_back.overrides import Acknowledged, NotApproved, RuleSwitch
from cds_hooks.hold_back.release_checks import Paused, ReleaseState, SilentMode, SwitchedOff
from cds_hooks.hold_back.releases import Origin, Releases
from cds_hooks.hold_back.service_checks import AlreadyDone, ModelNotReleased, NoEstimate, NotForThisUser
from cds_hooks.hold_back.suppression import ShownBefore
from cds_hooks.hold_back.turns import OneReminder

CHECKS: Final[tuple[type[Check], ...]] = (
    SwitchedOff,
    NotForThisUser,
    NoEstimate,
    AlreadyDone,
    ModelNotReleased,
    ReleaseState,
    SilentMode,
    Paused,
    RuleSwitch,
    NotApproved,
    Acknowledged,
    ShownBefore,
    FromEvent,
    OneReminder,
    LoopGuard,
    Budgets,
)
"""All checks, the first to be asked first."""

SUPPRESSED: Final = frozenset(code for check in CHECKS for code in check.codes)
"""The reasons for which a card is held back; all other reasons say that there was nothing to show."""
WITHHELD: Final = frozenset(code for check in CHECKS if check.hides_findings for code in check.codes)
"""Those of them for which something was found and is not shown."""


class Chosen(Struct):
    """The cards to show, and what became of the others.

    `withheld` has, by the uuid of a card or suggestion, the place in `silences` of the reason why it is not shown; of
    those checks that a replay does not ask again.
    """

    cards: list[Card] = []
    silences: list[Silence] = []
    resting: list[RestingFinding] = []
    worklist: list[WorklistEntry] = []
    withheld: dict[str, int] = {}

    def withhold(self, uuid: str, silence: Silence) -> None:
        """Notes why the card or suggestion of this uuid is not shown, for a replay."""
        self.withheld[uuid] = len(self.silences)
        self.silences.append(silence)


class Chain:
    """The checks of one server, with what they remember."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self.checks = tuple(checks)
        self._of_findings = tuple(
            check for check in self.checks if type(check).check_finding is not Check.check_finding
        )
        self._of_cards = tuple(check for check in self.checks if type(check).check is not Check.check)

    @classmethod
    def of_site(cls, *checks: Check) -> "Chain":
        """Returns all of `CHECKS`: these for the ones that need arguments, the others made without."""
        instances = {type(check): check for check in checks}
        return cls(instances.get(kind) or kind() for kind in CHECKS)

    def without_memory(self) -> "Chain":
        """Returns the checks that decide the same again whatever was shown or answered since."""
        return Chain(check for check in self.checks if not check.remembers)

    def check_findings(self, call: CheckedCall) -> SuppressionCheck:
        """Returns what gives the first reason why a finding of a medication rule is not shown in this call."""
        checks = [check for check in self._of_findings if not check.is_idle(call)]

        def first_reason(finding: Finding) -> Silence | None:
            for check in checks:
                silence = check.check_finding(finding, call)
                if silence is not None:
                    return silence
            return None

        return first_reason

    async def hold_back(self, cards: Sequence[Card], call: CheckedCall) -> Chosen:
        """Returns the cards to show now, and the reason against each of the others."""
        chosen = Chosen(list(cards))
        for check in self._of_cards:
            if not chosen.cards:
                break
            if not check.is_idle(call):
                await _ask(check, chosen, call)
        return chosen


async def _ask(check: Check, chosen: Chosen, call: CheckedCall) -> None:
    """Takes the cards and suggestions that this check holds back out of `chosen`, with their reasons."""
    passed_cards: dict[str, Card] = {}
    for card in check.order(chosen.cards):
        call.passed = len(passed_cards)
        reason = await check.check(card, call)
        if reason is None:
            passed_cards[card.uuid] = _offered(check, card, call, chosen)
            continue
        if check.is_replayed_by_card:
            chosen.withhold(card.uuid, reason.silence)
        elif not (check.is_said_once and reason.silence in chosen.silences):
            chosen.silences.append(reason.silence)
        chosen.resting += [reason.resting] if reason.resting is not None else []
        chosen.worklist += [reason.worklist] if reason.worklist is not None else []
    chosen.cards = [passed_cards[card.uuid] for card in chosen.cards if card.uuid in passed_cards]


def _offered(check: Check, card: Card, call: CheckedCall, chosen: Chosen) -> Card:
    """Returns the card with those of its suggestions that the check lets through."""
    if type(check).check_suggestion is Check.check_suggestion:
        return card
    offered = []
    for suggestion in card.suggestions:
        silence = check.check_suggestion(suggestion, card, call)
        if silence is None:
            offered.append(suggestion)
        else:
            chosen.withhold(suggestion.uuid, silence)
    return card if len(offered) == len(card.suggestions) else with_suggestions(card, offered)


def with_suggestions(card: Card, suggestions: Sequence[Suggestion]) -> Card:
    """Returns the card with these of its suggestions; without any it has no selection behaviour either (CARD-13)."""
    behavior = card.selection_behavior if suggestions else None
    return replace(card, suggestions=tuple(suggestions), selection_behavior=behavior)


class HeldBack(Struct, frozen=True):
    """One reason of a decision in words: what was held back, by which check and act, and what would let it through."""

    subject: str
    reason: str
    text: str
    check: str
    since: str
    """When the act behind it was given, as ISO time; "" where it goes by no act that is known."""
    by: str
    lets_through: str


def explain_held_back(
    silences: Iterable[Silence], service: str, client: str, acts_then: Callable[[], Releases]
) -> list[HeldBack]:
    """Returns the reasons of a decision for which something was held back, each with its check and the act behind it.

    `acts_then` gives the acts up to that decision; it is asked only where something was held back.

    Raises:
        RecordUnavailable: The acts cannot be read.
    """
    reasons = [silence for silence in silences if silence.reason in SUPPRESSED]
    if not reasons:
        return []
    acts = ActsThen(service, client, acts_then())
    return [_explained(silence, acts) for silence in reasons]


def _explained(silence: Silence, acts: ActsThen) -> HeldBack:
    check, origin = next(_origins(silence, acts))
    since = datetime.fromtimestamp(origin.at, UTC).isoformat(timespec="seconds") if origin.at else ""
    lets_through = check.lets_through.replace("NAME", silence.subject)
    return HeldBack(silence.subject, silence.reason, silence.text, check.title, since, origin.by, lets_through)


def _origins(silence: Silence, acts: ActsThen) -> Iterator[tuple[type[Check], Origin]]:
    """Yields each check that may have given the reason, with the act behind it; the first that is asked is the one."""
    checks = [check for check in CHECKS if silence.reason in check.codes]
    for check in checks:
        origin = check.origin(silence.subject, acts)
        if origin is not None:
            yield check, origin
    yield checks[-1], Origin()
