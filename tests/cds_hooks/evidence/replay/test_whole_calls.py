"""Decisions replayed in process: what differs, what cannot be computed again, and why.

The decisions are real ones; then a test changes what one of them recorded.
"""

import json
from datetime import UTC, datetime

import pytest
from msgspec import structs

from cds_hooks.evidence.replay.candidates import Change, candidate_site, changes
from cds_hooks.evidence.replay.replaying import Replayer, Verdict
from cds_hooks.evidence.replay.site import ReplaySite
from cds_hooks.evidence.storage.content import use_content_keys
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.settings import Settings
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.cds_hooks.evidence.replay.answered import answered, record_at, site

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
KIDNEYS = "nephrology-referral"
CALLS = {
    PLANNING: ("patient-view", "planning-talk"),
    KIDNEYS: ("patient-view", "ckd-uacr"),
    "vaccines-due": ("patient-view", "healthy-adult"),
    ORDERS: ("order-sign", "ckd4-metformin", "metformin-ckd4-coded"),
}


class Recorded:
    """A record with one decision of each of four services."""

    def __init__(self, url: str) -> None:
        self.url = url
        calls = []
        for service, (hook, sample, *draft) in CALLS.items():
            calls.append((service, request_for(service, hook, sample, NOW, *draft)))
        self.decisions = {decision.service: decision for decision in answered(url, calls, NOW)}
        site().components.in_force.record(url)

    def verdict(self, decision: Decision, *, at: ReplaySite | None = None) -> Verdict:
        """What a replay of this decision comes to."""
        (found,) = Replayer(at or site(), self.url).verdicts([decision])
        assert (found.decision, found.service) == (decision.id, decision.service)
        return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    use_content_keys("")
    return Recorded(record_at(tmp_path_factory.mktemp("record")))


def not_replayed(verdict: Verdict) -> str:
    """Why it was not replayed; then it has nothing to compare."""
    assert (verdict.outcome, verdict.differences, verdict.causes) == ("not-replayed", (), ())
    return verdict.because


def test_a_decision_is_the_same_from_its_facts(recorded: Recorded) -> None:
    for service, decision in recorded.decisions.items():
        assert recorded.verdict(decision) == Verdict(decision=decision.id, service=service, outcome="same")


def test_what_is_not_here_any_more_is_not_replayed(recorded: Recorded) -> None:
    order = recorded.decisions[ORDERS]
    gone = recorded.verdict(structs.replace(order, service="gone"))
    assert not_replayed(gone) == "there is no service gone here any more"
    elsewhere = recorded.verdict(structs.replace(order, client="elsewhere"))
    assert not_replayed(elsewhere) == "there is no client elsewhere here any more"


def test_without_facts_nothing_is_replayed(recorded: Recorded) -> None:
    order = structs.replace(recorded.decisions[ORDERS], id="another")
    assert not_replayed(recorded.verdict(order)) == (
        "no facts were kept, and of its chart only the hash: it was made with CDS_KEEP_FACTS=false"
    )
    refused = structs.replace(order, outcome="error")
    assert not_replayed(recorded.verdict(refused)) == "the call was refused, so nothing was computed"


def test_a_call_that_is_refused_now_differs_by_its_refusal(recorded: Recorded) -> None:
    decision = structs.replace(recorded.decisions[PLANNING], hook="order-sign")
    (row,) = Replayer(site(), recorded.url).replayed([decision])
    assert (row.as_of, row.scores) == (NOW, None)
    assert row.response is not None
    assert list(row.response) == ["error"]
    found = recorded.verdict(decision)
    assert found.outcome == "differs"
    assert "error" in {difference.where for difference in found.differences}


def test_a_replay_of_another_day_names_it_and_a_candidate_what_it_changes(recorded: Recorded) -> None:
    configured = Settings(database_url=recorded.url)
    decisions = list(recorded.decisions.values())
    found = list(Replayer(site(), recorded.url, datetime(2036, 11, 20, tzinfo=UTC)).verdicts(decisions))
    assert [verdict.decision for verdict in found] == [decision.id for decision in decisions]
    assert {verdict.causes[0] for verdict in found if verdict.causes} == {
        "day: recorded as of 2026-11-20, replayed as of 2036-11-20"
    }
    tried = candidate_site(configured, ["CDS_ALERT_SHARE=0.001"])
    (change,) = changes(site(), tried, recorded.url, [recorded.decisions[PLANNING]])
    assert isinstance(change, Change)
    assert change.fewer == ("mortality_5y",)


def test_a_score_that_nothing_explains_is_said_to_be_a_fault(recorded: Recorded) -> None:
    decision = recorded.decisions[PLANNING]
    basis = json.loads(decision.basis)
    basis["scores"]["probability"] = 0.5
    found = recorded.verdict(structs.replace(decision, basis=json.dumps(basis).encode()))
    assert found.outcome == "differs"
    assert found.causes[0].startswith("nothing that is in force has changed")
