"""The chain of checks by itself: in which order they are asked, what is left of a card, and what is noted."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cards.card import Card, Source, Suggestion
from cards.extension import RestingFinding, WorklistEntry
from cds_hooks.hold_back import checks
from cds_hooks.hold_back.acts import ApprovalRefused, Entry, Key, Statement
from cds_hooks.hold_back.budgets import BudgetClaims, claims_between_workers
from cds_hooks.hold_back.checks import (
    CHECKS,
    WITHOUT_MEMORY,
    Check,
    CheckedCall,
    Chosen,
    choose_cards,
    explain_held_back,
)
from cds_hooks.hold_back.releases import Origin, Released, Releases, State
from cds_hooks.hold_back.sent_cards import Caller
from cds_hooks.settings import Settings
from fhir.record.refusals import WhyNot
from tests.constants import settings_with
from tests.each import for_rows
from tests.live import record_in

CALLER = Caller("ehr", "p1", "s", "patient-view")


def card(uuid: str, *suggestions: str) -> Card:
    return Card(
        uuid=uuid,
        summary=uuid,
        indicator="info",
        source=Source(label="l"),
        suggestions=tuple(Suggestion(label=each, uuid=each) for each in suggestions),
        selection_behavior="any" if suggestions else None,
    )


def holding(*held: str, reason: str = "a reason", asked: list[tuple[str, int]] | None = None, **more: Any) -> Check:
    """A check that holds back the cards that it names, and notes in which order it is asked."""

    async def why_not(card: Card, call: CheckedCall) -> WhyNot | None:
        if asked is not None:
            asked.append((card.uuid, call.passed))
        if card.uuid not in held:
            return None
        call.worklist.append(WorklistEntry(test=card.uuid, purpose="p", because="b"))
        call.resting.append(RestingFinding(card.uuid, "shown", "2026-11-20", "2026-12-20"))
        return WhyNot("s", "a-code", reason)

    return Check(codes=("a-code",), title="A check of the test", lets_through="Nothing.", card=why_not, **more)


def chosen(*checks: Check, cards: tuple[Card, ...] = ()) -> Chosen:
    given = cards or (card("a"), card("b"), card("c"))
    return asyncio.run(choose_cards(given, CheckedCall(CALLER, 0.0), checks))


def test_each_check_is_asked_about_the_cards_that_are_left_and_told_how_many_passed() -> None:
    first, second, third = list[tuple[str, int]](), list[tuple[str, int]](), list[tuple[str, int]]()
    left = chosen(holding("b", asked=first), holding("a", "c", asked=second), holding(asked=third))
    assert first == [("a", 0), ("b", 1), ("c", 1)]
    assert (second, third) == ([("a", 0), ("c", 0)], [])
    assert left == Chosen(
        [],
        [WhyNot("s", "a-code", "a reason")] * 3,
        [RestingFinding(uuid, "shown", "2026-11-20", "2026-12-20") for uuid in "bac"],
        [WorklistEntry(test=uuid, purpose="p", because="b") for uuid in "bac"],
    )


def test_a_reason_is_said_once_or_for_each_card_and_a_replay_knows_the_cards() -> None:
    assert chosen(holding("a", "b", is_said_once=True)).silences == [WhyNot("s", "a-code", "a reason")]
    again = chosen(holding("a", reason="one", is_said_once=True), holding("b", "c", reason="other", is_said_once=True))
    assert [silence.text for silence in again.silences] == ["one", "other"]
    noted = chosen(holding("a"), holding("b", "c", is_replayed_by_card=True))
    assert (noted.withheld, len(noted.silences)) == ({"b": 1, "c": 2}, 3)


def test_every_function_that_checks_a_finding_a_card_or_a_suggestion_is_in_the_list() -> None:
    asked = {function for check in CHECKS for function in (check.finding, check.card, check.suggestion)}
    declared = {
        function
        for name, function in vars(checks).items()
        if name.startswith("check_") and getattr(function, "__module__", "") == checks.__name__
    }
    assert {function.__name__ for function in declared - asked} == {"check_findings"}  # which asks the others


def test_a_replay_asks_the_checks_that_go_by_no_memory() -> None:
    assert [code for check in CHECKS if check not in WITHOUT_MEMORY for code in check.codes] == [
        "acknowledged", "said-once", "from-event", "loop-guard", "worklist", "said-once", "budget",
    ]  # fmt: skip


def test_a_reason_without_a_known_act_is_that_of_the_last_check_that_can_give_it() -> None:
    (held,) = explain_held_back([WhyNot("r", "canary", "t")], "s", "ehr", lambda: Releases(None))
    assert (held.check, held.since, held.by) == ("The release state of the rule, model or equation", "", "")
    assert held.lets_through == (
        "An act of release about r: cds-hooks release on, canary or activate (docs/operations/release.md)."
    )


@for_rows(
    ("keys", "by"),
    [
        ([("client", "ehr"), ("unit", "u"), ("user", "x")], "client ehr"),
        ([("client", "other"), ("unit", "u")], "unit u"),
        ([("client", "other"), ("user", "x")], "user x"),
        ([("unit", "u"), ("user", "x")], ""),
        ([("unit", "u"), ("unit", "v")], ""),
        ([("service", "s")], ""),
        ([], ""),
    ],
)
def test_silent_mode_is_of_the_client_or_else_of_the_one_unit_or_user_that_it_can_be(keys: list[Key], by: str) -> None:
    releases = Releases(None)
    releases.current = Released(states={key: State("shadow") for key in keys})
    releases.changes = {key: Origin(1.0, " ".join(key)) for key in keys}
    (held,) = explain_held_back([WhyNot("s", "silent-mode", "t")], "s", "ehr", lambda: releases)
    assert (held.by, held.since) == (by, "1970-01-01T00:00:01+00:00" if by else "")


def test_a_card_of_no_model_is_shown_where_the_site_has_switched_another_thing_off() -> None:
    off = Released(states={("model", "mortality_5y"): State("off")})
    kept = asyncio.run(choose_cards((card("a"),), CheckedCall(CALLER, 0.0, released=off), CHECKS))
    assert [each.uuid for each in kept.cards] == ["a"]


@pytest.mark.parametrize(
    ("detail", "fault", "why"),
    [
        ('{"kind": "rule"}', "it was changed", "it was changed"),
        ("{}", None, "it is no act that this version knows"),
        ("{", None, "it is no act that this version knows"),
    ],
)
def test_an_entry_is_read_as_what_it_should_be(detail: str, fault: str | None, why: str) -> None:
    with pytest.raises(ApprovalRefused) as refused:
        Entry("k", 0.0, 1, detail, "a", fault).read(Statement)
    assert str(refused.value) == why


# Other workers


def test_where_the_shared_store_is_away_a_card_is_shown_twice_rather_than_never(tmp_path: Path) -> None:
    async def asked(url: str) -> list[bool]:
        claims = BudgetClaims(url)
        answers = [await claims.is_first("a", 0.0), await claims.is_first("a", 0.0)]
        answers += [await claims.take("a", 9.0, 0.0), await claims.take("a", 9.0, 0.0)]
        await claims.aclose()
        return answers

    (tmp_path / "used-tokens.sqlite3").mkdir()
    assert asyncio.run(asked(record_in(tmp_path))) == [True] * 4
    assert asyncio.run(asked("postgresql://nobody@127.0.0.1:1/x")) == [True] * 4


def test_one_process_alone_needs_no_claims(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert claims_between_workers(Settings(database_url=url)) is None
    assert claims_between_workers(settings_with(database_url=url, metrics_dir=tmp_path)) is not None
    assert claims_between_workers(Settings(database_url="postgresql://nobody@127.0.0.1:1/x")) is not None
