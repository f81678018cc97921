"""An opening of a chart has three cards, the same in whatever order services are called; a test is offered once."""

import asyncio
import copy
import json
import tracemalloc
from collections.abc import Iterable
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.hold_back.budgets import Claims, Turns
from cds_hooks.hold_back.memory import PatientMemory, Turn
from cds_hooks.hold_back.sent_cards import Caller, PatientFinding
from tests.cds_hooks.calls import ours, request_for
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW, ago, condition, without
from tests.cds_hooks.services.test_equation_services import visit
from tests.fhir.builders import observation
from tests.live import record_in

SAMPLE = "ckd-uacr"
SERVICES = ("nephrology-referral", "liver-assessment")
ASKS = PatientFinding("missing uacr", "kfre_4", asks=True)


def _request(service: str) -> dict[str, Any]:
    """A visit of somebody with kidney disease and obesity, whose urine albumin and platelets are not known."""
    request = copy.deepcopy(request_for(service, "patient-view", SAMPLE, NOW))
    visit(SAMPLE)(request)
    without("9318-7", "777-3")(request)
    bundle = request["prefetch"].setdefault("conditions", {"resourceType": "Bundle", "type": "searchset", "entry": []})
    bundle.setdefault("entry", []).append({"resource": condition(SAMPLE, "E66.9")})
    if service == "liver-assessment":
        request["prefetch"]["labs"].setdefault("entry", []).extend(
            {"resource": _enzyme(code)} for code in ("1920-8", "1742-6")
        )
    for entry in request["prefetch"]["encounters"]["entry"]:
        entry["resource"].pop("period", None)  # a visit that goes on, whenever the chart is opened
    return request


def _enzyme(code: str) -> dict[str, Any]:
    return observation(code, 90, "U/L", ago(20), patient=SAMPLE, id=f"enzyme-{code}")


async def _ask(calls: httpx.AsyncClient, service: str) -> httpx.Response:
    answered = await calls.post(f"/cds-services/{service}", json=_request(service))
    assert answered.status_code == 200, answered.text
    return answered


def _asked(answers: Iterable[httpx.Response]) -> list[int]:
    return [len(answer.json()["cards"]) for answer in answers]


async def test_each_service_offers_its_test_once_in_90_days(tmp_path: Path) -> None:
    for days, expected in ((0, [1, 1]), (0.5, [1, 1]), (2, [0, 0]), (89, [0, 0]), (91, [1, 1])):
        async with app_client(tmp_path, as_of=NOW + timedelta(days=days)) as calls:
            answers = [await _ask(calls, service) for service in SERVICES]
            assert _asked(answers) == expected, days
    async with app_client(tmp_path, as_of=NOW + timedelta(days=100)) as calls:
        kept = ours(await _ask(calls, "liver-assessment"))
        assert kept["worklist"] == [
            {"test": "Complete blood count", "code": "58410-2", "purpose": "fib4", "because": "offered-before"}
        ]
        (silence,) = kept["silence"]
        assert silence["text"].endswith(f"it was offered on {(NOW + timedelta(days=91)).date()} (once in 90 days).")


REMINDERS = ("vaccines-due", "preventive-services", "nephrology-referral")


def _visit_with_everything_due(service: str) -> dict[str, Any]:
    """A visit of somebody of 62 with kidney disease who has no vaccination, no screening and no urine albumin."""
    request = copy.deepcopy(request_for(service, "patient-view", SAMPLE, NOW))
    visit(SAMPLE)(request)
    without("9318-7", "777-3")(request)
    return request


async def _remind(calls: httpx.AsyncClient, service: str) -> httpx.Response:
    answered = await calls.post(f"/cds-services/{service}", json=_visit_with_everything_due(service))
    assert answered.status_code == 200, answered.text
    return answered


EXPECTED = {"vaccines-due": 1, "preventive-services": 0, "nephrology-referral": 1}
"""The test goes before both reminders, and beside it and the other cards only the first has room, in few words."""


@pytest.mark.parametrize("order", list(permutations(REMINDERS))[::2])
async def test_somebody_else_who_opens_the_chart_is_shown_the_same_cards(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    async with app_client(tmp_path, as_of=NOW) as calls:
        for _ in range(2):
            assert _asked([await _remind(calls, each) for each in order]) == [EXPECTED[each] for each in order]


async def test_calls_of_one_moment_show_the_same_cards_of_one_worker_and_of_two(tmp_path: Path) -> None:
    shared = {"as_of": NOW, "metrics_dir": tmp_path / "metrics"}
    (tmp_path / "metrics").mkdir()
    async with app_client(tmp_path, **shared) as one, app_client(tmp_path, **shared) as other:
        calls = [_remind(worker, each) for worker, each in zip((one, other, one), REMINDERS, strict=True)]
        assert _asked(await asyncio.gather(*calls)) == [EXPECTED[each] for each in REMINDERS]


async def test_advice_on_a_danger_is_shown_beside_a_reminder(tmp_path: Path) -> None:
    async with app_client(tmp_path, as_of=NOW) as calls:
        assert _asked([await _remind(calls, "vaccines-due")]) == [1]
        request = request_for("nephrology-referral", "patient-view", "ckd4-metformin", NOW)
        request = json.loads(json.dumps(request).replace("ckd4-metformin", SAMPLE))
        answered = await calls.post("/cds-services/nephrology-referral", json=request)
        assert _asked([answered]) == [1]


async def test_a_call_that_failed_keeps_the_turn_for_half_a_minute_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The half minute is of the machine's own clock, which nobody sets; nothing was shown, so no day is counted."""
    elapsed = [5_000.0]
    monkeypatch.setattr("cds_hooks.hold_back.budgets.monotonic", lambda: elapsed[0])
    turns = Turns(lambda: 1_800_000_000.0)
    first = Caller("ehr", "p1", "nephrology-referral", "patient-view")
    assert await turns.turn_of_another(first, PatientMemory(), ASKS) is None
    other = Caller("ehr", "p1", "statin-discussion", "patient-view")
    for elapsed[0] in (5_000.0, 5_029.9):
        assert await turns.turn_of_another(other, PatientMemory(), ASKS) == Turn(first.service, 1_800_000_000.0)
    elapsed[0] = 5_030.0
    assert await turns.turn_of_another(other, PatientMemory(), ASKS) is None
    elapsed[0] += 29.9
    assert await turns.turn_of_another(first, PatientMemory(), ASKS) == Turn(other.service, 1_800_000_000.0)
    assert await turns.turn_of_another(other, PatientMemory(), ASKS) is None


def test_turns_of_new_patients_take_five_megabytes_at_most() -> None:
    """A turn counts for half a minute; what is kept of patients who came before must not grow with their number."""

    async def kept_bytes(patients: range) -> int:
        for number in patients:
            caller = Caller("ehr", f"{number:064}", "nephrology-referral", "patient-view")
            assert await turns.turn_of_another(caller, PatientMemory(), ASKS) is None
        return tracemalloc.get_traced_memory()[0]

    turns = Turns(lambda: 1_800_000_000.0)
    tracemalloc.start()
    try:
        first = asyncio.run(kept_bytes(range(12_000)))
        assert first < 5_000_000
        assert asyncio.run(kept_bytes(range(12_000, 30_000))) < 1.2 * first
    finally:
        tracemalloc.stop()


def test_a_turn_that_a_clock_far_ahead_has_dated_is_over_once_the_clock_is_right() -> None:
    now, memory = 1_800_000_000.0, PatientMemory()
    memory.take_shown("nephrology-referral", [ASKS], now + 300 * 86_400, now, 14)
    memory.take_shown("statin-discussion", [ASKS], now, now, 14)
    assert set(memory.turns.values()) == {Turn("statin-discussion", now)}


async def test_a_name_is_claimed_once_until_two_minutes_later_by_any_worker(tmp_path: Path) -> None:
    one, other = Claims(record_in(tmp_path)), Claims(record_in(tmp_path))
    now = 1_800_000_059.0
    assert await one.is_first("a", now)
    assert not await other.is_first("a", now + 2)
    assert await other.is_first("b", now + 2)
    assert await other.is_first("a", now + 180)
    await one.aclose()
    await other.aclose()


async def test_where_nobody_can_tell_the_card_is_shown(tmp_path: Path) -> None:
    claims = Claims(f"sqlite:///{tmp_path}/a-file/decisions.sqlite3")
    (tmp_path / "a-file").write_text("no folder")
    assert await claims.is_first("a", 1_800_000_000.0)
