"""The page of coverage rules: the table with sources and days, the state of own rules, and a trial."""

import asyncio
import re
from pathlib import Path

import pytest

from cards.coverage.approval import policy_tables
from cards.coverage.policy import load_policies
from cards.rules.engine.governance import govern
from cds_hooks.pages.payers import views
from tests.cds_hooks.calls import client
from tests.cds_hooks.services.test_crd_requirements import own_folder


def read(folder: Path, query: str = "") -> str:
    """The page with this query."""

    async def call() -> str:
        async with client(folder) as calls:
            answer = await calls.get(f"/payers{query}")
            assert answer.status_code == 200, answer.text
            return answer.text

    return asyncio.run(call())


def test_every_rule_is_shown_with_its_codes_source_and_days(tmp_path: Path) -> None:
    page = read(tmp_path)
    for policy in load_policies().every():
        assert policy.code in page
        assert policy.effective_from.isoformat() in page
    assert "cgsmedicare.com" in page
    lymph = read(tmp_path, "?what=e0676&payer=medicare")
    assert "prevention of thrombosis" in lymph
    assert "<details open><summary>" in lymph
    assert "Power wheelchair" not in lymph
    assert "No rule has this code" in read(tmp_path, "?what=nothing-like-it")


def test_an_order_is_tried_on_an_empty_chart_and_on_a_sample_patient(tmp_path: Path) -> None:
    asked = read(tmp_path, "?code=64493&place_of_service=22&day=2026-11-20&chart=af-apixaban-dose")
    assert "prior authorization needed" in asked
    assert not re.search(r"auth-needed|no-auth|pa-needed|doc-needed|performpa", asked)
    answer = asked.partition('id="trial"')[2].partition("</section>")[0]
    assert "By the rule on Facet joint interventions (prior authorization" in answer
    assert re.search(r'Sources: <a href="https://[^"]+" rel="noreferrer">[a-z.]+<', answer)
    folded = asked.partition('id="rules"')[2]
    assert re.search(r"<details><summary>\d+ rules</summary>", folded)
    lung = read(tmp_path, "?code=71271&day=2026-11-20")
    assert "not known" in lung, "an empty chart shows nothing, which is no criterion that failed"
    assert "nothing would be answered" in read(tmp_path, "?code=99999")
    assert "&lt;B&gt;" in read(tmp_path, "?code=%3CB%3E")
    assert "denied" not in asked.lower()


def test_own_rules_are_shown_with_their_state_and_who_approved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No rules of its own" in read(tmp_path)
    rules = load_policies(own_folder(tmp_path / "coverage"))
    monkeypatch.setattr(views, "policies", lambda: rules)
    govern("coverage", policy_tables(rules))
    try:
        page = read(tmp_path)
    finally:
        govern("coverage", ())
    assert 'href="rules/payer-own-b"' in page
    assert "nobody" in page
    assert "Own Health Plan" in page
