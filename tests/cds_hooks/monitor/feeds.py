"""Invented feeds: decisions and answers of one client, as they stand in a record, with a planted fault or none."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import exp
from random import Random
from typing import Any

from cds_hooks.monitor.book import CallOrder, count_decision, count_feedback, seconds_under_way
from cds_hooks.storage import Decision
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.judging import Compared

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
    return Call(number, at, kept, ages, gone, dict.fromkeys(("patient", "labs", "conditions"), "given"), None, given)


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
        "timings": {"decode": 0.2, "decide": 0.4},
        "scores": {"id": "model", "version": "1", "probability": _score(call)},
    }  # fmt: skip
    return Decision(
        id=f"{call.number}", decided_at=int(call.at.timestamp() * 1e6), hook="patient-view", service=SERVICE,
        hook_instance=f"call-{call.number}", client=client, patient=f"patient-{call.number % 997}",
        outcome="cards" if _score(call) > 0.5 else "silent", input_digest="ab" * 32, models=b"[]",
        response=b'{"cards":[]}', basis=json.dumps(basis).encode(),
    )  # fmt: skip


def day_of_calls(day: date, random: Random, client: str, fault: Fault = healthy, share: float = 1.0) -> DayCounts:
    """One day: 250 calls, 60 on a day of the weekend; every sixth call is answered."""
    counts, order = DayCounts(), CallOrder()
    many = int((60 if day.weekday() > 4 else 250 + random.randint(-25, 25)) * share)
    start = datetime(day.year, day.month, day.day, 7, tzinfo=UTC)
    for number in range(many):
        at = start + timedelta(seconds=number * 36_000 / many)
        for call in fault(_call(day.toordinal() * 1000 + number, at, random), random):
            decision = decision_of(call, client)
            count_decision(counts, decision)
            order.note(counts, decision)
            if number % 6 == 0:
                received = decision.decided_at + 90_000_000
                at_client = datetime.fromtimestamp(received / 1e6 - call.given, UTC).isoformat()
                count_feedback(counts, "accepted", None, (), seconds_under_way(at_client, received))
    return counts


def days_of_calls(
    first: date, many: int, seed: int, client: str = "north", fault: Fault = healthy
) -> dict[date, DayCounts]:
    """Several days in a row."""
    random = Random(seed)
    return {
        day: day_of_calls(day, random, client, fault)
        for day in (first + timedelta(days=place) for place in range(many))
    }


def compared(window: dict[date, DayCounts], reference: dict[date, DayCounts], client: str = "north") -> Compared:
    """A window with its reference."""
    return Compared(client, SERVICE, window, reference)


def changed(call: Call, **values: float) -> Call:
    """The call with other inputs."""
    return replace(
        call, inputs={**call.inputs, **{name: value for name, value in values.items() if name in call.inputs}}
    )
