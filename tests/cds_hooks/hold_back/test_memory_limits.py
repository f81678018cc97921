"""What a site remembers of its cards, up to the last second, patient and decision of each limit."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cards.card import Action, Card, Source, Suggestion
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference
from cards.rules.engine.governance import all_rule_versions
from cds_hooks.hold_back.acceptance import AcceptanceCounts, LowAcceptance
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.chain import Chain
from cds_hooks.hold_back.checks import Check, CheckedCall
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.loop_guard import LoopGuard
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.people import PeopleFileError
from cds_hooks.hold_back.sent_cards import Answer, SentAction, SentCard, SentSuggestion, ShownDecision
from cds_hooks.storage import open_decision_log
from tests.cds_hooks.hold_back.restraint_calls import hold_back
from tests.cds_hooks.logged import capture_logs

DAY = 86_400.0
RULE = "renal-metformin"
CALLER = Caller("ehr", "p1", "order-safety", "order-sign")


def _empty_record(folder: Path) -> str:
    url = f"sqlite:///{folder}/record.sqlite3"

    async def write() -> None:
        await open_decision_log(url).close()

    asyncio.run(write())
    return url


# The site


class _Forgetting(Check):
    codes = ()
    title = "Counts how often it is told to forget"

    def __init__(self) -> None:
        self.forgot = 0

    def forget(self) -> None:
        self.forgot += 1


def test_what_no_longer_counts_is_left_out_once_an_hour(tmp_path: Path) -> None:
    url = _empty_record(tmp_path)
    now = 1_000.0
    site = Governance(None, needs_approval=False, now=lambda: now)
    check = _Forgetting()
    site.chain = Chain([check])
    forgot = []
    for at in (1_000.0, 4_599.0, 4_600.0, 4_601.0, 8_199.0, 8_200.0):
        now = at
        site.read_answers(url)
        forgot.append(check.forgot)
    assert forgot == [0, 0, 1, 1, 1, 2]


def test_the_newest_20000_decisions_of_the_process_itself_are_not_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Governance(None, needs_approval=False, now=lambda: 1_000.0)
    site.chain = Chain([])
    asked: list[list[str]] = []

    def read(url: str, own_ids: dict[str, None]) -> Sequence[ShownDecision]:
        asked.append(list(own_ids))
        return ()

    monkeypatch.setattr(site._shown, "read", read)
    card = Card(uuid="c", summary="x", indicator="critical", source=Source(label="x"))
    call = CheckedCall(CALLER, 1_000.0)
    for number in range(20_000):
        site.note_shown(f"d{number}", [card], call)
    site.note_shown("nothing shown", [], call)
    site.read_shown("anywhere")
    site.note_shown("d20000", [card], call)
    site.read_shown("anywhere")
    assert [(len(ids), ids[0], ids[-1]) for ids in asked] == [(20_000, "d0", "d19999"), (20_000, "d1", "d20000")]


def test_the_file_of_rules_is_looked_at_once_a_second(tmp_path: Path) -> None:
    now = 10.0
    rules = tmp_path / "rules.toml"
    rules.write_text("version = 1\n")
    site = Governance(rules, needs_approval=False, clock=lambda: now)
    rules.write_text(f'version = 1\n[[switch]]\nrule = "{RULE}"\noff = true\nnote = "a trial"\n')
    switched = []
    for at in (10.5, 10.9, 11.0, 11.5):
        now = at
        switched.append(len(site.site.switches))
    assert switched == [0, 0, 1, 1]
    # a file that is gone or cannot be read changes nothing and is said once
    now = 12.0
    rules.unlink()
    with capture_logs() as lines:
        assert len(site.site.switches) == 1
        now = 12.5
        assert len(site.site.switches) == 1
        now = 13.0
        assert len(site.site.switches) == 1
    assert [each["event"] for each in lines] == ["rules file refused, the last good one stays"]


def test_a_file_with_a_new_time_and_the_same_length_is_read_again(tmp_path: Path) -> None:
    now = 0.0
    rules = tmp_path / "rules.toml"
    text = f'version = 1\n[[switch]]\nrule = "{RULE}"\noff = true\nnote = "trial %s"\n'
    rules.write_text(text % "a")
    site = Governance(rules, needs_approval=False, clock=lambda: now)
    rules.write_text(text % "b")
    os.utime(rules, (2_000_000_000, 2_000_000_000))
    now = 1.0
    with capture_logs() as lines:
        ((switch,),) = site.site.switches.values()
    assert switch.note == "trial b"
    assert [(each["event"], each["count"]) for each in lines] == [("rules file read again", 0)]


def test_where_approval_is_needed_a_typed_one_counts_for_nothing(tmp_path: Path) -> None:
    digest = all_rule_versions()[RULE].digest
    rules = tmp_path / "rules.toml"
    rules.write_text(
        f'version = 1\n[[approval]]\nrule = "{RULE}"\ndigest = "{digest}"\nby = "A. Person"\nrole = "pharmacist"\n'
        'on = "2026-11-20"\n'
    )
    trusting = Governance(rules, needs_approval=False)
    strict = Governance(rules, needs_approval=True)
    assert list(trusting.site.approvals) == [RULE]
    assert trusting.approval_counts() is None
    assert strict.site.approvals == {}
    assert strict.approval_counts() == {"approved": 0, "not_approved": len(all_rule_versions())}
    assert strict.site is strict.site  # put together once for each state


class _Refused:
    """A book of approvals whose file of people cannot be used."""

    state = (0, 0)

    def read(self) -> None:
        raise PeopleFileError("people.toml: no such person")


def test_a_refused_file_of_people_is_logged_and_what_was_shown_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = _empty_record(tmp_path)
    book: Any = _Refused()
    site = Governance(None, needs_approval=True, approvals=book, now=lambda: 1_000.0)
    read: list[str] = []
    monkeypatch.setattr(site, "read_shown", read.append)

    async def story() -> None:
        await site.wait_until_read(0.01)  # nobody reads: it comes back all the same
        reading = asyncio.create_task(site.keep_reading(url))
        await site.wait_until_read(30)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    with capture_logs() as lines:
        asyncio.run(story())
    assert read == [url]
    assert [each["event"] for each in lines] == ["file of people refused, what was approved stays"]


# Accepted suggestions


def _card(drug: str, *, indicator: Any = "warning", band: str = "a-band") -> Card:
    said = CardExtension(
        findings=(FindingReference("a-rule", band),),
        facts=(Fact("draft", drug, drug, source=f"MedicationRequest/{drug}"),),
    )
    source = Source(label="x")
    return Card(uuid="c", summary=f"About {drug}.", indicator=indicator, source=source, extension={EXTENSION_KEY: said})


def _sent(drug: str, *orders: str) -> SentCard:
    sent = SentCard(uuid="c", indicator="warning")
    sent.extension.ours = _card(drug).own_extension
    sent.suggestions = tuple(SentSuggestion(f"take {order}", order, (_created(order),)) for order in orders)
    return sent


def _created(drug: str) -> SentAction:

    order = {"resourceType": "MedicationRequest", "id": f"{drug}-1", "medicationCodeableConcept": {"text": drug}}
    return SentAction(msgspec.Raw(msgspec.json.encode(order)))


def _accept(guard: LoopGuard, at: float, sent: SentCard, *suggestions: str, patient: str = "p1") -> None:
    guard.take_answer(Answer("ehr", patient, "order-safety", "order-sign", sent, "accepted", at, at, "", suggestions))


def _is_shown(guard: LoopGuard, card: Card) -> bool:
    return bool(hold_back(guard, [card], CALLER).cards)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1.0, True), (0.0, False), (1.0, False), (3_600.0, False), (3_601.0, True)]
)
def test_an_acceptance_counts_for_an_hour_and_none_of_the_future_does(seconds: float, *, shown: bool) -> None:
    now = 10_000.0
    guard = LoopGuard(lambda: now)
    _accept(guard, 10_000.0, _sent("naproxen", "acetaminophen"), "acetaminophen")
    now = 10_000.0 + seconds
    assert _is_shown(guard, _card("naproxen")) is shown


@pytest.mark.parametrize(("seconds", "shown"), [(3_600.0, False), (3_600.5, True)])
def test_an_acceptance_that_is_read_an_hour_late_counts_no_more(seconds: float, *, shown: bool) -> None:
    now = 10_000.0 + seconds
    guard = LoopGuard(lambda: now)
    _accept(guard, 10_000.0, _sent("naproxen", "acetaminophen"), "acetaminophen")
    now = 10_001.0
    assert _is_shown(guard, _card("naproxen")) is shown


def test_only_the_suggestion_that_was_accepted_and_the_same_finding_count() -> None:
    guard = LoopGuard(lambda: 1_000.0)
    _accept(guard, 1_000.0, _sent("naproxen", "acetaminophen", "topical"), "topical")
    assert _is_shown(guard, _card("acetaminophen"))  # offered, and not accepted
    assert not _is_shown(guard, _card("topical"))  # the order that came of it
    assert not _is_shown(guard, _card("TOPICAL"))
    assert _is_shown(guard, _card("naproxen", band="another-band"))
    assert _is_shown(guard, _card("naproxen", indicator="critical"))
    nobody = LoopGuard(lambda: 1_000.0)
    _accept(nobody, 1_000.0, _sent("naproxen", "acetaminophen"))  # a card without a suggestion that was taken
    assert nobody.is_idle(CheckedCall(CALLER, 1_000.0))


def test_fifty_acceptances_of_one_patient_are_remembered_and_the_same_one_once() -> None:
    guard = LoopGuard(lambda: 1_000.0)
    _accept(guard, 1_000.0, _sent("first", "order-a"), "order-a")
    for _ in range(60):  # told again and again, by a reading of the record
        _accept(guard, 1_000.0, _sent("second", "order-b"), "order-b")
    for number in range(48):
        _accept(guard, 1_000.0, _sent(f"drug {number}", f"order {number}"), f"order {number}")
    assert not _is_shown(guard, _card("first"))
    _accept(guard, 1_000.0, _sent("last", "order-c"), "order-c")
    assert _is_shown(guard, _card("first"))
    assert not _is_shown(guard, _card("second"))
    assert not _is_shown(guard, _card("last"))


def test_a_replay_takes_from_the_record_what_an_acceptance_held_back() -> None:
    assert (LoopGuard.remembers, LoopGuard.is_replayed_by_card) == (True, True)


def test_20000_patients_with_acceptances_are_remembered() -> None:
    guard = LoopGuard(lambda: 1_000.0)
    sent = SentCard(uuid="c", suggestions=(SentSuggestion("x", "x"),))
    sent.extension.ours = _card("naproxen").own_extension
    for number in range(1, 20_001):
        _accept(guard, 1_000.0, sent, "x", patient=f"p{number}")
    assert not _is_shown(guard, _card("naproxen"))
    _accept(guard, 1_000.0, sent, "x", patient="p20001")
    assert _is_shown(guard, _card("naproxen"))


def test_a_suggestion_that_changes_only_something_else_is_offered() -> None:
    guard = LoopGuard(lambda: 1_000.0)
    _accept(guard, 1_000.0, _sent("naproxen", "acetaminophen"), "acetaminophen")
    update = Action(type="update", description="x", resource={"resourceType": "MedicationRequest", "id": "other"})
    lower = Suggestion(label="lower it", uuid="s", actions=(update,))
    call = CheckedCall(CALLER, 1_000.0)
    assert guard.check_suggestion(lower, _card("warfarin"), call) is None
    said = guard.check_suggestion(lower, _card("acetaminophen"), call)
    assert said is not None
    assert (said.subject, said.reason, said.text) == (
        "a-rule",
        "loop-guard",
        "“lower it” is not offered: it would change what was just accepted (“take acetaminophen”).",
    )


def test_only_the_draft_of_a_card_is_what_was_accepted_and_none_of_its_other_facts() -> None:
    guard = LoopGuard(lambda: 1_000.0)
    sent = _sent("naproxen", "acetaminophen")
    said = _card("naproxen").own_extension
    facts = (*said.facts, Fact("medication", "warfarin", source="MedicationRequest/warfarin"))
    sent.extension.ours = CardExtension(findings=said.findings, facts=facts)
    _accept(guard, 1_000.0, sent, "acetaminophen")
    assert _is_shown(guard, _card("warfarin"))
    assert not _is_shown(guard, _card("naproxen"))


# How cards are accepted


def _shown(patient: str, day: float, *, decided_at: float = 50.0, client: str = "ehr", rule: str = "") -> ShownDecision:
    card = SentCard(uuid="c", indicator="info")
    if rule:
        card.extension.ours = CardExtension(findings=(FindingReference(rule, "a-band"),))
    return ShownDecision(client, patient, "a-service", "patient-view", day * DAY, (card,), decided_at=decided_at)


def _answer(patient: str, day: float, how: str, *, is_reported: bool = True) -> Answer:
    card = SentCard(uuid="c", indicator="info")
    return Answer(
        "ehr", patient, "a-service", "patient-view", card, how, day * DAY, 50.0, "", (), is_reported=is_reported
    )


def _counted(counts: AcceptanceCounts) -> list[tuple[str, int, int, int, int]]:
    return [
        (each.key[1], each.cards, each.accepted, each.answered, each.not_applicable)
        for each in counts.low(0, 2.0)
        if each.cards
    ]


def test_a_patient_counts_once_a_day_and_the_three_newest_days_are_told_apart() -> None:
    counts = AcceptanceCounts(lambda: 1_000 * DAY)
    counts.take_answer(_answer("nobody", 1_000, "accepted"))
    for day in (996, 997, 998, 998.5, 998):
        counts.take_shown(_shown("p1", day))
    assert _counted(counts) == [("a-service", 3, 1, 1, 0)]
    counts.take_shown(_shown("p1", 998))  # with 1000, 998 and 997 this day is still told apart
    assert _counted(counts) == [("a-service", 3, 1, 1, 0)]
    counts.take_shown(_shown("p1", 999))  # now 997 is not
    assert _counted(counts) == [("a-service", 4, 1, 1, 0)]
    counts.take_shown(_shown("p1", 998))
    assert _counted(counts) == [("a-service", 4, 1, 1, 0)]


def test_beyond_the_most_patients_of_a_day_they_may_count_twice() -> None:
    assert AcceptanceCounts()._most == 200_000
    counts = AcceptanceCounts(lambda: 1_000 * DAY, most=2)
    for patient in ("p1", "p2", "p1", "p2", "p3", "p3"):
        counts.take_shown(_shown(patient, 999))
    counts.take_answer(_answer("p4", 1_000, "accepted"))
    assert _counted(counts) == [("a-service", 4, 1, 1, 0)]


def test_cards_of_ninety_days_count_and_clients_that_report_nothing_do_not() -> None:
    counts = AcceptanceCounts(lambda: 1_000 * DAY)
    for day in (910, 910.9, 911, 999):
        counts.take_shown(_shown("p1", day))
    counts.take_shown(_shown("p1", 999, client="silent"))
    assert _counted(counts) == []
    counts.take_answer(_answer("p1", 999, "overridden", is_reported=False))
    assert _counted(counts) == []  # a person on a page is no report of the client
    counts.take_answer(_answer("p1", 1_000, "patient-ineligible"))
    assert _counted(counts) == [("a-service", 2, 0, 2, 1)]
    counts.clear()
    assert _counted(counts) == []


def test_what_was_decided_before_a_pause_was_ended_counts_no_more() -> None:
    resumed: dict[Any, float] = {}
    counts = AcceptanceCounts(lambda: 1_000 * DAY, lambda: resumed)
    counts.take_answer(_answer("nobody", 1_000, "accepted"))
    counts.take_shown(_shown("p1", 999, rule="a-rule"))
    counts.take_shown(_shown("p1", 999, rule="b-rule"))
    assert _counted(counts) == [("a-rule", 1, 0, 0, 0), ("b-rule", 1, 0, 0, 0)]
    resumed["rule", "a-rule"] = 50.0
    assert _counted(counts) == [("b-rule", 1, 0, 0, 0)]
    counts.take_shown(_shown("p1", 999, rule="a-rule", decided_at=50.0))
    assert _counted(counts) == [("b-rule", 1, 0, 0, 0)]
    counts.take_shown(_shown("p1", 999, rule="a-rule", decided_at=50.1))  # the same patient counts anew
    assert _counted(counts) == [("a-rule", 1, 0, 0, 0), ("b-rule", 1, 0, 0, 0)]


@pytest.mark.parametrize(
    ("answered", "not_applicable", "does_not_fit"),
    [(99, 99, False), (100, 0, False), (100, 100, True), (1_000, 1_000, True)],
)
def test_a_hundred_answers_are_needed_before_cards_do_not_fit(
    answered: int, not_applicable: int, *, does_not_fit: bool
) -> None:
    assert LowAcceptance(("rule", "x"), 0, 0, answered, not_applicable).does_not_fit is does_not_fit


@pytest.mark.parametrize(
    ("least_cards", "least_share", "is_low"), [(4, 0.5, True), (5, 0.5, False), (4, 0.25, False), (4, 0.26, True)]
)
def test_a_share_is_low_below_the_least_and_from_the_least_cards_on(
    least_cards: int, least_share: float, *, is_low: bool
) -> None:
    counts = AcceptanceCounts(lambda: 1_000 * DAY)
    for patient in ("p1", "p2", "p3", "p4"):
        counts.take_shown(_shown(patient, 1_000))
    counts.take_answer(_answer("p1", 1_000, "accepted"))
    assert bool(counts.low(least_cards, least_share)) is is_low


def test_nothing_is_answered_where_no_answers_are_given() -> None:
    low = LowAcceptance(("rule", "x"), 5, 2)
    assert (low.answered, low.not_applicable) == (0, 0)


# Approvals


def test_a_book_of_a_site_without_a_file_of_people_asks_nobody(tmp_path: Path) -> None:
    book = ApprovalBook(_empty_record(tmp_path), None)
    assert not book.asks_people
    today = datetime.now(UTC).date()
    subject = {"rule": RULE, "digest": "0" * 16}
    said = book.why_not_approved("rule", subject, today)
    assert said is not None
    assert said.endswith("is signed by nobody; two people sign it (docs/operations/approvals.md)")
