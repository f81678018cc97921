"""Checks that hold cards back, at the last moment, count and name at which they do."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from cards.rules.engine.governance import Budget
from cds_hooks.hold_back.acceptance import LowAcceptance
from cds_hooks.hold_back.acts import ApprovalRefused
from cds_hooks.hold_back.budgets import Budgets
from cds_hooks.hold_back.checks import Audience
from cds_hooks.hold_back.patient_finding import Caller, PatientFinding
from cds_hooks.hold_back.service_checks import refuse_user
from cds_hooks.hold_back.submission import _Site
from cds_hooks.hold_back.turns import OneReminder

DAY = 86_400


@pytest.mark.parametrize(
    ("budget", "client", "audience", "counted"),
    [
        (Budget("client", "agreed", cards_per_day=3), "a", Audience(), "a"),
        (Budget("client", "agreed", cards_per_day=3, names=frozenset({"a"})), "a", Audience(), "a"),
        (Budget("client", "agreed", cards_per_day=3, names=frozenset({"a"})), "b", Audience(), None),
        (Budget("user", "agreed", cards_per_day=3), "a", Audience("u"), "u"),
        (Budget("user", "agreed", cards_per_day=3), "a", Audience(""), None),
        (
            Budget("unit", "agreed", cards_per_day=3, names=frozenset({"icu", "ward"})),
            "a",
            Audience("", ("ward",)),
            "icu",
        ),
        (Budget("unit", "agreed", cards_per_day=3, names=frozenset({"icu"})), "a", Audience("", ("ward",)), None),
    ],
)
def test_a_budget_holds_for_those_whom_it_names(
    budget: Budget, client: str, audience: Audience, counted: str | None
) -> None:
    limits = Budgets(now=lambda: 10.0 * DAY)._limits([budget], client, audience)
    assert [key[-1] for _, key in limits] == ([] if counted is None else [counted])
    assert all(key[0] == 10 for _, key in limits)


def test_the_places_of_a_day_are_taken_until_none_is_left_and_again_on_the_next() -> None:
    now, budget = [10.0 * DAY], Budget("client", "agreed", cards_per_day=2)
    budgets = Budgets(lambda: [budget], lambda: now[0])

    def is_shown() -> bool:
        return asyncio.run(budgets._exhausted(budgets._limits([budget], "a", Audience()), 0)) is None

    assert [is_shown() for _ in range(3)] == [True, True, False]
    now[0] += DAY - 1
    assert not is_shown()
    now[0] += 1
    assert is_shown()


@pytest.mark.parametrize(
    ("answered", "not_applicable", "is_reason"),
    [(99, 99, False), (100, 30, False), (100, 31, True)],
)
def test_cards_do_not_fit_where_over_thirty_in_a_hundred_of_a_hundred_answers_say_so(
    answered: int, not_applicable: int, *, is_reason: bool
) -> None:
    assert LowAcceptance(("rule", "r"), 500, 100, answered, not_applicable).does_not_fit is is_reason


@pytest.mark.parametrize(
    ("user", "is_refused"),
    [
        ("Practitioner/1", False),
        ("PractitionerRole/Patient", False),
        ("Patient/1", True),
        ("https://ehr.example/fhir/RelatedPerson/7", True),
        (None, False),
        ("", False),
    ],
)
def test_patients_and_their_relatives_are_no_clinicians(user: str | None, *, is_refused: bool) -> None:
    silence = refuse_user("planning", user)
    assert (silence is not None) is is_refused
    assert silence is None or (silence.reason, "is written for clinicians" in silence.text) == (
        "not-for-this-user",
        True,
    )


NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (NOW, ""),
        (NOW + timedelta(minutes=5), ""),
        (NOW + timedelta(minutes=5, seconds=1), "not before now"),
        (NOW - timedelta(days=30), ""),
        (NOW - timedelta(days=30, seconds=1), "more than 30 days ago"),
        (NOW.replace(tzinfo=None), "not before now in UTC"),
    ],
)
def test_a_statement_counts_from_five_minutes_ahead_to_thirty_days_old(at: datetime, said: str) -> None:
    site = object.__new__(_Site)
    site.now = NOW
    if not said:
        assert site._refuse_time(at.isoformat()) == at
        return
    with pytest.raises(ApprovalRefused, match=said):
        site._refuse_time(at.isoformat())


def test_a_patient_is_a_patient_of_one_client() -> None:
    """Two EHRs number their patients alike: the turn, the answer and the budget of one are not those of the other."""

    async def shown(client: str, turns: OneReminder) -> bool:
        asks = PatientFinding("missing uacr", "kfre_4", asks=True)
        return await turns.turn_of_another(Caller(client, "p1", "other", "patient-view"), asks) is None

    async def story() -> list[bool]:
        turns = OneReminder(lambda: 1e9)
        asks = PatientFinding("missing uacr", "kfre_4", asks=True)
        turns.take(Caller("a", "p1", "first", "patient-view"), [asks], 1e9)
        return [await shown(client, turns) for client in ("a", "b")]

    assert asyncio.run(story()) == [False, True]
