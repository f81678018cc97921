"""What is said at a site: approved versions, switches, answers that count for a while."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import date

import pytest
from msgspec import structs

from cards.card import Card, Indicator, Source
from cards.extension import Fact
from cards.rules.engine.finding import Finding
from cards.rules.engine.governance import (
    Approval,
    Override,
    SiteRules,
    Switch,
    all_rule_versions,
)
from cards.rules.engine.prepared import digest_of
from cds_hooks.hold_back.acts import Pause
from cds_hooks.hold_back.checks import (
    CheckedCall,
    Shared,
    check_approval,
    check_findings,
    check_paused_rule,
    check_paused_service,
)
from cds_hooks.hold_back.memory import PatientMemory, override_key
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.releases import Released

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


@pytest.mark.parametrize(
    ("site", "why"),
    [(SiteRules(), "it is not approved here"), (approved("0" * 16), "only another version of it is approved here")],
)
def test_what_runs_in_shadow_says_whether_another_version_is_approved(site: SiteRules, why: str) -> None:
    call = CheckedCall(
        Caller("ehr", "p1", "order-safety", "order-sign"), NOW, site=site, shared=Shared(needs_approval=True)
    )
    silence = check_approval(finding(), call)
    assert silence is not None
    assert silence.text.endswith(f"its card (30to44_new, warning) is not shown: {why}.")


def test_the_version_changes_with_every_word_of_the_rule() -> None:
    louder = structs.replace(VERSION.rule, title=VERSION.rule.title + ".")
    assert digest_of(louder, VERSION.table) != VERSION.digest
    assert digest_of(VERSION.rule, VERSION.table) == VERSION.digest


def switched(**members: object) -> SiteRules:
    return SiteRules(switches={RULE: (Switch(RULE, "a note", **members),)})  # type: ignore[arg-type] # test input


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    ("egfr", "reason"), [(44.0, "acknowledged"), (36.0, "acknowledged"), (34.0, None), (60.0, None)]
)
def test_an_answer_does_not_count_when_a_value_has_moved_by_more_than_a_fifth(egfr: float, reason: str | None) -> None:
    said = structs.replace(finding(), facts=(Fact("egfr", "", egfr, "mL/min"),))
    answers = {(RULE, "30to44_new"): [Override(NOW - DAY, "warning", "Will monitor", numbers={"egfr": 44.0})]}
    assert hear(said, answers=answers) == reason


@pytest.mark.parametrize(("indicator", "reason"), [("info", "paused"), ("warning", None), ("critical", None)])
def test_of_a_paused_rule_or_service_only_information_is_held_back(indicator: Indicator, reason: str | None) -> None:
    pauses = [
        Pause(kind="rule", name=RULE, at="2026-11-20T09:00:00Z", cards=30, accepted=0, least_share=0.1),
        Pause(kind="service", name="order-safety", at="2026-11-20T09:00:00Z", cards=30, accepted=0, least_share=0.1),
    ]
    paused = {(*pause.key, "ehr"): pause for pause in pauses}
    call = CheckedCall(Caller("ehr", "p1", "order-safety", "order-sign"), NOW, Released(paused=paused))
    silence = check_paused_rule(finding(indicator), call)
    assert (silence.reason if silence else None) == reason
    source = Source(label="A guideline")
    card = Card(uuid="1", summary="A sentence.", indicator=indicator, source=source)
    held_back = asyncio.run(check_paused_service(card, call))
    assert (held_back.reason if held_back else None) == reason
    elsewhere = CheckedCall(Caller("other", "p1", "order-safety", "order-sign"), NOW, Released(paused=paused))
    assert asyncio.run(check_paused_service(card, elsewhere)) is None
    other = CheckedCall(Caller("ehr", "p1", "growth", "patient-view"), NOW, Released(paused=paused))
    assert asyncio.run(check_paused_service(card, other)) is None


@pytest.mark.parametrize(
    ("value", "counts"), [(1.0, True), (1.2, True), (0.8, True), (1.21, False), (0.79, False), (-1.0, False)]
)
def test_an_answer_counts_until_a_value_has_moved_by_more_than_a_fifth(value: float, *, counts: bool) -> None:
    answer = Override(NOW, "warning", "will benefit", frozenset({"metformin"}), {"creatinine": 1.0, "age": 70.0})
    facts = (Fact("draft", value="metformin"), Fact("creatinine", value=value), Fact("potassium", value=9.0))
    assert answer.counts_for(structs.replace(finding(), facts=facts)) is counts
    assert not answer.counts_for(structs.replace(finding("critical"), facts=facts))
    other_drug = (Fact("draft", value="glipizide"), Fact("creatinine", value=1.0))
    assert not answer.counts_for(structs.replace(finding(), facts=other_drug))
