"""How a rule or a model stands: the state that the checks of a call hold to, with its origin and the next act."""

from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from cards.rules.engine.finding import Finding
from cards.rules.engine.governance import Approval, SiteRules, Switch, all_rule_versions
from cds_hooks.hold_back.acts import RELEASE_EVENT, Act, ActKind, ActState, Pause
from cds_hooks.hold_back.chain import Chain
from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.overrides import NotApproved
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.signatures import sign_act
from cds_hooks.hold_back.standing import model_standing, rule_standing
from cds_hooks.storage.entries import add_event
from models_onnx.artifact.release_file import Release
from models_onnx.serving.registry import load_model
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
        act = Act(kind=kind, name=name, state=state, by="Ann Lee", role="pharmacist", at="2026-11-21", why="a reason")
        add_event(url, RELEASE_EVENT, "Ann Lee", sign_act(act, None))
    releases = Releases(None)
    releases.read(url)
    return releases


def is_shown(site: SiteRules, releases: Releases, *, needs_approval: bool) -> bool:
    call = CheckedCall(Caller("order-safety", "ehr", "1", "order-sign"), 0.0, releases.current, site)
    chain = Chain.of_site(NotApproved(needs_approval=needs_approval))
    return chain.check_findings(call)(FINDING) is None


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


def test_a_rule_that_an_act_switched_off_says_by_whom_since_when_and_how_it_comes_back(tmp_path: Path) -> None:
    standing = rule_standing(VERSION, APPROVED, releases_after(tmp_path, "off"), needs_approval=True)
    assert (standing.state, standing.by) == ("off", "Ann Lee (pharmacist)")
    assert standing.text == "switched off: a reason"
    assert standing.since
    lines = [line for _, line in standing.commands]
    assert f'cds-hooks release set on rule {RULE} --why "REASON" --key PERSON.pem' in lines


def test_a_rule_without_two_signatures_waits_for_them(tmp_path: Path) -> None:
    standing = rule_standing(VERSION, SiteRules(), releases_after(tmp_path), needs_approval=True)
    assert (standing.state, standing.text) == ("waiting", "this version is not approved; 0 of 2 signatures")
    assert standing.commands[0][1].startswith(f"cds-hooks approve rule {RULE} --version {VERSION.digest}")
    outdated = rule_standing(VERSION, OUTDATED, releases_after(tmp_path), needs_approval=True)
    assert outdated.text.startswith("only another version of it is approved")


def test_a_paused_rule_is_in_shadow_but_for_critical_cards(tmp_path: Path) -> None:
    releases = releases_after(tmp_path)
    pause = Pause("rule", RULE, "2026-11-21T10:00:00+00:00", 200, 4, 0.05)
    releases.current = replace(releases.current, paused={pause.key: pause})
    standing = rule_standing(VERSION, SiteRules(), releases, needs_approval=False)
    assert standing.state == "shadow"
    assert "only its critical cards are shown" in standing.text
    assert not is_shown(SiteRules(), releases, needs_approval=False)


def release() -> Release:
    found = load_model("mortality_5y").artifact.release
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("lowest", "states", "expected"),
    [
        ("validated", (), "on"),
        ("active", (), "waiting"),
        ("validated", ("off",), "off"),
        ("validated", ("shadow",), "shadow"),
    ],
)
def test_a_model_stands_as_its_release_and_the_acts_say(
    tmp_path: Path, lowest: str, states: tuple[ActState, ...], expected: str
) -> None:
    releases = releases_after(tmp_path, *states, kind="model", name="mortality_5y")
    assert model_standing(release(), releases, None, lowest, date(2026, 11, 22)).state == expected


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
