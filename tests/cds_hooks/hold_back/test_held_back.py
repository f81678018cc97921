"""For each card that was held back the page and the command show which check did it, by which act, and what ends it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.checks import CHECKS, SUPPRESSED, explain_held_back
from cds_hooks.hold_back.releases import Releases
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.hold_back.clicking import put_command
from tests.cds_hooks.hold_back.restraint_calls import CRITICAL, WARNINGS, indicators, rules_file, sign
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW
from tests.conftest import ROOT
from tests.live import record_in
from tests.program import run_program

RULE = "renal-metformin"
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


def test_page_and_command_name_check_act_and_what_lets_the_card_through(tmp_path: Path, url: str) -> None:
    rules = rules_file(tmp_path, '[[budget]]\nof = "client"\ncards_per_day = 0\nnote = "a trial"\n')
    _act(url, "off")

    async def story() -> str:
        async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
            assert indicators(await sign(calls, WARNINGS[0], CRITICAL)) == []
            (decision,) = list_decisions(url)
            for address in (f"/explain/{decision.id}",):
                page = (await calls.get(address)).text
                assert f"{RELEASE_STATE}, by Ann Lee (pharmacist) on " in page, address
            assert f"An act of release about {RULE}: cds-hooks release set on" in page
            assert "A budget of cards in a day or in a call" in page
            return decision.id

    decision_id = asyncio.run(story())
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
        [Silence("order-safety", "switched-off", "It is off.")], "order-safety", "ehr", lambda: releases
    )
    assert (held.check, held.by) == (SWITCHED_OFF, "Ann Lee (pharmacist)")
    before = releases.until(url, 0.0)
    assert before.current.states == {}
    (held,) = explain_held_back([Silence(RULE, "paused", "It is paused.")], "order-safety", "ehr", lambda: before)
    assert (held.check, held.by) == (PAUSED, "")


def test_every_check_says_what_it_is_and_its_reasons_stand_in_the_guide_for_a_committee() -> None:
    page = (ROOT / "docs" / "operations" / "restraint.md").read_text(encoding="utf-8")
    for check in CHECKS:
        assert all((check.codes, check.title, check.lets_through.endswith("."))), check
    for code in SUPPRESSED:
        assert f"`{code}`" in page, code
