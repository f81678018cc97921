"""One call cannot stop the others: whatever its texts hold, the event loop goes on, and /livez is answered."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import WrongAnswer
from tests.fhir.builders import medication_order

LONGEST_SECONDS: Final = 0.1
"""Processor time of the loop's thread in one piece: what else the machine does is not in it."""
LONG_TEXT_SECONDS: Final = 0.2
"""Processor time of the process for the long texts of one call; without a bound on them it was 3 to 7."""
SIZE: Final = 200_000
_SUBJECT: Final = {"reference": "Patient/p"}
_GENOMICS: Final = ("72166-2", "79716-7", "57979-7", "84413-4", "81252-9", "53037-8")
_WARFARIN: Final = {"text": "warfarin 5 mg"}


def _observation(number: int, text: str) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": _GENOMICS[number % 6]}], "text": f"CYP2C19 {number}"}
    return {"resourceType": "Observation", "status": "final", "code": code, "subject": _SUBJECT, "valueString": text}


def _report(_: int, text: str) -> dict[str, Any]:
    return {"resourceType": "DiagnosticReport", "status": "final", "subject": _SUBJECT, "conclusion": text}


def _order(number: int, text: str) -> dict[str, Any]:
    return medication_order(
        text[:390], patient="p", id=f"m{number}", dosageInstruction=[{"text": text[:390], "route": {"text": text}}]
    )


def _statement(_: int, text: str) -> dict[str, Any]:
    drug = {"text": text[:390]}
    head = {"resourceType": "MedicationStatement", "status": "active", "subject": _SUBJECT}
    return {**head, "medicationCodeableConcept": drug, "dosage": [{"text": text[:390]}]}


def _allergy(_: int, text: str) -> dict[str, Any]:
    reaction = [{"manifestation": [{"text": text}], "description": text}]
    return {"resourceType": "AllergyIntolerance", "patient": _SUBJECT, "code": {"text": text}, "reaction": reaction}


def _condition(_: int, text: str) -> dict[str, Any]:
    return {"resourceType": "Condition", "subject": _SUBJECT, "code": {"text": text}}


KINDS: Final[dict[str, Callable[[int, str], dict[str, Any]]]] = {
    function.__name__.removeprefix("_"): function
    for function in (_observation, _report, _order, _statement, _allergy, _condition)
}
ATOMS: Final = ("(", "1.5 mg/", "CYP2C19 *1/*2 ")
SERVICES: Final = (("order-safety", "order-sign"), ("medication-review", "patient-view"))


@pytest.fixture(scope="module")
def service() -> Iterator[InProcess]:
    with service_in_process() as started:
        started.call("POST", "/cds-services/order-safety", _body("order-sign", []))  # the rules are compiled
        yield started


def _body(hook: str, resources: list[dict[str, Any]]) -> bytes:
    draft = {**_order(0, "warfarin 5 mg"), "status": "draft", "medicationCodeableConcept": _WARFARIN}
    context: dict[str, Any] = {"userId": "Practitioner/1", "patientId": "p"}
    if hook == "order-sign":
        context["draftOrders"] = {"resourceType": "Bundle", "entry": [{"resource": draft}]}
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01", "gender": "female"}
    chart = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": resource} for resource in resources]}
    instance = "120c21ba-69b4-5fc0-ac7e-be7bc390cdc5"
    call = {
        "hook": hook,
        "hookInstance": instance,
        "context": context,
        "prefetch": {"patient": patient, "chart": chart},
    }
    return json.dumps(call, separators=(",", ":")).encode()


def _resources(kind: str, atom: str) -> list[dict[str, Any]]:
    count = SIZE // len(json.dumps(KINDS[kind](0, atom * (1900 // len(atom)))))
    return [KINDS[kind](number, f"{number} {atom * (1900 // len(atom))}b") for number in range(count)]


async def _longest_piece(service: InProcess, path: str, body: bytes) -> float:
    """The longest processor time for which the loop did nothing else while the call was answered."""
    pieces: list[float] = []

    async def tick() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            pieces.append(now - last)
            last = now

    ticking = asyncio.ensure_future(tick())
    try:
        await service.request("POST", path, body)
    except WrongAnswer as refused:
        assert "was answered 4" in str(refused) or "was answered 503" in str(refused)  # noqa: PT017
    await asyncio.sleep(0)
    ticking.cancel()
    return max(pieces)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_goes_on_whatever_the_texts_of_a_call_hold(service: InProcess, kind: str) -> None:
    longest = {}
    for atom in ATOMS:
        for name, hook in SERVICES:
            work = _longest_piece(service, f"/cds-services/{name}", _body(hook, _resources(kind, atom)))
            longest[atom, name] = service.loop.run_until_complete(work)
    assert not {case: seconds for case, seconds in longest.items() if seconds > LONGEST_SECONDS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("atom", ["no-", "no ", "(", "1-2 ", "a b ", "CYP2C19 *1/*2 "])
def test_a_thousand_long_texts_cost_little_more_than_a_thousand_short_ones(
    service: InProcess, kind: str, atom: str
) -> None:
    def seconds(length: int) -> float:
        resources = [KINDS[kind](number, f"{number} {atom * 400}"[:length]) for number in range(1000)]
        body = _body("order-sign", resources)
        start = time.process_time()
        service.call("POST", "/cds-services/order-safety-sign", body)
        return time.process_time() - start

    short = seconds(8)
    assert min(seconds(390), seconds(391)) < LONG_TEXT_SECONDS + 4 * short  # a busy machine slows both


@pytest.mark.slow
@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": ")])
def test_the_review_of_many_medications_takes_time_in_proportion(service: InProcess, spaces: tuple[str, str]) -> None:
    def seconds(count: int) -> float:
        orders = [_order(number, "warfarin 5 mg") for number in range(count)]
        call = json.loads(_body("patient-view", orders))
        body = json.dumps(call, separators=spaces).encode()
        start = time.process_time()
        service.call("POST", "/cds-services/medication-review", body)
        return time.process_time() - start

    seconds(200)
    assert seconds(4000) < 8 * max(0.1, seconds(1000))


@pytest.mark.parametrize("members", ["{},", "1,", '"a",'])
def test_a_large_body_with_more_elements_than_a_chart_is_refused_before_it_is_decoded(
    service: InProcess, members: str
) -> None:
    body = _body("patient-view", []).replace(b'"entry":[', b'"entry":[' + members.encode() * 700_000 + b"{}", 1)
    service.call("POST", "/cds-services/medication-review", body, status=413)
