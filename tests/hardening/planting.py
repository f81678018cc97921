"""Calls of a client with marks planted in them: beside words, instead of them, in names, headers and addresses."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeAlias

from cds_hooks.call.services import find_services
from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError, resources_of
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for
from tests.http_server import Asked, Reply, answering

Json: TypeAlias = Any

MARK = "zq9canary"
"""In lower case, of plain letters, so that no filter of odd characters hides it."""

_HEADERS = (
    "authorization", "cookie", "user-agent", "referer", "origin", "x-request-id", "traceparent", "tracestate",
    "forwarded", "x-forwarded-for", "x-forwarded-host", "accept", "accept-language", "if-none-match", "x-patient",
)  # fmt: skip
_ADDRESSES = (
    "/{}", "/cds-services/{}", "/cds-services/{}/feedback", "/explain/{}", "/models/{}", "/static/{}", "/metrics?{}",
    "/cds-services?patient={}", "/readyz/{}", "/.well-known/{}", "/%7B{}%7D",
)  # fmt: skip
# Members that say what something is or what it belongs to: with another word in them the rest would not be read.
_KEPT = frozenset(
    {
        "resourceType", "hook", "system", "code", "status", "unit", "type", "intent", "id", "reference", "userId",
        "patientId", "encounterId", "selections", "fullUrl", "gender", "token_type", "fhirServer", "periodUnit",
    }
)  # fmt: skip
_DATE = re.compile(r"\d{4}(-\d\d.*)?")


@dataclass(frozen=True)
class Shot:
    """One call."""

    kind: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Planter:
    """Makes calls, each with many marks; the same random numbers make the same calls."""

    random: Random
    fhir: str
    planted: int = 0
    _calls: list[tuple[str, Json]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._calls = list(_good_calls(datetime.now(UTC)))

    def shot(self) -> Shot:
        """The next call."""
        kinds: dict[str, Callable[[], Shot]] = {
            "beside every word": self._beside,
            "instead of words": self._instead,
            "about somebody else": self._somebody_else,
            "of another type": self._other_type,
            "in member names": self._names,
            "cut or spoiled": self._spoiled,
            "gaps to fetch": self._gaps,
            "feedback": self._feedback,
            "address": self._address,
        }
        return kinds[self.random.choice(list(kinds))]()

    def mark(self) -> str:
        """A mark that was not planted before."""
        self.planted += 1
        return f"{MARK}{self.planted:08d}"

    def _post(self, kind: str, service: str, body: Json, suffix: str = "") -> Shot:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=self.random.random() < 0.5).encode()
        return Shot(kind, "POST", f"/cds-services/{service}{suffix}?trace={self.mark()}", self._headers(), data)

    def _headers(self) -> dict[str, str]:
        chosen = self.random.sample(_HEADERS, 4)
        headers = {name: f"Bearer {self.mark()}" if name == "authorization" else self.mark() for name in chosen}
        kind = "application/json" if self.random.random() < 0.95 else f"text/{self.mark()}"
        return {"content-type": kind, **headers}

    def _good(self) -> tuple[str, Json]:
        service, call = self.random.choice(self._calls)
        call = copy.deepcopy(call)
        call["fhirServer"] = f"{self.fhir}/{self.mark()}"
        call["extension"] = {f"com.example.{self.mark()}": self.mark()}
        call["fhirAuthorization"] = {
            "access_token": self.mark(),
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": f"user/*.read {self.mark()}",
            "subject": self.mark(),
        }
        return service, call

    def _beside(self) -> Shot:
        service, call = self._good()
        call = self._walk(call, lambda name, word: word if _is_kept(name, word) else f"{word} {self.mark()}")
        text = json.dumps(call)
        return self._post(
            "beside every word", service, json.loads(text.replace(call["context"]["patientId"], self.mark()))
        )

    def _instead(self) -> Shot:
        service, call = self._good()
        share = self.random.choice((0.01, 0.05, 0.5))
        call = self._walk(call, lambda _, word: self.mark() if self.random.random() < share else word)
        return self._post("instead of words", service, call)

    def _somebody_else(self) -> Shot:
        service, call = self._good()
        call = self._walk(call, lambda name, word: f"{self.mark()}" if name in ("id", "display", "text") else word)
        call["context"]["patientId"] = self.mark()
        return self._post("about somebody else", service, call)

    def _other_type(self) -> Shot:
        service, call = self._good()
        for _ in range(self.random.choice((1, 1, 2, 5))):
            holder: Json = call
            while True:
                name = self.random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
                inner = holder[name]
                if not isinstance(inner, dict | list) or not inner or self.random.random() < 0.3:
                    break
                holder = inner
            holder[name] = self.random.choice(
                (
                    {self.mark(): self.mark()},
                    [self.mark()],
                    self.mark(),
                    7,
                    None,
                    [],
                    [[self.mark()]],
                    {"id": self.mark()},
                )
            )
        return self._post("of another type", service, call)

    def _names(self) -> Shot:
        service, call = self._good()
        call["prefetch"] = {
            self.mark(): value if self.random.random() < 0.8 else {"resourceType": "OperationOutcome", "issue": [
                {"severity": "error", "code": self.mark(), "diagnostics": self.mark()}]}
            for value in call["prefetch"].values()
        }  # fmt: skip
        call["context"][self.mark()] = self.mark()
        call[self.mark()] = {self.mark(): self.mark()}
        return self._post("in member names", service, call)

    def _spoiled(self) -> Shot:
        service, call = self._good()
        call = self._walk(call, lambda _, word: f"{word} {self.mark()}" if self.random.random() < 0.2 else word)
        body = json.dumps(call).encode()
        at = self.random.randrange(len(body))
        spoil = self.random.choice((b"", b"\xff", b"NaN", b'"', b"}", f'"{self.mark()}"'.encode(), b"\\ud800"))
        cut = body[:at] + spoil + (b"" if self.random.random() < 0.3 else body[at:])
        return self._post("cut or spoiled", service, cut)

    def _gaps(self) -> Shot:
        service, call = self._good()
        for key in self.random.sample(list(call["prefetch"]), self.random.randrange(1, len(call["prefetch"]) + 1)):
            del call["prefetch"][key]
        return self._post("gaps to fetch", service, call)

    def _feedback(self) -> Shot:
        item: dict[str, Json] = {
            "card": self.mark(),
            "outcome": self.random.choice(("accepted", "overridden", "overridden", self.mark())),
            "outcomeTimestamp": self.random.choice(("2026-11-20T09:00:00Z", self.mark())),
            "acceptedSuggestions": [{"id": self.mark()}],
            "overrideReason": {
                "reason": {"code": self.mark(), "system": self.mark(), "display": self.mark()},
                "userComment": f"{self.mark()} said no",
            },
            self.mark(): self.mark(),
        }
        for name in self.random.sample(list(item), self.random.choice((0, 0, 1, 2))):
            wrong: list[Json] = [7, None, self.mark(), [self.mark()], {self.mark(): self.mark()}]
            item[name] = self.random.choice(wrong)
        body = {"feedback": [item]} if self.random.random() < 0.8 else {self.mark(): [item]}
        return self._post("feedback", self.random.choice(self._calls)[0], body, "/feedback")

    def _address(self) -> Shot:
        method = self.random.choice(("GET", "GET", "POST", "PUT", "DELETE", "OPTIONS"))
        path = self.random.choice(_ADDRESSES).format(self.mark())
        body = json.dumps({self.mark(): self.mark()}).encode() if method in ("POST", "PUT") else b""
        return Shot("address", method, path, self._headers(), body)

    def _walk(self, value: Json, change: Callable[[str, str], str], name: str = "") -> Json:
        if isinstance(value, dict):
            return {key: self._walk(member, change, key) for key, member in value.items()}
        if isinstance(value, list):
            return [self._walk(member, change, name) for member in value]
        return change(name, value) if isinstance(value, str) else value


def _is_kept(name: str, word: str) -> bool:
    return name in _KEPT or _DATE.fullmatch(word) is not None


def _good_calls(now: datetime) -> Iterator[tuple[str, Json]]:
    """Every sample patient with every service: those with drafts of theirs also for the hooks of orders."""
    for sample in list_samples():
        chart = Chart(resources_of(load_patient(sample.id, now)))
        drafts = [drafts_for(chart, resources_of(load_draft(order.draft, now))) for order in sample.orders] or [[]]
        for service in find_services(file="separate").values():
            for entry in service.discovery():
                for draft in drafts if entry["hook"].startswith("order") else drafts[:1]:
                    with suppress(ChartError):  # a hook that this chart has nothing for
                        yield service.id, build_request(entry, chart, draft)


@contextmanager
def fhir_of_marks() -> Iterator[str]:
    """The address of a FHIR server on loopback that answers every query with marks, as a result or as a failure."""
    chance = Random(7)

    def reply(_: Asked) -> Reply:
        mark = f"{MARK}-fhir"
        outcome = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": mark, "diagnostics": mark}],
        }
        result = {"resourceType": "Observation", "id": mark, "code": {"text": mark}, "valueQuantity": {"value": mark}}
        page = f"http://127.0.0.1:9/{mark}"
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"fullUrl": mark, "resource": result}]}
        status, body = chance.choice(
            (
                (200, json.dumps(bundle)),
                (200, json.dumps(bundle | {"link": [{"relation": "next", "url": page}]})),
                (200, json.dumps(outcome)),
                (200, f"<html>{mark}"),
                (302, ""),
                (400, json.dumps(outcome)),
                (401, json.dumps(outcome)),
                (404, json.dumps(outcome)),
                (500, mark),
            )
        )
        return status, {"content-type": "application/fhir+json", "location": page, "x-mark": mark}, body.encode()

    with answering(reply) as base:
        yield base
