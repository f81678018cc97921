"""How fast decisions are found in a large record: `python -m benchmarks.million FOLDER` makes one and measures.

The record holds invented decisions of invented patients, written by the log that the server writes with. It is made
once; a second run in the same folder measures only. PostgreSQL is measured where a second argument is its URL: an
empty database.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from time import perf_counter
from uuid import UUID

import uvloop

from cds_hooks.storage import Decision, FeedbackItem, card_uuid, new_decision_id, open_decision_log

DECISIONS = 1_000_000
_PATIENTS = 50_000
_DAYS = 60
_AT_ONCE = 2_000
_SERVICES = (
    ("planning-conversation", "patient-view"), ("order-safety", "order-select"), ("order-safety-sign", "order-sign"),
    ("statin-discussion", "patient-view"), ("kidney-failure-risk", "patient-view"), ("vaccines-due", "patient-view"),
)  # fmt: skip
_RULES = tuple(f"renal-invented-{number}" for number in range(40))
_REASONS = ("below-threshold", "no-rule", "said-once", "input-missing", "outside-population")
_CLIENTS = ("north", "east", "river")
RARE = "rule-that-spoke-once"


def invent(count: int, end: int) -> Iterator[Decision]:
    """So many decisions up to `end` (microseconds since 1970), the oldest first; each run the same ones but for ids."""
    random = Random(16)
    step = _DAYS * 86_400_000_000 // count
    for number in range(count):
        service, hook = _SERVICES[number % len(_SERVICES)]
        outcome = "error" if number % 1009 == 0 else "cards" if random.random() < 0.2 else "silent"
        rules = [RARE] if number == count // 3 else random.sample(_RULES, 2)
        at = end - (count - number) * step
        yield Decision(
            id=new_decision_id(),
            decided_at=at,
            hook=hook,
            service=service,
            hook_instance=str(UUID(int=random.getrandbits(128))),
            client=_CLIENTS[number % 17 % 3],
            patient=f"invented-{random.randrange(_PATIENTS)}",
            outcome=outcome,  # type: ignore[arg-type] # one of the three
            input_digest="ab" * 32,
            models=b"[]",
            response=_response(rules[0], outcome),
            basis=_basis(random, rules, outcome),
            user_id="",
        )


def _response(rule: str, outcome: str) -> bytes:
    if outcome != "cards":
        return b'{"cards":[]}'
    extension = {
        "org.cds-hooks-onnx": {
            "findings": [{"rule": rule, "band": "low", "indicator": "warning"}],
            "facts": [{"name": "egfr", "value": 28.0, "unit": "mL/min", "effective": "2026-10-01", "source": None}],
        }
    }
    card = {
        "uuid": "0", "summary": f"An invented finding of {rule}", "indicator": "warning",
        "source": {"label": "invented"}, "detail": "Invented. " * 40, "extension": extension,
    }  # fmt: skip
    return json.dumps({"cards": [card]}).encode()


def _basis(random: Random, rules: list[str], outcome: str) -> bytes:
    features = {
        "age_years": [round(random.gauss(66, 12)), "2026-10-01", "Patient/invented"],
        "creatinine_mg_dl": [round(random.lognormvariate(0, 0.3), 2), "2026-10-01", "Observation/invented"],
    }
    silence = [[rule, random.choice(_REASONS), "An invented reason."] for rule in rules[1:]]
    if outcome == "error":
        silence = [["prefetch.patient", "required-data-missing", "An invented refusal."]]
    stages = ("decode", "facts", "decide", "encode")
    timings = {name: round(random.lognormvariate(-1, 0.5), 3) for name in stages}
    prefetch = {"patient": "given", "labs": random.choice(("given", "given", "given", "fetched", "null"))}
    basis = {
        "as_of": "2026-11-20T09:00:00+00:00", "features": features, "missing": {"rdw_pct": "absent"},
        "timings": timings, "prefetch": prefetch, "silence": silence,
    }  # fmt: skip
    return json.dumps(basis).encode()


async def write(url: str, count: int, end: int) -> None:
    """Writes the decisions, and an answer to every twentieth."""
    log = open_decision_log(url)
    source, done = invent(count, end), 0
    while batch := list(islice(source, _AT_ONCE)):
        await asyncio.gather(*(log.append(each) for each in batch))
        await log.append_feedback([_feedback(each) for each in batch if each.outcome == "cards"][::4])
        done += len(batch)
        print(f"\r{done:,} decisions", end="", flush=True)
    print()
    await log.close()


def _feedback(decision: Decision) -> FeedbackItem:
    accepted = decision.decided_at % 3 == 0
    return FeedbackItem(
        card=card_uuid(decision.id, 1),
        service=decision.service,
        client=decision.client,
        outcome="accepted" if accepted else "overridden",
        outcome_timestamp="2026-11-20T09:00:00Z",
        received_at=decision.decided_at + 60_000_000,
        override_reason_code=None if accepted else "patient-declined",
    )


def main() -> None:
    """Exit code 1 where a bound is passed."""
    from benchmarks.finding import measure

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "decisions.sqlite3"
    url = sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{file.absolute()}"
    made = folder / ("made-postgresql" if len(sys.argv) > 2 else "made-sqlite")
    if not made.exists():
        started = perf_counter()
        uvloop.run(write(url, DECISIONS, 1_795_165_200_000_000))
        print(f"written in {perf_counter() - started:,.0f} s")
        made.touch()
    sys.exit(0 if measure(url, folder) else 1)


if __name__ == "__main__":
    main()
