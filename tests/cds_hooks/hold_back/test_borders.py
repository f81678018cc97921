"""Checks that hold cards back, at the last moment, count and name at which they do."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from cards.card import Card, Source
from cards.extension import CardExtension, Factor, ObservedRate
from cards.rules.engine.governance import Budget
from cds_hooks.hold_back.acceptance import LowAcceptance
from cds_hooks.hold_back.acts import ApprovalRefused, Statement
from cds_hooks.hold_back.budgets import Budgets
from cds_hooks.hold_back.checks import Audience
from cds_hooks.hold_back.patient_finding import FOLLOW_UP, Caller, PatientFinding, _raising, patient_finding
from cds_hooks.hold_back.people import People, PeopleFileError, Person, entry_of, read_people
from cds_hooks.hold_back.sent_cards import SentCard, _answer, _sequence_before
from cds_hooks.hold_back.service_checks import refuse_user
from cds_hooks.hold_back.signatures import SignedAct, sign_act
from cds_hooks.hold_back.submission import _Site
from cds_hooks.hold_back.suppression import ShownBefore
from cds_hooks.hold_back.turns import OneReminder
from models_onnx.artifact.keys import local_signer
from tests.cds_hooks.storage.samples import a_decision, store
from tests.live import record_in

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


OBSERVED = ObservedRate(0.2, 0.1, 0.3, 100)
ASKS = PatientFinding("missing uacr", "kfre_4", asks=True)
ONE, FOLLOWED, HIGH = (PatientFinding(about, "m", number=0.3) for about in ("estimate", FOLLOW_UP, "high alert"))


def test_what_has_turns_is_not_remembered_a_second_time_as_shown() -> None:
    """A test that is offered and a follow-up at discharge are rationed by their turns, so they do not rest besides."""
    shown, caller = ShownBefore(lambda: 1e9), Caller("a", "p1", "s", "patient-view")
    shown._take(caller, [ASKS, FOLLOWED, ONE], 1e9)
    kept = [shown._shown.get(("a", "p1", finding.about)) is not None for finding in (ASKS, FOLLOWED, ONE)]
    assert kept == [False, False, True]


@pytest.mark.parametrize(
    ("days", "rests"),
    [(-0.1, False), (0.0, False), (1.0, False), (1.01, True), (14.0, True), (14.01, False)],
)
def test_a_card_that_nobody_answered_is_shown_for_a_day_and_rests_until_the_fourteenth(
    days: float, *, rests: bool
) -> None:
    now, caller = [1e9], Caller("a", "p1", "s", "patient-view")
    shown = ShownBefore(lambda: now[0])
    shown._take(caller, [ONE], 1e9)
    now[0] += days * DAY
    for indicator, expected in (("info", rests), ("warning", rests), ("critical", False)):
        card = Card(uuid="u", summary="s", indicator=indicator, source=Source(label="l"))  # type: ignore[arg-type]
        assert (shown._resting(caller, card, ONE) is not None) is expected, indicator


def test_a_share_of_a_driver_is_of_the_sizes_of_all_contributions() -> None:
    """Of sizes of 2.0 together 0.30 is a driver and 0.10 is visible; what lowers the estimate is neither."""
    sizes = {"a": 0.90, "b": 0.30, "c": 0.29, "d": 0.10, "e": 0.09, "f": -0.32}
    assert sum(map(abs, sizes.values())) == pytest.approx(2.0)
    drivers, visible = _raising([Factor(name, 1.0, "1", "2026-01-01", "", size) for name, size in sizes.items()])
    assert (set(drivers), set(visible)) == ({"a", "b"}, {"a", "b", "c", "d"})


@pytest.mark.parametrize(
    ("probability", "observed", "is_risk"),
    [
        (0.3, ObservedRate(0.2, 0.1, 0.3, 100), True),
        (0.3, None, False),
        (None, ObservedRate(0.2, 0.1, 0.3, 100), False),
    ],
)
def test_a_risk_is_an_estimate_with_the_rate_of_its_reference_group(
    probability: float | None, observed: ObservedRate | None, *, is_risk: bool
) -> None:
    extension = CardExtension(
        model={"id": "m", "version": "1", "sha256": "0"},
        probability=probability,
        value=1.0,
        observed=observed,
        contributions=(Factor("a", 1.0, "1", "2026-01-01", "", 1.0),),
    )
    finding = patient_finding(extension, "patient-view")
    assert finding is not None
    assert (finding.is_risk, finding.drivers) == (is_risk, frozenset({"a"} if is_risk else ()))


def test_a_signature_with_a_sign_that_is_not_base64_is_none(tmp_path: Path) -> None:
    """Decoders pass over such signs: one signature would then have many texts."""
    signer = local_signer(tmp_path / "key.pem", "A. Person")[0]
    person = Person("A. Person", "pharmacist", signer.public)
    people = People({signer.public.id: person}, "people.toml")
    statement = Statement(kind="rule", subject={}, by="A. Person", role="pharmacist", at=NOW.isoformat())
    signed = msgspec.convert(sign_act(statement, signer), SignedAct)
    assert signed.signer(people) == person
    with pytest.raises(ApprovalRefused, match="not base64"):
        msgspec.structs.replace(signed, signature=f"!{signed.signature}").signer(people)


def test_a_key_with_a_sign_that_is_not_base64_is_none(tmp_path: Path) -> None:
    signer = local_signer(tmp_path / "key.pem", "A. Person")[0]
    entry = "version = 1\n" + entry_of(Person("A. Person", "pharmacist", signer.public))
    (tmp_path / "people.toml").write_text(entry)
    assert [person.name for person in read_people(tmp_path / "people.toml").by_key.values()] == ["A. Person"]
    (tmp_path / "people.toml").write_text(entry.replace('public_key = "', 'public_key = "!'))
    with pytest.raises(PeopleFileError, match="not base64"):
        read_people(tmp_path / "people.toml")


def test_an_answer_has_its_times_in_seconds() -> None:
    item = SimpleNamespace(
        outcome="overridden",
        override_reason_code="",
        override_reason_display=None,
        override_reason_system=None,
        received_at=1_800_000_000_500_000,
    )
    decision = SimpleNamespace(
        client="a", patient="p", service="s", hook="patient-view", decided_at=1_700_000_000_250_000
    )
    answer = _answer(item, decision, SentCard(), ["x"])
    assert (answer.at, answer.decided_at) == (1_800_000_000.5, 1_700_000_000.25)
    assert (answer.how, answer.suggestions) == ("overridden", ())
    item.outcome = "accepted"
    answer = _answer(item, decision, SentCard(), ["x"])
    assert (answer.how, answer.suggestions) == ("accepted", ("x",))


@pytest.mark.parametrize(("oldest", "before"), [(5, 0), (10, 0), (11, 1), (30, 2), (31, 3), (50, 4), (51, 5)])
def test_the_decisions_since_a_time_are_found_by_halving(tmp_path: Path, oldest: int, before: int) -> None:
    url = record_in(tmp_path)
    store(url, *(a_decision(decided_at=at) for at in (10, 20, 30, 40, 50)))
    assert _sequence_before(url, oldest, 5) == before
