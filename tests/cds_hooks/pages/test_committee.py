"""The lists of models and rules for a committee: state, gates, approvals, how often a rule speaks, what can be done."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from cards.rules.engine.family import family_named
from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.standing import LEAST_ANSWERS, RuleCounts
from cds_hooks.package_tests.markup import faults
from cds_hooks.pages.committee.standing import Committee, RuleStanding
from cds_hooks.web.site import Site as PageSite
from cds_hooks.web.site import render
from models_onnx.serving.registry import model_ids
from tests.cds_hooks.calls import ORDERS, client, ours, request_for
from tests.cds_hooks.hold_back.clicking import ANN, BEN, Desk
from tests.cds_hooks.web.decisions import AS_OF
from tests.live import record_in

RULE = "renal-metformin"


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server in the development profile on which one order was judged and its card accepted."""
    async with client(tmp_path, as_of=AS_OF) as made:
        request = request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
        answer = await made.post(f"/cds-services/{ORDERS}", json=request)
        card = answer.json()["cards"][0]
        taken = [{"id": card["suggestions"][0]["uuid"]}]
        told = {"card": card["uuid"], "outcome": "accepted", "outcomeTimestamp": AS_OF.isoformat()}
        told["acceptedSuggestions"] = taken
        sent = await made.post(f"/cds-services/{ORDERS}/feedback", json={"feedback": [told]})
        assert sent.status_code == 200, sent.text
        assert ours(answer)["decision"]
        yield made


async def test_every_model_is_listed_with_its_gates_and_leads_to_its_page(calls: httpx.AsyncClient) -> None:
    page = (await calls.get("/models")).text
    assert faults(page) == []
    for name in model_ids():
        assert f'href="models/{name}"' in page
    assert "17 of 18 passed; Fairness by group: waived" in page
    assert "not needed here" in page


async def test_the_page_of_a_model_has_its_gate_report_waivers_history_and_commands(calls: httpx.AsyncClient) -> None:
    page = (await calls.get("/models/mortality_5y_small")).text
    assert faults(page) == []
    for words in (
        "File is safe",
        "Fairness by group waived until",
        "What changed, the oldest first",
        "cds-hooks release set off model mortality_5y_small",
    ):
        assert words in page, words
    assert "PRIVATE KEY" not in page


async def test_a_rule_that_spoke_comes_first_with_its_answers(calls: httpx.AsyncClient) -> None:
    page = (await calls.get("/rules")).text
    assert faults(page) == []
    first = page.partition("<tbody")[2].partition("</tr>")[0]
    assert 'data-label="Cards" class="num"><span>1</span>' in first
    assert "1 of 1 answers" in first
    narrowed = (await calls.get("/rules", params={"what": "metformin", "kind": "on"})).text
    assert 0 < narrowed.count("<tr role") < page.count("<tr role")
    assert "No rule fits this filter" in (await calls.get("/rules", params={"what": "<b>"})).text


async def test_the_page_of_a_rule_has_its_use_examples_and_commands(calls: httpx.AsyncClient) -> None:
    await calls.get("/rules")
    page = (await calls.get(f"/rules/{RULE}")).text
    assert faults(page) == []
    assert "decision 1" in page
    version = all_rule_versions()[RULE].digest
    assert version in page
    assert f"cds-hooks release set off rule {RULE}" in page
    assert "cds-hooks rules simulate" in page


def _rule_page(version: RuleVersion, standing: RuleStanding) -> str:
    site, say = PageSite(development=False, alert_share=None), family_named(version.table.family).vocabulary.say
    of_rule = {"version": version, "rule": version.rule, "say": say}
    return render("rules/rule.html", site=site, root="../", standing=standing, **of_rule)


def test_behind_a_trust_file_it_says_who_has_approved_and_who_is_missing(tmp_path: Path) -> None:
    desk = Desk(record_in(tmp_path))
    version = all_rule_versions()[RULE]
    book, releases = ApprovalBook(desk.url, people_log_in=True), Releases(by_two_people=True)
    governance = Governance(None, needs_approval=True, approvals=book)
    committee = Committee(desk.url, governance, book, releases, "validated", {})
    assert "approved by nobody" in str(committee.rule(version).missing)
    desk.click(ANN, why="read with the label")
    book.read()
    standing = committee.rule(version)
    assert [(row.by, row.note) for row in standing.approvals] == [("Ann Lee", "read with the label")]
    assert "Ann Lee (pharmacist) alone" in str(standing.missing)
    page = _rule_page(version, standing)
    assert "Not approved" in page
    assert "This version is not approved; 1 of 2 approvals." in page
    desk.click(BEN)
    book.read()
    page = _rule_page(version, committee.rule(version))
    assert "Approved by two people" in page
    assert "This version is approved." in page
    assert faults(page) == []


def test_a_share_is_named_only_where_there_are_enough_answers() -> None:
    few = RuleCounts(9, accepted=4, overridden=3)
    many = RuleCounts(90, accepted=15, overridden=LEAST_ANSWERS - 15)
    assert (RuleCounts().accept_words, few.accept_words, many.accept_words) == (
        "no answer",
        "4 of 7 answers",
        "75 in 100 of 20 answers",
    )
