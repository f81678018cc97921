"""What is measured: every service that discovery lists, with a patient it has a card for and one it is silent about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from benchmarks.bodies import build_body, small_body
from benchmarks.charts import Patient
from cds_hooks.kit.simulator.chart import ChartError

CallJson = Callable[[str, str, bytes | None], Any]
"""Method, path and body to the JSON of the answer; raises WrongAnswer when the status is not 200."""
Outcome = Literal["card", "silent"]

EXTENSION = "org.cds-hooks-onnx"
OUTCOMES: tuple[Outcome, ...] = ("card", "silent")
SMALL_KB = 3
"""Bodies of this size and under are made as small as the answer allows."""
_PROBE_KB = 68
_MOST_PATIENTS = 6
_NEAR = 0.1


class NoService(Exception):
    """Discovery lists no service of that name."""


class WrongAnswer(Exception):
    """A call was not answered with 200; the message holds the start of the answer."""


@dataclass(frozen=True)
class Subject:
    """A service at one hook, the outcome that its bodies have, and the patients that have it, the best first."""

    service: dict[str, Any]
    outcome: Outcome
    patients: list[Patient]

    @property
    def path(self) -> str:
        """Where it is called."""
        return f"/cds-services/{self.service['id']}"

    @property
    def name(self) -> str:
        """The service, with its hook where it answers several."""
        return f"{self.service['id']} ({self.service['hook']}), {self.outcome}"

    def body(self, call: CallJson, size_kb: int) -> bytes | None:
        """Return a body of about this size that has the outcome; the nearest in size, or None if no patient's has."""
        nearest = None
        for body in self._bodies(call, size_kb):
            if nearest is None or _distance(body, size_kb) < _distance(nearest, size_kb):
                nearest = body
            if _distance(nearest, size_kb) <= _NEAR:
                break
        return nearest

    def _bodies(self, call: CallJson, size_kb: int) -> Iterator[bytes]:
        def alike(body: bytes) -> bool:
            return _outcome(call("POST", self.path, body)) == self.outcome

        for patient in self.patients:
            if size_kb > SMALL_KB:
                for filler in patient.fillers():
                    body = build_body(self.service, patient, filler, 1000 * size_kb)
                    if alike(body):
                        yield body
            elif patient.is_sample and (small := small_body(self.service, patient, 1000 * size_kb, alike)):
                yield small


def _distance(body: bytes, size_kb: int) -> float:
    return abs(len(body) / 1000 / size_kb - 1)


def discover(call: CallJson, wanted: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the discovery entries of all services, or of those that are wanted; NoService where one is not listed."""
    entries: list[dict[str, Any]] = call("GET", "/cds-services", None)["services"]
    wanted = set(wanted)
    missing = wanted - {entry["id"] for entry in entries}
    if missing:
        raise NoService(f"GET /cds-services does not list {', '.join(sorted(missing))}")
    return [entry for entry in entries if not wanted or entry["id"] in wanted]


def find_subjects(service: dict[str, Any], call: CallJson, patients: Iterable[Patient]) -> list[Subject]:
    """Return the service with patients it has a card for, and with patients it is silent about.

    Among the silent ones the patients come first whose decision takes longest: an early "not for this patient" would
    flatter.
    """
    patients_by_outcome: dict[Outcome, list[tuple[float, Patient]]] = {"card": [], "silent": []}
    for patient in patients:
        outcome, milliseconds = _probe(service, patient, call)
        if outcome is not None:
            patients_by_outcome[outcome].append((milliseconds, patient))
    patients_by_outcome["silent"].sort(key=lambda pair: -pair[0])
    return [
        Subject(service, outcome, [patient for _, patient in patients_by_outcome[outcome][:_MOST_PATIENTS]])
        for outcome in OUTCOMES
        if patients_by_outcome[outcome]
    ]


def _probe(service: dict[str, Any], patient: Patient, call: CallJson) -> tuple[Outcome | None, float]:
    """Return the outcome and the milliseconds of deciding; None if the service cannot be asked about the patient."""
    filler, size = ((), 0) if patient.is_sample else (next(patient.fillers()), 1000 * _PROBE_KB)
    try:
        body = asking_for_timings(build_body(service, patient, filler, size))
        answer = call("POST", f"/cds-services/{service['id']}", body)
    except (ChartError, WrongAnswer):
        return None, 0.0
    timings = answer.get("extension", {}).get(EXTENSION, {}).get("timings", {})
    return _outcome(answer), sum(timings.get(stage, 0.0) for stage in ("facts", "decide"))


def asking_for_timings(body: bytes) -> bytes:
    """Return the same request, asking for what each stage took; `prefetch` stays last, as that is decoded quicker."""
    members = orjson.loads(body)
    last = {"prefetch": members.pop("prefetch")} if "prefetch" in members else {}
    return orjson.dumps({**members, "extension": {EXTENSION: {"timings": True}}, **last})


def _outcome(answer: dict[str, Any]) -> Outcome:
    return "card" if answer["cards"] else "silent"
