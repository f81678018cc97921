"""A patient gets one reminder a day and is offered one test in 90 days; the others are kept for the worklist."""

import asyncio
import copy
import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.claims import Claims
from cds_hooks.hold_back.memory import PatientMemory, Turn
from cds_hooks.hold_back.patient_finding import Caller, PatientFinding
from cds_hooks.hold_back.turns import Turns
from tests.cds_hooks.calls import ours, request_for
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW, ago, condition, without
from tests.cds_hooks.services.test_equation_services import visit
from tests.live import record_in

SAMPLE = "ckd-uacr"
SERVICES = ("nephrology-referral", "liver-assessment")
CODES = {"nephrology-referral": "9318-7", "liver-assessment": "58410-2"}
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
    return {
        "resourceType": "Observation",
        "id": f"enzyme-{code}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{SAMPLE}"},
        "effectiveDateTime": ago(20),
        "valueQuantity": {"value": 90, "unit": "U/L", "system": "http://unitsofmeasure.org", "code": "U/L"},
    }


def _call(caller: Caller, memory: PatientMemory | None = None) -> CheckedCall:
    return CheckedCall(caller, 0.0, recalled=memory or PatientMemory())


async def _ask(calls: httpx.AsyncClient, service: str) -> httpx.Response:
    answered = await calls.post(f"/cds-services/{service}", json=_request(service))
    assert answered.status_code == 200, answered.text
    return answered


def _asked(answers: Iterable[httpx.Response]) -> list[int]:
    return [len(answer.json()["cards"]) for answer in answers]


def test_the_first_service_asks_and_the_other_one_keeps_its_test_for_the_worklist(tmp_path: Path) -> None:
    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW) as calls:
            first, second = [await _ask(calls, service) for service in SERVICES]
            assert _asked((first, second)) == [1, 0]
            (kept,) = ours(second)["worklist"]
            assert kept == {
                "test": "Complete blood count",
                "code": "58410-2",
                "purpose": "fib4",
                "because": "offered-before",
            }
            assert [each["reason"] for each in ours(second)["silence"]] == ["worklist"]
            metrics = (await calls.get("/metrics")).text
            assert 'cds_silences_total{reason="worklist",service="liver-assessment"} 1.0' in metrics
            assert _asked([await _ask(calls, SERVICES[0])]) == [1]  # somebody else opens the chart at this visit
        for days, expected in ((2, [0, 0]), (89, [0, 0]), (91, [1, 0])):
            async with app_client(tmp_path, as_of=NOW + timedelta(days=days)) as calls:
                assert _asked([await _ask(calls, service) for service in SERVICES]) == expected, days

    asyncio.run(story())


def test_services_that_are_called_at_the_same_time_ask_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW) as calls:
            assert sorted(_asked(await asyncio.gather(*(_ask(calls, each) for each in SERVICES)))) == [0, 1]

    asyncio.run(story())


def test_two_workers_that_are_called_at_the_same_time_ask_once(tmp_path: Path) -> None:
    async def story() -> None:
        shared = {"as_of": NOW, "metrics_dir": tmp_path / "metrics"}
        (tmp_path / "metrics").mkdir()
        async with app_client(tmp_path, **shared) as one, app_client(tmp_path, **shared) as other:
            calls = [_ask(worker, service) for worker, service in zip((one, other), SERVICES, strict=True)]
            assert sorted(_asked(await asyncio.gather(*calls))) == [0, 1]

    asyncio.run(story())


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


def test_what_is_due_is_not_held_back_by_a_test_for_an_estimate(tmp_path: Path) -> None:
    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW) as calls:
            assert _asked([await _remind(calls, each) for each in reversed(REMINDERS)]) == [1, 1, 0]

    asyncio.run(story())


@pytest.mark.parametrize("first", REMINDERS[:2])
def test_one_service_reminds_in_a_visit_and_nothing_of_the_others_is_lost(tmp_path: Path, first: str) -> None:
    others = [each for each in REMINDERS if each != first]

    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW) as calls:
            assert _asked([await _remind(calls, first)]) == [1]
            later = [await _remind(calls, each) for each in others]
            assert _asked(later) == [0, 0]
            for service, answered in zip(others, later, strict=True):
                assert "offered-before" in [one["because"] for one in ours(answered)["worklist"]]
                said = [each["text"] for each in ours(answered)["silence"] if each["reason"] == "worklist"]
                assert f"had a reminder by {first} on {NOW.date()}" in " ".join(said), service
            assert _asked([await _remind(calls, first)]) == [1]  # somebody else opens the chart at this visit

    asyncio.run(story())


def test_at_the_next_visit_the_reminder_that_waited_is_shown(tmp_path: Path) -> None:
    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW) as calls:
            assert _asked([await _remind(calls, each) for each in REMINDERS]) == [1, 0, 0]
        async with app_client(tmp_path, as_of=NOW + timedelta(days=3)) as calls:
            assert _asked([await _remind(calls, each) for each in REMINDERS]) == [0, 1, 0]
        async with app_client(tmp_path, as_of=NOW + timedelta(days=6)) as calls:
            assert _asked([await _remind(calls, each) for each in REMINDERS]) == [0, 0, 1]

    asyncio.run(story())


def test_workers_that_are_called_at_the_same_time_remind_once(tmp_path: Path) -> None:
    async def story() -> None:
        shared = {"as_of": NOW, "metrics_dir": tmp_path / "metrics"}
        (tmp_path / "metrics").mkdir()
        async with app_client(tmp_path, **shared) as one, app_client(tmp_path, **shared) as other:
            calls = [_remind(worker, each) for worker, each in zip((one, other, one), REMINDERS, strict=True)]
            assert sum(_asked(await asyncio.gather(*calls))) == 1

    asyncio.run(story())


def test_advice_on_a_danger_is_shown_beside_a_reminder(tmp_path: Path) -> None:
    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW) as calls:
            assert _asked([await _remind(calls, "vaccines-due")]) == [1]
            request = request_for("nephrology-referral", "patient-view", "ckd4-metformin", NOW)
            request = json.loads(json.dumps(request).replace("ckd4-metformin", SAMPLE))
            answered = await calls.post("/cds-services/nephrology-referral", json=request)
            assert _asked([answered]) == [1]

    asyncio.run(story())


def test_a_call_that_failed_keeps_the_turn_for_half_a_minute_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The half minute is of the machine's own clock, which nobody sets; nothing was shown, so no day is counted."""
    elapsed = [5_000.0]
    monkeypatch.setattr("cds_hooks.hold_back.turns.monotonic", lambda: elapsed[0])

    async def story() -> None:
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

    asyncio.run(story())


def test_what_is_due_takes_the_turn_of_a_test_and_a_test_waits_for_what_is_due() -> None:
    """A reservation of less does not hold back more; the day and the 90 days end with their last second."""

    async def story() -> None:
        now = [1_800_000_000.0]
        kidney, liver, vaccines, preventive = (
            Caller("ehr", "p1", service, "patient-view")
            for service in ("nephrology-referral", "liver-assessment", "vaccines-due", "preventive")
        )
        due = PatientFinding("vaccines due", "vaccines-due", reminds=True)
        turns = Turns(lambda: now[0])
        assert await turns.turn_of_another(kidney, PatientMemory(), ASKS) is None
        assert await turns.turn_of_another(vaccines, PatientMemory(), due) is None
        memory = PatientMemory()
        memory.take_shown(vaccines.service, [due], now[0], now[0], 14)
        memory.take_shown(kidney.service, [ASKS], now[0], now[0], 14)
        shown = now[0]
        for now[0], test_is_shown, reminder_is_shown in (
            (shown + 86_400, False, False),
            (shown + 86_401, False, True),
            (shown + 90 * 86_400, False, True),
            (shown + 90 * 86_400 + 1, True, True),
        ):
            fresh = Turns(lambda: now[0])  # what is reserved at one moment does not count at the next
            assert (await fresh.turn_of_another(liver, memory, ASKS) is None) is test_is_shown, now[0] - shown
            fresh = Turns(lambda: now[0])
            is_shown = await fresh.turn_of_another(preventive, memory, due) is None
            assert is_shown is reminder_is_shown, now[0] - shown

    asyncio.run(story())


def test_a_turn_that_a_clock_far_ahead_has_dated_is_over_once_the_clock_is_right() -> None:
    now, memory = 1_800_000_000.0, PatientMemory()
    memory.take_shown("nephrology-referral", [ASKS], now + 300 * 86_400, now, 14)
    memory.take_shown("statin-discussion", [ASKS], now, now, 14)
    assert set(memory.turns.values()) == {Turn("statin-discussion", now)}


def test_a_name_is_claimed_once_until_two_minutes_later_by_any_worker(tmp_path: Path) -> None:
    async def story() -> None:
        one, other = Claims(record_in(tmp_path)), Claims(record_in(tmp_path))
        now = 1_800_000_059.0
        assert await one.is_first("a", now)
        assert not await other.is_first("a", now + 2)
        assert await other.is_first("b", now + 2)
        assert await other.is_first("a", now + 180)
        await one.aclose()
        await other.aclose()

    asyncio.run(story())


def test_where_nobody_can_tell_the_card_is_shown(tmp_path: Path) -> None:
    async def story() -> None:
        claims = Claims(f"sqlite:///{tmp_path}/a-file/decisions.sqlite3")
        (tmp_path / "a-file").write_text("no folder")
        assert await claims.is_first("a", 1_800_000_000.0)

    asyncio.run(story())
