"""What is said at a site: approved versions, switches, answers that count for a while."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import pytest
from msgspec import structs

from cards.card import Card, Indicator, Source, Suggestion
from cards.extension import (
    EXTENSION_KEY,
    CardExtension,
    Fact,
    Factor,
    FindingReference,
    ObservedRate,
    PreventiveState,
    PreventiveStates,
    ResultToFollow,
    VaccineForecasts,
)
from cards.rules.engine.finding import Finding
from cards.rules.engine.governance import (
    Approval,
    Override,
    SiteRules,
    Switch,
    all_rule_versions,
)
from cards.rules.engine.prepared import digest_of
from cds_hooks.hold_back.budgets import VisitRank
from cds_hooks.hold_back.checks import (
    SAID_ONCE,
    Check,
    CheckedCall,
    Shared,
    check_event,
    check_findings,
    check_shown_before,
    choose_cards,
    visit_card,
)
from cds_hooks.hold_back.memory import (
    PatientMemory,
    ShownFinding,
    override_key,
    rest_period,
    resting_finding,
    words_of,
)
from cds_hooks.hold_back.sent_cards import Caller, PatientFinding, SentCard, SentCardAnswer, patient_finding
from fhir.record.refusals import WhyNot
from tests.cds_hooks.hold_back.restraint_calls import Site
from tests.each import for_rows

RULE = "renal-metformin"
VERSION = all_rule_versions()[RULE]
NOW = 1_800_000_000.0
DAY = 86_400.0


def finding(indicator: Indicator = "warning", band: str = "30to44_new") -> Finding:
    return Finding(
        rule=RULE,
        band=band,
        indicator=indicator,
        is_certain=True,
        summary="",
        detail="",
        priority=50,
        facts=(),
        notes=(),
        suggestions=(),
        partners=(),
        evidence=(),
        override_reasons=(),
    )


def hear(
    said: Finding,
    site: SiteRules | None = None,
    *,
    needs_approval: bool = False,
    answers: Mapping[tuple[str, str], Collection[Override]] | None = None,
    units: tuple[str, ...] = (),
) -> str | None:
    """The reason for silence."""
    overrides = {override_key(rule, band): tuple(kept) for (rule, band), kept in (answers or {}).items()}
    call = CheckedCall(
        Caller("ehr", "p1", "order-safety", "order-sign"), NOW, site=site or SiteRules(), units=lambda: units,
        recalled=PatientMemory(overrides=overrides),
    )  # fmt: skip
    call.shared = Shared(needs_approval=needs_approval)
    silence = check_findings(call)(said)
    assert bool(call.answered) == (silence is not None and silence.reason == "acknowledged")
    return silence.reason if silence else None


def approved(digest: str) -> SiteRules:
    return SiteRules({RULE: Approval(RULE, digest, "A. Person", "pharmacist", date(2026, 11, 20))})


def test_without_a_trust_file_every_rule_speaks() -> None:
    assert hear(finding()) is None


def test_where_approval_is_asked_for_only_the_approved_version_speaks() -> None:
    assert hear(finding(), needs_approval=True) == "shadow"
    assert hear(finding(), approved(VERSION.digest), needs_approval=True) is None
    assert hear(finding(), approved("0" * 16), needs_approval=True) == "shadow"
    assert hear(structs.replace(finding(), rule="not-covered"), needs_approval=True) is None  # no rule


def test_the_version_changes_with_every_word_of_the_rule() -> None:
    louder = structs.replace(VERSION.rule, title=VERSION.rule.title + ".")
    assert digest_of(louder, VERSION.table) != VERSION.digest
    assert digest_of(VERSION.rule, VERSION.table) == VERSION.digest


def switched(**members: object) -> SiteRules:
    return SiteRules(switches={RULE: (Switch(RULE, "a note", **members),)})  # type: ignore[arg-type] # test input


@for_rows(
    ("site", "warning", "critical"),
    [
        (switched(off=True), "switched-off", "switched-off"),
        (switched(speak_from="critical"), "switched-off", None),
        (switched(bands_off=frozenset({"30to44_new", "lt30"})), "switched-off", None),
        (switched(bands_off=frozenset({"another"})), None, None),
        (switched(off=True, clients=frozenset({"ehr"})), "switched-off", "switched-off"),
        (switched(off=True, clients=frozenset({"another"})), None, None),
        (switched(off=True, units=frozenset({"icu"})), "switched-off", "switched-off"),
        (switched(off=True, units=frozenset({"ward"})), None, None),
    ],
)
def test_a_switch_takes_away_what_it_names_and_no_critical_band_alone(
    site: SiteRules, warning: str | None, critical: str | None
) -> None:
    assert hear(finding(), site, units=("icu",)) == warning
    assert hear(finding("critical", "lt30"), site, units=("icu",)) == critical


@for_rows(
    ("days", "before", "now", "reason"),
    [
        (1, "warning", "warning", "acknowledged"),
        (30, "warning", "warning", "acknowledged"),
        (31, "warning", "warning", None),
        (1, "info", "warning", None),  # it is worse now
        (1, "critical", "warning", "acknowledged"),
        (2, "critical", "critical", None),
        (89, "info", "info", "acknowledged"),
        (-1, "info", "info", None),  # given after the instant that is judged
    ],
)
def test_an_answer_counts_for_its_time_and_not_for_anything_worse(
    days: float, before: Indicator, now: Indicator, reason: str | None
) -> None:
    answers = {(RULE, "30to44_new"): [Override(NOW - days * DAY, before, "Benefit outweighs risk")]}
    assert hear(finding(now), answers=answers) == reason


def test_an_answer_to_one_band_is_none_to_another() -> None:
    answers = {(RULE, "another"): [Override(NOW - DAY, "warning", "Benefit outweighs risk")]}
    assert hear(finding(), answers=answers) is None


def test_a_site_can_let_answers_count_for_less() -> None:
    answers = {(RULE, "30to44_new"): [Override(NOW - 10 * DAY, "warning", "Benefit outweighs risk")]}
    assert hear(finding(), SiteRules(quiet_days={"warning": 7}), answers=answers) is None


@for_rows(("egfr", "reason"), [(44.0, "acknowledged"), (36.0, "acknowledged"), (34.0, None), (60.0, None)])
def test_an_answer_does_not_count_when_a_value_has_moved_by_more_than_a_fifth(egfr: float, reason: str | None) -> None:
    said = structs.replace(finding(), facts=(Fact("egfr", "", egfr, "mL/min"),))
    answers = {(RULE, "30to44_new"): [Override(NOW - DAY, "warning", "Will monitor", numbers={"egfr": 44.0})]}
    assert hear(said, answers=answers) == reason


@for_rows(("value", "counts"), [(1.0, True), (1.2, True), (0.8, True), (1.21, False), (0.79, False), (-1.0, False)])
def test_an_answer_counts_until_a_value_has_moved_by_more_than_a_fifth(value: float, *, counts: bool) -> None:
    answer = Override(NOW, "warning", "will benefit", frozenset({"metformin"}), {"creatinine": 1.0, "age": 70.0})
    facts = (Fact("draft", value="metformin"), Fact("creatinine", value=value), Fact("potassium", value=9.0))
    assert answer.counts_for(structs.replace(finding(), facts=facts)) is counts
    assert not answer.counts_for(structs.replace(finding("critical"), facts=facts))
    other_drug = (Fact("draft", value="glipizide"), Fact("creatinine", value=1.0))
    assert not answer.counts_for(structs.replace(finding(), facts=other_drug))


# Until when a card about a patient rests, to the second, and what makes a finding another or a worse one.
REFERRAL = CardExtension(output="referral", facts=(Fact("egfr", value=40.0),))


def _drugs(*names: str) -> CardExtension:
    return CardExtension(output="not-covered", facts=tuple(Fact("medication", value=name) for name in names))


class _Site:
    """A memory with a clock that can be set."""

    def __init__(self, rest_days: float = 14, horizons: dict[str, float] | None = None) -> None:
        self.now = NOW
        self.site = Site(SAID_ONCE, lambda: self.now, rest_days, horizons)

    def show(self, said: CardExtension, patient: str = "p1", hook: str = "patient-view") -> None:
        finding = patient_finding(said, hook)
        self.site.memory.note_shown(Caller("ehr", patient, "a-service", hook), [finding] if finding else [], self.now)

    def answer(self, how: str, said: CardExtension = REFERRAL, at: float = NOW, patient: str = "p1") -> None:
        card = SentCard(uuid="c")
        card.extension.ours = said
        self.site.memory.note_answer(SentCardAnswer("ehr", patient, "a-service", "patient-view", card, how, at, at))

    def resting(self, said: CardExtension = REFERRAL, indicator: Indicator = "info", **caller: str) -> Any:
        who = Caller("ehr", caller.get("patient", "p1"), "a-service", "patient-view")
        chosen = self.site.hold_back([_card_of(said, indicator)], who)
        return (chosen.resting[0], chosen.silences[0]) if chosen.resting else None

    def rests_after(self, seconds: float, said: CardExtension = REFERRAL, indicator: Indicator = "info") -> bool:
        self.now = NOW + seconds
        return self.resting(said, indicator) is not None


@for_rows(("seconds", "rests"), [(-1.0, False), (0.0, True), (90 * DAY, True), (90 * DAY + 1, False)])
def test_what_is_shown_once_rests_at_once_and_for_ninety_days(seconds: float, *, rests: bool) -> None:
    site = _Site()
    site.show(_drugs("a"))
    assert site.rests_after(seconds, _drugs("a")) is rests


def test_what_is_shown_once_is_remembered_drug_by_drug() -> None:
    site = _Site()
    site.show(_drugs("a"))
    site.now += 2 * DAY
    site.show(_drugs("b"))
    assert site.resting(_drugs("a", "b"))[0].since == "2027-01-17T08:00:00+00:00"
    assert site.resting(_drugs("b", "c")) is None
    site.now = NOW + 93 * DAY
    site.show(_drugs("c"))  # what was shown before is over
    assert site.resting(_drugs("a")) is None
    assert site.resting(_drugs("c")) is not None


@for_rows(
    ("how", "days"),
    [
        ("accepted", 90),
        ("action-completed", 365),
        ("patient-ineligible", 180),
        ("patient-declines", 365),
        ("action-not-priority", 30),
        ("wrong-time-workflow", 1),
        ("inappropriate-recipient", 1),
        ("need-more-info", 30),
        ("recipient-does-not-trust", 180),
        ("overridden", 30),
        ("a code of the client", 30),
    ],
)
def test_an_answer_holds_to_the_last_second_of_its_days(how: str, days: int) -> None:
    site = _Site()
    site.answer(how)
    assert [site.rests_after(seconds) for seconds in (-1.0, 0.0, days * DAY, days * DAY + 1)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not site.rests_after(0.0, indicator="critical"), "nobody knows here whose answer it was"


@pytest.mark.parametrize(("rest_days", "longest"), [(14, 90), (120, 120), (0, 90)])
def test_what_can_no_longer_count_is_forgotten(rest_days: float, longest: int) -> None:
    site = _Site(rest_days)
    site.show(REFERRAL)
    site.answer("accepted")
    kept = []
    for seconds in (longest * DAY, longest * DAY + 1, 365 * DAY, 365 * DAY + 1):
        memory = site.site.memory.of_patient("ehr", "p1").without_old(NOW + seconds, rest_days, 0.0)
        kept.append((len(memory.shown), len(memory.answers)))
    assert kept == [(1, 1), (0, 1), (0, 1), (0, 0)]


# What a card is about


def _model(probability: float | None = 0.3, name: str = "m", **more: Any) -> CardExtension:
    return CardExtension(model={"id": name}, output="5y", probability=probability, **more)


def _service(because: str, state: str = "due") -> PreventiveState:
    return PreventiveState(service="screening", grade="A", year=2021, state=state, because=because, text="x")


def _preventive(*services: PreventiveState) -> CardExtension:
    return CardExtension(preventive=PreventiveStates(knowledge="k", as_of="2026-11-20", services=services))


FOUND = (FindingReference("a-rule", "a-band"),)


@for_rows(
    ("said", "finding"),
    [
        (CardExtension(findings=FOUND), None),
        (CardExtension(output="not-covered", facts=(Fact("medication", value="a"), Fact("medication", value=7.0))),
         PatientFinding("not-covered", "not-covered", parts=frozenset({"a", "7.0"}), once=True)),
        (CardExtension(output="not-covered", findings=FOUND), None),
        (CardExtension(vaccines=VaccineForecasts(release="r", released="", as_of="2026-11-20", forecasts=())),
         PatientFinding("vaccines due", "vaccines-due", reminds=True)),
        (_preventive(_service("never"), _service("done", "not due")),
         PatientFinding("preventive services", "preventive-services", parts=frozenset({"screening never"}),
                        reminds=True)),
        (_preventive(_service("abnormal-result", "not due")),
         PatientFinding("preventive services", "preventive-services", reminds=True)),
        (CardExtension(results=(ResultToFollow("stool-positive", "2026-01-10", "2026-07-09"),)),
         PatientFinding("abnormal-results", "abnormal-results", parts=frozenset({"stool-positive 2026-01-10"}),
                        stays=True)),
        (CardExtension(model={"id": "m"}, missing=("albumin", "egfr")),
         PatientFinding("missing albumin,egfr", "m", asks=True)),
        (CardExtension(missing=("albumin",)), PatientFinding("missing albumin", "", asks=True)),
        (_model(missing=("albumin",)), PatientFinding("m 5y", "m", number=0.3, missing=frozenset({"albumin"}))),
        (_model(None, value=4.0), PatientFinding("m 5y", "m", number=4.0)),
        (_model(None, value="high", missing=("x",)), PatientFinding("m 5y", "m", missing=frozenset({"x"}))),
        (_model(name="m_small"), PatientFinding("m 5y", "m_small", number=0.3)),
        (_model(name="m_early"), PatientFinding("m 5y", "m_early", number=0.3)),
        (_model(band={"id": "high", "source": "x"}, observed=ObservedRate(0.2, 0.1, 0.3, 100)),
         PatientFinding("m 5y", "m", band="high", number=0.3, is_risk=True)),
        (_model(observed=ObservedRate(0.2, 0.1, 0.3, 100)),
         PatientFinding("m 5y", "m", band="0.2", number=0.3, is_risk=True)),
        (CardExtension(output="referral"), None),
        (CardExtension(), None),
    ],
)  # fmt: skip
def test_a_card_is_about_this(said: CardExtension, finding: PatientFinding | None) -> None:
    assert patient_finding(said, "patient-view") == finding


@pytest.mark.parametrize(
    ("contributions", "drivers", "raising"),
    [([15, 5, -80], "a", "ab"), ([14, 4, -82], "", "a"), ([0, 0, 0], "", "")],
)
def test_what_raises_an_estimate_has_a_share_of_all_contributions(
    contributions: list[float], drivers: str, raising: str
) -> None:
    factors = tuple(Factor(name, 1.0, "", "", "", size) for name, size in zip("abc", contributions, strict=True))
    finding = patient_finding(_model(contributions=factors, observed=ObservedRate(0.2, 0.1, 0.3, 100)), "patient-view")
    assert finding is not None
    assert (finding.drivers, finding.raising) == (frozenset(drivers), frozenset(raising))


def test_a_site_can_forbid_that_what_is_shown_once_rests() -> None:
    once = PatientFinding("x", "x", once=True)
    assert [rest_period(once, days) for days in (0, 7)] == [(1, 0), (float("-inf"), 90)]


def test_at_a_discharge_every_estimate_is_about_the_follow_up() -> None:
    follow_up = PatientFinding("follow-up after discharge", "m")
    assert patient_finding(_model(), "encounter-discharge") == follow_up
    assert patient_finding(CardExtension(model={"id": "m"}, missing=("a",)), "encounter-discharge") == follow_up
    assert patient_finding(REFERRAL, "encounter-discharge") == PatientFinding("follow-up after discharge", "")
    assert patient_finding(CardExtension(findings=FOUND), "encounter-discharge") is None


def _number(number: float | None, band: str = "", *, is_falling: bool = False) -> PatientFinding:
    return PatientFinding("x", "x", band, number, is_falling)


@for_rows(
    ("now", "before", "is_worse"),
    [
        (_number(32.0, is_falling=True), _number(40.0), False),
        (_number(31.9, is_falling=True), _number(40.0), True),
        (_number(60.0, is_falling=True), _number(40.0), False),
        (_number(39.9, "G4", is_falling=True), _number(40.0, "G3"), True),
        (_number(40.0, "G4", is_falling=True), _number(40.0, "G3"), False),
        (_number(12.0), _number(10.0), False),
        (_number(12.1), _number(10.0), True),
        (_number(7.9), _number(10.0), False),
        (_number(10.1), PatientFinding("x", "x", "", 10.0, is_risk=True), False),
        (_number(-8.0), _number(-10.0), False),
        (_number(-7.9), _number(-10.0), True),
        (_number(None), _number(10.0), False),
        (_number(10.0), _number(None), False),
        (PatientFinding("x", "x", parts=frozenset("ab")), PatientFinding("x", "x", parts=frozenset("a")), True),
        (PatientFinding("x", "x", parts=frozenset("a")), PatientFinding("x", "x", parts=frozenset("ab")), False),
    ],
)
def test_a_number_is_worse_beyond_a_fifth_or_in_another_band(
    now: PatientFinding, before: PatientFinding, *, is_worse: bool
) -> None:
    assert now.is_worse_than(before) is is_worse


@for_rows(
    ("how", "number", "missing", "rests"),
    [
        ("need-more-info", 10.0, {"albumin"}, True),
        ("need-more-info", 10.0, set(), False),
        ("need-more-info", 20.0, {"albumin"}, False),
        ("patient-ineligible", 10.0, set(), True),
        ("patient-ineligible", 20.0, {"albumin"}, False),
    ],
)
def test_an_answered_finding_is_shown_again_when_it_is_worse_or_what_was_waited_for_came(
    how: str, number: float, missing: set[str], *, rests: bool
) -> None:
    finding = PatientFinding("x", "x", number=number, missing=frozenset(missing))
    answered = ShownFinding(0.0, how, PatientFinding("x", "x", number=10.0, missing=frozenset({"albumin"})))
    memory = PatientMemory(answers={"x": answered})
    card = Card(uuid="c", summary="s", indicator="info", source=Source(label="l"))
    assert (resting_finding(card, finding, memory, 3600.0, 90.0, {}) is not None) is rests


def _card_of(said: CardExtension, indicator: Indicator = "info") -> Card:
    source, extension = Source(label="x"), {EXTENSION_KEY: said}
    return Card(uuid="c", summary="A finding.", indicator=indicator, source=source, extension=extension)


def _call(patient: str = "p1", hook: str = "patient-view", **members: Any) -> CheckedCall:
    return CheckedCall(Caller("ehr", patient, "a-service", hook), NOW, **members)


@pytest.mark.parametrize(("by", "rests"), [("ann", True), ("bob", False), ("", False)])
def test_a_critical_card_rests_for_whoever_answered_it(by: str, *, rests: bool) -> None:
    answer = ShownFinding(NOW, "patient-ineligible", PatientFinding("referral", "referral", number=40.0), by)
    memory = PatientMemory(answers={"referral": answer})
    call = _call(recalled=memory, user=lambda: "ann", shared=Shared(lambda: NOW))
    assert (asyncio.run(check_shown_before(_card_of(REFERRAL, "critical"), call)) is not None) is rests


def test_a_card_has_a_rank_a_subject_and_a_line_of_the_worklist_with_or_without_a_finding_of_the_patient() -> None:
    result = CardExtension(results=(ResultToFollow("stool-positive", "2026-01-10", "2026-07-09"),))
    asks, of_rules = CardExtension(missing=("albumin",)), CardExtension(findings=FOUND)
    ranks = [visit_card(_card_of(said), _call()).rank for said in (result, asks, of_rules)]
    assert ranks == [VisitRank.DANGER, VisitRank.TESTS, VisitRank.FINDING]
    assert visit_card(_card_of(asks, "warning"), _call()).rank is VisitRank.DANGER
    assert _call().subject_of(_card_of(asks)) == "a-service"
    call = _call(from_event=True)
    asyncio.run(check_event(_card_of(of_rules), call))
    assert [(entry.test, entry.purpose) for entry in call.worklist] == [("A finding.", "a-rule")]
    assert [_call("p" * n).patient_finding(_card_of(REFERRAL)) is not None for n in (200, 201)] == [True, False]


@pytest.mark.parametrize(("is_said_once", "silences"), [(True, 1), (False, 2)])
def test_one_reason_of_two_cards_is_said_once_where_the_check_says_so(is_said_once: bool, silences: int) -> None:
    async def hold_back(_card: Card, _call: CheckedCall) -> WhyNot:
        return WhyNot("a", "b", "c")

    of_cards = Check(codes=("b",), title="", lets_through="", card=hold_back, is_said_once=is_said_once)
    of_offers = structs.replace(of_cards, card=None, suggestion=lambda *_: WhyNot("a", "b", "c"))
    offer = Suggestion(label="An order", uuid="s")
    cards = [structs.replace(_card_of(REFERRAL), uuid=uuid, suggestions=(offer,)) for uuid in "ab"]
    for check in (of_cards, of_offers):
        assert len(asyncio.run(choose_cards(cards, _call(), [check])).silences) == silences


def test_only_a_resource_has_words() -> None:
    no_orders: list[object] = [None, "x", 5, [], {}]
    assert [words_of(other) for other in no_orders] == [()] * 5
    concept = {"text": "Metformin", "coding": [{"display": "METFORMIN 500"}, {"code": "1"}, {"display": 5}]}
    assert words_of({"medicationCodeableConcept": concept}) == words_of({"code": concept})
    assert words_of({"code": concept}) == ("metformin", "metformin 500")
