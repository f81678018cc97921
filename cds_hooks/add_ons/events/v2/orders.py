"""Maps orders, vaccinations and results (ORC, OBR, RXE, RXA, OBX) to FHIR resources.

HL7's guide maps RXO; the fields of RXE with the same meaning are read in the same way. How often is read from TQ1,
before version 2.5 from the first field of RXE, and the route from RXR.

Results (ORU, OUL) become Observations by HL7's map of OBX.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta, tzinfo
from math import ceil
from typing import Any, Final, NamedTuple

from cds_hooks.add_ons.events.declaration import V2Feed
from cds_hooks.add_ons.events.facts import Effects, Fact, resource_id
from cds_hooks.add_ons.events.v2.message import Message, Segment, Unreadable, groups_of
from cds_hooks.add_ons.events.v2.values import (
    FeedTime,
    code_system,
    code_table,
    concept,
    json_number,
    mapped,
    observation_value,
    read_time,
)
from fhir.terminology.analytes import ANALYTES
from models_onnx.monitoring.sketch import bucket_of

_EVERY: Final = re.compile("Q([0-9]{1,3})([SMHDW])")
_PERIOD_UNITS: Final = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk"}
_TIMES_A_DAY: Final = re.compile("([5-9]|1[0-9]|2[0-4])ID")


_ORDERS: Final = {"OBR": ("ServiceRequest", 4), "RXO": ("MedicationRequest", 1), "RXE": ("MedicationRequest", 2)}
"""What an order of each segment becomes, and the field with the code of what is ordered."""


def take_orders(
    segments: Sequence[Segment], feed: V2Feed, patient: str, at: float, effects: Effects, names: Sequence[str]
) -> None:
    """Add a ServiceRequest or a MedicationRequest for each segment of these names, with the ORC before it.

    Raises:
        Unreadable: There is none.
    """
    for group in groups_of(segments, "ORC"):
        orc = next((segment for segment in group if segment.name == "ORC"), None)
        for segment in group:
            if segment.name in names:
                _add_order(segment, orc, group, feed, patient, at, effects)
    if not any(segment.name in names for segment in segments):
        raise Unreadable(f"An order message has no {' or '.join(names)} segment.", "101")


def _add_order(
    segment: Segment,
    orc: Segment | None,
    group: Sequence[Segment],
    feed: V2Feed,
    patient: str,
    at: float,
    effects: Effects,
) -> None:
    kind, code_field = _ORDERS[segment.name]
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


def _dose(order: Segment, group: Sequence[Segment], feed: V2Feed, effects: Effects) -> dict[str, Any]:
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
        pattern = patterns[0]
        length, unit_of_length = pattern.text(6), pattern.text(6, 2)
        course = _Course(pattern.text(7), pattern.text(8), f"{length}{unit_of_length}", pattern.text(14))
        dose |= _how_often(pattern.text(3), course, feed)
        if pattern.text(11):  # instructions in words: "for 7 days"
            dose["text"] = "; ".join(filter(None, (text, pattern.text(11))))
    elif order.name == "RXE":
        course = _Course(order.text(1, 4), order.text(1, 5), order.text(1, 3), order.text(1, 12))
        dose |= _how_often(order.text(1, 2), course, feed)
    if routes and (route := concept(routes[0], 1)) is not None:
        code = routes[0].text(1)
        for coding in route.get("coding", ()):
            coding.setdefault("system", code_system("HL70162"))
        route["coding"] = [*mapped("route", code, "v3-RouteOfAdministration"), *route.get("coding", ())]
        dose["route"] = route
    return dose


class _Course(NamedTuple):
    """From and until when, how long ("5d", in TQ "D5") and how often in all, as they were sent."""

    start: str
    end: str
    length: str
    occurrences: str


_LENGTH: Final = re.compile(r"(\d{1,4})(?:\.0*)?\s*([A-Z]*)|([A-Z])(\d{1,4})", re.IGNORECASE)
_DAYS_OF: Final = {
    **dict.fromkeys(("h", "hr", "hour", "hours"), 1 / 24),
    **dict.fromkeys(("d", "day", "days"), 1),
    **dict.fromkeys(("w", "wk", "week", "weeks"), 7),
    **dict.fromkeys(("mo", "month", "months", "l"), 31),
}


def _days_of(length: str) -> int | None:
    """Return a length in days, of hours rounded up, of months the longest; None where it is in no unit of these."""
    match = _LENGTH.fullmatch(length.strip())
    if match is None:
        return None
    days = _DAYS_OF.get((match[2] or match[3] or "").lower())
    return ceil(int(match[1] or match[4]) * days) if days is not None else None


def _how_often(pattern: str, course: _Course, feed: V2Feed) -> dict[str, Any]:
    """Return the timing of a repeat pattern (HL7 table 0335) and of its course; as needed where it says PRN."""
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
    moments = (("start", read_time(course.start, feed.zone)), ("end", read_time(course.end, feed.zone)))
    bounds = {name: moment.text for name, moment in moments if moment is not None}
    days = _days_of(course.length) if "end" not in bounds else None
    if days is not None and "start" in bounds:
        first_day = date.fromisoformat(f"{bounds['start']}-01-01"[:10])
        bounds["end"] = (first_day + timedelta(days=days)).isoformat() + bounds["start"][10:]
    if bounds:
        repeat["boundsPeriod"] = bounds
    elif days is not None:
        repeat["boundsDuration"] = {"value": days, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}
    if course.occurrences.isdigit() and int(course.occurrences):
        repeat["count"] = int(course.occurrences)
    if repeat:
        timing["repeat"] = repeat
    return dosage | ({"timing": timing} if timing else {})


def take_vaccinations(segments: Sequence[Segment], feed: V2Feed, patient: str, at: float, effects: Effects) -> None:
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
        completion, refusal = segment.text(20).upper(), concept(segment, 18)
        status = code_table("immunization-status").get(completion or "CP")
        if status is None:
            effects.counted["vaccination-not-read"] += 1
            continue
        key = (feed.namespace, "vaccination", patient, number or f"{segment.text(5)} {time.text}")
        resource: dict[str, Any] = {
            "resourceType": "Immunization",
            "id": resource_id(*key),
            "status": "entered-in-error"
            if segment.text(21).upper() == "D"
            else status
            if refusal is None
            else "not-done",
            "vaccineCode": code,
            "patient": {"reference": f"Patient/{patient}"},
            "occurrenceDateTime": time.text,
        }
        if refusal is not None:
            resource["statusReason"] = refusal
        if completion == "PA":
            resource["isSubpotent"] = True
        effects.facts.append(Fact(patient, resource, at, happened=time.epoch, key=key))
    if not any(segment.name == "RXA" for segment in segments):
        raise Unreadable("A vaccination message has no RXA segment.", "101")


_LOINC: Final = "http://loinc.org"
_RANK: Final = {"registered": 0, "preliminary": 1, "cancelled": 2, "final": 2, "amended": 3, "corrected": 3}
_DOCUMENTS: Final = frozenset({"ED", "RP"})
"""A document, or a pointer to one, is no fact."""
_TAKEN_BACK_RANK: Final = 4
_UNITS: Final = {loinc: analyte for analyte in ANALYTES.values() for loinc in analyte.loinc}


def take_results(message: Message, feed: V2Feed, patient: str, segments: Sequence[Segment], effects: Effects) -> None:
    """Add the Observations of one patient's OBR and OBX segments.

    Raises:
        Unreadable: A result has no status or no code, or there is no result.
    """
    obr: Segment | None = None
    same: Counter[tuple[str, ...]] = Counter()
    panel: dict[str, Fact] = {}
    latest: Fact | None = None
    for segment in segments:
        if segment.name == "OBR":
            obr, panel, latest = segment, {}, None
        elif segment.name == "OBX" and segment.text(2) in _DOCUMENTS:
            effects.counted["documents"] += 1
            latest = None
        elif segment.name == "OBX" and obr is not None:
            key = (obr.text(3) or obr.text(2), segment.text(3) or segment.text(3, 2), segment.text(4))
            same[key] += 1
            latest = _observation(message, feed, patient, obr, segment, same[key], effects)
            effects.facts.append(_in_group(latest, segment.text(4), panel))
        elif segment.name == "NTE" and latest is not None and segment.text(3):
            latest.resource.setdefault("note", []).append({"text": segment.text(3)})
    if not any(segment.name == "OBR" for segment in segments):
        raise Unreadable("A result message has no OBR segment.", "101")


def _in_group(fact: Fact, sub_id: str, panel: dict[str, Fact]) -> Fact:
    """Results with the same OBX-4 belong together: the first of them has the others as members."""
    if sub_id and sub_id in panel:
        members = panel[sub_id].resource.setdefault("hasMember", [])
        members.append({"reference": f"Observation/{fact.id}"})
    elif sub_id:
        panel[sub_id] = fact
    return fact


def _observation(
    message: Message, feed: V2Feed, patient: str, obr: Segment, obx: Segment, occurrence: int, effects: Effects
) -> Fact:
    status = code_table("observation-status").get(obx.text(11).upper())
    if status is None:
        raise Unreadable("OBX-11 has no status of a result that HL7 knows.", "101" if not obx.text(11) else "103")
    code = concept(obx, 3)
    if code is None:
        raise Unreadable("OBX-3 has no code of a result.", "101")
    feed.map_codes(code)
    time = _time_of(obx, obr, feed, effects)
    at = version_time(message, [obr.text(22)], feed.zone)
    code_key = obx.text(3) or obx.text(3, 2)
    order = obr.text(3) or obr.text(2) or message.control_id
    key = (feed.namespace, "obx", patient, order, code_key, obx.text(4), str(occurrence))
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "id": resource_id(*key),
        "status": status,
        "code": code,
        "subject": {"reference": f"Patient/{patient}"},
    }
    if time is not None:
        resource["effectiveDateTime"] = time.text
        effects.counted.update(time.notes)
        effects.counted["no-offset"] += time.has_no_offset
    value, fault = observation_value(obx, feed.zone, feed.decimal)
    resource |= value
    if obx.text(7):
        resource["referenceRange"] = [{"text": obx.text(7)}]
    if obx.text(8):
        system = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
        resource["interpretation"] = [{"coding": [{"system": system, "code": obx.text(8)}]}]
    _count(resource, fault, effects)
    rank = _RANK.get(status, _TAKEN_BACK_RANK)
    return Fact(patient, resource, at, rank, happened=time.epoch if time is not None else None, key=key)


def _time_of(obx: Segment, obr: Segment, feed: V2Feed, effects: Effects) -> FeedTime | None:
    time = read_time(obx.text(14), feed.zone)
    if time is not None:
        return time
    effects.counted["time-of-order"] += 1
    return read_time(obr.text(7), feed.zone)


def version_time(message: Message, texts: Sequence[str], zone: tzinfo) -> float:
    """Return the first of these times and MSH-7 that has a time of day, else the first; else when the message came.

    A day alone lies before every time of that day, so what came later would count as older.
    """
    times = [time for text in (*texts, message.header.text(7)) if (time := read_time(text, zone)) is not None]
    exact = next((time.epoch for time in times if not time.is_day), None)
    if exact is not None:
        return exact
    return times[0].epoch if times else message.received_at


def _count(resource: dict[str, Any], fault: str | None, effects: Effects) -> None:
    codings = resource["code"].get("coding", ())
    loinc = next((coding["code"] for coding in codings if coding.get("system") == _LOINC), None)
    name = loinc or (codings[0]["code"] if codings else resource["code"].get("text", ""))[:40]
    effects.counted["results"] += 1
    effects.counted[f"result:{name}"] += 1
    if loinc is None:
        effects.counted[f"unmapped:{name}"] += 1
    if fault is not None:
        effects.counted[f"{fault}:{name}"] += 1
    quantity = resource.get("valueQuantity")
    if quantity is None or "unit" not in quantity:
        return
    if quantity["value"] > 0:
        effects.counted[f"value:{name}|{quantity['unit']}:{bucket_of(float(quantity['value']))}"] += 1
    analyte = _UNITS.get(loinc or "")
    if analyte is None:
        return
    if analyte.conversion(quantity["unit"]) is None:
        effects.counted[f"unknown-unit:{name}"] += 1
    elif loinc == analyte.loinc[0] and _is_molar(quantity["unit"]) != _is_molar(analyte.unit):
        effects.counted[f"unit-disagrees:{name}"] += 1


def _is_molar(unit: str) -> bool:
    return "mol" in unit.lower()
