"""What happened around one decision, in the order of time: the call, the cards, the answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from cds_hooks.decision_history import Card, CardAnswer, DecisionHistory, is_refused, read_cards
from cds_hooks.pages.explain.recorded_decision import Basis, PrefetchKey, read_basis
from cds_hooks.storage.decision import TRIAL, Decision, is_trial
from cds_hooks.storage.outcomes import Outcome
from cds_hooks.web.charts import StageChart, stage_chart
from cds_hooks.web.numbers import format_seconds


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened, with its time, and more about it; `sign` is a shape of the page."""

    at: int
    what: str
    details: tuple[str, ...] = ()
    sign: str = ""

    @property
    def time(self) -> str:
        """The time to the second."""
        return format_seconds(self.at)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The moments in their order, where the time of the call went, and the prefetch keys by what came of them."""

    moments: tuple[Moment, ...]
    stages: StageChart
    keys: dict[str, list[str]]
    config: str
    trace: str


def timeline(decision: Decision, history: DecisionHistory, outcomes: Sequence[Outcome]) -> Timeline:
    """Return the timeline of a decision.

    Raises:
        msgspec.MsgspecError: the decision is recorded in another form.
    """
    basis = read_basis(decision)
    took = sum(basis.timings.values())
    cards = read_cards(decision)
    moments = [_called(decision, took), _answered(decision, basis, cards)]
    moments += (_answer(card.summary, answer) for card in history.advised for answer in card.answers)
    moments += (_outcome(item) for item in outcomes)
    return Timeline(
        tuple(sorted(moments, key=lambda moment: moment.at)),
        stage_chart(basis.timings, took),
        _by_state(basis.prefetch),
        basis.config,
        basis.trace.get("id", ""),
    )


def _by_state(prefetch: dict[str, str | PrefetchKey]) -> dict[str, list[str]]:
    keys_by_state: dict[str, list[str]] = {}
    for key, state in prefetch.items():
        keys_by_state.setdefault(state if isinstance(state, str) else state.state, []).append(key)
    return keys_by_state


def _called(decision: Decision, took: float) -> Moment:
    hook = decision.hook or "a hook that was not read"
    instance = decision.hook_instance or "not recorded"
    details: tuple[str, ...] = (
        f"Service {decision.service}",
        f"Hook instance {instance}",
        f"Shown to: {_user(decision.user_id)}",
    )
    who = f"{decision.client} called {hook}"
    if is_trial(decision.client):
        who = f"Somebody tried {hook} at /try, as {decision.client.removeprefix(TRIAL)}"
        details = ("A trial: it counts in no budget, monitor, pause or worklist", *details)
    return Moment(int(decision.decided_at - took * 1000), who, details)


def _user(user: str | None) -> str:
    if user is None:
        return "not recorded by the version that wrote this"
    return user or "no user named, or users are not recorded here"


def _answered(decision: Decision, basis: Basis, cards: Sequence[Card]) -> Moment:
    if is_refused(decision):
        return Moment(
            decision.decided_at, "The call was refused", tuple(text for _, _, text in basis.silence), "critical"
        )
    if not cards:
        count = len(basis.silence)
        reasons = "1 reason is on record" if count == 1 else f"{count} reasons are on record"
        return Moment(decision.decided_at, "Answered without a card", (f"{reasons}, below.",), "none")
    count = len(cards)
    title = "Answered with 1 card" if count == 1 else f"Answered with {count} cards"
    return Moment(decision.decided_at, title, tuple(card.summary for card in cards), "info")


def _answer(card: str, answer: CardAnswer) -> Moment:
    if answer.is_accepted:
        return Moment(
            answer.at, "A card was accepted", (card, *(f"Chosen: {label}" for label in answer.chosen)), "good"
        )
    comment = (f"In their own words: {answer.comment}",) if answer.comment else ()
    reason = f"Reason: {answer.reason or 'no reason was given'}"
    return Moment(answer.at, "A card was overridden", (card, reason, *comment), "warning")


def _outcome(item: Outcome) -> Moment:
    """Return what happened to patient or order as the client reported it; each correction is a version of its own."""
    title = f"Outcome reported: {item.kind} {item.subject}".rstrip()
    happened = (f"It happened {item.happened}",) if item.happened else ()
    version = (f"Version {item.version}: a correction",) if item.version > 1 else ()
    return Moment(item.received_at, title, (f"{item.value}", *happened, f"Source: {item.source}", *version))
