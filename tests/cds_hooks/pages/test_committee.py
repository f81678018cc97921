"""The lists of models and rules for a committee: state, gates, approvals, how often a rule speaks, what can be done."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from cards.rules.engine.family import family_named
from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.releases import Releases
from cds_hooks.monitor.book import CountBook
from cds_hooks.pages.committee.standing import LEAST_ANSWERS, Committee, RuleCounts, RuleStanding, count_rules
from cds_hooks.record_views import open_follower
from cds_hooks.settings import Settings
from cds_hooks.storage.content import ContentKeys, use_content_keys
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import card_uuid
from cds_hooks.storage.queries import feedback_on, store_feedback
from cds_hooks.web.site import Site as PageSite
from cds_hooks.web.site import render
from models_onnx.serving.registry import model_ids
from tests.cds_hooks.access.browsing import BROWSER, entries, form_token, visit, with_account
from tests.cds_hooks.calls import ORDERS, client, ours, request_for
from tests.cds_hooks.hold_back.clicking import ANN, BEN, Desk
from tests.cds_hooks.services.equation_calls import NOW, equation_request
from tests.cds_hooks.storage.samples import a_decision, some_feedback, store
from tests.cds_hooks.web.decisions import AS_OF
from tests.contracts.markup import faults
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
    assert f"decisions?rule={RULE}" in page
    version = all_rule_versions()[RULE].digest
    assert version in page
    assert f"cds-hooks release off rule {RULE}" in page
    assert "cds-hooks rules simulate" in page


def _rule_page(version: RuleVersion, standing: RuleStanding) -> str:
    site, say = PageSite(development=False, alert_share=None), family_named(version.table.family).vocabulary.say
    of_rule = {"version": version, "rule": version.rule, "say": say}
    return render("rules/rule.html", site=site, root="../", standing=standing, days=30, **of_rule)


def test_behind_a_trust_file_it_says_who_has_approved_and_who_is_missing(tmp_path: Path) -> None:
    desk = Desk(record_in(tmp_path))
    version = all_rule_versions()[RULE]
    book, releases = ApprovalBook(desk.url, people_log_in=True), Releases(by_two_people=True)
    governance = Governance(None, needs_approval=True, approvals=book)
    committee = Committee(lambda: None, governance, book, releases, "validated", {})
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


def test_the_book_says_how_often_each_rule_spoke_and_was_answered(tmp_path: Path) -> None:
    def sent(*cards: tuple[str, ...]) -> bytes:
        found = [(uuid, [{"rule": rule, "band": "b"} for rule in rules]) for uuid, *rules in cards]
        extensions = [(uuid, {"org.cds-hooks-onnx": {"findings": findings}}) for uuid, findings in found]
        return json.dumps({"cards": [{"uuid": uuid, "extension": more} for uuid, more in extensions]}).encode()

    rule, other, now = "renal-metformin", "renal-nsaid", time_ns() // 1000
    silence = (
        b'{"silence":[["renal-metformin","shadow","t"],["renal-metformin","switched-off","t"],'
        b'["renal-nsaid","below-threshold","t"]]}'
    )
    long_ago, first = a_decision(decided_at=now - 40 * 86_400_000_000), a_decision(decided_at=now)
    one, two = card_uuid(first.id, 1), card_uuid(first.id, 2)
    long_ago = replace(long_ago, response=sent((card_uuid(long_ago.id, 1), rule)))
    first = replace(first, response=sent((one, rule, rule, other), (two, rule)))
    second = a_decision(response=b'{"cards":[]}', basis=silence, decided_at=now)
    answers = [
        some_feedback(first.id, card=one, outcome="accepted", received_at=now),
        some_feedback(first.id, card=two, override_reason_code=None, received_at=now),
    ]
    url = record_in(tmp_path)
    store(url, long_ago, first, second)
    store_feedback(parse_url(url), answers)
    follower = open_follower(Settings(database_url=url))
    follower.catch_up()
    counts = count_rules(CountBook(follower.views), datetime.now(UTC).date())
    assert counts == {
        rule: RuleCounts(1, 1, 1, 1, Counter({"no reason": 1})),
        other: RuleCounts(1, 0, 1, 0),
    }


STATIN = "statin-discussion"


async def _called(calls: httpx.AsyncClient) -> tuple[str, list[dict[str, Any]]]:
    """The decision and the cards of a call of PREVENT."""
    answer = await calls.post(f"/cds-services/{STATIN}", json=equation_request(STATIN, "diabetes-no-statin", ()))
    assert answer.status_code == 200, answer.text
    return ours(answer)["decision"], answer.json()["cards"]


async def _answer(calls: httpx.AsyncClient, decision: str, **fields: str) -> httpx.Response:
    return await calls.post(f"/explain/{decision}", data=fields, headers=BROWSER)


async def test_an_answer_is_kept_once_as_feedback_and_the_card_rests(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        decision, (card,) = await _called(calls)
        page = await calls.get(f"/explain/{decision}", headers=BROWSER)
        for reason in card["overrideReasons"]:
            assert f"Not followed: {reason['display']}" in page.text
        sent = await _answer(calls, decision, card=card["uuid"], answer="r0")
        assert sent.status_code == 303
        assert sent.headers["location"] == f"{decision}#answer-1"
        again = await _answer(calls, decision, card=card["uuid"], answer="wrong")
        assert again.status_code == 303
        shown = await calls.get(f"/explain/{decision}", headers=BROWSER)
        assert f"Not followed ({card['overrideReasons'][0]['display']})" in shown.text
        assert 'value="answer"' not in shown.text
        assert (await _called(calls))[1] == []
    (kept,) = feedback_on(record_in(tmp_path), decision)
    reason = card["overrideReasons"][0]
    assert (kept.outcome, kept.override_reason_code) == ("overridden", reason["code"])
    assert kept.override_reason_system == f"{reason['system']}#explanation-page"
    assert [detail["answer"] for _, detail in entries(tmp_path, "card-answer")] == [reason["code"]]


async def test_a_suggestion_that_was_followed_is_an_acceptance_of_it(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        decision, (card,) = await _called(calls)
        assert (await _answer(calls, decision, card=card["uuid"], answer="s0")).status_code == 303
    (kept,) = feedback_on(record_in(tmp_path), decision)
    assert kept.outcome == "accepted"
    assert kept.accepted_suggestions == (card["suggestions"][0]["uuid"],)


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({}, "Choose one of the answers."),
        ({"answer": "r99"}, "Choose one of the answers."),
        ({"answer": "s99"}, "Choose one of the answers."),
        ({"answer": "r0", "words": "because"}, "A text belongs to"),
        ({"answer": "wrong", "words": "no keys"}, "A text belongs to"),
    ],
)
async def test_an_answer_that_cannot_be_taken_gets_a_sentence_and_nothing_is_kept(
    tmp_path: Path, fields: dict[str, str], about: str
) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        decision, (card,) = await _called(calls)
        refused = await _answer(calls, decision, card=card["uuid"], **fields)
        assert about in refused.text
        other = await _answer(calls, decision, card="another", answer="r0")
        assert other.status_code == 400
        assert "What is wrong?" not in refused.text
    assert feedback_on(record_in(tmp_path), decision) == []
    assert entries(tmp_path, "card-answer") == []


@pytest.mark.parametrize(
    ("role", "status"), [("clinician", 303), ("pharmacist", 303), ("operator", 403), ("auditor", 403)]
)
async def test_clinicians_and_pharmacists_answer_and_who_operates_or_audits_does_not(
    tmp_path: Path, role: str, status: int
) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path, as_of=NOW) as person:
        decision, (card,) = await _called(person.calls)
        await person.log_in("ann")
        page = await person.open(f"/explain/{decision}")
        assert ("Record the answer" in page.text) is (status == 303)
        fields = {"card": card["uuid"], "answer": "r1"}
        assert (await person.send(f"/explain/{decision}", **fields)).status_code == 403  # without the session's token
        sent = await person.send(f"/explain/{decision}", form_token=form_token(page), **fields)
        assert sent.status_code == status
    kept = feedback_on(record_in(tmp_path), decision)
    assert len(kept) == (1 if status == 303 else 0)
    assert [who for who, _ in entries(tmp_path, "card-answer")] == ["account ann"] * len(kept)


@pytest.fixture
def _without_keys_afterwards() -> Iterator[None]:
    yield
    use_content_keys(ContentKeys())


@pytest.mark.usefixtures("_without_keys_afterwards")
async def test_words_about_what_is_wrong_are_kept_encrypted_or_not_asked_for(tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("ab" * 32)
    async with client(tmp_path, as_of=NOW, content_keys=keys) as calls:
        decision, (card,) = await _called(calls)
        page = await calls.get(f"/explain/{decision}", headers=BROWSER)
        assert "What is wrong?" in page.text
        long = await _answer(calls, decision, card=card["uuid"], answer="wrong", words="x" * 501)
        assert "The text has 501 characters; 500 can be kept." in long.text
        words = "<b>The smoker</b> stopped in 2019"
        sent = await _answer(calls, decision, card=card["uuid"], answer="wrong", words=words)
        assert sent.status_code == 303
        shown = await calls.get(f"/explain/{decision}", headers=BROWSER)
        assert "Not followed (This is wrong)" in shown.text
        explained, record = shown.text.split("What happened")[0], shown.text.split("What happened")[1]
        assert "stopped in 2019" not in explained, "whoever reads the record alone reads the words"
        assert "&lt;b&gt;The smoker&lt;/b&gt; stopped in 2019" in record
        (kept,) = feedback_on(record_in(tmp_path), decision)
        assert kept.user_comment == words
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("decisions.sqlite3*"))
    assert b"stopped in 2019" not in stored
    assert "stopped in 2019" not in str(entries(tmp_path, "card-answer"))
