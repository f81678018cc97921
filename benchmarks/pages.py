"""`python -m benchmarks.pages FOLDER`: the pages' first opening, and lists over a large record.

The record is written once into FOLDER by the log that the server writes with; a second run measures only. The decisions
and their patients are invented. What is measured is processor time of the server: its clock goes on while others work.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep, time
from typing import Annotated
from uuid import UUID

import typer

from benchmarks.servers import Server, program, running, service_command
from cds_hooks.settings import Settings
from cds_hooks.storage import Decision, FeedbackItem, card_uuid, new_decision_id, open_decision_log

FIRST_GOAL_MS, LIST_GOAL_MS = 150, 50
_FIRST = ("/rules", "/worklist", "/ops", "/decisions")
_RARE = "rule-of-one-card"
_LISTS = (
    "/ops",
    "/ops?days=7",
    "/ops?days=28",
    "/decisions",
    "/decisions?service=order-safety",
    "/decisions?outcome=error&client=north",
    "/decisions?rule=renal-invented-7",
    f"/decisions?rule={_RARE}",
    "/decisions?severity=critical",
    "/decisions?override=patient-declined",
)
_VIEWS = 15
_PATIENTS, _DAYS, _AT_ONCE = 50_000, 60, 5_000
_SERVICES = (
    ("planning-conversation", "patient-view"),
    ("order-safety", "order-select"),
    ("order-safety-sign", "order-sign"),
    ("statin-discussion", "patient-view"),
    ("vaccines-due", "patient-view"),
)
_RULES = tuple(f"renal-invented-{number}" for number in range(40))
_CLIENTS = ("north", "east", "river")


def invented_decisions(count: int, end: int) -> Iterator[Decision]:
    """Yields so many decisions of 60 days up to `end` (microseconds since 1970), the oldest first."""
    random = Random(16)
    step = _DAYS * 86_400_000_000 // count
    for number in range(count):
        service, hook = _SERVICES[number % len(_SERVICES)]
        outcome = "error" if number % 1009 == 0 else "cards" if random.random() < 0.2 else "silent"
        rules = (_RARE, _RULES[0]) if number == count // 3 else random.sample(_RULES, 2)
        yield Decision(
            id=new_decision_id(),
            decided_at=end - (count - number) * step,
            hook=hook,
            service=service,
            hook_instance=str(UUID(int=random.getrandbits(128))),
            client=_CLIENTS[number % 17 % 3],
            patient=f"invented-{random.randrange(_PATIENTS)}",
            outcome=outcome,  # type: ignore[arg-type] # one of the three
            input_digest="ab" * 32,
            models=b"[]",
            response=_response(rules[0], outcome),
            basis=_basis(random, rules[1], outcome),
            user_id="",
        )


def _response(rule: str, outcome: str) -> bytes:
    if outcome != "cards":
        return b'{"cards":[]}'
    findings = [{"rule": rule, "band": "low", "indicator": "warning"}]
    card = {
        "uuid": "0",
        "summary": f"An invented finding of {rule}",
        "indicator": "warning",
        "source": {"label": "invented"},
        "detail": "Invented. " * 40,
        "extension": {"org.cds-hooks-onnx": {"findings": findings}},
    }
    return json.dumps({"cards": [card]}).encode()


def _basis(random: Random, rule: str, outcome: str) -> bytes:
    silence = [[rule, "below-threshold", "An invented reason."]]
    if outcome == "error":
        silence = [["prefetch.patient", "required-data-missing", "An invented refusal."]]
    features = {"age_years": [round(random.gauss(66, 12)), "2026-10-01", "Patient/invented"]}
    timings = {name: round(random.lognormvariate(-1, 0.5), 3) for name in ("decode", "facts", "decide", "encode")}
    basis = {"as_of": "2026-11-20T09:00:00+00:00", "features": features, "missing": {}, "timings": timings}
    return json.dumps({**basis, "prefetch": {"patient": "given", "labs": "given"}, "silence": silence}).encode()


async def write(url: str, count: int, end: int) -> None:
    """Writes the decisions, and an answer to every twentieth."""
    log = open_decision_log(url)
    decisions, done = invented_decisions(count, end), 0
    while batch := list(islice(decisions, _AT_ONCE)):
        await asyncio.gather(*map(log.append, batch))
        await log.append_feedback([_feedback(decision) for decision in batch if decision.outcome == "cards"][::4])
        done += len(batch)
        print(f"\r{done:,} decisions", end="", flush=True)
    await log.close()


def _feedback(decision: Decision) -> FeedbackItem:
    is_accepted = decision.decided_at % 3 == 0
    return FeedbackItem(
        card=card_uuid(decision.id, 1),
        service=decision.service,
        client=decision.client,
        outcome="accepted" if is_accepted else "overridden",
        outcome_timestamp="2026-11-20T09:00:00Z",
        received_at=decision.decided_at + 60_000_000,
        override_reason_code=None if is_accepted else "patient-declined",
    )


def _milliseconds(server: Server, path: str) -> float:
    before = server.cpu_seconds()
    status, _ = server.call("GET", path)
    if status != 200:
        raise SystemExit(f"{path} was answered {status}")
    return 1000 * (server.cpu_seconds() - before)


def _wait_until_idle(server: Server) -> None:
    """Returns when the server has used no processor time for half a second."""
    used = -1.0
    while used != server.cpu_seconds():
        used = server.cpu_seconds()
        sleep(0.5)


def _first_openings() -> Iterator[tuple[str, float]]:
    """The first view of each page after a start."""
    for path in _FIRST:
        with TemporaryDirectory(prefix="cds-pages-") as name:
            folder = Path(name)
            database = f"sqlite:///{folder / 'decisions.sqlite3'}"
            with running("service", service_command(1), folder, None, CDS_DATABASE_URL=database) as server:
                _wait_until_idle(server)
                yield path, _milliseconds(server, path)


def _lists(folder: Path, url: str) -> Iterator[tuple[str, float]]:
    """Views of lists when all decisions are counted: so many views that the tick of the clock does not matter."""
    counts, started = folder.absolute() / Settings().counts_file, perf_counter()
    command = [program(), "monitor", "--database", url, "--counts", str(counts)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # exit code 1 is an incident
    print(f"counted in {perf_counter() - started:.0f} s")
    with running("service", service_command(1), folder, None, CDS_DATABASE_URL=url) as server:
        server.call("GET", "/ops")
        _wait_until_idle(server)
        for path in _LISTS:
            server.call("GET", path)
            before = server.cpu_seconds()
            times = []
            for _ in range(_VIEWS):
                begun = perf_counter()
                server.call("GET", path)
                times.append(1000 * (perf_counter() - begun))
            mean = 1000 * (server.cpu_seconds() - before) / _VIEWS
            print(f"{path:45} {mean:6.0f} ms of processor, {median(times):6.0f} by the clock")
            yield path, mean


def main(
    folder: Annotated[Path, typer.Argument(help="Where the record is, or is written.")],
    decisions: Annotated[int, typer.Option(help="How many decisions.")] = 1_000_000,
) -> None:
    """Measures; exit code 1 where a page takes longer than its goal."""
    slow = []
    for path, milliseconds in _first_openings():
        print(f"{path:45} {milliseconds:6.0f} ms of processor at its first opening")
        slow += [path] if milliseconds > FIRST_GOAL_MS else []
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / f"decisions-{decisions}.sqlite3").absolute()
    if not file.exists():
        asyncio.run(write(f"sqlite:///{file}.part", decisions, int(time() * 1_000_000)))
        Path(f"{file}.part").rename(file)
    slow += [path for path, milliseconds in _lists(folder, f"sqlite:///{file}") if milliseconds > LIST_GOAL_MS]
    raise typer.Exit(1 if slow else 0)


if __name__ == "__main__":
    typer.run(main)
