"""What a call costs by resource and by question: by result, problem, order, draft, rule, sentence, silence and card.

A profile by function shows no dear resource: a blood pressure that goes the way of a gene's result is spread over forty
functions. Here each call of a function of ours counts for the resource or question that it was handed, and so does
everything that it calls, each resource once for each outermost call. Counted are calls of functions: on a machine that
others use, they are the same in each run, and times are not.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from statistics import median
from types import FrameType
from typing import Any, NamedTuple

import orjson
from rich.table import Table

from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import discover, find_subjects
from cards.card import Card
from cards.rules.engine.finding import Match, NoMatch
from cards.rules.engine.rule_book import ActivatedRule
from cards.rules.patient.orders import DraftMedication
from cds_hooks.storage.decision import Decision
from fhir.record.resources import (
    AllergyIntolerance,
    Condition,
    Encounter,
    Immunization,
    MedicationRequest,
    Observation,
    Procedure,
)

SIZES_KB = (0, 3, 68, 683)
DEAR = 5.0
"""A resource or question is dear with more than so many times the median of its kind."""
_LEAST_CALLS = 60
_Name = Callable[[Any], str]


def _code(resource: Any) -> str:
    code = getattr(resource, "code", None) or getattr(resource, "medicationCodeableConcept", None)
    codings = getattr(code, "coding", ())
    return str(getattr(code, "text", None) or (codings and (codings[0].display or codings[0].code)) or "")


_KINDS: dict[type[Any], tuple[str, _Name]] = {
    Observation: ("Observation", _code),
    Condition: ("Condition", _code),
    MedicationRequest: ("MedicationRequest", _code),
    AllergyIntolerance: ("AllergyIntolerance", _code),
    Procedure: ("Procedure", _code),
    Encounter: ("Encounter", lambda encounter: str(encounter.id)),
    Immunization: ("Immunization", lambda dose: str(dose.id)),
    DraftMedication: ("draft", lambda drafted: drafted.medication.plain_words),
    ActivatedRule: ("rule", lambda activated: activated.rule.id),
    Match: ("sentence", lambda match: match.rule.id),
    NoMatch: ("silence", lambda no_match: no_match.rule.id),
    Card: ("card", lambda card: card.summary[:40]),
    Decision: ("record", lambda decision: decision.outcome),
}


class Cost(NamedTuple):
    """What the items of one kind cost in one call, in calls of functions: all, the median item, the dearest."""

    kind: str
    items: int
    calls: int
    median: float
    dearest: int
    dearest_name: str

    @property
    def is_dear(self) -> bool:
        """Whether one of them costs far more than the others."""
        return self.dearest > max(_LEAST_CALLS, DEAR * self.median)


class _Open(NamedTuple):
    """An item whose function has not returned: the depth of its frame, and the calls before it."""

    kind: str
    item: int
    depth: int
    calls: int


class Profile:
    """Counts the calls of functions for what they were handed, while it is set by `sys.setprofile`."""

    def __init__(self) -> None:
        self.calls = 0
        self.by_item: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._items: dict[int, Any] = {}
        self._open: list[_Open] = []
        self._depth = 0

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Take one event of the interpreter."""
        if event == "call":
            self._depth += 1
            self.calls += 1
            self._begin(frame)
        elif event == "return":
            while self._open and self._open[-1].depth >= self._depth:
                item = self._open.pop()
                self.by_item[item.kind][item.item] += self.calls - item.calls
            self._depth -= 1
        elif event == "c_call":
            self.calls += 1

    def _begin(self, frame: FrameType) -> None:
        code = frame.f_code
        for name in code.co_varnames[: code.co_argcount]:
            value = frame.f_locals.get(name)
            handed = value[0] if type(value) is tuple and value else value
            kind = _KINDS.get(type(handed))
            if kind is not None and all(item.kind != kind[0] for item in self._open):
                self._items[id(handed)] = handed  # kept, so that no other object gets its id
                self._open.append(_Open(kind[0], id(handed), self._depth, self.calls - 1))

    def costs(self) -> list[Cost]:
        """The cost of each kind, in the order of the table."""
        names = dict(_KINDS.values())
        return [
            _cost(kind, [(calls, self._items[item]) for item, calls in self.by_item[kind].items()], names[kind])
            for kind in names
            if kind in self.by_item
        ]


def _cost(kind: str, items: list[tuple[int, Any]], name: _Name) -> Cost:
    calls = [calls for calls, _ in items]
    dearest, item = max(items, key=lambda pair: pair[0])
    return Cost(kind, len(items), sum(calls), median(calls), dearest, name(item))


def profile_call(service: InProcess, path: str, body: bytes) -> tuple[int, list[Cost]]:
    """All calls of functions of one answer, and what they were for; two like it were answered before."""
    request = ChangingRequest(body)
    for _ in range(2):
        service.call("POST", path, request.next())
    profile, sent = Profile(), request.next()
    sys.setprofile(profile)
    try:
        service.call("POST", path, sent)
    finally:
        sys.setprofile(None)
    return profile.calls, profile.costs()


def measure_resources(services: Iterable[str] = (), sizes_kb: Iterable[int] = SIZES_KB) -> list[dict[str, Any]]:
    """One row for each service, size and kind: items and calls of functions, and the dearest where it is dear."""
    patients = list(load_patients(datetime.now(UTC)))
    rows: list[dict[str, Any]] = []
    with service_in_process() as service:
        for entry in discover(service.call_json, services):
            subject = find_subjects(entry, service.call_json, patients)[0]
            for size in sizes_kb:
                body = subject.body(service.call_json, size or 3)
                if body is not None:
                    whole, costs = profile_call(service, subject.path, body if size else without_chart(body))
                    rows += [{"service": entry["id"], "kb": size, "whole": whole, **cost._asdict()} for cost in costs]
    return rows


def without_chart(body: bytes) -> bytes:
    """The same request with empty Bundles."""
    request = orjson.loads(body)
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    request["prefetch"] = {
        key: empty if value and value["resourceType"] == "Bundle" else value
        for key, value in request["prefetch"].items()
    }
    return orjson.dumps(request)


def table(rows: list[dict[str, Any]]) -> Table:
    """Calls of functions for each service, size and kind, and the dear ones by name."""
    costs = Table(title="Calls of functions in one answer, with everything below them, by what they were handed")
    for heading in ("service", "KB", "whole call", "kind", "items", "calls", "median", "dearest", "dear"):
        costs.add_column(heading, justify="left" if heading in ("service", "kind", "dear") else "right")
    before = None
    for row in rows:
        cost = Cost(*(row[name] for name in Cost._fields))
        head = (row["service"], str(row["kb"]), f"{row['whole']:,}")
        same, before = head == before, head
        dear = cost.dearest_name if cost.is_dear else ""
        numbers = (str(cost.items), f"{cost.calls:,}", f"{cost.median:g}", f"{cost.dearest:,}")
        costs.add_row(*(("", "", "") if same else head), cost.kind, *numbers, dear)
    return costs
