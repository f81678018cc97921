"""A rule or service of whose cards hardly any is accepted is paused, told of once, and ended by a person."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from threading import Thread
from typing import Any

import httpx
import pytest

from cards.card import Card, Indicator, Source
from cards.extension import EXTENSION_KEY, CardExtension, FindingReference
from cds_hooks.hold_back import auto_pause, governance, releases
from cds_hooks.hold_back.acceptance import AcceptanceCounts, LowAcceptance
from cds_hooks.hold_back.acts import RELEASE_EVENT, Act, Pause
from cds_hooks.hold_back.auto_pause import record_pause
from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.sent_cards import Answer, SentCard
from cds_hooks.hold_back.signatures import sign_act
from cds_hooks.settings import Settings
from cds_hooks.storage.entries import add_event
from tests.cds_hooks.hold_back.restraint_calls import (
    CRITICAL,
    PATIENT,
    SIGN,
    WARNINGS,
    feedback,
    indicators,
    order_sign,
    reasons,
)
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW
from tests.live import record_in
from tests.program import run_program

RULE = "renal-nsaid"
DAY = 86_400.0
PAUSE = Pause("rule", RULE, "2026-11-21T10:00:00+00:00", 210, 3, 0.05)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Background tasks look often, so that nobody waits for seconds."""
    monkeypatch.setattr(auto_pause, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(governance, "_READ_SECONDS", 0.05)
    monkeypatch.setattr(releases, "READ_SECONDS", 0.05)


class _Webhook:
    """A server that takes notices; the first one is refused, so that it has to be sent again."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self._refused = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(204 if outer._refused else 503)
                self.end_headers()
                if outer._refused:
                    outer.taken.append(json.loads(body))
                outer._refused = True

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/notices"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


async def _sign_for(calls: httpx.AsyncClient, patient: str, *drafts: str) -> httpx.Response:
    request = json.loads(json.dumps(order_sign(*drafts)).replace(PATIENT, patient))
    answered = await calls.post(f"/cds-services/{SIGN}", json=request)
    assert answered.status_code == 200, answered.text
    return answered


async def _until(what: Callable[[], Awaitable[bool]]) -> None:
    """Waits until it is so; a test that waits for ever is stopped by the timeout of all tests."""
    async with asyncio.timeout(60):
        while not await what():
            await asyncio.sleep(0.05)


async def _show_to_many(calls: httpx.AsyncClient, patients: int) -> None:
    """Shows a card about each of these patients, and then reports that one was accepted."""
    cards = [
        (await _sign_for(calls, f"patient-{number}", WARNINGS[0])).json()["cards"][0] for number in range(patients)
    ]
    accepted = feedback(cards[0], cards[0]["suggestions"][0]["uuid"])
    sent = await calls.post(f"/cds-services/{SIGN}/feedback", json=accepted)
    assert sent.status_code == 200, sent.text


def test_a_rule_that_hardly_anybody_accepts_is_paused_told_of_once_and_ended_by_a_person(tmp_path: Path) -> None:
    webhook = _Webhook()
    settings: dict[str, Any] = {"as_of": NOW, "pause_cards": 20, "notice_url": webhook.url}

    async def is_paused(calls: httpx.AsyncClient) -> bool:
        answered = await _sign_for(calls, "somebody-new", WARNINGS[0])
        return not answered.json()["cards"]

    async def story() -> None:
        async with app_client(tmp_path, **settings) as one, app_client(tmp_path, **settings) as other:
            await _show_to_many(one, 25)
            await _until(lambda: is_paused(one))
            await _until(lambda: is_paused(other))
            answered = await _sign_for(other, "somebody-else", *WARNINGS, CRITICAL)
            assert indicators(answered) == ["warning", "critical"]
            ((subject, text),) = reasons(answered, "paused")
            assert subject == RULE
            # The process that was not called knows of some of the last cards a moment later.
            assert re.search(r"1 of 2[1-9] cards were accepted, under 5 in 100", text)
            metrics = (await one.get("/metrics")).text
            assert f'cds_paused{{kind="rule",name="{RULE}"}} 1.0' in metrics

            async def is_told() -> bool:
                return bool(webhook.taken)

            await _until(is_told)
            listed = await asyncio.to_thread(_program, tmp_path, "release", "list")
            assert f"pause of rule {RULE}: paused since" in listed.stdout
            ended = await asyncio.to_thread(
                _program, tmp_path, "release", "set", "on", "rule", RULE, "--why", "reviewed"
            )
            assert ended.returncode == 0, ended.stderr

            async def speaks() -> bool:
                return not await is_paused(other)

            await _until(speaks)

    try:
        asyncio.run(story())
    finally:
        webhook.close()
    assert [(each["event"], each["kind"], each["name"]) for each in webhook.taken] == [("paused", "rule", RULE)]
    # What was counted before the person's act does not pause it again, also after a restart.
    assert _paused(record_in(tmp_path)) == {}

    async def after() -> None:
        async with app_client(tmp_path, **settings) as calls:
            await asyncio.sleep(0.3)
            assert indicators(await _sign_for(calls, "one-more", WARNINGS[0])) == ["warning"]

    asyncio.run(after())


def test_a_service_that_is_accepted_often_enough_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW, pause_cards=20) as calls:
            await _show_to_many(calls, 20)
            await asyncio.sleep(0.3)

    asyncio.run(story())
    assert _paused(record_in(tmp_path)) == {}


def _program(folder: Path, *words: str) -> CompletedProcess[str]:
    return run_program(*words, environment={"CDS_DATABASE_URL": record_in(folder)})


def _paused(url: str) -> dict[tuple[str, str], Pause]:
    found = Releases(None)
    found.read(url)
    assert found.refused == []
    return dict(found.current.paused)


# The counts by themselves


def _sent(rule: str = RULE) -> SentCard:
    sent = SentCard(uuid="c1", indicator="warning")
    sent.extension.ours = CardExtension(findings=(FindingReference(rule, "a-band"),))
    return sent


def _card(indicator: Indicator) -> Card:
    extension = {EXTENSION_KEY: _sent().our_extension}
    return Card(uuid="c1", summary="x", indicator=indicator, source=Source(label="x"), extension=extension)


class _Counts:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.resumed: dict[tuple[str, str], float] = {}
        self.counts = AcceptanceCounts(lambda: self.now, lambda: self.resumed)

    def show(self, patients: int, client: str = "ehr", indicator: Any = "warning") -> None:
        for number in range(patients):
            caller = Caller(client, f"p{number}", "order-safety", "order-sign")
            self.counts.note_shown([_card(indicator)], CheckedCall(caller, self.now))

    def answer(
        self, patient: str = "p0", *, is_accepted: bool = False, client: str = "ehr", reason: str | None = None
    ) -> None:
        how = "accepted" if is_accepted else reason or "overridden"
        self.counts.take_answer(
            Answer(client, patient, "order-safety", "order-sign", _sent(), how, self.now, decided_at=4e9)
        )

    @property
    def low(self) -> list[LowAcceptance]:
        return self.counts.low(200, 0.05)


@pytest.mark.parametrize(("cards", "accepted", "is_low"), [(199, 0, False), (200, 9, True), (200, 10, False)])
def test_two_hundred_cards_and_five_in_a_hundred_are_the_limits(cards: int, accepted: int, *, is_low: bool) -> None:
    site = _Counts()
    site.show(cards)
    site.answer("nobody-accepted")
    for number in range(accepted):
        site.answer(f"p{number}", is_accepted=True)
    answered = 1 + accepted
    assert site.low == ([LowAcceptance(("rule", RULE), cards, accepted, answered)] if is_low else [])


@pytest.mark.parametrize(
    ("answers", "not_fitting", "reason", "is_low"),
    [
        (100, 31, "patient-ineligible", True),
        (100, 31, "cds-not-applicable", True),
        (100, 30, "patient-ineligible", False),
        (99, 99, "patient-ineligible", False),
        (100, 100, "action-completed", False),
    ],
)
def test_over_thirty_in_a_hundred_answers_that_it_does_not_fit_are_the_second_ground(
    answers: int, not_fitting: int, reason: str, *, is_low: bool
) -> None:
    site = _Counts()
    site.show(answers)
    for number in range(answers):
        is_fitting = number >= not_fitting
        site.answer(f"p{number}", is_accepted=is_fitting, reason=None if is_fitting else reason)
    found = site.counts.low(10_000, 0.05)
    accepted = answers - not_fitting
    assert found == ([LowAcceptance(("rule", RULE), answers, accepted, answers, not_fitting)] if is_low else [])


def test_a_pause_says_which_ground_it_has() -> None:
    pause = Pause("rule", RULE, "2026-11-21T10:00:00+00:00", 120, 70, 0.05, 110, 40)
    assert pause.words == (
        "paused since 2026-11-21: 40 of 110 answers said that it does not fit the patient, over 30 in 100"
    )
    assert "3 of 210 cards were accepted, under 5 in 100" in PAUSE.words


def test_the_same_patient_counts_once_a_day() -> None:
    site = _Counts()
    for _ in range(2):
        site.show(150)
    site.answer()
    assert site.low == []
    site.now += DAY
    site.show(50)
    assert site.low == [LowAcceptance(("rule", RULE), 200, 0, 1)]
    site.now += 90 * DAY
    site.show(1)
    assert site.low == []


def test_critical_cards_and_clients_that_report_nothing_do_not_count() -> None:
    site = _Counts()
    site.show(300, indicator="critical")
    site.show(300, client="silent")
    site.answer()
    assert site.low == []
    site.answer(client="silent")
    assert site.low == [LowAcceptance(("rule", RULE), 300, 0, 2)]


def test_what_was_counted_before_a_person_ended_the_pause_counts_no_more() -> None:
    site = _Counts()
    site.show(200)
    site.answer()
    assert len(site.low) == 1
    site.resumed[("rule", RULE)] = 1.0
    assert site.low == []
    site.show(200)
    assert len(site.low) == 1


# The acts


def test_of_several_processes_one_writes_the_pause(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert record_pause(url, PAUSE, 0)
    assert not record_pause(url, PAUSE, 0)
    assert record_pause(url, Pause("service", RULE, PAUSE.at, 200, 0, 0.05), 0)
    act = Act(kind="rule", name=RULE, state="on", by="ann", role="operator", at=PAUSE.at, why="reviewed")
    add_event(url, RELEASE_EVENT, "ann", sign_act(act, None))
    found = Releases(None)
    found.read(url)
    assert list(found.current.paused) == [("service", RULE)]
    assert record_pause(url, PAUSE, found.read_to)


def test_a_pause_is_reported_and_only_what_is_paused_can_be_switched_on(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert _program(tmp_path, "release", "set", "on", "rule", RULE, "--why", "x").returncode == 1
    assert record_pause(url, PAUSE, 0)
    counts = str(tmp_path / "counts.sqlite3")
    told = _program(tmp_path, "monitor", "--counts", counts)
    assert f"Paused, rule {RULE}: paused since 2026-11-21: 3 of 210 cards were accepted" in told.stdout
    as_json = json.loads(_program(tmp_path, "monitor", "--json", "--counts", counts).stdout)
    assert as_json["paused"][0].startswith(f"rule {RULE}: paused since")
    ended = _program(tmp_path, "release", "set", "on", "rule", RULE, "--why", "x")
    assert ended.returncode == 0, ended.stderr


def test_a_pause_that_another_process_writes_and_this_one_reads_while_it_looks_is_not_written_twice(
    tmp_path: Path,
) -> None:
    url = record_in(tmp_path)
    found = Releases(None)
    found.read(url)

    class Counts(AcceptanceCounts):
        def low(self, _least_cards: int, _least_share: float) -> list[LowAcceptance]:
            record_pause(url, PAUSE, found.read_to)
            found.read(url)
            return [LowAcceptance(("rule", RULE), 210, 3)]

    looking = auto_pause.Pausing(Settings(database_url=url), Counts(), found)
    assert looking.look() == []
    assert ("rule", RULE) in found.current.paused
    assert looking.look() == []


def test_a_pause_after_the_last_that_was_read_is_another_one(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert record_pause(url, PAUSE, 0)
    assert not record_pause(url, PAUSE, 0)
    assert record_pause(url, PAUSE, 1), "that one was read, and has ended since"


def test_without_a_share_nobody_looks(tmp_path: Path) -> None:
    configured = Settings(database_url=record_in(tmp_path), pause_share=0)
    pausing = auto_pause.Pausing(configured, AcceptanceCounts(lambda: NOW.timestamp()), Releases(None))
    asyncio.run(asyncio.wait_for(pausing.keep_looking(), 10))
