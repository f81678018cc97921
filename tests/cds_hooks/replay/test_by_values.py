"""Decisions replayed in process: what is compared by recorded values alone, and what cannot be computed again, and why.

The decisions are real ones; then a test changes what one of them recorded.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import pytest
from msgspec import structs

from cds_hooks.replay import Replayer, Site, Verdict, open_site, replaying
from cds_hooks.replay.candidates import Change, NotReplayed, changes
from cds_hooks.replay.processes import _beside_each_other, changes_by, verdicts
from cds_hooks.replay.stages import _result
from cds_hooks.settings import Settings
from cds_hooks.storage import Decision
from cds_hooks.storage.content import read_content_keys, use_content_keys
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.cds_hooks.replay.answered import answered, record_at, site

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
KIDNEYS = "nephrology-referral"
CALLS = {
    PLANNING: ("patient-view", "planning-talk"),
    KIDNEYS: ("patient-view", "ckd-uacr"),
    "vaccines-due": ("patient-view", "healthy-adult"),
    ORDERS: ("order-sign", "ckd4-metformin", "metformin-ckd4-coded"),
}
_NO_CHART = (
    "what is in force now reads more than was kept: the chart was in the chart and was not kept, because the answer "
    "had not read it"
)
BELOW, DUE = "below the threshold", "due by the threshold"


class Recorded:
    """A record with one decision of each of four services."""

    def __init__(self, url: str) -> None:
        self.url = url
        calls = []
        for service, (hook, sample, *draft) in CALLS.items():
            calls.append((service, request_for(service, hook, sample, NOW, *draft)))
        self.decisions = {decision.service: decision for decision in answered(url, calls, NOW)}
        site().components.in_force.record(url)

    def verdict(self, decision: Decision, *, whole: bool = False, at: Site | None = None) -> Verdict:
        """What a replay of this decision comes to."""
        (found,) = Replayer(at or site(), self.url, whole=whole).verdicts([decision])
        assert (found.decision, found.service) == (decision.id, decision.service)
        return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    use_content_keys(read_content_keys(""))
    return Recorded(record_at(tmp_path_factory.mktemp("record")))


@pytest.fixture(scope="module")
def strict() -> Site:
    """A site at which cards are for 1 of 1,000 patients alone."""
    return open_site(Settings(alert_share="0.001"))


def with_basis(decision: Decision, change: Callable[[Any], object], **members: Any) -> Decision:
    """The decision as if it had recorded something else."""
    basis = orjson.loads(decision.basis)
    change(basis)
    return structs.replace(decision, basis=orjson.dumps(basis), **members)


def _with_silence(silence: list[list[str]], basis: Any) -> None:
    basis["silence"] = silence


def not_replayed(verdict: Verdict) -> str:
    """Why it was not replayed; then it has nothing to compare."""
    assert (verdict.outcome, verdict.by, verdict.differences, verdict.causes) == ("not-replayed", "", (), ())
    return verdict.because


def test_a_decision_is_the_same_by_its_facts_and_by_its_values_where_it_has_some(recorded: Recorded) -> None:
    for service, decision in recorded.decisions.items():
        ways: list[Any] = [(True, "facts"), (False, "facts" if service == ORDERS else "values")]
        for whole, by in ways:
            assert recorded.verdict(decision, whole=whole) == Verdict(
                decision=decision.id, service=service, outcome="same", by=by
            )


def test_what_is_not_here_any_more_is_not_replayed(recorded: Recorded) -> None:
    planning, order = recorded.decisions[PLANNING], recorded.decisions[ORDERS]
    gone = recorded.verdict(structs.replace(order, service="gone"), whole=True)
    assert not_replayed(gone) == "there is no service gone here any more"
    elsewhere = recorded.verdict(structs.replace(order, client="elsewhere"), whole=True)
    assert not_replayed(elsewhere) == "there is no client elsewhere here any more"
    model = recorded.verdict(with_basis(planning, lambda basis: basis["scores"].update(id="gone", sha256="x")))
    assert not_replayed(model) == "there is no model gone here any more"
    inputs = recorded.verdict(
        with_basis(planning, lambda basis: [basis["features"].pop(name) for name in ("age_years", "albumin_g_dl")])
    )
    assert not_replayed(inputs) == ("the model mortality_5y has inputs that were not recorded: age_years, albumin_g_dl")


def test_without_facts_and_values_nothing_is_replayed(recorded: Recorded) -> None:
    order = structs.replace(recorded.decisions[ORDERS], id="another")
    for whole in (True, False):
        assert not_replayed(recorded.verdict(order, whole=whole)) == (
            "no facts were kept: the decision was made with CDS_KEEP_FACTS=false"
        )
        refused = structs.replace(order, outcome="error")
        assert not_replayed(recorded.verdict(refused, whole=whole)) == ("the call was refused, so nothing was computed")


def test_facts_that_cannot_be_read_or_hold_no_chart_are_not_replayed(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = recorded.decisions[ORDERS]
    for facts, because in (
        (b'{"context": 1}', "the facts that were kept cannot be read"),
        (b'{"context": {"userId": "Practitioner/-", "draftOrders": {}}}', _NO_CHART),
    ):
        monkeypatch.setattr(replaying, "facts_of", lambda _url, ids, facts=facts: dict.fromkeys(ids, facts))
        assert not_replayed(recorded.verdict(order, whole=True)) == because


def test_a_call_that_is_refused_now_differs_by_its_refusal(recorded: Recorded) -> None:
    decision = structs.replace(recorded.decisions[PLANNING], hook="order-sign")
    (row,) = Replayer(site(), recorded.url).replayed([decision])
    assert (row.by, row.as_of, row.scores, row.is_due) == ("facts", NOW, None, None)
    assert row.response is not None
    assert list(row.response) == ["error"]
    found = recorded.verdict(decision, whole=True)
    assert (found.outcome, found.by) == ("differs", "facts")
    assert "error" in {difference.where for difference in found.differences}


def test_an_estimate_that_the_threshold_of_then_showed_is_below_that_of_now(recorded: Recorded, strict: Site) -> None:
    decision = recorded.decisions[PLANNING]
    assert decision.outcome == "cards"
    found = recorded.verdict(decision, at=strict)
    assert [(at.where, at.recorded, at.replayed) for at in found.differences] == [("card", DUE, BELOW)]
    assert found.causes == ("setting CDS_ALERT_SHARE: was not set, is 0.001",)
    below = with_basis(
        decision, lambda basis: basis.update(silence=[["mortality_5y", "below-threshold", "x"]]), outcome="no-cards"
    )
    assert recorded.verdict(below, at=strict).outcome == "same"
    (due,) = recorded.verdict(below).differences
    assert (due.where, due.recorded, due.replayed) == ("card", BELOW, DUE)
    for silence, is_told in (
        ([["mortality_5y", "said-once", "x"]], True),  # it was due
        ([["mortality_5y", "budget", "x"]], False),  # another reason kept it back
        ([["mortality_1y", "below-threshold", "x"]], False),  # that is another model
    ):
        other = with_basis(decision, partial(_with_silence, silence), outcome="no-cards")
        assert bool(recorded.verdict(other, at=strict).differences) == is_told, silence


def test_a_service_that_asks_no_model_shows_no_card_of_one(recorded: Recorded, strict: Site) -> None:
    for service in (ORDERS, "gone"):
        moved = structs.replace(recorded.decisions[PLANNING], service=service)
        (row,) = Replayer(strict, recorded.url, whole=False).replayed([moved])
        assert (row.by, row.is_due) == ("values", None)


def test_a_version_beside_is_computed_again_where_it_is_here(recorded: Recorded, strict: Site) -> None:
    decision = recorded.decisions[PLANNING]
    scores = orjson.loads(decision.basis)["scores"]
    beside = {name: scores[name] for name in ("id", "version", "sha256") if name in scores}
    beside |= {"probability": scores["probability"], "percentile": scores["percentile"], "is_due": True}
    gone = {"id": scores["id"], "sha256": "gone", "probability": 0.5}
    failed = {"id": scores["id"], "sha256": scores["sha256"], "error": "it was refused"}
    versions = with_basis(decision, lambda basis: basis["scores"].update(beside=[gone, beside, failed]))
    assert recorded.verdict(versions).outcome == "same"
    found = recorded.verdict(versions, at=strict).differences
    assert [(at.where, at.recorded, at.replayed) for at in found] == [
        ("scores.beside[1].is_due", True, False),
        ("card", DUE, BELOW),
    ]
    elsewhere = structs.replace(versions, service=ORDERS)
    assert [at.where for at in recorded.verdict(elsewhere).differences] == ["scores.beside"]


def test_a_score_of_an_equation_or_a_model_that_was_another_is_named(recorded: Recorded) -> None:
    kidneys = recorded.decisions[KIDNEYS]
    changed = with_basis(kidneys, lambda basis: basis["scores"].update(output="gone"))
    found = recorded.verdict(changed)
    assert (found.outcome, found.by) == ("differs", "values")
    planning = with_basis(recorded.decisions[PLANNING], lambda basis: basis["scores"].update(probability=0.5))
    (difference,) = recorded.verdict(planning).differences
    assert (difference.where, difference.recorded) == ("scores.probability", 0.5)
    assert recorded.verdict(planning).causes == (
        "nothing that is in force has changed: what was remembered then is not all on record, or this is a fault",
    )
    unnamed = with_basis(planning, lambda basis: basis.update(config=""))
    assert recorded.verdict(unnamed).causes == (
        "the decision names no configuration that is on record, so nothing more can be compared",
    )


def test_scores_of_models_come_after_the_others_by_model_and_file(recorded: Recorded) -> None:
    planning, kidneys = recorded.decisions[PLANNING], recorded.decisions[KIDNEYS]
    others = [structs.replace(planning, id=name) for name in ("first", "second")]
    moved = with_basis(planning, lambda basis: basis["scores"].update(sha256="other"), id="third")
    rows = Replayer(site(), recorded.url, whole=False).replayed([others[0], moved, kidneys, others[1]])
    assert [row.decision.id for row in rows] == [kidneys.id, "first", "second", "third"]


def test_two_sites_are_compared_and_what_cannot_be_says_why(recorded: Recorded, strict: Site) -> None:
    planning, order = recorded.decisions[PLANNING], recorded.decisions[ORDERS]
    by_values = structs.replace(planning, id="of values alone")
    gone = structs.replace(order, id="of nothing")
    refused = structs.replace(planning, id="another", service=ORDERS)
    found = list(changes(site(), strict, recorded.url, [planning, order, by_values, gone, refused]))
    of_planning, of_order, of_nothing, *of_values = found
    assert isinstance(of_planning, Change)
    assert isinstance(of_order, Change)
    group = of_planning.group
    assert of_planning == Change(
        planning.id, PLANNING, group, fewer=("mortality_5y",), before=("mortality_5y",), after=()
    )
    assert (of_order.more, of_order.fewer, of_order.is_other, of_order.before) == ((), (), False, of_order.after)
    assert of_order.before == ("renal-metformin/lt30",)
    assert isinstance(of_nothing, NotReplayed)
    assert of_nothing.because.startswith("no facts were kept")
    assert of_values == [
        Change(by_values.id, PLANNING, group, fewer=("mortality_5y",), before=("mortality_5y",), after=()),
        Change(refused.id, ORDERS, group),
    ]


def test_a_call_that_waits_for_something_is_a_fault() -> None:
    async def waiting() -> Any:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="a call that is computed again waits for something"):
        _result(waiting())


def test_one_process_replays_what_several_do(recorded: Recorded) -> None:
    configured = Settings(database_url=recorded.url)
    decisions = list(recorded.decisions.values())
    later = datetime(2036, 11, 20, tzinfo=UTC)
    found = list(verdicts(configured, decisions, later, whole=True, processes=1))
    assert [verdict.decision for verdict in found] == [decision.id for decision in decisions]
    assert {verdict.causes[0] for verdict in found if verdict.causes} == {
        "day: recorded as of 2026-11-20, replayed as of 2036-11-20"
    }
    (change,) = changes_by(configured, ["CDS_ALERT_SHARE=0.001"], [recorded.decisions[PLANNING]], 1)
    assert isinstance(change, Change)
    assert change.fewer == ("mortality_5y",)
    assert list(_beside_each_other(1, (configured, None, None, True), [])) == []
