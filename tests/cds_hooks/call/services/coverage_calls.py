"""Calls of the service of payers: invented orders and charts, and the extensions that come back."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from fhir.resources.R4B import get_fhir_model_class

from cards.coverage.annotation import URL, values_of
from cards.coverage.policy import SYSTEMS
from cds_hooks.tools.kit.simulator.fhir_search import prefetch_from
from tests.cds_hooks.calls import client
from tests.fhir import builders

Json = dict[str, Any]
SERVICE = "coverage-requirements"
TODAY = date(2026, 11, 20)
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
PLACES = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"


_CODES: Final[Mapping[str, frozenset[str]]] = {
    "covered": frozenset({"covered", "not-covered", "conditional"}),
    "pa-needed": frozenset({"no-auth", "auth-needed", "satisfied", "performpa", "conditional"}),
    "doc-needed": frozenset({"clinical", "admin", "both", "conditional"}),
    "doc-purpose": frozenset({"withpa", "withclaim", "withorder", "retain-doc", "OTH"}),
    "info-needed": frozenset({"performer", "location", "timeframe", "contract-window", "OTH"}),
}
_ONCE: Final = ("coverage", "covered", "pa-needed", "doc-needed", "date", "coverage-assertion-id", "satisfied-pa-id")
_REQUIRED: Final = ("coverage", "covered", "date", "coverage-assertion-id")
_KNOWN: Final = frozenset(
    {*_CODES, *_ONCE, "billingCode", "reason", "detail", "dependency", "questionnaire", "response", "contact"}
)


def faults_of(extension: Json) -> list[str]:
    """Return what of CRD's profile a coverage-information extension breaks, each with the key of its constraint."""
    values = values_of(extension)
    faults = [f"{name}: required, once" for name in _REQUIRED if len(values.get(name, ())) != 1]
    faults += [f"{name}: at most once" for name in _ONCE if len(values.get(name, ())) > 1]
    faults += [f"{name}: no part of the profile" for name in values if name not in _KNOWN]
    for name, codes in _CODES.items():
        faults += [f"{name}: {code!r} is not in its value set" for code in values.get(name, ()) if code not in codes]
    first = {name: (given[0] if given else None) for name, given in values.items()}
    if ("questionnaire" in values or "response" in values) and "doc-needed" not in values:
        faults.append("crd-ci-q1: a questionnaire without doc-needed")
    if first.get("covered") == "not-covered" and "pa-needed" in values:
        faults.append("crd-ci-q2: pa-needed although not-covered")
    conditional = "conditional" in (first.get("covered"), first.get("pa-needed"), first.get("doc-needed"))
    if "info-needed" in values and not conditional:
        faults.append("crd-ci-q3: info-needed, and nothing is conditional")
    if first.get("pa-needed") == "satisfied" and "withpa" in values.get("doc-purpose", ()):
        faults.append("crd-ci-q4: doc-purpose withpa although satisfied")
    if (first.get("pa-needed") == "satisfied") != ("satisfied-pa-id" in values):
        faults.append("crd-ci-q5: satisfied-pa-id goes with satisfied only")
    return faults


def concept(system: str, code: str, text: str | None = None) -> Json:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})


def order(code: str, day: date | str = TODAY, *, place: str | None = None, **more: Any) -> Json:
    """A drafted order of a billing code: a device, or a service for CPT codes and the letters G and J."""
    is_service = code[0].isdigit() or code[0] in "GJ"
    system = SYSTEMS["CPT" if code[0].isdigit() else "HCPCS"]
    resource: Json = {
        "resourceType": "ServiceRequest" if is_service else "DeviceRequest", "id": f"order-{code.lower()}",
        "status": "draft", "intent": "order" if is_service else "original-order", "subject": {"reference": "Patient/p"},
        "code" if is_service else "codeCodeableConcept": concept(system, code), "authoredOn": "2026-11-20",
        "requester": {"reference": "Practitioner/dr1"}, "insurance": [{"reference": "Coverage/cov1"}],
    }  # fmt: skip
    if day:
        resource["occurrenceDateTime"] = str(day)
    if place:
        resource["locationCode"] = [concept(PLACES, place)]
    return resource | more


def patient(born: str = "1955-06-15", state: str = "OH", gender: str = "female") -> Json:
    """The patient of every call."""
    address = [{"state": state}] if state else []
    return {"resourceType": "Patient", "id": "p", "birthDate": born, "gender": gender, "address": address}


def coverage(
    identity: str = "cov1", payor: str = "Medicare", plan: str = "Original Medicare Part B", **more: Any
) -> Json:
    """A coverage of the patient."""
    kind = concept("http://terminology.hl7.org/CodeSystem/coverage-class", "plan")
    return {
        "resourceType": "Coverage", "id": identity, "status": "active", "beneficiary": {"reference": "Patient/p"},
        "payor": [{"display": payor}], "class": [{"type": kind, "value": plan}], "period": {"start": "2020-01-01"},
    } | more  # fmt: skip


def condition(code: str, status: str = "active", onset: str = "2020-01-01", system: str = ICD10, **more: Any) -> Json:
    """A problem of the patient."""
    state = concept("http://terminology.hl7.org/CodeSystem/condition-clinical", status)
    identity = f"c-{code}-{onset}".replace(".", "-")
    made = builders.problem(code=code, system=system, patient="p", id=identity, onsetDateTime=onset)
    return made | {"clinicalStatus": state} | more


def result(code: str | None, value: float, unit: str, day: str, *, text: str = "", **more: Any) -> Json:
    """A result of the patient."""
    identity = f"o-{code}-{day}-{value}".replace(".", "-")
    return (
        builders.observation(builders.concept(text, code, builders.LOINC), value, unit, day, patient="p", id=identity)
        | more
    )


def saturation(value: float, day: str = "2026-11-10", *, oxygen: float = 21, **more: Any) -> Json:
    """An oxygen saturation with the inspired oxygen in per cent."""
    part = {"code": concept("http://loinc.org", "3150-6"), "valueQuantity": builders.quantity(oxygen, "%")}
    return result("59408-5", value, "%", day, component=[part]) | more


def visit(day: str = "2026-10-30", kind: str = "AMB", **more: Any) -> Json:
    """A visit of the patient."""
    class_ = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": kind}
    period = {"start": day, "end": day}
    return builders.encounter(class_, "finished", patient="p", id=f"v-{day}", period=period) | more


def procedure(code: str, day: str, **more: Any) -> Json:
    """What was done."""
    system = SYSTEMS["CPT" if code[0].isdigit() else "HCPCS"]
    return builders.procedure(code=code, system=system, when=day, patient="p", id=f"p-{code}-{day}") | more


def medication(rxcui: str, text: str, status: str = "active") -> Json:
    """A prescription."""
    drug = concept(builders.RXNORM, rxcui, text)
    return builders.medication_order(drug, status=status, patient="p", id=f"m-{rxcui}", authoredOn="2026-09-20")


def authorization(code: str, start: str, end: str | None, decision: str = "A1", number: str = "N1") -> Json:
    """An answer to a request for prior authorization."""
    reason = concept("https://codesystem.x12.org/005010/306", decision)
    return {
        "resourceType": "ClaimResponse", "id": f"cr-{number}", "status": "active",
        "type": concept("http://terminology.hl7.org/CodeSystem/claim-type", "professional"), "use": "preauthorization",
        "patient": {"reference": "Patient/p"}, "created": start, "insurer": {"display": "Medicare"},
        "outcome": "complete", "preAuthRef": number, "preAuthPeriod": {"start": start} | ({"end": end} if end else {}),
        "item": [{"itemSequence": 1, "adjudication": [{"category": {"text": "review"}, "reason": reason}]}],
        "disposition": f"Decision on {code}",
    }  # fmt: skip


def bundle(resources: Iterable[Json]) -> Json:
    """A collection of these."""
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": entry} for entry in resources]}


def request_of(entry: Json, orders: Iterable[Json], chart: Iterable[Json], day: date = TODAY, **more: Any) -> Json:
    """The call at the hook of this entry of discovery, its prefetch filled as an EHR fills it."""
    context: Json = {"patientId": "p", "userId": "Practitioner/dr1", "draftOrders": bundle(orders)}
    if entry["hook"] == "order-select":
        resources = [draft["resource"] for draft in context["draftOrders"]["entry"]]
        context["selections"] = [f"{draft['resourceType']}/{draft['id']}" for draft in resources]
    prefetch = prefetch_from(list(chart), entry["prefetch"], context, day)
    instance = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
    return {"hook": entry["hook"], "hookInstance": instance, "context": context, "prefetch": prefetch} | more


async def entry_for(calls: httpx.AsyncClient, hook: str = "order-sign") -> Json:
    """The entry of discovery of the service at a hook."""
    services: list[Json] = (await calls.get("/cds-services")).json()["services"]
    return next(service for service in services if service["hook"] == hook and service["id"].startswith(SERVICE))


async def ask(
    folder: Path,
    questions: Mapping[str, tuple[Iterable[Json], Iterable[Json]]],
    day: date = TODAY,
    *,
    hook: str = "order-sign",
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Json]:
    """The responses to these calls (orders and chart by a name), of one server whose clock stands at this day."""
    as_of = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    responses: dict[str, Json] = {}
    async with client(folder, as_of=as_of, **(settings or {})) as calls:
        entry = await entry_for(calls, hook)
        for name, (orders, chart) in questions.items():
            answer = await calls.post(
                f"/cds-services/{entry['id']}", json=request_of(entry, orders, chart, day, **more)
            )
            assert answer.status_code == 200, (name, answer.text)
            responses[name] = answer.json()
    return responses


def extensions_of(response: Json) -> dict[str, list[Json]]:
    """The coverage-information extensions of the system actions, by the reference of the order."""
    return {
        f"{action['resource']['resourceType']}/{action['resource']['id']}": [
            extension for extension in action["resource"]["extension"] if extension["url"] == URL
        ]
        for action in response.get("systemActions", ())
    }


def decided(extension: Json) -> Json:
    """What an extension decides, in a form to compare: one code for each part, lists for those that may be several."""
    values = values_of(extension)
    plain: Json = {
        name: values[name][0] for name in ("covered", "pa-needed", "doc-needed", "satisfied-pa-id") if name in values
    }
    if "info-needed" in values:
        plain["info-needed"] = values["info-needed"]
    if "reason" in values:
        plain["reason"] = [coding["code"] for reason in values["reason"] for coding in reason["coding"]]
    return plain


def answer_of(response: Json) -> Json:
    """What the one order of a call is answered; empty where it is not."""
    extensions = [extension for found in extensions_of(response).values() for extension in found]
    return decided(extensions[0]) if extensions else {}


def reasons_of(response: Json) -> list[str]:
    """The reason codes of what is not said."""
    return [silence["reason"] for silence in response["extension"]["org.cds-hooks-onnx"].get("silence", ())]


REFUSALS = ("denied", "denial", "deny", "rejected", "medically necessary", "medical necessity", "not necessary")
"""Words that no answer has."""


def check_answers(name: str, response: Json) -> None:
    """Fails on a word of refusal, on an order that is no FHIR, and on a note that breaks its profile."""
    text = json.dumps(response).lower()
    assert not [word for word in REFUSALS if word in text], name
    for action in response.get("systemActions", ()):
        assert action["type"] == "update"
        assert action["description"]
        get_fhir_model_class(action["resource"]["resourceType"]).model_validate(action["resource"])
    for reference, extensions in extensions_of(response).items():
        assert extensions
        assert [fault for extension in extensions for fault in faults_of(extension)] == [], (name, reference)


def wrong_answers(folder: Path, cases: Mapping[str, tuple[Json, list[Json], Json]]) -> dict[str, tuple[Json, Json]]:
    """What is answered and what was expected, of those cases (order, chart, answer) in which the two differ."""
    responses = asyncio.run(ask(folder, {name: ([drafted], pool) for name, (drafted, pool, _) in cases.items()}))
    for name, response in responses.items():
        check_answers(name, response)
    answers = {name: (answer_of(response), cases[name][2]) for name, response in responses.items()}
    return {name: (answer, expected) for name, (answer, expected) in answers.items() if answer != expected}


COVERED = {"covered": "covered", "pa-needed": "no-auth"}
OPEN = {"covered": "conditional", "pa-needed": "no-auth", "doc-needed": "clinical"}
LISTED = {"covered": "conditional", "pa-needed": "performpa", "doc-needed": "clinical"}
HOSPITAL = {"covered": "conditional", "pa-needed": "auth-needed", "doc-needed": "clinical"}
COPD = condition("J44.9")


def chart(*more: Json, who: Json | None = None, payer: Json | None = None) -> list[Json]:
    """Patient, coverage and what else is on the chart."""
    return [who or patient(), payer or coverage(), *more]


def ahi(value: float, text: str = "Apnea hypopnea index") -> Json:
    """The index of a sleep test, which has no code."""
    return result(None, value, "/h", "2026-10-01", text=text)


SMOKER = (
    {"resourceType": "Observation", "id": "smoking", "status": "final", "subject": {"reference": "Patient/p"},
     "code": concept("http://loinc.org", "72166-2"), "effectiveDateTime": "2026-11-01",
     "valueCodeableConcept": concept("http://snomed.info/sct", "77176002")},
    procedure("G0296", "2026-11-05"),
)  # fmt: skip


def former(day: str) -> tuple[Json, Json, Json]:
    """A former smoker who stopped on this day."""
    status = SMOKER[0] | {"valueCodeableConcept": concept("http://snomed.info/sct", "8517006")}
    stopped = status | {"id": "stopped", "code": concept("http://loinc.org", "74010-0"), "valueDateTime": day}
    return status, {name: value for name, value in stopped.items() if name != "valueCodeableConcept"}, SMOKER[1]


def response_to(canonical: str, *affirmed: str, status: str = "completed", who: str = "Patient/p") -> Json:
    """A clinician's answers to a form: these criteria hold."""
    items = [
        {"linkId": name, "item": [{"linkId": f"{name}.met", "answer": [{"valueBoolean": True}]}]} for name in affirmed
    ]
    return {
        "resourceType": "QuestionnaireResponse", "id": "qr1", "questionnaire": canonical, "status": status,
        "subject": {"reference": who}, "authored": "2026-11-18", "item": items,
    }  # fmt: skip


def form_in(response: Json) -> str:
    """The address of the form that a note names."""
    (extensions,) = extensions_of(response).values()
    (address,) = [part["valueCanonical"] for part in extensions[0]["extension"] if part["url"] == "questionnaire"]
    return str(address)
