"""What a card that waits says, how long a turn is kept, and how somebody is told of a pause."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cards.card import Card, Source
from cards.extension import EXTENSION_KEY, CardExtension, WorklistEntry
from cds_hooks.hold_back import auto_pause
from cds_hooks.hold_back.acceptance import AcceptanceCounts, LowAcceptance
from cds_hooks.hold_back.auto_pause import Pausing
from cds_hooks.hold_back.checks import CheckedCall, Reason
from cds_hooks.hold_back.patient_finding import Caller, PatientFinding
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.turns import OneReminder, Turn, kinds_of
from cds_hooks.settings import Settings
from cds_hooks.storage import open_decision_log
from tests.cds_hooks.logged import capture_logs

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
DAY = 86_400.0
ASKS = PatientFinding("missing uacr", "kfre_4", asks=True)
DUE = PatientFinding("vaccines due", "vaccines-due", reminds=True)
FOLLOW_UP = PatientFinding("follow-up after discharge", "hospital")
ENTRY = WorklistEntry(test="Albumin", code="9318-7", purpose="kfre_4", because="no-visit")


def _caller(service: str, hook: str = "patient-view", patient: str = "p1") -> Caller:
    return Caller("ehr", patient, service, hook)


def _check(turns: OneReminder, caller: Caller, said: CardExtension) -> Reason | None:
    card = Card(uuid="c", summary="x", indicator="info", source=Source(label="x"), extension={EXTENSION_KEY: said})
    return asyncio.run(turns.check(card, CheckedCall(caller, NOW, reminders={"c": ENTRY})))


TEST = CardExtension(model={"id": "kfre_4"}, missing=("uacr",))


@pytest.mark.parametrize(("service", "by"), [("vaccines-due", " by vaccines-due"), ("", "")])
def test_a_test_that_waits_names_who_reminded_and_when(service: str, by: str) -> None:
    turns = OneReminder(lambda: NOW)
    turns.take(_caller(service), [DUE], NOW - DAY)
    said = _check(turns, _caller("nephrology-referral"), TEST)
    assert said is not None
    assert said.worklist == WorklistEntry(test="Albumin", code="9318-7", purpose="kfre_4", because="offered-before")
    assert (said.silence.subject, said.silence.reason) == ("kfre_4", "worklist")
    assert said.silence.text == (
        f"Albumin: kept for the worklist, because this patient had a reminder{by} on 2027-01-14 "
        "(one a day, and one test in 90 days)."
    )
    assert _check(turns, _caller("nephrology-referral", patient="p2"), TEST) is None


@pytest.mark.parametrize(("service", "who"), [("hospital-score", "hospital-score"), ("", "another service")])
def test_one_service_shows_the_card_of_a_discharge(service: str, who: str) -> None:
    turns = OneReminder(lambda: NOW)
    turns.take(_caller(service, "encounter-discharge"), [FOLLOW_UP], NOW)
    estimate = CardExtension(model={"id": "lace"}, probability=0.2)
    said = _check(turns, _caller("lace", "encounter-discharge"), estimate)
    assert said is not None
    assert said.worklist is None
    assert (said.silence.subject, said.silence.reason, said.silence.text) == (
        "lace",
        "said-once",
        f"One card for each discharge: {who} shows it.",
    )
    assert _check(turns, _caller("lace"), estimate) is None  # at another hook it is no follow-up


def test_cards_have_these_kinds_of_turns() -> None:
    assert kinds_of(ASKS) == ("a test", "a reminder")
    assert kinds_of(DUE) == ("a reminder",)
    assert kinds_of(FOLLOW_UP) == ("follow-up after discharge",)
    assert kinds_of(PatientFinding("referral", "referral")) == ()


@pytest.mark.parametrize(("length", "turns_kept"), [(200, 2), (201, 0)])
def test_no_turn_is_kept_of_a_patient_with_an_overlong_id(length: int, turns_kept: int) -> None:
    turns = OneReminder(lambda: NOW)
    turns.take(_caller("s", patient="p" * length), [ASKS], NOW)
    assert len(turns._turns) == turns_kept


def test_turns_are_forgotten_after_ninety_days_and_reservations_after_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, elapsed = NOW, 5_000.0
    monkeypatch.setattr("cds_hooks.hold_back.turns.monotonic", lambda: elapsed)
    turns = OneReminder(lambda: now)
    turns.take(_caller("a"), [DUE], NOW)
    assert asyncio.run(turns.turn_of_another(_caller("b", patient="p2"), DUE)) is None
    kept = []
    for seconds, at in ((90 * DAY, 5_030.0), (90 * DAY + 1, 5_030.1)):
        now, elapsed = NOW + seconds, at
        turns.forget()
        kept.append((len(turns._turns), len(turns._reserved)))
    assert kept == [(1, 1), (0, 0)]


class _Claims:
    """A store in which this name was claimed by another worker."""

    def __init__(self, taken: str) -> None:
        self.taken = taken
        self.asked: list[tuple[str, float]] = []

    async def is_first(self, name: str, now: float) -> bool:
        self.asked.append((name, now))
        return name != self.taken


def test_a_turn_that_another_worker_claimed_is_nobodys_that_is_known_and_reserves_nothing() -> None:
    claims: Any = _Claims("ehr\np1\na reminder\n1")
    turns = OneReminder(lambda: NOW, claims)
    assert asyncio.run(turns.turn_of_another(_caller("a"), DUE)) == Turn("", NOW)
    assert len(turns._reserved) == 0
    assert asyncio.run(turns.turn_of_another(_caller("a"), ASKS)) is None
    assert claims.asked == [
        ("ehr\np1\na reminder\n1", NOW),
        ("ehr\np1\na test\n0", NOW),
        ("ehr\np1\na reminder\n0", NOW),
    ]
    assert len(turns._reserved) == 2


# Who is told of a pause


class _Low(AcceptanceCounts):
    def __init__(self, *low: LowAcceptance) -> None:
        super().__init__()
        self._low = list(low)
        self.asked: list[tuple[int, float]] = []

    def low(self, least_cards: int, least_share: float) -> list[LowAcceptance]:
        self.asked.append((least_cards, least_share))
        return self._low


def _empty_record(folder: Path) -> str:
    url = f"sqlite:///{folder}/record.sqlite3"

    async def write() -> None:
        await open_decision_log(url).close()

    asyncio.run(write())
    return url


def test_a_pause_is_told_in_turn_and_again_until_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = _empty_record(tmp_path)
    answers = [httpx.ConnectError("no"), httpx.ConnectError("no"), 204, 503, 204]
    posted: list[tuple[str, Any, float]] = []

    def post(address: str, json: Any, timeout: float) -> httpx.Response:
        answer = answers.pop(0)
        if isinstance(answer, httpx.HTTPError):
            raise answer
        posted.append((address, json, timeout))
        assert isinstance(answer, int)
        return httpx.Response(answer, request=httpx.Request("POST", address))

    monkeypatch.setattr(httpx, "post", post)
    counts = _Low(LowAcceptance(("rule", "a"), 210, 3), LowAcceptance(("service", "b"), 10, 9, 100, 40))
    configured = Settings(database_url=url, notice_url="https://told.example/x", pause_cards=20, pause_share=0.05)
    pausing = Pausing(configured, counts, Releases(None))
    with capture_logs() as lines:
        assert [(pause.kind, pause.name) for pause in pausing.look()] == [("rule", "a"), ("service", "b")]
        for _ in range(3):
            assert pausing.look() == []
    assert counts.asked == [(20, 0.05)] * 4
    assert [(line["event"], line.get("reason"), line.get("count")) for line in lines] == [
        ("cards paused", "rule a", 210),
        ("cards paused", "service b", 10),
        ("notice of a pause was not taken", None, None),
        ("notice of a pause was not taken", None, None),
    ]
    assert [(address, body["name"], seconds) for address, body, seconds in posted] == [
        ("https://told.example/x", "a", 10.0),
        ("https://told.example/x", "b", 10.0),
        ("https://told.example/x", "b", 10.0),
    ]
    _, first, _ = posted[0]
    day = first["at"][:10]
    assert {name: value for name, value in first.items() if name not in ("at", "text")} == {
        "event": "paused", "kind": "rule", "name": "a", "cards": 210, "accepted": 3, "least_share": 0.05,
        "answered": 0, "not_applicable": 0,
    }  # fmt: skip
    assert first["text"].startswith(f"The rule a is paused since {day}: 3 of 210 cards were accepted, ")
    _, second, _ = posted[1]
    assert (second["answered"], second["not_applicable"]) == (100, 40)
    assert answers == []
    assert pausing._untold == []


def test_where_nobody_is_told_a_pause_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "post", lambda *_, **__: pytest.fail("somebody was told"))
    counts = _Low(LowAcceptance(("rule", "a"), 210, 3))
    pausing = Pausing(Settings(database_url=_empty_record(tmp_path)), counts, Releases(None))
    (pause,) = pausing.look()
    assert msgspec.structs.asdict(pause)["cards"] == 210
    assert pausing.look() == []
    assert auto_pause.LOOK_SECONDS == 2.0


def test_a_pause_is_told_as_something_that_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[Any] = []

    def post(address: str, json: Any, timeout: float) -> httpx.Response:
        posted.append((json, timeout))
        return httpx.Response(200, request=httpx.Request("POST", address))

    monkeypatch.setattr(httpx, "post", post)
    url = _empty_record(tmp_path)
    configured = Settings(database_url=url, notice_url="https://hooks.slack.com/services/x")
    (pause,) = Pausing(configured, _Low(LowAcceptance(("rule", "a"), 210, 3)), Releases(None)).look()
    assert posted == [({"text": f"The rule a is {pause.words}."}, 10.0)]
