"""Each check that holds cards back by itself: on and beside its limits, with its whole answer."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from cards.card import Card, Indicator, Source
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference, VaccineForecast, VaccineForecasts
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import Budget, Override, SiteRules, Switch
from cds_hooks.hold_back.acts import Key, Pause
from cds_hooks.hold_back.budgets import Budgets, audience_of
from cds_hooks.hold_back.chain import explain_held_back
from cds_hooks.hold_back.checks import NOBODY, ActsThen, Audience, CheckedCall
from cds_hooks.hold_back.loop_guard import _draft, _words
from cds_hooks.hold_back.overrides import Acknowledged, NotApproved, RuleSwitch, _is_replaced, _since, _with
from cds_hooks.hold_back.patient_finding import Caller, PatientFinding, _of_guideline, _open_doses, _raising
from cds_hooks.hold_back.release_checks import Paused, ReleaseState, SilentMode, SwitchedOff
from cds_hooks.hold_back.releases import Origin, Released, Releases, State, why_not_allowed
from cds_hooks.hold_back.sent_cards import Answer, SentCard, ShownDecision
from cds_hooks.hold_back.standing import SIGNS, Standing, _by_act, rule_standing
from cds_hooks.hold_back.suppression import DISCHARGE_DAYS, ShownBefore, _Shown
from tests.cds_hooks.hold_back.test_checks_of_findings import NOW, RULE, VERSION, approved, finding, switched

DAY = 86_400.0
TITLE = VERSION.rule.title
PAUSE = Pause("rule", RULE, "2026-11-21T10:00:00+00:00", 210, 3, 0.05)
CALLER = Caller("ehr", "p1", "order-safety", "order-sign")


def card(indicator: Indicator = "warning", extension: CardExtension | None = None, uuid: str = "c1") -> Card:
    ours = {EXTENSION_KEY: extension} if extension is not None else {}
    return Card(uuid=uuid, summary="A summary", indicator=indicator, source=Source(label="x"), extension=ours)


def acts(
    states: Mapping[Key, State] | None = None, paused: Mapping[Key, Pause] | None = None, service: str = "s"
) -> ActsThen:
    releases = Releases(None)
    releases.current = Released(states or {}, {}, paused or {})
    releases.changes = {key: Origin(5.0, " ".join(key), "why") for key in (*(states or {}), *(paused or {}))}
    return ActsThen(service, "ehr", releases)


OFF, SHADOW_STATE, ACTIVE = State("off", "why"), State("shadow", "why"), State("active")


@pytest.mark.parametrize(
    ("subject", "states", "by"),
    [
        ("s", {("service", "s"): OFF}, "service s"),
        ("s", {("client", "ehr"): OFF}, "client ehr"),
        ("s", {("service", "s"): OFF, ("client", "ehr"): OFF}, "service s"),
        ("s", {("service", "s"): SHADOW_STATE, ("client", "ehr"): OFF}, "client ehr"),
        ("s", {("client", "ehr"): SHADOW_STATE}, None),
        ("another", {("service", "s"): OFF}, None),
        ("s", {}, None),
    ],
)
def test_a_call_is_off_by_the_act_about_its_service_or_client(
    subject: str, states: dict[Key, State], by: str | None
) -> None:
    origin = SwitchedOff.origin(subject, acts(states))
    assert (origin.by if origin is not None else None) == by


@pytest.mark.parametrize(
    ("states", "by"),
    [
        ({("rule", "a"): OFF}, "rule a"),
        ({("model", "a"): SHADOW_STATE}, "model a"),
        ({("equation", "a"): State("retired")}, "equation a"),
        ({("model", "a"): State("canary")}, "model a"),
        ({("model", "a"): ACTIVE}, None),
        ({("model", "b"): OFF}, None),
    ],
)
def test_a_release_state_comes_from_the_act_about_the_rule_model_or_equation(
    states: dict[Key, State], by: str | None
) -> None:
    origin = ReleaseState.origin("a", acts(states))
    assert (origin.by if origin is not None else None) == by


@pytest.mark.parametrize(
    ("states", "by"),
    [
        ({("client", "ehr"): SHADOW_STATE}, "client ehr"),
        ({("unit", "icu"): SHADOW_STATE}, "unit icu"),
        ({("user", "u"): SHADOW_STATE}, "user u"),
        ({("client", "ehr"): SHADOW_STATE, ("unit", "icu"): SHADOW_STATE}, "client ehr"),
        ({("unit", "icu"): SHADOW_STATE, ("user", "u"): SHADOW_STATE}, ""),
        ({("client", "ehr"): OFF}, ""),
        ({("rule", "icu"): SHADOW_STATE}, ""),
        ({}, ""),
    ],
)
def test_silent_mode_comes_from_the_client_or_from_the_only_unit_or_user(states: dict[Key, State], by: str) -> None:
    origin = SilentMode.origin("s", acts(states))
    assert origin is not None
    assert origin.by == by


def test_silent_mode_holds_back_every_card_with_its_reason() -> None:
    silent = CheckedCall(CALLER, NOW, silent="Silent mode for the client: a trial.")
    reason = asyncio.run(SilentMode().check(card("critical"), silent))
    assert reason is not None
    assert reason.silence == Silence("order-safety", "silent-mode", "Silent mode for the client: a trial.")
    assert not SilentMode().is_idle(silent)
    loud = CheckedCall(CALLER, NOW)
    assert SilentMode().is_idle(loud)
    assert asyncio.run(SilentMode().check(card(), loud)) is None


def test_a_pause_holds_back_what_is_not_critical_of_its_rule_or_service() -> None:
    service_pause = replace(PAUSE, kind="service", name="order-safety")
    of_rule = CheckedCall(CALLER, NOW, released=Released(paused={PAUSE.key: PAUSE}))
    of_service = CheckedCall(CALLER, NOW, released=Released(paused={service_pause.key: service_pause}))
    silence = Silence(RULE, "paused", f"The rule {RULE} is {PAUSE.words}.")
    assert Paused().check_finding(finding(), of_rule) == silence
    assert Paused().check_finding(finding("critical"), of_rule) is None
    assert Paused().check_finding(finding(), of_service) is None
    of_a_rule = CardExtension(findings=(FindingReference(RULE, "b"),))
    held = [
        asyncio.run(Paused().check(each, call)) is not None
        for call in (of_service, of_rule)
        for each in (card(), card("critical"), card(extension=of_a_rule))
    ]
    assert held == [True, False, False, False, False, False]
    assert [Paused().is_idle(call) for call in (of_rule, CheckedCall(CALLER, NOW))] == [False, True]
    assert Paused.origin(RULE, acts(paused={PAUSE.key: PAUSE})) == Origin(5.0, f"rule {RULE}", "why")
    assert Paused.origin("order-safety", acts(paused={service_pause.key: service_pause})) is not None
    assert Paused.origin("another", acts(paused={PAUSE.key: PAUSE})) == Origin()


def test_a_reason_is_explained_by_the_check_and_the_act_behind_it() -> None:
    silences = [
        Silence("s", "switched-off", "a"),
        Silence("r", "shadow", "b"),
        Silence("r", "below-threshold", "c"),
        Silence("s", "silent-mode", "d"),
    ]
    then = acts({("service", "s"): OFF, ("rule", "r"): SHADOW_STATE})
    explained = explain_held_back(silences, "s", "ehr", lambda: then.releases)
    assert [(held.subject, held.text, held.check, held.since, held.by) for held in explained] == [
        ("s", "a", "The service or the client is switched off", "1970-01-01T00:00:05+00:00", "service s"),
        ("r", "b", "The release state of the rule, model or equation", "1970-01-01T00:00:05+00:00", "rule r"),
        ("s", "d", "Silent mode of the client, care unit or user", "", ""),
    ]
    assert explain_held_back(silences[2:3], "s", "ehr", lambda: pytest.fail("nothing was held back")) == []


# The rules file and approvals


def test_a_switch_says_the_note_of_the_site() -> None:
    site = switched(off=True, clients=frozenset({"ehr"}))
    call = CheckedCall(CALLER, NOW, site=site)
    text = f"{TITLE}: this site has switched it off: a note"
    assert RuleSwitch().check_finding(finding(), call) == Silence(RULE, "switched-off", text)
    second = SiteRules(switches={RULE: (Switch(RULE, "x", off=True, clients=frozenset({"b"})), *site.switches[RULE])})
    assert RuleSwitch().check_finding(finding(), replace_site(call, second)) == Silence(RULE, "switched-off", text)
    assert [RuleSwitch().is_idle(each) for each in (call, CheckedCall(CALLER, NOW))] == [False, True]


def replace_site(call: CheckedCall, site: SiteRules) -> CheckedCall:
    return CheckedCall(call.caller, call.as_of, site=site)


def test_a_version_that_is_not_approved_says_so_and_what_is_no_rule_needs_no_approval() -> None:
    check = NotApproved(needs_approval=True)
    none, other = CheckedCall(CALLER, NOW), replace_site(CheckedCall(CALLER, NOW), approved("0" * 16))
    shown = "its card (30to44_new, warning) is not shown"
    text = f"{TITLE}: {shown}: it is not approved here."
    assert check.check_finding(finding(), none) == Silence(RULE, "shadow", text)
    text = f"{TITLE}: {shown}: only another version of it is approved here."
    assert check.check_finding(finding(), other) == Silence(RULE, "shadow", text)
    assert check.check_finding(replace_rule(finding(), "no rule"), none) is None
    assert [NotApproved(needs_approval=needs).is_idle(none) for needs in (True, False)] == [False, True]
    assert NotApproved().is_idle(none), "in the development profile no rule needs approval"


def replace_rule(of: Finding, rule: str) -> Finding:
    return replace(of, rule=rule)


# Overrides


def override(at: float = NOW, indicator: Indicator = "warning", **members: Any) -> Override:
    return Override(at, indicator, "will benefit", frozenset(members.pop("about", {"metformin"})), {})


def answer(at: float = NOW, how: str = "benefit", reason: str = "will benefit", patient: str = "p1") -> Answer:
    sent = SentCard(uuid="c1", indicator="warning")
    sent.extension.ours = CardExtension(
        findings=(FindingReference(RULE, "30to44_new"),), facts=(Fact("draft", value="metformin"),)
    )
    return Answer("ehr", patient, "order-safety", "order-sign", sent, how, at, at, reason)


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        (answer(), True),
        (answer(how="accepted"), False),
        (answer(reason=""), False),
        (answer(NOW - 365 * DAY), True),
        (answer(NOW - 365 * DAY - 1), False),
        (answer(NOW + DAY), True),
    ],
)
def test_an_override_with_a_reason_is_remembered_for_a_year(given: Answer, *, is_taken: bool) -> None:
    memory = Acknowledged(lambda: NOW)
    memory.take_answer(given)
    kept = memory.of_patient("ehr", "p1")
    expected = {(RULE, "30to44_new"): (override(given.at),)} if is_taken else {}
    assert {key: tuple(each) for key, each in kept.items()} == expected
    call = CheckedCall(CALLER, NOW)
    assert memory.is_idle(call) is not is_taken
    assert memory.of_patient("ehr", "another") == {}
    assert memory.of_patient("another", "p1") == {}


@pytest.mark.parametrize(
    ("elapsed", "days", "text"),
    [
        (0.0, 30, "the last 30 days"),
        (30 * DAY, 30, "the last 30 days"),
        (30 * DAY + 1, 30, None),
        (-1.0, 30, None),
        (DAY, 1, "the last day"),
        (DAY + 1, 1, None),
    ],
)
def test_an_override_counts_from_its_moment_to_the_end_of_its_days(elapsed: float, days: int, text: str | None) -> None:
    memory = Acknowledged(lambda: NOW + elapsed)
    memory.take_answer(answer())
    call = CheckedCall(CALLER, NOW + elapsed, site=SiteRules(quiet_days={"warning": days}))
    silence = memory.check_finding(replace(finding(), facts=FACTS), call)
    said = f"{TITLE}: it was answered with “will benefit” in {text}, and its facts have not become worse."
    assert silence == (Silence(RULE, "acknowledged", said) if text is not None else None)
    assert [given for _, given in call.answered] == ([silence] if text is not None else [])


FACTS = (Fact("draft", value="metformin"),)


def test_of_several_overrides_the_one_that_counts_silences_and_other_findings_are_not_asked() -> None:
    memory = Acknowledged(lambda: NOW)
    memory.take_answer(answer(NOW - 300 * DAY))
    memory.take_answer(answer(NOW - DAY))
    call = CheckedCall(CALLER, NOW, site=SiteRules(quiet_days={"warning": 30}))
    assert memory.check_finding(replace(finding(), facts=FACTS), call) is not None
    assert memory.check_finding(replace(finding(band="another"), facts=FACTS), call) is None


def test_a_newer_and_wider_override_takes_the_place_of_an_earlier_one() -> None:
    rows = [
        (override(1), override(1), True),
        (override(1), override(2), True),
        (override(2), override(1), False),
        (override(1, "info"), override(2, "warning"), True),
        (override(1, "warning"), override(2, "info"), False),
        (override(1), override(2, about={"metformin", "insulin"}), True),
        (override(1, about={"metformin", "insulin"}), override(2), False),
    ]
    assert [_is_replaced(earlier, newer) for earlier, newer, _ in rows] == [expected for *_, expected in rows]
    key = (RULE, "b")
    one, two = override(1, about={"a"}), override(2, about={"b"})
    assert _with({key: (one,)}, [key], one) == {key: (one,)}
    assert _with({key: (one,)}, [key, (RULE, "c")], two) == {key: (one, two), (RULE, "c"): (two,)}
    assert _with({key: (one,)}, [key], override(3, about={"a"})) == {key: (override(3, about={"a"}),)}


def test_what_is_older_than_the_limit_is_left_out_and_empty_entries_with_it() -> None:
    key, other = (RULE, "b"), (RULE, "c")
    rows = {key: (override(1), override(2)), other: (override(1),)}
    assert _since(2, rows) == {key: (override(2),)}
    assert _since(1, rows) == rows
    memory = Acknowledged(lambda: NOW)
    memory.take_answer(answer(NOW - 365 * DAY))
    memory.take_answer(answer(NOW, patient="p2"))
    memory.forget()
    assert memory.of_patient("ehr", "p1") != {}
    memory._now = lambda: NOW + 1
    memory.forget()
    assert set(memory._by_patient) == {("ehr", "p2")}


# Budgets


def test_the_audience_is_asked_for_only_where_a_budget_is_about_it() -> None:
    user, unit = Budget("user", "n", cards_per_day=1), Budget("unit", "n", cards_per_day=1, names=frozenset({"a", "b"}))
    client = Budget("client", "n", cards_per_day=1)

    def never() -> Any:
        pytest.fail("not asked")

    assert audience_of([], never, never) is NOBODY
    assert audience_of([client], never, never) == Audience("", ())
    assert audience_of([user], never, lambda: "u") == Audience("u", ())
    assert audience_of([unit], lambda: ["b", "c", "a"], never) == Audience("", ("a", "b"))
    assert audience_of([client, user, unit], lambda: ["c"], lambda: "u") == Audience("u", ())


def test_the_most_severe_cards_take_the_places_of_a_budget_first() -> None:
    cards = [card("info", uuid="1"), card("critical", uuid="2"), card("warning", uuid="3"), card("info", uuid="4")]
    assert [each.uuid for each in Budgets().order(cards)] == ["2", "3", "1", "4"]
    assert Budgets().order(cards[:1]) == cards[:1]


@pytest.mark.parametrize(("in_call", "is_shown"), [(0, True), (1, True), (2, False), (3, False)])
def test_the_budget_of_a_call_is_reached_with_its_last_card(in_call: int, *, is_shown: bool) -> None:
    budget = Budget("client", "few", cards_per_call=2)
    call = CheckedCall(CALLER, NOW, site=SiteRules(budgets=(budget,)), passed=in_call)
    reason = asyncio.run(Budgets().check(card(), call))
    text = "Beyond the budget of 2 cards a call for each client (few), so not shown: A summary"
    assert (reason.silence if reason is not None else None) == (
        None if is_shown else Silence("order-safety", "budget", text)
    )
    assert asyncio.run(Budgets().check(card("critical"), call)) is None
    assert [Budgets().is_idle(each) for each in (call, CheckedCall(CALLER, NOW))] == [False, True]


@pytest.mark.parametrize(("days", "left"), [(0, 1), (-1, 3), (1, 3)])
def test_what_the_record_shows_of_this_day_is_counted_but_for_critical_cards(days: int, left: int) -> None:
    budget = Budget("client", "few", cards_per_day=3)
    budgets = Budgets(lambda: [budget], lambda: NOW)
    shown = [SentCard("a", "info"), SentCard("b", "warning"), SentCard("c", "critical")]
    budgets.take_shown(ShownDecision("ehr", "p1", "s", "h", NOW + days * DAY, tuple(shown)))
    call = CheckedCall(CALLER, NOW, site=SiteRules(budgets=(budget,)))
    places = 0
    while asyncio.run(budgets.check(card(), call)) is None:
        places += 1
    assert places == left


# Releases and how things stand


@pytest.mark.parametrize(
    ("kind", "state", "to", "fault"),
    [
        ("rule", None, "canary", "the rule a is active and cannot become canary: canary comes after shadow or canary"),
        ("rule", "shadow", "canary", None),
        ("rule", "canary", "canary", None),
        ("rule", "canary", "active", None),
        ("rule", "shadow", "active", "the rule a is shadow and cannot become active: active comes after canary"),
        ("rule", "off", "on", None),
        ("rule", "shadow", "on", "the rule a is shadow and cannot become on: on comes after off"),
        ("rule", "shadow", "off", None),
        ("rule", None, "retired", None),
        ("client", "shadow", "on", None),
        ("client", None, "shadow", None),
        (
            "client",
            None,
            "canary",
            "a client can be off or on or shadow; canary is a state of rules, models and equations",
        ),
        ("service", None, "shadow", "a service can be off or on; shadow is a state of rules, models and equations"),
        ("unit", None, "off", "a unit can be on or shadow; off is a state of rules, models and equations"),
        ("user", "shadow", "on", None),
        ("user", None, "on", "the user a is active and cannot become on: on comes after off"),
    ],
)
def test_what_can_follow_a_state(kind: str, state: Any, to: str, fault: str | None) -> None:
    states = {(kind, "a"): State(state)} if state is not None else {}
    assert why_not_allowed(states, kind, "a", to) == fault


def test_what_is_paused_can_be_switched_on_and_a_version_beside_is_not_tried_yet() -> None:
    assert why_not_allowed({}, "rule", "a", "on", {("rule", "a")}) is None
    assert why_not_allowed({}, "rule", "a", "on", {("rule", "b")}) is not None
    assert why_not_allowed({}, "rule", "a", "canary", {("rule", "a")}) is not None
    fault = why_not_allowed({}, "model", "a@2", "canary")
    assert fault == "the model a@2 is not tried yet and cannot become canary: canary comes after shadow or canary"


@pytest.mark.parametrize(
    ("state", "served", "standing"),
    [
        (OFF, None, ("off", "switched off: why", "1970-01-02", "ann")),
        (State("retired", "why"), None, ("off", "retired: why", "1970-01-02", "ann")),
        (SHADOW_STATE, None, ("shadow", "computed and not shown: why", "1970-01-02", "ann")),
        (State("active", "why"), None, ("on", "shown to everybody by an act: why", "1970-01-02", "ann")),
        (State("canary", "why", 5), None, ("on", "shown to 5 in 100 patients by an act: why", "1970-01-02", "ann")),
        (State("active", "why", version="1"), "1", ("on", "shown to everybody by an act: why", "1970-01-02", "ann")),
        (State("active", "why", version="1"), None, ("on", "shown to everybody by an act: why", "1970-01-02", "ann")),
        (
            State("active", "why", version="1"),
            "2",
            ("shadow", "another version is served than was released", "1970-01-02", "ann"),
        ),
        (State("active", "why"), "2", ("on", "shown to everybody by an act: why", "1970-01-02", "ann")),
        (None, None, None),
    ],
)
def test_how_a_thing_stands_by_the_acts_about_it(
    state: State | None, served: str | None, standing: tuple[str, str, str, str] | None
) -> None:
    key, releases = ("rule", "r"), Releases(None)
    states = {key: state} if state is not None else {}
    releases.current = Released(states, {key: served} if served is not None else {})
    releases.changes = {key: Origin(DAY, "ann", "why")}
    given = _by_act(releases, key, ())
    assert given == (Standing(*standing) if standing is not None else None)  # type: ignore[arg-type]


def test_a_pause_stands_before_an_act_that_lets_show() -> None:
    key, releases = PAUSE.key, Releases(None)
    releases.current = Released({key: State("active", "why")}, {}, {key: PAUSE})
    text = f"{PAUSE.words}; only its critical cards are shown"
    assert _by_act(releases, key, ()) == Standing("shadow", text, "", "", ())
    releases.current = Released({key: OFF}, {}, {key: PAUSE})
    assert _by_act(releases, key, ()) == Standing("off", "switched off: why", "", "", ())


def test_how_a_rule_stands_in_the_rules_file() -> None:
    def stands(site: SiteRules, *, needs: bool = False) -> tuple[str, str, str, str]:
        standing = rule_standing(VERSION, site, needs_approval=needs)
        return standing.state, standing.text, standing.since, standing.by

    plain = "not approved, and shown as every rule is in the development profile"
    partly = "; the rules file switches it off in part"
    assert stands(SiteRules()) == ("on", plain, "", "")
    assert stands(switched(off=True)) == ("off", "switched off in the rules file: a note", "", "")
    for some in ({"clients": frozenset({"a"})}, {"units": frozenset({"a"})}, {"off": False, "bands_off": {"a"}}):
        assert stands(switched(**{"off": True, **some})) == ("on", plain + partly, "", "")
    assert stands(SiteRules(), needs=True) == (
        "waiting", "this version is not approved; 0 of 2 signatures", "", "",
    )  # fmt: skip
    assert stands(approved("0" * 16), needs=True) == (
        "waiting", "only another version of it is approved; 0 of 2 signatures", "", "",
    )  # fmt: skip
    by = ("2026-11-20", "A. Person (pharmacist)")
    assert stands(approved(VERSION.digest), needs=True) == ("on", "this version is approved", *by)
    assert stands(approved(VERSION.digest)) == ("on", "this version is approved", *by)
    assert stands(approved("0" * 16)) == ("on", plain, "", "")


def test_the_words_of_a_standing_have_by_whom_and_since_when_as_far_as_it_is_known() -> None:
    assert Standing("on", "t").words == "shows cards: t"
    assert Standing("off", "t", "2026-11-20").words == "off: t (on 2026-11-20)"
    assert Standing("off", "t", by="ann").words == "off: t (by ann)"
    assert Standing("off", "t", "2026-11-20", "ann").words == "off: t (by ann on 2026-11-20)"
    assert Standing("refused", "t").sign == SIGNS["refused"] == ("critical", "Refused")


# What a card says of the patient as a whole


@pytest.mark.parametrize(
    ("earliest", "recommended", "status", "dose"),
    [
        ("2026-11-20", "2026-11-20", "Not Complete", ["flu 1 due"]),
        ("2026-11-20", "2026-11-21", "Not Complete", ["flu 1 possible"]),
        ("2026-11-20", None, "Not Complete", ["flu 1 possible"]),
        ("2026-11-21", "2026-11-21", "Not Complete", []),
        (None, "2026-11-20", "Not Complete", []),
        ("2026-11-20", "2026-11-20", "Complete", []),
    ],
)
def test_a_dose_is_possible_from_its_earliest_day_and_due_from_the_recommended_one(
    earliest: str | None, recommended: str | None, status: str, dose: list[str]
) -> None:
    forecast = VaccineForecast(
        group="flu", type="t", status=status, series=(), dose=1, earliest=earliest, recommended=recommended
    )
    due = VaccineForecasts(release="r", released="", as_of="2026-11-20", forecasts=(forecast,))
    assert list(_open_doses(due)) == dose


def test_the_finding_of_a_guideline_is_its_first_fact() -> None:
    def given(name: str, value: Any, output: str | None = "referral") -> PatientFinding | None:
        return _of_guideline(CardExtension(output=output, facts=(Fact(name, value=value),)))

    assert given("egfr", 30) == PatientFinding("referral", "referral", number=30.0, is_falling=True)
    assert given("uacr", 30.5) == PatientFinding("referral", "referral", number=30.5)
    assert given("uacr", "high") == PatientFinding("referral", "referral")
    assert given("egfr", 30, None) is None
    assert _of_guideline(CardExtension(output="referral")) is None
    assert _raising([]) == (frozenset(), frozenset())


def test_the_words_of_an_order_are_its_text_and_display_names() -> None:
    coded = {"coding": [{"display": "Metformin 500 MG"}, {"code": "1"}, {"display": 7}], "text": "Metformin"}
    assert _words({"medicationCodeableConcept": coded}) == ("metformin", "metformin 500 mg")
    assert _words({"code": {"text": "X"}}) == ("x",)
    assert _words({"code": {}}) == _words({}) == _words("text") == _words(None) == ()
    extension = CardExtension(facts=(Fact("draft", "Metformin", source="MedicationRequest/1"), Fact("egfr", "30")))
    assert _draft(extension) == {"metformin", "MedicationRequest/1"}


@pytest.mark.parametrize(
    ("how", "about", "days"),
    [("action-completed", "estimate", 7.0), ("action-completed", "follow-up after discharge", None)],
)
def test_an_answer_to_a_follow_up_counts_for_the_days_of_a_discharge(how: str, about: str, days: float | None) -> None:
    memory = ShownBefore(lambda: NOW, 30, {"m": 7.0})
    given = memory._answer_days(_Shown(NOW, how, PatientFinding(about, "m")), PatientFinding(about, "m"))
    assert given == (DISCHARGE_DAYS if days is None else days)
