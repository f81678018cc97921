"""What is measured: the patient-view service, found through discovery, and a patient that it has a model card for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from time import perf_counter
from typing import Any

from benchmarks.bodies import Window, build_body, windows
from benchmarks.charts import Chart
from benchmarks.templates import Template, read_template

CallJson = Callable[[str, str, bytes | None], Any]
"""Method, path and body to the JSON of the answer."""

EXTENSION = "org.cds-hooks-onnx"
_PROBE_KB = 68


class NoService(Exception):
    """Discovery lists no service for patient-view."""


@dataclass(frozen=True)
class Subject:
    """What is called with which patient; `first_answer_seconds` is what the server's very first hook call took."""

    path: str
    templates: list[Template]
    window: Window
    has_model_card: bool
    first_answer_seconds: float

    def bodies(self, sizes_kb: list[int]) -> dict[int, bytes]:
        """A request body for each size."""
        return {size: build_body(self.window, self.templates, size * 1000) for size in sizes_kb}


def find_subject(call: CallJson, charts: list[Chart], now: datetime) -> Subject:
    """The first patient and day of the stay whose answer holds a model card, the newest days of all patients first.

    Where none has one: the first patient's whole chart, with `has_model_card` False.
    """
    path, templates = _discover(call)
    all_windows = list(_newest_windows_first(charts, now))
    first_answer_seconds = 0.0
    for window in all_windows:
        body = build_body(window, templates, _PROBE_KB * 1000)
        started = perf_counter()
        answer = call("POST", path, body)
        first_answer_seconds = first_answer_seconds or perf_counter() - started
        if has_model_card(answer):
            return Subject(path, templates, window, True, first_answer_seconds)
    return Subject(path, templates, all_windows[0], False, first_answer_seconds)


def _newest_windows_first(charts: list[Chart], now: datetime) -> Iterator[Window]:
    for days in zip_longest(*(windows(chart, now) for chart in charts)):
        yield from (window for window in days if window is not None)


def _discover(call: CallJson) -> tuple[str, list[Template]]:
    for service in call("GET", "/cds-services", None)["services"]:
        if service["hook"] == "patient-view":
            templates = [read_template(key, text) for key, text in service.get("prefetch", {}).items()]
            return f"/cds-services/{service['id']}", templates
    raise NoService("GET /cds-services lists no service for patient-view")


def has_model_card(answer: Any) -> bool:
    """Whether a card of the response says the contributions of a model."""
    return any(card.get("extension", {}).get(EXTENSION, {}).get("contributions") for card in answer["cards"])
