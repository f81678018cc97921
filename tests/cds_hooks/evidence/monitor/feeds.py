"""Invented feeds: decisions and answers of one client, as they stand in a record, with a planted fault or none."""

import asyncio
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import exp
from random import Random
from typing import Any

from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import Decision, FeedbackItem, numbered_uuid
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.queries import store_feedback

FIRST = date(2026, 8, 3)
"""A Monday."""
DAYS = 28
SERVICE = "planning-conversation"


@dataclass(frozen=True)
class Call:
    """One call before it is a decision: `ages` are the days since each input was measured."""

    number: int
    at: datetime
    inputs: dict[str, float]
    ages: dict[str, float]
    missing: dict[str, str]
    keys: dict[str, str]
    score: float | None = None
    unit: str = ""
    given: float = 40.0
    """Seconds before its arrival at which the answer was given, by the client's clock."""


Fault = Callable[[Call, Random], Sequence[Call]]


def healthy(call: Call, _random: Random) -> Sequence[Call]:
    """A call as it is."""
    return [call]


def _call(number: int, at: datetime, random: Random) -> Call:
    inputs = {
        "age_years": float(min(100, max(18, round(random.gauss(66, 13))))),
        "sex_male": float(random.random() < 0.48),
        "creatinine_mg_dl": round(random.lognormvariate(0.05, 0.35), 2),
        "albumin_g_dl": round(random.gauss(3.9, 0.4), 1),
    }
    if inputs["sex_male"]:
        inputs["creatinine_mg_dl"] = round(1.15 * inputs["creatinine_mg_dl"], 2)  # men have more
    ages = {name: random.expovariate(1 / 20) for name in ("creatinine_mg_dl", "albumin_g_dl")}
    gone = {name: "absent" for name in ages if random.random() < 0.08}
    kept = {name: value for name, value in inputs.items() if name not in gone}
    given = random.gammavariate(2, 30)
    return Call(
        number, at, kept, ages, gone, dict.fromkeys(("patient", "labs", "conditions"), "given"), None, given=given
    )


def _score(call: Call) -> float:
    if call.score is not None:
        return call.score
    creatinine = call.inputs.get("creatinine_mg_dl", 1.05)
    return 1 / (1 + exp(5.5 - call.inputs.get("age_years", 66) / 20 - min(creatinine, 500)))


def decision_of(call: Call, client: str) -> Decision:
    """The decision as it is recorded."""
    evidence = {
        name: [value, (call.at - timedelta(days=call.ages.get(name, 0))).isoformat(), "Observation/1"]
        for name, value in call.inputs.items()
    }
    basis: dict[str, Any] = {
        "as_of": call.at.isoformat(), "features": evidence, "missing": call.missing, "prefetch": call.keys,
        "timings": {"decode": 0.2, "decide": 0.4}, "units": [call.unit] if call.unit else [],
        "scores": {"id": "model", "version": "1", "probability": _score(call)},
    }  # fmt: skip
    return Decision(
        id=f"{call.number:08x}-0000-7000-8000-{zlib.crc32(client.encode()):08x}0000",
        decided_at=int(call.at.timestamp() * 1e6), hook="patient-view", service=SERVICE,
        hook_instance=f"call-{call.number}", client=client, patient=f"patient-{call.number % 997}",
        outcome="cards" if _score(call) > 0.5 else "silent", input_digest="ab" * 32, models=b"[]",
        response=b'{"cards":[]}', basis=json.dumps(basis).encode(),
    )  # fmt: skip


def calls_of(day: date, random: Random, fault: Fault = healthy, share: float = 1.0, weekday: int = 250) -> list[Call]:
    """One day: 250 calls, a quarter of them on a day of the weekend."""
    many = int((weekday // 4 if day.weekday() > 4 else weekday + random.randint(-weekday // 10, weekday // 10)) * share)
    start = datetime(day.year, day.month, day.day, 7, tzinfo=UTC)
    calls = (
        _call(day.toordinal() * 1000 + number, start + timedelta(seconds=number * 36_000 / many), random)
        for number in range(many)
    )
    return [after for call in calls for after in fault(call, random)]


def days_of_calls(first: date, many: int, seed: int, fault: Fault = healthy, weekday: int = 250) -> list[Call]:
    """Several days in a row."""
    random = Random(seed)
    days = (first + timedelta(days=place) for place in range(many))
    return [call for day in days for call in calls_of(day, random, fault, weekday=weekday)]


async def write(url: str, calls: Sequence[Call], client: str = "north") -> None:
    """Write the decisions into a record, and the answer to every sixth."""
    log = open_decision_log(url)
    for start in range(0, len(calls), 1000):
        await asyncio.gather(*(log.append(decision_of(call, client)) for call in calls[start : start + 1000]))
    answers = []
    for call in (call for call in calls if call.number % 6 == 0):
        received = int(call.at.timestamp() * 1e6) + 90_000_000
        at_client = datetime.fromtimestamp(received / 1e6 - call.given, UTC).isoformat()
        card = numbered_uuid(decision_of(call, client).id, 1)
        answers.append(FeedbackItem(card, SERVICE, client, "accepted", at_client, received))
    for start in range(0, len(answers), 500):
        store_feedback(parse_url(url), answers[start : start + 500])
    await log.close()


def changed(call: Call, **values: float) -> Call:
    """The call with other inputs."""
    return replace(
        call, inputs={**call.inputs, **{name: value for name, value in values.items() if name in call.inputs}}
    )
