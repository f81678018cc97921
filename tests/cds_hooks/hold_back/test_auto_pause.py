"""Information that hardly anybody accepts is paused for its client, a pause of warnings is only proposed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from cards.extension import EXTENSION_KEY
from cds_hooks.decision_views import follow
from cds_hooks.decision_views.file import Views, make_tables
from cds_hooks.decision_views.follow import AnswerRow, Batch, DecisionRow
from cds_hooks.hold_back import auto_pause, governance, releases
from cds_hooks.hold_back.acts import Pause
from cds_hooks.hold_back.auto_pause import Acceptance, AcceptanceCounts, LowAcceptance, record_pause
from cds_hooks.hold_back.releases import Releases
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import ANSWERED_ON_PAGE
from tests.cds_hooks.hold_back.clicking import put_command
from tests.cds_hooks.hold_back.restraint_calls import PATIENT, SIGN, WARNINGS, feedback, indicators, order_sign
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW
from tests.cds_hooks.storage.samples import a_decision
from tests.live import record_in
from tests.program import run_program
from tests.receiver import Receiver

RULE = "renal-nsaid"
DAY = 86_400.0
KEY = ("rule", RULE)
PAUSE = Pause("rule", RULE, "2026-11-21T10:00:00+00:00", 210, 3, 0.05, client="ehr")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Background tasks look often, so that nobody waits for seconds."""
    monkeypatch.setattr(auto_pause, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(governance, "_READ_SECONDS", 0.05)
    monkeypatch.setattr(releases, "READ_SECONDS", 0.05)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.05)


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


async def test_a_pause_of_warnings_is_proposed_told_of_once_and_decided_by_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LEAST_USERS", 1), ("LEAST_PATIENTS", 20), ("LEAST_DAYS", 1), ("MOST_OF_ONE", 1.0)):
        monkeypatch.setattr(auto_pause, name, value)
    webhook = Receiver()
    webhook.answers = [503]  # it is sent again
    settings: dict[str, Any] = {"as_of": NOW, "pause_cards": 20, "notice_url": webhook.url}
    try:
        async with app_client(tmp_path, **settings) as one, app_client(tmp_path, **settings) as other:
            await _show_to_many(one, 25)

            async def is_proposed() -> bool:
                metrics = (await other.get("/metrics")).text
                return f'cds_pause_proposed{{client="anonymous",kind="rule",name="{RULE}"}} 1.0' in metrics

            await _until(is_proposed)
            assert "cds_paused{" not in (await other.get("/metrics")).text
            assert indicators(await _sign_for(other, "somebody-else", *WARNINGS)) == ["warning", "warning"]

            async def is_told() -> bool:
                return bool(webhook.taken)

            await _until(is_told)
            ended = await asyncio.to_thread(
                _program, tmp_path, "release", "set", "on", "rule", RULE, "--why", "reviewed"
            )
            assert ended.returncode == 0, ended.stderr

            async def is_decided() -> bool:
                return not await is_proposed()

            await _until(is_decided)
    finally:
        webhook.close()
    assert [(each["event"], each["kind"], each["name"]) for each in webhook.taken] == [("pause proposed", "rule", RULE)]
    assert "Nothing is held back; a person decides" in webhook.taken[0]["text"]
    # What was counted before the person's act does not propose it again, also after a restart.
    assert _paused(record_in(tmp_path)) == []


def _program(folder: Path, *words: str) -> CompletedProcess[str]:
    return run_program(*words, environment={"CDS_DATABASE_URL": record_in(folder)})


def _paused(url: str) -> list[Pause]:
    found = Releases(None)
    found.read(url)
    assert found.refused == []
    return found.pauses


# The counts by themselves


class _Counts:
    """The counts of a record that nobody follows but these tests; each patient has a user of their own of twenty."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000.0
        self.resumed: dict[tuple[str, str], float] = {}
        self.views = Views(folder / "views.sqlite3")
        with self.views.open() as connection:
            make_tables(connection, Acceptance.tables)
        self.counts = AcceptanceCounts(self.views, lambda: self.resumed)

    def take(self, batch: Batch) -> None:
        with self.views.open() as connection:
            Acceptance(lambda: self.now).take(connection, batch)

    def row(self, patient: str, client: str, indicator: str, user: str | None) -> DecisionRow:
        ours = {"findings": [{"rule": RULE, "band": "a-band"}], "decision": ""}
        card = {"uuid": "c1", "indicator": indicator, "extension": {EXTENSION_KEY: ours}}
        as_of = datetime.fromtimestamp(self.now, UTC).isoformat()
        decision = a_decision(
            client=client, patient=patient, service="order-safety", hook="order-sign", decided_at=int(self.now * 1e6),
            response=json.dumps({"cards": [card]}).encode(), basis=json.dumps({"as_of": as_of}).encode(),
        )  # fmt: skip
        number = sum(patient.encode()) % 20
        return DecisionRow(1, replace(decision, outcome="cards", user_id=f"user-{number}" if user is None else user))

    def show(self, patients: int, client: str = "ehr", indicator: str = "info", user: str | None = None) -> None:
        """Shows each of the patients a card, a third of them on each of three days."""
        for part in range(3):
            self.now += DAY
            rows = [self.row(f"p{number}", client, indicator, user) for number in range(part, patients, 3)]
            self.take(Batch(decisions=rows))

    def answer(
        self,
        patient: str = "p0",
        *,
        is_accepted: bool = False,
        client: str = "ehr",
        reason: str | None = None,
        system: str | None = None,
    ) -> None:
        answers = [self.answered(patient, is_accepted=is_accepted, client=client, reason=reason, system=system)]
        self.take(Batch(answers=answers))

    def answered(
        self, patient: str, *, is_accepted: bool, client: str, reason: str | None, system: str | None = None
    ) -> AnswerRow:
        feedback = SimpleNamespace(
            card="c1", outcome="accepted" if is_accepted else "overridden", override_reason_code=reason,
            override_reason_display=None, override_reason_system=system, received_at=int(self.now * 1e6),
            accepted_suggestions="[]",
        )  # fmt: skip
        return AnswerRow(feedback, self.row(patient, client, "info", None))

    @property
    def low(self) -> list[LowAcceptance]:
        return self.counts.low(200, 0.05)


@pytest.mark.parametrize(("cards", "accepted", "is_low"), [(199, 0, False), (200, 9, True), (200, 10, False)])
def test_two_hundred_cards_and_five_in_a_hundred_are_the_limits(
    tmp_path: Path, cards: int, accepted: int, *, is_low: bool
) -> None:
    site = _Counts(tmp_path)
    site.show(cards)
    site.answer("nobody-accepted")
    for number in range(accepted):
        site.answer(f"p{number}", is_accepted=True)
    answered = 1 + accepted
    assert site.low == ([LowAcceptance(KEY, "ehr", "info", cards, accepted, answered)] if is_low else [])


def test_each_client_counts_for_itself_and_warnings_apart_from_information(tmp_path: Path) -> None:
    site = _Counts(tmp_path)
    site.show(200, client="ehr")
    site.show(100, client="other")
    site.show(200, client="ehr", indicator="warning")
    site.answer()
    site.answer(client="other")
    assert [(low.client, low.indicator) for low in site.low] == [("ehr", "info"), ("ehr", "warning")]


def test_a_pause_says_which_ground_it_has() -> None:
    pause = Pause("rule", RULE, "2026-11-21T10:00:00+00:00", 120, 70, 0.05, 110, 40)
    assert pause.words == (
        "paused since 2026-11-21: 40 of 110 answers said that it does not fit the patient, over 30 in 100"
    )
    assert "3 of 210 cards were accepted, under 5 in 100" in PAUSE.words
    answers = [LowAcceptance(KEY, "ehr", "info", 1, 0, *counts) for counts in ((100, 31), (100, 30), (99, 99))]
    assert [low.does_not_fit for low in answers] == [True, False, False]


def test_critical_cards_and_clients_that_report_nothing_do_not_count(tmp_path: Path) -> None:
    site = _Counts(tmp_path)
    site.show(300, indicator="critical")
    site.show(300, client="silent")
    site.answer()
    assert site.low == []
    # What a person says on the page of the decision is no report of the client.
    site.answer(client="silent", system=f"https://cds-hooks-onnx.org/override-reasons{ANSWERED_ON_PAGE}")
    assert site.low == []
    site.answer(client="silent")
    assert [(low.client, low.cards) for low in site.low] == [("silent", 300)]


def test_a_day_counts_until_it_is_over_and_not_once_it_was_taken_out(tmp_path: Path) -> None:
    site = _Counts(tmp_path)
    site.show(3)
    last = int(site.now // DAY)
    for now, taken_out, days in (
        (site.now, last - 2, [last - 2, last - 1, last]),
        (site.now, last - 1, [last - 1, last]),
        (site.now + (auto_pause.WINDOW_DAYS - 1) * DAY, 0, [last]),
        (site.now + auto_pause.WINDOW_DAYS * DAY, 0, []),
    ):
        with site.views.open() as connection:
            Acceptance(lambda now=now: now).forget(connection, int(taken_out * DAY * 1e6))  # type: ignore[misc]
        assert [day for (day,) in site.views.read("SELECT DISTINCT day FROM acceptance ORDER BY day")] == days


@pytest.mark.parametrize(("days", "is_counted"), [(-1, True), (0, False), (1, False)])
def test_what_is_older_than_the_window_is_not_counted(tmp_path: Path, days: int, *, is_counted: bool) -> None:
    site = _Counts(tmp_path)
    shown, silent = (site.row(patient, "ehr", "info", None) for patient in ("p0", "p1"))
    silent = replace(silent, decision=replace(silent.decision, response=b"", outcome="silent"))
    answer = site.answered("p2", is_accepted=True, client="ehr", reason=None)
    site.now += (auto_pause.WINDOW_DAYS + days) * DAY
    site.take(Batch(decisions=[shown, silent], answers=[answer]))
    counted = [(1, 0), (0, 1)] if is_counted else []
    assert sorted(site.views.read("SELECT cards, accepted FROM acceptance"), reverse=True) == counted


# The acts


def test_of_several_processes_one_writes_the_pause(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert record_pause(url, PAUSE, 0)
    assert not record_pause(url, PAUSE, 0)
    assert record_pause(url, Pause("service", RULE, PAUSE.at, 200, 0, 0.05), 0)
    put_command(url, "on", "rule", RULE)
    found = Releases(None)
    found.read(url)
    assert list(found.current.paused) == [("service", RULE, "")]
    assert record_pause(url, PAUSE, found.read_to)


def test_a_pause_is_reported_and_only_what_is_paused_can_be_switched_on(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert _program(tmp_path, "release", "set", "on", "rule", RULE, "--why", "x").returncode == 1
    assert record_pause(url, PAUSE, 0)
    told = _program(tmp_path, "monitor")
    assert f"Paused, rule {RULE}: paused for ehr since 2026-11-21: 3 of 210 cards were accepted" in told.stdout
    as_json = json.loads(_program(tmp_path, "monitor", "--json").stdout)
    assert as_json["paused"][0].startswith(f"rule {RULE}: paused for ehr since")
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
            return [LowAcceptance(KEY, "ehr", "info", 210, 3)]

    views = _Counts(tmp_path).views
    with views.open() as connection:
        connection.execute("INSERT INTO whole VALUES (1.0)")
    looking = auto_pause.Pausing(Settings(database_url=url), Counts(views), found)
    assert looking.look() == []
    assert ("rule", RULE, "ehr") in found.current.paused
    assert looking.look() == []


def test_without_a_share_nobody_looks(tmp_path: Path) -> None:
    configured = Settings(database_url=record_in(tmp_path), pause_share=0)
    pausing = auto_pause.Pausing(configured, _Counts(tmp_path).counts, Releases(None))
    asyncio.run(asyncio.wait_for(pausing.keep_looking(), 10))
