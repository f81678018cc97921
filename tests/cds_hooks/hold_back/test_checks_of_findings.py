"""What is said at a site: approved versions, switches, answers that count for a while."""

from collections.abc import Collection, Mapping
from datetime import date

from msgspec import structs

from cards.card import Indicator
from cards.extension import (
    Fact,
)
from cards.rules.engine.finding import RuleFinding
from cards.rules.engine.governance import (
    Approval,
    Override,
    SiteRules,
    Switch,
    all_rule_versions,
)
from cds_hooks.hold_back.checks import (
    CheckedCall,
    Shared,
    check_findings,
)
from cds_hooks.hold_back.memory import (
    PatientMemory,
    override_key,
)
from cds_hooks.hold_back.sent_cards import Caller
from tests.each import for_rows, rows_of

RULE = "renal-metformin"
VERSION = all_rule_versions()[RULE]
NOW = 1_800_000_000.0
DAY = 86_400.0


def finding(indicator: Indicator = "warning", band: str = "30to44_new") -> RuleFinding:
    return RuleFinding(
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
    said: RuleFinding,
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


def test_where_approval_is_asked_for_only_the_approved_version_speaks() -> None:
    assert hear(finding(), needs_approval=True) == "shadow"
    assert hear(finding(), approved(VERSION.digest), needs_approval=True) is None
    assert hear(finding(), approved("0" * 16), needs_approval=True) == "shadow"
    assert hear(structs.replace(finding(), rule="not-covered"), needs_approval=True) is None  # no rule


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
    rows_of(__file__, "an_answer_counts_for_its_time_and_not_for_anything_worse"),
)
def test_an_answer_counts_for_its_time_and_not_for_anything_worse(
    days: float, before: Indicator, now: Indicator, reason: str | None
) -> None:
    answers = {(RULE, "30to44_new"): [Override(NOW - days * DAY, before, "Benefit outweighs risk")]}
    assert hear(finding(now), answers=answers) == reason


def test_an_answer_to_one_band_is_none_to_another() -> None:
    answers = {(RULE, "another"): [Override(NOW - DAY, "warning", "Benefit outweighs risk")]}
    assert hear(finding(), answers=answers) is None


@for_rows(("egfr", "reason"), [(44.0, "acknowledged"), (36.0, "acknowledged"), (34.0, None), (60.0, None)])
def test_an_answer_does_not_count_when_a_value_has_moved_by_more_than_a_fifth(egfr: float, reason: str | None) -> None:
    said = structs.replace(finding(), facts=(Fact("egfr", "", egfr, "mL/min"),))
    answers = {(RULE, "30to44_new"): [Override(NOW - DAY, "warning", "Will monitor", numbers={"egfr": 44.0})]}
    assert hear(said, answers=answers) == reason
