"""How a rule or a model stands: the state that the checks of a call hold to, with its origin and the next act."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cards.rules.engine.finding import Finding
from cards.rules.engine.governance import Approval, SiteRules, Switch, all_rule_versions
from cds_hooks.hold_back.acts import ActKind, ActState, Key, model_subject
from cds_hooks.hold_back.approvals import NOBODY_APPROVES
from cds_hooks.hold_back.checks import CHECKS, WITHHELD, CheckedCall, Shared, check_findings
from cds_hooks.hold_back.no_card import explain_no_card, is_not_judged
from cds_hooks.hold_back.releases import Origin, Released, Releases, State
from cds_hooks.hold_back.sent_cards import Caller
from cds_hooks.hold_back.standing import model_standing, rule_standing
from fhir.record.refusals import WhyNot
from models_onnx.artifact.release_file import Release
from models_onnx.serving.registry import load_model
from tests.cds_hooks.hold_back.clicking import ANN, BEN, Desk, put_command
from tests.conftest import ROOT
from tests.each import for_rows
from tests.live import record_in

RULE = "renal-metformin"
VERSION = all_rule_versions()[RULE]
APPROVED = SiteRules(approvals={RULE: Approval(RULE, VERSION.digest, "Ann Lee", "pharmacist", date(2026, 11, 1), "")})
OUTDATED = SiteRules(approvals={RULE: Approval(RULE, "0" * 16, "Ann Lee", "pharmacist", date(2026, 11, 1), "")})
SWITCHED = SiteRules(switches={RULE: (Switch(rule=RULE, off=True, note="not wanted"),)})
FINDING = Finding(RULE, "stop", "warning", True, "", "", 0, (), (), (), (), (), ())


def releases_after(folder: Path, *states: ActState, kind: ActKind = "rule", name: str = RULE) -> Releases:
    url = record_in(folder)
    for state in states:
        put_command(url, state, kind, name, by="Ann Lee", role="pharmacist", why="a reason")
    releases = Releases(None)
    releases.read(url)
    return releases


def is_shown(site: SiteRules, releases: Releases, *, needs_approval: bool) -> bool:
    call = CheckedCall(Caller("order-safety", "ehr", "1", "order-sign"), 0.0, releases.current, site)
    call.shared = Shared(needs_approval=needs_approval)
    return check_findings(call)(FINDING) is None


@pytest.mark.parametrize("needs_approval", [False, True])
@pytest.mark.parametrize(
    "site", [SiteRules(), APPROVED, OUTDATED, SWITCHED], ids=["new", "approved", "old", "switched"]
)
@pytest.mark.parametrize(
    "states",
    [(), ("shadow",), ("off",), ("off", "on"), ("retired",), ("shadow", "canary", "active")],
    ids=lambda states: "-".join(states) or "no act",
)
def test_a_rule_is_on_exactly_where_a_call_shows_its_findings(
    tmp_path: Path, states: tuple[ActState, ...], site: SiteRules, needs_approval: bool
) -> None:
    releases = releases_after(tmp_path, *states)
    standing = rule_standing(VERSION, site, releases, needs_approval=needs_approval)
    assert (standing.state == "on") is is_shown(site, releases, needs_approval=needs_approval), standing.words


def test_a_rule_that_an_act_switched_off_says_by_whom_and_since_when(tmp_path: Path) -> None:
    standing = rule_standing(VERSION, APPROVED, releases_after(tmp_path, "off"), needs_approval=True)
    assert (standing.state, standing.by) == ("off", "Ann Lee (pharmacist)")
    assert standing.text == "switched off: a reason"
    assert standing.since


def test_a_rule_without_two_approvals_waits_for_them(tmp_path: Path) -> None:
    standing = rule_standing(VERSION, SiteRules(), releases_after(tmp_path), needs_approval=True)
    assert (standing.state, standing.text) == ("waiting", "this version is not approved; 0 of 2 approvals")
    outdated = rule_standing(VERSION, OUTDATED, releases_after(tmp_path), needs_approval=True)
    assert outdated.text.startswith("only another version of it is approved")


@pytest.mark.parametrize("switch", [{"clients": frozenset("x")}, {"units": frozenset("x")}, {"off": False}])
def test_a_rule_that_is_switched_off_in_part_is_on(switch: dict[str, Any]) -> None:
    site = SiteRules(switches={RULE: (replace(Switch(rule=RULE, off=True, note="n"), **switch),)})
    assert rule_standing(VERSION, site, needs_approval=False).state == "on"


def release() -> Release:
    found = load_model("mortality_5y").artifact.release
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("lowest", "states", "expected"),
    [
        ("validated", (), "on"),
        ("approved", (), "waiting"),
        ("validated", ("off",), "off"),
        ("validated", ("shadow",), "shadow"),
    ],
)
def test_a_model_stands_as_its_release_and_the_acts_say(
    tmp_path: Path, lowest: str, states: tuple[ActState, ...], expected: str
) -> None:
    releases = releases_after(tmp_path, *states, kind="model", name="mortality_5y")
    assert model_standing(release(), releases, None, lowest, date(2026, 11, 22)).state == expected


def test_a_version_beside_the_one_in_use_stands_by_its_own_name(tmp_path: Path) -> None:
    releases, day = releases_after(tmp_path, "off", kind="model", name="mortality_5y-next"), date(2026, 11, 22)
    assert model_standing(release(), releases, None, "validated", day, name="mortality_5y-next").state == "off"
    assert model_standing(release(), releases, None, "validated", day).state == "on"


def test_a_model_with_a_red_gate_is_refused_whatever_an_act_says(tmp_path: Path) -> None:
    gates = release().gates
    assert gates is not None
    red = replace(release(), gates=replace(gates, red=("G4",)))
    standing = model_standing(red, releases_after(tmp_path), None, "validated", date(2026, 11, 22))
    assert (standing.state, standing.sign) == ("refused", ("critical", "Refused"))
    assert "G4 not green" in standing.text


def test_a_waiver_that_is_not_in_force_makes_a_model_wait(tmp_path: Path) -> None:
    faults = ["the waiver of G9 has ended"]
    standing = model_standing(release(), releases_after(tmp_path), None, "validated", date(2026, 11, 22), faults)
    assert (standing.state, standing.text) == ("waiting", faults[0])


MODEL = ("model", "mortality_5y")
LATE_NOVEMBER = date(2026, 11, 22)


def acted(key: Key, state: State) -> Releases:
    """Releases after one act of Ann Lee, on 2025-11-21."""
    releases = Releases(None)
    releases.current = Released(states={key: state})
    releases.changes[key] = Origin(1_763_683_200.0, "Ann Lee (pharmacist)")
    return releases


def test_a_model_waits_for_two_people_in_two_roles_only_where_the_site_asks_for_them(tmp_path: Path) -> None:
    desk = Desk(record_in(tmp_path))
    approved = release()
    releases = acted(MODEL, State("active", "it was tried"))
    for lowest, states in (("validated", "on"), ("approved", "waiting")):
        standing = model_standing(approved, releases, desk.book(), lowest, LATE_NOVEMBER)
        assert standing.state == states
    assert standing.text.endswith("is approved by nobody; two people in two roles approve it")
    assert (standing.since, standing.by) == ("", "")
    assert model_standing(approved, releases, None, "approved", LATE_NOVEMBER).words == f"waiting: {NOBODY_APPROVES}"
    for person in (ANN, BEN):
        desk.put_approval(person, model_subject(approved), kind="model")
    signed = model_standing(approved, releases, desk.book(), "approved", LATE_NOVEMBER)
    assert signed.words == (
        "shows cards: shown to everybody by an act: it was tried (by Ann Lee (pharmacist) on 2025-11-21)"
    )
    fault = model_standing(approved, releases, desk.book(), "approved", LATE_NOVEMBER, ["a waiver ended", "another"])
    assert fault.words == "waiting: a waiver ended"


def test_a_release_without_a_gate_report_is_refused_whatever_an_act_says() -> None:
    releases = acted(MODEL, State("active", "it was tried"))
    standing = model_standing(replace(release(), gates=None), releases, None, "validated", LATE_NOVEMBER)
    assert (standing.state, standing.since) == ("refused", "")


LOOKED = WhyNot("dose-max", "within-limits", "Maximum dose: looked, no limit is reached.")
MISSING = WhyNot("renal-metformin", "kidney-function-missing", "No kidney function on the record.")


def held(reason: str) -> WhyNot:
    return WhyNot("renal-metformin", reason, "A finding.")


@for_rows("reason", sorted(WITHHELD))
def test_a_finding_that_is_held_back_is_never_called_nothing_found(reason: str) -> None:
    no_card = explain_no_card([LOOKED, MISSING, held(reason)])
    assert no_card.kind == "held-back"
    assert no_card.text == "Something was found and is not shown here. It is not cleared."
    assert no_card.reasons == (held(reason),)


def test_two_findings_that_are_held_back_are_counted_by_what_they_are_about() -> None:
    silences = [held("budget"), held("shadow"), WhyNot("ddi-warfarin-nsaid", "shadow", "Another finding.")]
    assert explain_no_card(silences).text.startswith("2 things were found and are not shown")


def test_missing_data_are_not_called_nothing_found() -> None:
    no_card = explain_no_card([LOOKED, MISSING])
    assert (no_card.kind, no_card.reasons) == ("not-judged", (MISSING,))
    assert "1 check or value was not judged" in no_card.text


def test_only_where_nothing_is_missing_and_nothing_held_back_it_was_looked_at_and_not_found() -> None:
    assert explain_no_card([LOOKED]).kind == "looked"
    assert explain_no_card([]).kind == "looked"


def test_a_call_of_the_patient_is_not_called_nothing_found() -> None:
    assert explain_no_card([WhyNot("patient", "not-for-this-user", "For clinicians.")]).kind == "not-for-this-user"


def test_no_reason_of_the_chain_that_says_who_or_whether_is_taken_for_missing_data() -> None:
    codes = {code for check in CHECKS for code in check.codes}
    assert [code for code in codes if is_not_judged(code)] == []


def test_every_reason_of_the_reader_of_values_counts_as_not_judged() -> None:
    """The codes are those with which a result or a prefetch key is not used; the words of the page depend on them."""
    source = (ROOT / "fhir" / "record" / "measurement.py").read_text()
    codes = set(re.findall(r'_refuse\([^"]*"([a-z-]+)"', source)) - {"entered-in-error"}
    assert "unknown-unit" in codes
    assert [code for code in sorted(codes) if not is_not_judged(code)] == []
