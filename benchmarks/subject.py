"""What is measured: every service that discovery lists, with a patient it has a card for and one it is silent about."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

from benchmarks.bodies import build_body
from benchmarks.charts import Patient
from cds_hooks.tools.kit.simulator.chart import ChartError

CallJson = Callable[[str, str, bytes | None], Any]
"""Method, path and body to the JSON of the answer; raises WrongAnswer when the status is not 200."""
Outcome = Literal["card", "silent"]

OUTCOMES: tuple[Outcome, ...] = ("card", "silent")
_MOST_PATIENTS = 6
_NEAR = 0.1


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
        bodies = []
        for patient in self.patients:
            for filler in patient.fillers():
                body = build_body(self.service, patient, filler, 1000 * size_kb)
                if _outcome(call("POST", self.path, body)) != self.outcome:
                    continue
                if _distance(body, size_kb) <= _NEAR:
                    return body
                bodies.append(body)
        return min(bodies, key=lambda body: _distance(body, size_kb), default=None)


def _distance(body: bytes, size_kb: int) -> float:
    return abs(len(body) / 1000 / size_kb - 1)


def discover(call: CallJson) -> list[dict[str, Any]]:
    """Return the discovery entries of all services."""
    entries: list[dict[str, Any]] = call("GET", "/cds-services", None)["services"]
    return entries


def find_subjects(service: dict[str, Any], call: CallJson, patients: Iterable[Patient]) -> list[Subject]:
    """Return the service with patients it has a card for, and with patients it is silent about.

    Among the silent ones the patients come first whose decision takes longest: an early "not for this patient" would
    flatter.
    """
    patients_by_outcome: dict[Outcome, list[tuple[float, Patient]]] = {"card": [], "silent": []}
    for patient in patients:
        outcome, seconds = _probe(service, patient, call)
        if outcome is not None:
            patients_by_outcome[outcome].append((seconds, patient))
    patients_by_outcome["silent"].sort(key=lambda pair: -pair[0])
    return [
        Subject(service, outcome, [patient for _, patient in patients_by_outcome[outcome][:_MOST_PATIENTS]])
        for outcome in OUTCOMES
        if patients_by_outcome[outcome]
    ]


def _probe(service: dict[str, Any], patient: Patient, call: CallJson) -> tuple[Outcome | None, float]:
    """Return the outcome and the seconds of the call; None if the service cannot be asked about the patient."""
    try:
        body = build_body(service, patient)
        started = perf_counter()
        return _outcome(call("POST", f"/cds-services/{service['id']}", body)), perf_counter() - started
    except (ChartError, WrongAnswer):
        return None, 0.0


def _outcome(answer: dict[str, Any]) -> Outcome:
    return "card" if answer["cards"] else "silent"
