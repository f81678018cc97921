"""Release states, findings that rest, turns and counts by themselves: on and beside each limit."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from cards.card import Card, Indicator, Source
from cards.extension import EXTENSION_KEY, CardExtension, FindingReference, WorklistEntry
from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.acceptance import AcceptanceCounts, keys_of
from cds_hooks.hold_back.acts import (
    Act,
    ApprovalRefused,
    Pause,
    Rollback,
    ended,
    key_of_subject,
    words_of,
)
from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.patient_finding import FOLLOW_UP, Caller, PatientFinding, patient_finding
from cds_hooks.hold_back.releases import Origin, Released, Releases, State, in_canary
from cds_hooks.hold_back.sent_cards import Answer, SentCard, ShownDecision, findings_of, sent_cards
from cds_hooks.hold_back.suppression import ShownBefore, _is_shown_again, _sentence, _Shown
from cds_hooks.hold_back.turns import OneReminder, Turn, _rank, kinds_of

NOW = 1_800_000_000.0
DAY = 86_400.0
CALLER = Caller("ehr", "p1", "s", "patient-view")


# What may show cards


SALT = "ab" * 16


@pytest.mark.parametrize(
    ("state", "served", "reason"),
    [
        (None, None, None),
        (State("active"), None, None),
        (State("active", version="1"), "1", None),
        (State("active", version="1"), "2", "shadow"),
        (State("active", version=""), "2", None),
        (State("canary", share=100, salt=SALT), None, None),
        (State("canary", share=0, salt=SALT), None, "canary"),
        (State("canary", share=100, salt=SALT, version="1"), "2", "shadow"),
        (State("shadow", "why"), None, "shadow"),
        (State("shadow", "why", version="1"), "2", "shadow"),
        (State("off", "why"), None, "switched-off"),
        (State("retired", "why"), None, "switched-off"),
    ],
)
def test_what_a_state_withholds_from_a_patient(state: State | None, served: str | None, reason: str | None) -> None:
    key = ("rule", "r")
    released = Released({key: state} if state is not None else {}, {key: served} if served is not None else {})
    silence = released.why_withheld("rule", "r", "ehr", "p1")
    assert (silence.reason if silence is not None else None) == reason
    assert released.why_withheld("model", "r", "ehr", "p1") is None


def test_a_withheld_rule_says_why() -> None:
    def text(state: State, **versions: str) -> str:
        released = Released({("rule", "r"): state}, {("rule", name): version for name, version in versions.items()})
        silence = released.why_withheld("rule", "r", "ehr", "p1")
        assert silence is not None
        return silence.text

    assert text(State("off", "why")) == "The rule r is switched off here: why."
    assert text(State("shadow", "why")) == "The rule r is computed and not shown here: why."
    assert text(State("retired", "why")) == "The rule r is retired here: why."
    assert text(State("canary", share=0, salt=SALT)) == (
        "The rule r is tried with 0 in 100 patients, and this one is not among them."
    )
    assert text(State("active", version="1"), r="2") == (
        "The rule r is computed and not shown: another version is served than was released."
    )


def test_a_canary_has_its_share_of_the_patients_and_a_larger_one_has_them_all() -> None:
    def chosen(share: int, salt: str = SALT) -> set[int]:
        state = State("canary", share=share, salt=salt)
        return {number for number in range(1000) if in_canary(state, "ehr", f"p{number}")}

    assert chosen(0) == set()
    assert len(chosen(100)) == 1000
    assert 20 < len(chosen(5)) < 90
    assert chosen(5) < chosen(50)
    assert chosen(50) != chosen(50, "cd" * 16)
    assert chosen(50) != {n for n in range(1000) if in_canary(State("canary", share=50, salt=SALT), "b", f"p{n}")}


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ({}, None),
        ({("service", "s"): State("off", "a")}, "The service s is switched off: a."),
        ({("client", "ehr"): State("off", "b")}, "The client ehr is switched off: b."),
        ({("service", "s"): State("shadow", "a")}, None),
        ({("service", "t"): State("off", "a"), ("client", "x"): State("off", "a")}, None),
    ],
)
def test_why_nothing_is_computed(states: Any, why: str | None) -> None:
    assert Released(states).why_off("s", "ehr") == why


@pytest.mark.parametrize(
    ("states", "user", "why"),
    [
        ({}, "u", None),
        ({("client", "ehr"): State("shadow", "a")}, None, "Silent mode for the client: a."),
        ({("client", "ehr"): State("off", "a")}, None, None),
        ({("user", "u"): State("shadow", "a")}, "u", "Silent mode for the user: a."),
        ({("user", "u"): State("shadow", "a")}, None, None),
        ({("user", "u"): State("shadow", "a")}, "v", None),
        ({("unit", "icu"): State("shadow", "a")}, None, "Silent mode for the unit: a."),
        ({("unit", "ward"): State("shadow", "a")}, None, None),
    ],
)
def test_why_a_caller_is_shown_nothing(states: Any, user: str | None, why: str | None) -> None:
    assert Released(states).silent_mode("ehr", lambda: ["icu"], user) == why


def test_care_units_are_looked_for_only_where_one_has_a_state() -> None:
    def never() -> list[str]:
        pytest.fail("not asked")

    assert Released({("client", "x"): State("shadow")}).silent_mode("ehr", never, "u") is None


PAUSE = Pause("rule", "r", "2026-11-21T10:00:00+00:00", 210, 3, 0.05)


def test_what_is_in_force_in_words() -> None:
    states = {
        ("rule", "a"): State("canary", share=5, version="1"),
        ("model", "b"): State("active"),
        ("rule", "c"): State("off", share=5),
    }
    assert Released(states, {}, {PAUSE.key: PAUSE}).words == {
        "rule a": "canary 5 % 1", "model b": "active", "rule c": "off",
        "pause of rule r": "paused since 2026-11-21: 3 of 210 cards were accepted, under 5 in 100",
    }  # fmt: skip


def act(state: Any, kind: Any = "rule", name: str = "r", by: str = "ann", role: str = "a", **more: Any) -> Act:
    return Act(kind=kind, name=name, state=state, by=by, role=role, at="2026-11-20T09:00:00+00:00", why="why", **more)


def applied(*acts: Act) -> Releases:
    releases = Releases(None)
    for number, each in enumerate(acts):
        releases._take_act(each, float(number))
    return releases


def test_an_act_changes_the_state_and_switching_on_brings_back_the_one_before() -> None:
    tried = applied(act("shadow", salt=SALT), act("canary", share=5, salt="cd" * 16))
    assert tried._states[("rule", "r")] == State("canary", "why", 5, SALT)
    off = applied(act("shadow", salt=SALT), act("canary", share=5), act("off"), act("off"))
    assert off._states[("rule", "r")].before == State("canary", "why", 5, SALT)
    on = applied(act("shadow", salt=SALT), act("canary", share=5), act("off"), act("on"))
    assert on._states[("rule", "r")] == State("canary", "why", 5, SALT)
    assert applied(act("off"), act("on"))._states == {}
    with pytest.raises(ApprovalRefused):
        applied(act("active"))
    assert [each.state for each in on.acts_of(("rule", "r"))] == ["shadow", "canary", "off", "on"]
    assert on.acts_of(("rule", "x")) == []
    assert on.changes == {("rule", "r"): Origin(3.0, "ann (a)", "why")}


def test_a_pause_ends_by_an_act_and_a_rollback_silences_only_what_shows_cards() -> None:
    releases = Releases(None)
    releases._paused[PAUSE.key] = PAUSE
    releases._take_act(act("on"), 7.0)
    assert (releases._paused, dict(releases.resumed)) == ({}, {PAUSE.key: 7.0})
    for state, after in (("canary", "shadow"), ("active", "shadow"), ("off", "off"), ("retired", "retired")):
        releases._states = {("rule", "r"): State(state, "before")}  # type: ignore[arg-type]
        releases._take_back(Rollback("rule", "r", "2026", "drift"), 9.0)
        assert releases._states[("rule", "r")].state == after
        assert releases.changes[("rule", "r")] == Origin(9.0, "the monitor", "drift")
    releases._states = {}
    releases._take_back(Rollback("rule", "r", "2026", "drift"), 9.0)
    assert releases._states == {}


def test_two_people_in_two_roles_let_something_show_cards_and_one_silences() -> None:
    releases = Releases(lambda: None)  # type: ignore[arg-type, return-value]
    releases._states[("rule", "r")] = State("shadow", salt=SALT)
    first = act("canary", share=5)
    assert not releases._counts(first)
    assert releases.waiting_for_second() == [first]
    assert not releases._counts(act("canary", share=5, by="ann", role="b"))
    assert not releases._counts(act("canary", share=5, by="ben", role="A"))
    assert not releases._counts(act("canary", share=10, by="ben", role="b")), "it is another act"
    assert releases._counts(act("canary", share=5, by="ben", role="b"))
    assert len(releases.waiting_for_second()) == 1
    assert releases._counts(act("off"))
    assert releases.waiting_for_second() == []


def test_since_when_something_is_in_shadow() -> None:
    releases = applied(act("shadow"))
    assert releases.in_shadow_since(("rule", "r")) is None, "not in effect yet"
    releases.current = Released(dict(releases._states))
    assert releases.in_shadow_since(("rule", "r")) == "2026-11-20T09:00:00+00:00"
    assert releases.in_shadow_since(("rule", "x")) is None
    releases.current = Released({("rule", "r"): State("off")})
    assert releases.in_shadow_since(("rule", "r")) is None


@pytest.mark.parametrize(
    ("waiver", "is_over"),
    [
        ({"granted": "2026-11-20", "expires": "2026-11-21"}, False),
        ({"granted": "2026-11-21", "expires": "2026-11-22"}, True),
        ({"granted": "2026-11-01", "expires": "2026-11-20"}, True),
        ({"granted": "2026-11-01"}, True),
        ({"granted": "x", "expires": "2026-11-21"}, True),
        ({"granted": None, "expires": "2026-11-21"}, True),
    ],
)
def test_a_waiver_is_in_force_from_its_first_day_to_before_its_last(waiver: Any, *, is_over: bool) -> None:
    assert ended(waiver, date(2026, 11, 20)) is is_over


def test_what_is_signed_in_words() -> None:
    assert words_of("rule", {"rule": "r", "digest": "d"}) == "rule r in version d"
    assert words_of("model", {"model": "m", "version": "1", "digest": "x" * 20}) == f"model m 1, digest {'x' * 16}"
    waiver = {"model": "m", "version": "1", "gate": "G1", "expires": "2026"}
    assert words_of("waiver", waiver) == "waiver of G1 for model m 1 until 2026"
    assert key_of_subject("rule", {"a": 1, "b": 2}) == key_of_subject("rule", {"b": 2, "a": 1})
    assert key_of_subject("rule", {"a": 1}) != key_of_subject("model", {"a": 1})


# Findings


def finding(number: float | None = None, **more: Any) -> PatientFinding:
    return PatientFinding("about", "m", number=number, **more)


@pytest.mark.parametrize(
    ("now", "before", "is_worse"),
    [
        (finding(1.2), finding(1.0), False),
        (finding(1.21), finding(1.0), True),
        (finding(0.8, is_falling=True), finding(1.0), False),
        (finding(0.79, is_falling=True), finding(1.0), True),
        (finding(1.3, is_falling=True), finding(1.0), False),
        (finding(1.1, band="high"), finding(1.0, band="low"), True),
        (finding(1.0, band="high"), finding(1.0, band="low"), False),
        (finding(None), finding(1.0), False),
        (finding(2.0), finding(None), False),
        (finding(parts=frozenset("ab")), finding(parts=frozenset("a")), True),
        (finding(parts=frozenset("a")), finding(parts=frozenset("ab")), False),
        (finding(0.30, is_risk=True), finding(0.25, is_risk=True), True),
        (finding(0.299, is_risk=True), finding(0.25, is_risk=True), False),
        (finding(0.26, is_risk=True, band="2"), finding(0.25, is_risk=True, band="1"), True),
        (finding(0.25, is_risk=True, band="2"), finding(0.25, is_risk=True, band="1"), False),
        (finding(0.25, is_risk=True, drivers=frozenset("a")), finding(0.25, is_risk=True), True),
        (
            finding(0.25, is_risk=True, drivers=frozenset("a")),
            finding(0.25, is_risk=True, raising=frozenset("a")),
            False,
        ),
        (
            replace(finding(0.26, is_risk=True, band="2", drivers=frozenset("a")), subject="n"),
            finding(0.25, is_risk=True, band="1"),
            False,
        ),
        (finding(0.3, is_risk=True), finding(0.25), False),
    ],
)
def test_a_finding_is_worse_by_a_fifth_or_five_points_or_a_part_more(
    now: PatientFinding, before: PatientFinding, *, is_worse: bool
) -> None:
    assert now.is_worse_than(before) is is_worse


def test_what_was_missing_has_arrived() -> None:
    assert finding(missing=frozenset()).has_arrived_since(finding(missing=frozenset("a")))
    assert not finding(missing=frozenset("ab")).has_arrived_since(finding(missing=frozenset("a")))
    waited = _Shown(NOW, "need-more-info", finding(missing=frozenset("a")))
    assert _is_shown_again(finding(), waited)
    assert not _is_shown_again(finding(), replace(waited, how="patient-declines"))
    assert _is_shown_again(finding(2.0), _Shown(NOW, "patient-declines", finding(1.0)))


@pytest.mark.parametrize(
    ("extension", "hook", "expected"),
    [
        (CardExtension(findings=(FindingReference("r", "b"),)), "order-sign", None),
        (CardExtension(model={"id": "m"}), "encounter-discharge", PatientFinding(FOLLOW_UP, "m")),
        (CardExtension(model={"id": "m"}, missing=("a", "b")), "x", PatientFinding("missing a,b", "m", asks=True)),
        (
            CardExtension(model={"id": "m_small"}, missing=("a",), value=2.0, output="o"),
            "x",
            PatientFinding("m o", "m_small", number=2.0, missing=frozenset("a")),
        ),
        (
            CardExtension(model={"id": "m_early"}, value=2.0, band={"id": "high"}),
            "x",
            PatientFinding("m ", "m_early", band="high", number=2.0),
        ),
        (CardExtension(), "x", None),
    ],
)
def test_what_a_card_says_about_the_patient(extension: Any, hook: str, expected: PatientFinding | None) -> None:
    assert patient_finding(extension, hook) == expected


# What rests


def card(indicator: Indicator = "info", extension: CardExtension | None = None) -> Card:
    ours = {EXTENSION_KEY: extension} if extension is not None else {}
    return Card(uuid="u", summary="A summary.", indicator=indicator, source=Source(label="l"), extension=ours)


MODEL = CardExtension(model={"id": "m"}, value=2.0, output="o")


def answered(how: str, at: float, value: float = 2.0) -> Answer:
    sent = SentCard(uuid="u", indicator="info")
    sent.extension.ours = replace(MODEL, value=value)
    return Answer("ehr", "p1", "s", "patient-view", sent, how, at, at)


@pytest.mark.parametrize(
    ("how", "days"),
    [("accepted", 90), ("patient-ineligible", 180), ("wrong-time-workflow", 1), ("another", 30)],
)
def test_an_answer_silences_for_its_days_and_no_worse_value(how: str, days: int) -> None:
    memory = ShownBefore(lambda: NOW)
    memory.take_answer(answered(how, NOW - days * DAY))
    call = CheckedCall(CALLER, NOW)
    reason = asyncio.run(memory.check(card("critical", MODEL), call))
    assert reason is not None
    assert reason.resting is not None
    until = datetime.fromtimestamp(NOW, UTC).isoformat(timespec="seconds")
    assert (reason.resting.because, reason.resting.until) == (how, until)
    worse = asyncio.run(memory.check(card("info", replace(MODEL, value=2.5)), CheckedCall(CALLER, NOW)))
    assert worse is None
    later = ShownBefore(lambda: NOW + 1)
    later.take_answer(answered(how, NOW - days * DAY))
    assert asyncio.run(later.check(card("info", MODEL), CheckedCall(CALLER, NOW))) is None


def test_of_several_answers_the_newest_counts_and_none_of_a_time_to_come() -> None:
    memory = ShownBefore(lambda: NOW)
    for how, at in (("accepted", NOW - 5), ("another", NOW - 9), ("declined", NOW - 5)):
        memory.take_answer(answered(how, at))
    key = ("ehr", "p1", "m o")
    newest = memory._answers.get(key)
    assert newest is not None
    assert newest.how == "declined"
    memory.take_answer(answered("wrong", NOW + 100))
    memory.take_answer(answered("right", NOW))
    newest = memory._answers.get(key)
    assert newest is not None
    assert newest.how == "right"
    memory.forget()
    assert memory._answers.get(key) is not None


def test_what_rests_says_how_it_was_answered() -> None:
    memory = ShownBefore(lambda: NOW)
    memory._take(CALLER, [PatientFinding("m o", "m", number=2.0)], NOW - 2 * DAY)
    reason = asyncio.run(memory.check(card("info", MODEL), CheckedCall(CALLER, NOW)))
    assert reason is not None
    assert reason.resting is not None
    since, until = reason.resting.since[:10], reason.resting.until[:10]
    assert reason.silence == Silence(
        "m",
        "said-once",
        f"Still there, not shown again: A summary. It was shown on {since} and not answered and is no worse; "
        f"silent until {until}.",
    )
    text = _sentence(replace(reason.resting, because="accepted"))
    assert f"It was answered on {since} (accepted) and is no worse" in text
    assert asyncio.run(memory.check(card("critical", MODEL), CheckedCall(CALLER, NOW))) is None


# Turns


def test_which_cards_have_turns() -> None:
    asks, reminds = finding(asks=True), finding(reminds=True)
    assert kinds_of(asks) == ("a test", "a reminder")
    assert kinds_of(reminds) == ("a reminder",)
    assert kinds_of(PatientFinding(FOLLOW_UP, "m")) == (FOLLOW_UP,)
    assert kinds_of(finding(1.0)) == ()
    assert (_rank(reminds), _rank(asks)) == (1, 0)


@pytest.mark.parametrize(
    ("shown", "now", "days", "owner", "is_held"),
    [
        (finding(reminds=True), finding(reminds=True), 0.0, "other", True),
        (finding(reminds=True), finding(reminds=True), 1.0, "other", True),
        (finding(reminds=True), finding(reminds=True), 1.001, "other", False),
        (finding(reminds=True), finding(reminds=True), 0.5, "s", False),
        (finding(asks=True), finding(asks=True), 90.0, "other", True),
        (finding(asks=True), finding(asks=True), 90.001, "other", False),
        (finding(asks=True), finding(asks=True), 1.0, "s", False),
        (finding(asks=True), finding(asks=True), 1.001, "s", True),
        (finding(asks=True), finding(reminds=True), 0.5, "other", False),
        (finding(reminds=True), finding(asks=True), 0.5, "other", True),
        (finding(reminds=True), finding(1.0), 0.5, "other", False),
        (finding(reminds=True), finding(reminds=True), -0.1, "other", False),
    ],
)
def test_a_turn_lasts_for_its_days_and_goes_to_what_is_due(
    shown: PatientFinding, now: PatientFinding, days: float, owner: str, *, is_held: bool
) -> None:
    turns = OneReminder(lambda: NOW)
    turns.take(replace(CALLER, service=owner), [shown], NOW - days * DAY)
    turn = asyncio.run(turns.turn_of_another(CALLER, now))
    assert (turn is not None) is is_held
    assert turn is None or turn.owner == owner


def test_a_turn_that_is_reserved_is_kept_for_its_service() -> None:
    turns, asks = OneReminder(lambda: NOW), finding(asks=True)
    assert asyncio.run(turns.turn_of_another(CALLER, asks)) is None
    assert asyncio.run(turns.turn_of_another(CALLER, asks)) is None
    other = replace(CALLER, service="other")
    assert asyncio.run(turns.turn_of_another(other, asks)) == Turn("s", NOW)
    assert asyncio.run(turns.turn_of_another(other, finding(reminds=True))) is None
    entry = WorklistEntry(test="UACR", purpose="p", because="no-visit")
    call = CheckedCall(other, NOW, reminders={"u": entry})
    missing = CardExtension(model={"id": "m"}, missing=("uacr",))
    reason = asyncio.run(turns.check(card("info", missing), call))
    assert reason is not None
    assert reason.worklist == replace(entry, because="offered-before")
    assert reason.silence.text == (
        "UACR: kept for the worklist, because this patient had a reminder by s on 2027-01-15 "
        "(one a day, and one test in 90 days)."
    )
    turns.take(CALLER, [PatientFinding(FOLLOW_UP, "m")], NOW)
    discharge = CheckedCall(replace(other, hook="encounter-discharge"), NOW)
    second = asyncio.run(turns.check(card("info", MODEL), discharge))
    assert second is not None
    assert second.silence == Silence("m", "said-once", "One card for each discharge: s shows it.")


# Counts


def test_cards_of_the_last_ninety_days_count_for_their_rules_or_their_service() -> None:
    assert keys_of(CardExtension(), "s") == (("service", "s"),)
    twice = (FindingReference("r", "a"), FindingReference("r", "b"), FindingReference("q", "a"))
    assert keys_of(CardExtension(findings=twice), "s") == (("rule", "r"), ("rule", "q"))
    counts = AcceptanceCounts(lambda: NOW)
    counts._reporting.add("ehr")
    today = NOW // DAY * DAY
    for number, days in enumerate((0, 89, 90)):
        shown = ShownDecision(
            "ehr", f"p{number}", "s", "h", today - days * DAY, (SentCard("u", "info"),), decided_at=NOW
        )
        counts.take_shown(shown)
    (low,) = counts.low(2, 0.05)
    assert (low.key, low.cards, low.accepted) == (("service", "s"), 2, 0)
    assert counts.low(3, 0.05) == []
    counts.clear()
    assert counts.low(0, 0.05) == []


def test_the_cards_of_a_response_are_read_with_their_findings() -> None:
    ours = b'{"org.cds-hooks-onnx": {"findings": [{"rule": "r", "band": "b"}]}}'
    response = b'{"cards": [{"uuid": "u", "indicator": "warning", "extension": ' + ours + b"}, {}]}"
    first, second = sent_cards(response)
    assert (first.uuid, first.indicator, first.findings) == ("u", "warning", [("r", "b")])
    assert (second.uuid, second.indicator, second.findings) == ("", "info", [])
    assert findings_of(response) == {"u": [("r", "b")], "": []}
