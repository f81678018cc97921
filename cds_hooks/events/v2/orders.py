"""Maps orders and vaccinations (ORC, OBR, RXE, RXA) to ServiceRequest, MedicationRequest and Immunization.

HL7's guide maps RXO; the fields of RXE with the same meaning are read in the same way.
"""

from typing import Any

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.effects import Effects, Fact, resource_id
from cds_hooks.events.v2.coding import code_table, concept
from cds_hooks.events.v2.message import Segment, Unreadable
from cds_hooks.events.v2.times import read_time
from cds_hooks.events.v2.values import json_number


def take_tests(segments: list[Segment], feed: V2Feed, patient: str, at: float, effects: Effects) -> None:
    """Add a ServiceRequest for each OBR, and a MedicationRequest for each RXO, with the ORC before it."""
    orc: Segment | None = None
    for segment in segments:
        if segment.name == "ORC":
            orc = segment
        elif segment.name == "OBR":
            _add_order(segment, orc, feed, patient, at, effects, "ServiceRequest", 4)
        elif segment.name == "RXO":
            _add_order(segment, orc, feed, patient, at, effects, "MedicationRequest", 1)
    if not any(segment.name in ("OBR", "RXO") for segment in segments):
        raise Unreadable("An order message has no OBR or RXO segment.", "101")


def take_medications(segments: list[Segment], feed: V2Feed, patient: str, at: float, effects: Effects) -> None:
    """Add a MedicationRequest for each RXE, with the ORC before it.

    Raises:
        Unreadable: There is no RXE.
    """
    orc: Segment | None = None
    for segment in segments:
        if segment.name == "ORC":
            orc = segment
        elif segment.name == "RXE":
            _add_order(segment, orc, feed, patient, at, effects, "MedicationRequest", 2)
    if not any(segment.name == "RXE" for segment in segments):
        raise Unreadable("A pharmacy message has no RXE segment.", "101")


def _add_order(
    segment: Segment,
    orc: Segment | None,
    feed: V2Feed,
    patient: str,
    at: float,
    effects: Effects,
    kind: str,
    code_field: int,
) -> None:
    code = concept(segment, code_field)
    number = (orc.text(2) or orc.text(3)) if orc is not None else ""
    if segment.name == "OBR":
        number = number or segment.text(2) or segment.text(3)
    status = code_table("order-status").get(orc.text(1) if orc is not None else "NW")
    status = code_table("order-state").get(orc.text(5) if orc is not None else "", status)
    if code is None or not number or status is None:
        effects.counted["order-not-read"] += 1
        return
    feed.map_codes(code)
    key = (feed.namespace, kind, patient, number)
    resource: dict[str, Any] = {
        "resourceType": kind,
        "id": resource_id(*key),
        "status": _of_kind(status, kind),
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
    }
    resource["medicationCodeableConcept" if kind == "MedicationRequest" else "code"] = code
    time = read_time(orc.text(9), feed.zone) if orc is not None else None
    if time is not None:
        resource["authoredOn"] = time.text
    if segment.name == "RXE" and (dose := _dose(segment)) is not None:
        resource["dosageInstruction"] = [dose]
    effects.facts.append(Fact(patient, resource, at, key=key))


def _of_kind(status: str, kind: str) -> str:
    return "stopped" if kind == "MedicationRequest" and status == "revoked" else status


def _dose(rxe: Segment) -> dict[str, Any] | None:
    """Return the dose where RXE-3 and RXE-5 give one amount in one unit; ranges and directions stay text."""
    amount, unit, text = json_number(rxe.text(3)), rxe.text(5, 1) or rxe.text(5, 2), rxe.text(7, 2)
    dose: dict[str, Any] = {"text": text} if text else {}
    if amount is not None and unit and not rxe.text(4):
        dose["doseAndRate"] = [{"doseQuantity": {"value": amount, "unit": unit}}]
    return dose or None


def take_vaccinations(segments: list[Segment], feed: V2Feed, patient: str, at: float, effects: Effects) -> None:
    """Add an Immunization for each RXA.

    Raises:
        Unreadable: There is no RXA.
    """
    orc: Segment | None = None
    for segment in segments:
        if segment.name == "ORC":
            orc = segment
        if segment.name != "RXA":
            continue
        code, time = concept(segment, 5), read_time(segment.text(3), feed.zone)
        if code is None or time is None or segment.text(5) == "998":  # 998 of CVX: no vaccine administered
            effects.counted["vaccination-not-read"] += 1
            continue
        number = (orc.text(3) or orc.text(2)) if orc is not None else ""
        status = code_table("immunization-status").get(segment.text(20), "completed")
        key = (feed.namespace, "vaccination", patient, number or f"{segment.text(5)} {time.text}")
        resource = {
            "resourceType": "Immunization",
            "id": resource_id(*key),
            "status": "entered-in-error" if segment.text(21) == "D" else status,
            "vaccineCode": code,
            "patient": {"reference": f"Patient/{patient}"},
            "occurrenceDateTime": time.text,
        }
        effects.facts.append(Fact(patient, resource, at, happened=time.epoch, key=key))
    if not any(segment.name == "RXA" for segment in segments):
        raise Unreadable("A vaccination message has no RXA segment.", "101")
