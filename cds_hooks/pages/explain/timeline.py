"""What happened around one decision, in the order of time: the call, the answers to its cards, reported outcomes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cds_hooks.decision_history import DecisionHistory
from cds_hooks.pages.explain.recorded_decision import read_basis
from cds_hooks.storage.decision import TRIAL, Decision, is_trial
from cds_hooks.storage.outcomes import Outcome
from cds_hooks.web.charts import StageChart, stage_chart
from cds_hooks.web.numbers import format_seconds


@dataclass(frozen=True, slots=True)
class Timeline:
    """Each time with what happened, where the time of the call went, and the prefetch keys by what came of them."""

    moments: tuple[tuple[str, str], ...]
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
    keys_by_state: dict[str, list[str]] = {}
    for key, state in basis.prefetch.items():
        keys_by_state.setdefault(state if isinstance(state, str) else state.state, []).append(key)
    moments = sorted(
        [(int(decision.decided_at - took * 1000), _call(decision)), *_answers(history), *map(_outcome, outcomes)]
    )
    return Timeline(
        tuple((format_seconds(at), sentence) for at, sentence in moments),
        stage_chart(basis.timings, took),
        keys_by_state,
        basis.config,
        basis.trace.get("id", ""),
    )


def _call(decision: Decision) -> str:
    hook = decision.hook or "a hook that was not read"
    who = f"{decision.client} called {hook}"
    if is_trial(decision.client):
        who = f"Somebody tried {hook} at /try, as {decision.client.removeprefix(TRIAL)}; a trial counts nowhere"
    user = "not recorded by the version that wrote this" if decision.user_id is None else decision.user_id
    shown_to = user or "no user named, or users are not recorded here"
    return (
        f"{who}. Service {decision.service}, hook instance {decision.hook_instance or 'not recorded'}, for: {shown_to}"
    )


def _answers(history: DecisionHistory) -> Iterator[tuple[int, str]]:
    for card in history.advised:
        for answer in card.answers:
            comment = f". In their own words: {answer.comment}" if answer.comment else ""
            yield answer.at, f"{card.summary}: {answer.sentence}{comment}"


def _outcome(item: Outcome) -> tuple[int, str]:
    """Return what happened to patient or order as the client reported it; each correction is a version of its own."""
    happened = f", which happened {item.happened}" if item.happened else ""
    version = f", version {item.version}: a correction" if item.version > 1 else ""
    subject = f"{item.kind} {item.subject}".rstrip()
    return item.received_at, f"Outcome reported: {subject} is {item.value}{happened} (source: {item.source}{version})"
