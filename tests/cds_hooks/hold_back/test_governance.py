"""Rules and answers over the whole server: switches by unit, and what was answered stays answered for its time."""

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.rules.engine.governance import Approval, all_rule_versions
from cds_hooks.hold_back.checks import CHECKS, SILENT_MODE, SUPPRESSED, explain_held_back
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.releases import Releases
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.storage.queries import list_decisions
from fhir.record.refusals import WhyNot
from tests.cds_hooks.calls import ORDERS, client, request_for
from tests.cds_hooks.hold_back.clicking import put_command
from tests.cds_hooks.hold_back.restraint_calls import CRITICAL, WARNINGS, indicators, rules_file, sign
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW
from tests.conftest import ROOT
from tests.live import record_in
from tests.program import run_program

RULE = "renal-metformin"


def order(as_of: datetime, hook: str = "order-sign") -> dict[str, Any]:
    return request_for(ORDERS, hook, "ckd4-metformin", as_of, "metformin-ckd4-coded")


async def call(folder: Path, as_of: datetime, *steps: Callable[[httpx.Response], Any], **settings: Any) -> list[Any]:
    """Calls order-sign, then for each step sends the feedback it makes of the last answer and calls again."""
    async with client(folder, as_of=as_of, **settings) as calls:
        answers = [await calls.post(f"/cds-services/{ORDERS}", json=order(as_of))]
        for step in steps:
            report = step(answers[-1])
            sent = await calls.post(f"/cds-services/{ORDERS}/feedback", json={"feedback": [report]})
            assert sent.status_code == 200
            answers.append(await calls.post(f"/cds-services/{ORDERS}", json=order(as_of)))
        return answers


def overridden(with_reason: bool) -> Callable[[httpx.Response], dict[str, Any]]:
    def report(answer: httpx.Response) -> dict[str, Any]:
        (card,) = answer.json()["cards"]
        item = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:05:00Z"}
        return item | ({"overrideReason": {"reason": card["overrideReasons"][0]}} if with_reason else {})

    return report


async def test_an_answer_without_a_reason_is_none(tmp_path: Path, as_of: datetime) -> None:
    _, after = await call(tmp_path, as_of, overridden(with_reason=False))
    assert len(after.json()["cards"]) == 1


def test_a_changed_file_counts_without_a_restart_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    now = 0.0
    rules = tmp_path / "rules.toml"
    rules.write_text("version = 1\n")
    governance = Governance(rules, needs_approval=False, clock=lambda: now)
    approval = Approval(RULE, all_rule_versions()[RULE].digest, "A. Person", "pharmacist", date(2026, 11, 20))
    typed = f'rule = "{RULE}"\ndigest = "{approval.digest}"\nby = "A. Person"\nrole = "pharmacist"\non = "2026-11-20"'
    rules.write_text(f"version = 1\n[[approval]]\n{typed}\n")
    assert not governance.site.approvals
    now = 2.0
    assert governance.site.approvals == {RULE: approval}
    rules.write_text("version = 3\n")
    now = 4.0
    assert governance.site.approvals == {RULE: approval}


# From development to trust without a surprise: what is not approved is listed, and typed names approve nothing.


def test_behind_a_trust_file_a_typed_name_approves_nothing(tmp_path: Path) -> None:
    rules, here = tmp_path / "rules.toml", {"CDS_TRUST_FILE": str(tmp_path / "trust.toml")}
    digest = all_rule_versions()[RULE].digest
    typed = f'rule = "{RULE}"\ndigest = "{digest}"\nby = "A"\nrole = "pharmacist"\non = "2026-11-20"'
    rules.write_text(f"version = 1\n[[approval]]\n{typed}\n")
    assert Governance(rules, needs_approval=True).approval_counts() == {
        "approved": 0,
        "not_approved": len(all_rule_versions()),
    }
    assert RULE not in run_program("rules", "show", "--to-review", "--file", str(rules)).stdout
    assert RULE in run_program("rules", "show", "--to-review", "--file", str(rules), environment=here).stdout


def test_where_no_approval_is_needed_nothing_is_counted() -> None:
    assert Governance(None, needs_approval=False).approval_counts() is None


# For each card that was held back the page and the command show which check did it, by which act, and what ends it.
RELEASE_STATE = "The release state of the rule, model or equation"
SWITCHED_OFF = "The service or the client is switched off"
PAUSED = "A pause: hardly any card was accepted, or the advice does not fit the patients"


def _act(url: str, state: Any, kind: Any = "rule", name: str = RULE) -> None:
    put_command(url, state, kind, name, by="Ann Lee", role="pharmacist", why="label changed")


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = record_in(tmp_path)
    upgrade_schema(parse_url(url))
    return url


async def test_page_and_command_name_check_act_and_what_lets_the_card_through(tmp_path: Path, url: str) -> None:
    rules = rules_file(tmp_path, '[[budget]]\nof = "client"\ncards_per_day = 0\nnote = "a trial"\n')
    _act(url, "off")
    async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
        assert indicators(await sign(calls, WARNINGS[0], CRITICAL)) == []
        (decision,) = list_decisions(url)
        for address in (f"/explain/{decision.id}",):
            page = (await calls.get(address)).text
            assert f"{RELEASE_STATE}, by Ann Lee (pharmacist) on " in page, address
        assert f"An act of release about {RULE}: cds-hooks release set on" in page
        assert "A budget of cards in a day or in a call" in page
        decision_id = decision.id
    printed = run_program("decisions", "show", decision_id, "--json", environment={"CDS_DATABASE_URL": url})
    by_reason = {row["reason"]: row for row in json.loads(printed.stdout)["held_back"]}
    assert by_reason["switched-off"]["by"] == "Ann Lee (pharmacist)"
    assert by_reason["switched-off"]["check"] == RELEASE_STATE
    assert by_reason["budget"]["by"] == ""
    table = run_program("decisions", "show", decision_id, environment={"CDS_DATABASE_URL": url, "COLUMNS": "200"})
    assert "Ann Lee (pharmacist)" in table.stdout


def test_there_is_no_such_decision(url: str) -> None:
    printed = run_program("decisions", "show", "nobody-made-it", environment={"CDS_DATABASE_URL": url})
    assert printed.returncode == 1
    assert "There is no decision nobody-made-it" in printed.stderr


def test_the_act_is_that_of_the_moment_of_the_decision(url: str) -> None:
    _act(url, "off", "service", "order-safety")
    releases = Releases(None)
    releases.read(url)
    (held,) = explain_held_back(
        [WhyNot("order-safety", "switched-off", "It is off.")], "order-safety", "ehr", lambda: releases
    )
    assert (held.check, held.by) == (SWITCHED_OFF, "Ann Lee (pharmacist)")
    before = releases.until(url, 0.0)
    assert before.current.states == {}
    (held,) = explain_held_back([WhyNot(RULE, "paused", "It is paused.")], "order-safety", "ehr", lambda: before)
    assert (held.check, held.by) == (PAUSED, "")


@pytest.mark.parametrize(
    ("silent", "by"),
    [(("client",), "Ann Lee (pharmacist)"), (("unit",), "Ann Lee (pharmacist)"), (("unit", "user"), ""), ((), "")],
)
def test_silent_mode_names_its_act_where_only_one_can_have_begun_it(url: str, silent: tuple[str, ...], by: str) -> None:
    for kind in silent:
        _act(url, "shadow", kind, "ehr")
    releases = Releases(None)
    if not silent:
        _act(url, "off", "client", "ehr")  # which is no silent mode
    releases.read(url)
    (held,) = explain_held_back([WhyNot("", SILENT_MODE, "Silent.")], "order-safety", "ehr", lambda: releases)
    assert held.by == by


def test_every_check_says_what_it_is_and_its_reasons_stand_in_the_guide_for_a_committee() -> None:
    page = (ROOT / "docs" / "operations" / "restraint.md").read_text(encoding="utf-8")
    for check in CHECKS:
        assert all((check.codes, check.title, check.lets_through.endswith("."))), check
    for code in SUPPRESSED:
        assert f"`{code}`" in page, code
