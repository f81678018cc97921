"""Maps orders and vaccinations (ORC, OBR, RXE, RXA) to ServiceRequest, MedicationRequest and Immunization.

HL7's guide maps RXO; the fields of RXE with the same meaning are read in the same way. How often is read from TQ1,
before version 2.5 from the first field of RXE, and the route from RXR.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.effects import Effects, Fact, resource_id
from cds_hooks.events.v2.coding import code_system, code_table, concept, mapped
from cds_hooks.events.v2.message import Segment, Unreadable
from cds_hooks.events.v2.times import read_time
from cds_hooks.events.v2.values import json_number

_EVERY: Final = re.compile("Q([0-9]{1,3})([SMHDW])")
_PERIOD_UNITS: Final = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk"}
_TIMES_A_DAY: Final = re.compile("([5-9]|1[0-9]|2[0-4])ID")


def take_tests(segments: list[Segment], feed: V2Feed, patient: str, at: float, effects: Effects) -> None:
    """Add a ServiceRequest for each OBR, and a MedicationRequest for each RXO, with the ORC before it."""
    for orc, group in _groups(segments):
        for segment in group:
            if segment.name == "OBR":
                _add_order(segment, orc, group, feed, patient, at, effects, "ServiceRequest", 4)
            elif segment.name == "RXO":
                _add_order(segment, orc, group, feed, patient, at, effects, "MedicationRequest", 1)
    if not any(segment.name in ("OBR", "RXO") for segment in segments):
        raise Unreadable("An order message has no OBR or RXO segment.", "101")


def take_medications(segments: list[Segment], feed: V2Feed, patient: str, at: float, effects: Effects) -> None:
    """Add a MedicationRequest for each RXE, with the ORC before it.

    Raises:
        Unreadable: There is no RXE.
    """
    for orc, group in _groups(segments):
        for segment in group:
            if segment.name == "RXE":
                _add_order(segment, orc, group, feed, patient, at, effects, "MedicationRequest", 2)
    if not any(segment.name == "RXE" for segment in segments):
        raise Unreadable("A pharmacy message has no RXE segment.", "101")


def _groups(segments: list[Segment]) -> Iterator[tuple[Segment | None, list[Segment]]]:
    """Yield each ORC with the segments up to the next one; None with those before the first."""
    starts = [at for at, segment in enumerate(segments) if segment.name == "ORC"]
    for start, end in pairwise([0, *starts, len(segments)]):
        orc = segments[start] if start in starts else None
        yield orc, segments[start:end]


def _add_order(
    segment: Segment,
    orc: Segment | None,
    group: list[Segment],
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
        "status": "stopped" if kind == "MedicationRequest" and status == "revoked" else status,
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
    }
    resource["medicationCodeableConcept" if kind == "MedicationRequest" else "code"] = code
    time = read_time(orc.text(9), feed.zone) if orc is not None else None
    if time is not None:
        resource["authoredOn"] = time.text
    if kind == "MedicationRequest" and (dose := _dose(segment, group, feed, effects)):
        resource["dosageInstruction"] = [dose]
    effects.facts.append(Fact(patient, resource, at, key=key))


def _dose(order: Segment, group: list[Segment], feed: V2Feed, effects: Effects) -> dict[str, Any]:
    """Return how much where one amount in one unit is ordered, how often and by which route; ranges stay text.

    Of two repeat patterns, or two routes, neither is taken: whether both hold or one of them is not said.
    """
    first = 3 if order.name == "RXE" else 2
    amount, unit = json_number(order.text(first)), order.text(first + 2, 1) or order.text(first + 2, 2)
    text = order.text(7, 2) if order.name == "RXE" else ""
    dose: dict[str, Any] = {"text": text} if text else {}
    if amount is not None and unit and not order.text(first + 1):
        dose["doseAndRate"] = [{"doseQuantity": {"value": amount, "unit": unit}}]
    behind = group[group.index(order) + 1 :]
    patterns = [segment for segment in behind if segment.name == "TQ1"] or [
        segment for segment in group if segment.name == "TQ1"
    ]
    routes = [segment for segment in behind if segment.name == "RXR"]
    if len(patterns) > 1 or (patterns and patterns[0].repetitions(3) > 1) or len(routes) > 1:
        effects.counted["dosage-not-read"] += 1
        return dose
    if patterns:
        dose |= _how_often(patterns[0].text(3), patterns[0].text(7), patterns[0].text(8), feed)
    elif order.name == "RXE":
        dose |= _how_often(order.text(1, 2), order.text(1, 4), order.text(1, 5), feed)
    if routes and (route := concept(routes[0], 1)) is not None:
        code = routes[0].text(1)
        for coding in route.get("coding", ()):
            coding.setdefault("system", code_system("HL70162"))
        route["coding"] = [*mapped("route", code, "v3-RouteOfAdministration"), *route.get("coding", ())]
        dose["route"] = route
    return dose


def _how_often(pattern: str, start: str, end: str, feed: V2Feed) -> dict[str, Any]:
    """Return the timing of a repeat pattern (HL7 table 0335), from and until when; as needed where it says PRN."""
    pattern = pattern.upper()
    dosage: dict[str, Any] = {"asNeededBoolean": True} if pattern.startswith("PRN") else {}
    pattern = pattern.removeprefix("PRN")
    timing: dict[str, Any] = {}
    if pattern:
        of_guide = mapped("repeat-pattern", pattern, "v3-GTSAbbreviation")
        of_table = [{"system": code_system("HL70335"), "code": pattern}]
        timing["code"] = {"coding": of_guide or of_table, "text": pattern}
    repeat: dict[str, Any] = {}
    if (every := _EVERY.fullmatch(pattern)) is not None and int(every[1]):
        repeat = {"frequency": 1, "period": int(every[1]), "periodUnit": _PERIOD_UNITS[every[2]]}
    elif (times := _TIMES_A_DAY.fullmatch(pattern)) is not None:
        repeat = {"frequency": int(times[1]), "period": 1, "periodUnit": "d"}
    moments = (("start", read_time(start, feed.zone)), ("end", read_time(end, feed.zone)))
    bounds = {name: moment.text for name, moment in moments if moment is not None}
    if bounds:
        repeat["boundsPeriod"] = bounds
    if repeat:
        timing["repeat"] = repeat
    return dosage | ({"timing": timing} if timing else {})


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
