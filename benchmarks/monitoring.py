"""How fast a monitor report is on a large record: `python -m benchmarks.monitoring FOLDER [DECISIONS]`.

The first run makes the record (1,000,000 invented decisions of 120 days, every second one with an estimate, a fifth of
those with a reported outcome) and counts it, which takes some minutes; a report of later runs counts only what is new.
Every report is a process of its own, as it is for whoever asks for one. The exit code is 1 where it takes a second.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import uvloop

from cds_hooks.storage import Decision, new_decision_id, open_decision_log
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.outcomes import Outcome, store_outcomes

_LIMIT_SECONDS = 1.0
_DAYS = 120
_AT_ONCE = 2_000
_NEW = 200
_ROUNDS = 5
_CLIENTS = ("north", "east", "river")
_SERVICES = ("readmission-risk", "order-safety", "planning-conversation", "statin-discussion", "kidney-failure-risk")
_END = int(datetime(2026, 11, 20, 23, 59, tzinfo=UTC).timestamp() * 1e6)


def invent(random: Random, times: Iterator[int]) -> Iterator[Decision]:
    """One invented decision for each time (microseconds since 1970)."""
    for number, at in enumerate(times):
        estimate = random.betavariate(2, 12) if number % 2 else None
        scores = {"id": "readmission_30d", "version": "1.0.0", "probability": estimate} if estimate else {"points": 3}
        inputs = {
            "age_years": round(random.gauss(66, 12)),
            "sex_male": float(random.random() < 0.5),
            **{f"stay_input_{place}": round(random.lognormvariate(0, 0.4), 2) for place in range(10)},
        }
        basis = {
            "as_of": "2026-11-20T09:00:00+00:00",
            "features": {name: [value, "2026-10-01", "Observation/invented"] for name, value in inputs.items()},
            "scores": scores,
            "timings": {"decode": round(random.lognormvariate(-1, 0.5), 3), "decide": 0.3},
            "prefetch": {"patient": "given", "labs": random.choice(("given", "given", "given", "null"))},
        }
        yield Decision(
            id=new_decision_id(), decided_at=at, hook="patient-view", service=_SERVICES[number % len(_SERVICES)],
            hook_instance="invented", client=_CLIENTS[number % 7 % 3], patient=f"invented-{random.randrange(50_000)}",
            outcome="cards" if estimate and estimate > 0.25 else "silent", input_digest="ab" * 32, models=b"[]",
            response=b'{"cards":[]}', basis=json.dumps(basis).encode(), user_id="",
        )  # fmt: skip


async def write(url: str, decisions: Iterator[Decision], random: Random) -> None:
    """Writes the decisions, and an outcome of a fifth of those with an estimate."""
    log, done = open_decision_log(url), 0
    while batch := list(islice(decisions, _AT_ONCE)):
        await asyncio.gather(*(log.append(each) for each in batch))
        store_outcomes(parse_url(url), [_outcome(each, random) for each in batch[1::10]])
        done += len(batch)
        print(f"\r{done:,} decisions", end="", flush=True)
    print()
    await log.close()


def _outcome(decision: Decision, random: Random) -> Outcome:
    value = "yes" if random.random() < json.loads(decision.basis)["scores"]["probability"] else "no"
    return Outcome(
        decision.id, decision.service, decision.client, "event", "readmission_30d", value, None, "csv",
        decision.decided_at,
    )  # fmt: skip


def report(folder: Path, *more: str) -> float:
    """The seconds that one report takes, from the start of its process to its end."""
    command = [sys.executable, "-m", "cds_hooks", "monitor", "report", "--until", "2026-11-20"]
    url, counts = f"sqlite:///{folder.absolute()}/decisions.sqlite3", str(folder / "monitor.sqlite3")
    started = perf_counter()
    done = subprocess.run(  # our own program
        [*command, "--database", url, "--counts", counts, *more], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return perf_counter() - started


def main() -> None:
    """Exit code 1 where the median of the reports is not under a second."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    folder.mkdir(parents=True, exist_ok=True)
    url, random, made = f"sqlite:///{folder.absolute()}/decisions.sqlite3", Random(15), folder / "made"
    if not made.exists():
        step = _DAYS * 86_400_000_000 // count
        uvloop.run(write(url, invent(random, iter(range(_END - count * step, _END, step))), random))
        print(f"first report, which counts everything: {report(folder):.1f} s")
        made.touch()
    figures: dict[str, list[float]] = {"nothing new": [], f"{_NEW} new decisions": []}
    for _ in range(_ROUNDS):
        figures["nothing new"].append(report(folder))
        new = invent(random, iter(range(_END, _END + _NEW)))
        uvloop.run(write(url, new, random))
        figures[f"{_NEW} new decisions"].append(report(folder))
    slow: list[Any] = []
    for name, seconds in figures.items():
        median = sorted(seconds)[len(seconds) // 2]
        print(f"{name}: median {median:.2f} s, longest {max(seconds):.2f} s")
        slow += [name] if median >= _LIMIT_SECONDS else []
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
