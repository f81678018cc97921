"""A card is answered on the page of its decision: once, by who may, and the finding rests as after any answer."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from cds_hooks.pages.explain import views as explaining
from cds_hooks.storage import FeedbackItem
from cds_hooks.storage.content import ContentKeys, use_content_keys
from cds_hooks.storage.queries import feedback_on
from tests.cds_hooks.access.browsing import BROWSER, entries, form_token, visit, with_account
from tests.cds_hooks.calls import client, ours
from tests.cds_hooks.services.equation_calls import NOW, _request
from tests.live import record_in

STATIN = "statin-discussion"


async def _called(calls: httpx.AsyncClient) -> tuple[str, list[dict[str, Any]]]:
    """The decision and the cards of a call of PREVENT."""
    answer = await calls.post(f"/cds-services/{STATIN}", json=_request(STATIN, "diabetes-no-statin", ()))
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


async def test_of_two_answers_at_the_same_time_one_is_kept_and_one_person_is_said_to_have_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_looked = Barrier(2, timeout=60)

    def looked(url: str, decision: str) -> list[FeedbackItem]:
        found = feedback_on(url, decision)
        both_have_looked.wait()
        return found

    async with client(tmp_path, as_of=NOW) as calls:
        decision, (card,) = await _called(calls)
        monkeypatch.setattr(explaining, "feedback_on", looked)
        sent = await asyncio.gather(
            *(_answer(calls, decision, card=card["uuid"], answer=answer) for answer in ("r0", "r1"))
        )
        assert [each.status_code for each in sent] == [303, 303]
    (kept,) = feedback_on(record_in(tmp_path), decision)
    said = [detail["answer"] for _, detail in entries(tmp_path, "card-answer")]
    assert said == [kept.override_reason_code]


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
