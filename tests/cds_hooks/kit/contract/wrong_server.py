"""A server in this process that answers every later call in one wrong way, and what a check sends it and finds.

The first calls of a service, from which a check makes its own, are answered with cards; what comes after them is
answered as planned. Nothing is sent over a network: httpx hands each request to a function.
"""

import base64
import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from jwt.algorithms import get_default_algorithms

from cds_hooks.kit.contract.charts import DraftOrder, PatientChart
from cds_hooks.kit.contract.connection import Connection
from cds_hooks.kit.contract.document import Fault, NotTested
from cds_hooks.kit.contract.registry import Check, Scope
from cds_hooks.kit.contract.requests import DIALECTS
from cds_hooks.kit.contract.target import Service, Target
from cds_hooks.kit.simulator.signing import Signer

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
BASE = "http://127.0.0.1:9"
"""A machine of its own where nobody listens (port 9, discard): only what is sent past httpx would notice."""

NOTE = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
CRD_TOPICS = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
PATIENT: Json = {"resourceType": "Patient", "id": "pat-1", "name": [{"family": "Lee", "text": "Ann Lee"}]}
DRAFT: Json = {
    "resourceType": "ServiceRequest", "id": "draft-1", "status": "draft", "intent": "order",
    "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "72148"}]},
    "subject": {"reference": "Patient/pat-1"}, "category": [{"text": "imaging"}],
}  # fmt: skip
TABLET: Json = {
    "resourceType": "MedicationRequest", "id": "draft-2", "status": "draft", "intent": "order",
    "medicationCodeableConcept": {"text": "Tablet"}, "subject": {"reference": "Patient/pat-1"},
    "dosageInstruction": [{"text": "one a day"}],
}  # fmt: skip


def _of_patient(kind: str, identifier: str, **members: Any) -> Json:
    return {"resourceType": kind, "id": identifier, "subject": {"reference": "Patient/pat-1"}, **members}


COVERAGE: Json = {"resourceType": "Coverage", "id": "cov-1", "beneficiary": {"reference": "Patient/pat-1"}}
CHART = PatientChart(
    "first",
    PATIENT,
    (
        PATIENT,
        COVERAGE,
        _of_patient("Condition", "con-1", code={"text": "Gout"}),
        _of_patient("Condition", "con-2", code={"text": "Cough"}, category=[{"text": "problem-list-item"}]),
        _of_patient("ServiceRequest", "order-1", status="active", intent="order", code={"text": "Therapy"}),
        _of_patient("Encounter", "enc-1", status="in-progress", period={"start": "2026-11-20T08:00:00Z"}),
    ),
    (DraftOrder("tablet", TABLET), DraftOrder("scan", DRAFT)),
)
OTHER_PATIENT: Json = {"resourceType": "Patient", "id": "pat-2", "name": [{"family": "Ray"}]}
OTHER_ORDER: Json = {"resourceType": "ServiceRequest", "id": "order-2", "subject": {"reference": "Patient/pat-2"}}
SMALL_CHART = PatientChart("second", OTHER_PATIENT, (OTHER_PATIENT, OTHER_ORDER), (DraftOrder("scan", DRAFT),))


def option(code: str) -> Json:
    """One option of a payer's configuration."""
    return {"code": code, "type": "boolean", "name": f"name of {code}", "description": f"on {code}", "default": True}


PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "conditions": "Condition?patient={{context.patientId}}",
    "coverage": "Coverage?patient={{context.patientId}}",
}
OPTIONS = {"davinci-crd.configuration-options": [option("coverage-info"), option("claim")]}


def entry(hook: str, identifier: str, **members: Any) -> Json:
    """A service in discovery."""
    return {"hook": hook, "id": identifier, "description": "x", "prefetch": dict(PREFETCH), **members}


SERVICES = (entry("patient-view", "greeter"), entry("order-select", "orders"), entry("order-sign", "orders"))


def _resources(bundle: Any) -> list[Json]:
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    held = [entry.get("resource") for entry in entries or [] if isinstance(entry, dict)]
    return [resource for resource in held if isinstance(resource, dict)]


def call_of(request: httpx.Request) -> Any:
    """The body as JSON; nothing where it is none."""
    try:
        return json.loads(request.content)
    except (ValueError, RecursionError):
        return None


def answer_to(call: Any) -> Json:
    """The response to a call: a card on the patient, and changes of what was drafted."""
    context = call.get("context") if isinstance(call, dict) else None
    context = context if isinstance(context, dict) else {}
    subject = {"reference": f"Patient/{context.get('patientId')}"}
    order = {"resourceType": "Task", "id": "t1", "status": "draft", "intent": "order", "for": subject}
    actions = [{"type": "create", "description": "Order it", "resource": order}]
    bundle = context.get("draftOrders")
    urgent = ({**draft, "priority": "urgent"} for draft in _resources(bundle))
    actions += [{"type": "update", "description": "Hurry", "resource": resource} for resource in urgent]
    card = {
        "uuid": str(uuid4()),
        "summary": f"{len(actions)} to do",
        "indicator": "info",
        "source": {"label": "Wrong server", "topic": {"code": "claim", "system": CRD_TOPICS}},
        "suggestions": [
            {"label": action["description"], "uuid": str(uuid4()), "actions": [action]} for action in actions
        ],
        "selectionBehavior": "any",
    }
    return {"cards": [card]}


@dataclass
class WrongServer:
    """Its discovery, and what it answers to what comes after the first calls (`later`: the number of it counts on)."""

    later: Callable[[httpx.Request, int], httpx.Response]
    services: Sequence[Json] = SERVICES
    first: Callable[[Any], Json] = answer_to
    base: str = BASE
    token: str = ""
    signer: Signer | None = None
    dialect: str = "standard"
    charts: tuple[PatientChart, ...] = (CHART, SMALL_CHART)
    received: list[httpx.Request] = field(default_factory=list)
    number: int = -1
    uuids: set[str] = field(default_factory=set)

    def respond(self, request: httpx.Request) -> httpx.Response:
        """The answer to one request."""
        self.received.append(request)
        if self.number >= 0:
            self.number += 1
            return self.later(request, self.number)
        if request.method == "GET":
            return httpx.Response(200, json={"services": list(self.services)})
        if (self.token or self.signer) and not request.headers.get("authorization"):
            return httpx.Response(401)
        response = httpx.Response(200, json=self.first(json.loads(request.content)))
        self.uuids.update(_UUID.findall(response.text))
        return response

    def target(self) -> Target:
        """The server as the kit sees it: nothing was sent to it yet."""
        connection = Connection(self.base, token=self.token, signer=self.signer)
        headers = connection._client.headers
        connection.close()
        connection._client = httpx.Client(transport=httpx.MockTransport(self.respond), headers=headers)
        return Target(connection, self.charts, AS_OF, DIALECTS[self.dialect])

    def verdict(self, check: Check, sent: bool = False) -> list[str]:
        """What the check finds for each service, or for the server; with `sent` also what it sends, line by line."""
        target, lines = self.target(), list[str]()
        _ = target.discovery
        subjects: Iterable[Service | Target] = target.services if check.subject is Scope.SERVICE else [target]
        for subject in subjects:
            self.number = -1
            if isinstance(subject, Service):
                with suppress(NotTested):
                    _ = subject.calls
            base = _base(subject)
            self.received.clear()
            before, self.number = len(target.connection.log), 0
            found = _words(check.run(subject), check.row)
            if sent:
                log = zip(target.connection.log[before:], self.received, strict=True)
                lines += [self._line(request, base) + f": {made.title}{' (broken)' * made.broken}"
                          for made, request in log]  # fmt: skip
            lines += found
        target.connection.close()
        return list(dict.fromkeys(lines))

    def _line(self, request: httpx.Request, base: Any) -> str:
        """A request in one line: where it goes, the headers that are not the usual ones, what differs from the base."""
        headers = {name: value for name, value in request.headers.items() if name in _TOLD and _TOLD[name] != value}
        usual = ["accept"] if request.method == "GET" else ["accept", "content-type"]
        headers |= {name: "none" for name in usual if name not in request.headers}
        if "authorization" in headers and self.signer is not None:
            headers["authorization"] = _token(headers["authorization"], self.signer, f"{self.base}{request.url.path}")
        shown = "".join(f" {name}={value}" for name, value in headers.items())
        path = re.sub("^/cds-services/(greeter|orders)", "/cds-services/…", request.url.path)
        line = f"{request.method} {path}{shown}{_body(request.content, base)}"
        return _UUID.sub(lambda match: "ITS-UUID" if match[0] in self.uuids else "UUID", line)


def _base(subject: Service | Target) -> Any:
    try:
        return json.loads(json.dumps(subject.dialect.shape(subject.base.sent))) if isinstance(subject, Service) else {}
    except NotTested:
        return {}


def _words(faults: Iterator[Fault], row: str) -> list[str]:
    """The faults in words, and why it was not tested."""
    words = []
    try:
        for fault in faults:
            location = f" at {fault.location}" if fault.location else ""
            request = re.sub("^[A-Z]+ /[^:]*: ", "", fault.request)
            words.append(f"! {fault.row or row}{location}: {fault.message} [{request}]")
    except NotTested as reason:
        words.append(f"not tested: {reason}")
    return words


_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_UPPER_UUID = re.compile(r"[0-9A-F]{8}-(?:[0-9A-F]{4}-){3}[0-9A-F]{12}")
_TOLD = {"accept": "application/json", "content-type": "application/json", "authorization": "", "origin": ""} | {
    f"access-control-request-{name}": "" for name in ("method", "headers")
}


def _body(content: bytes, base: Any) -> str:
    if not content:
        return ""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return f" {content[:40]!r} of {len(content)} bytes"
    if not isinstance(document, dict) or "hook" not in base or len(document.keys() & base.keys()) < 2:
        return f" {_short(document)}"
    return "".join(f" {part}" for part in differences(base, document))


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """What is other in the second value, one by one: `-name` where it is not there, `name=value` where it is new."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{path}.{name}" if path else name
            if name not in after:
                yield f"-{inner}"
            elif name not in before:
                yield f"{inner}={_short(after[name])}"
            else:
                yield from differences(before[name], after[name], inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{number}]")
    elif _UUID.sub("", json.dumps(before)) != _UUID.sub("", json.dumps(after)):
        yield f"{path}={_short(after)}"


def _short(value: Any) -> str:
    text = _UPPER_UUID.sub("UPPER-UUID", json.dumps(value))
    return text if len(text) <= 800 else f"{text[:150]} … {text[-50:]} ({len(text)} characters)"


def _token(bearer: str, signer: Signer, url: str) -> str:
    """A bearer token as text: what differs from a good one for this address, and by whom it is signed."""
    scheme, _, token = bearer.partition(" ")
    words = token.split(".")
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(f"{word}===")) for word in words[:2])
        good = [json.loads(base64.urlsafe_b64decode(f"{word}===")) for word in signer.token(url).split(".")[:2]]
    except ValueError:
        return bearer
    claims |= {"jti": good[1]["jti"]} if "jti" in claims else {}
    drawn = {"kid": signer.stranger.jwk["kid"], "jwk": signer.stranger.public_jwk}
    shown = {name: "the stranger's" if drawn.get(name) == value else value for name, value in header.items()}
    text = " ".join([*differences(good[0], shown), *differences(good[1], claims)])
    return f"{scheme} ({text or 'good'}) {_by_whom('.'.join(words[:2]), words[-1], header, signer)}"


def _by_whom(signed: str, signature: str, header: Json, signer: Signer) -> str:
    content = base64.urlsafe_b64decode(f"{signature}===")
    algorithm = get_default_algorithms().get(header.get("alg", ""))
    for name, key in (("the tester", signer.key), ("the stranger", signer.stranger)):
        fits = header.get("alg") in signer.key.algorithms
        if algorithm and fits and algorithm.verify(signed.encode(), key.private.public_key(), content):
            return f"by {name}"
    forms = enumerate((b"", b"secret", *signer.key.public_forms()))
    macs = {hmac.new(secret, signed.encode(), "sha256").digest(): f"HMAC {number}" for number, secret in forms}
    return macs.get(content, f"by nobody ({len(content)} bytes)")
