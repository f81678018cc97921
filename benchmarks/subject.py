"""What is measured: the service of the trained model at patient-view, and a patient that it has a model card for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest
from time import perf_counter
from typing import Any

from benchmarks.bodies import build_body
from benchmarks.charts import Stay, Window, windows

CallJson = Callable[[str, str, bytes | None], Any]
"""Method, path and body to the JSON of the answer."""

EXTENSION = "org.cds-hooks-onnx"
MEASURED = "planning-conversation"
_PROBE_KB = 68
_VARIANTS = 12  # times ten minutes of seconds: more dates than a memory of parsed dates is likely to hold


class NoService(Exception):
    """Discovery does not list the service that is measured."""


@dataclass(frozen=True)
class Subject:
    """What is called with which patient; `first_answer_seconds` is what the server's very first hook call took."""

    path: str
    service: dict[str, Any]
    window: Window
    has_model_card: bool
    first_answer_seconds: float

    def bodies(self, size_kb: int) -> list[bytes]:
        """Request bodies of a size: the same chart, its last result today, a day ago, two days ago and so on."""
        moved = (replace(self.window, days=self.window.days - days) for days in range(_VARIANTS))
        return [build_body(self.service, window, size_kb * 1000) for window in moved]


def find_subject(call: CallJson, stays: list[Stay], now: datetime) -> Subject:
    """The first patient and day of the stay whose answer holds a model card, the newest days of all patients first.

    Where none has one: the first patient's whole chart, with `has_model_card` False.
    """
    service = _discover(call)
    path = f"/cds-services/{service['id']}"
    all_windows = list(_newest_windows_first(stays, now))
    first_answer_seconds = 0.0
    for window in all_windows:
        body = build_body(service, window, _PROBE_KB * 1000)
        started = perf_counter()
        answer = call("POST", path, body)
        first_answer_seconds = first_answer_seconds or perf_counter() - started
        if has_model_card(answer):
            return Subject(path, service, window, True, first_answer_seconds)
    return Subject(path, service, all_windows[0], False, first_answer_seconds)


def _newest_windows_first(stays: list[Stay], now: datetime) -> Iterator[Window]:
    for days in zip_longest(*(windows(stay, now) for stay in stays)):
        yield from (window for window in days if window is not None)


def _discover(call: CallJson) -> dict[str, Any]:
    services: list[dict[str, Any]] = call("GET", "/cds-services", None)["services"]
    for service in services:
        if service["id"] == MEASURED:
            return service
    raise NoService(f"GET /cds-services does not list {MEASURED}")


def has_model_card(answer: Any) -> bool:
    """Whether a card of the response says the contributions of a model."""
    return any(card.get("extension", {}).get(EXTENSION, {}).get("contributions") for card in answer["cards"])
