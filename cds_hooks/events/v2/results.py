"""Maps results (ORU, OUL) to Observations, by HL7's map of OBX."""

from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.effects import Effects, Fact, resource_id
from cds_hooks.events.v2.coding import code_table, concept
from cds_hooks.events.v2.message import Message, Segment, Unreadable
from cds_hooks.events.v2.times import FeedTime, read_time
from cds_hooks.events.v2.values import observation_value
from fhir.terminology.analytes import ANALYTES
from models_onnx.monitoring.sketch import bucket_of

_LOINC: Final = "http://loinc.org"
_RANK: Final = {"registered": 0, "preliminary": 1, "cancelled": 2, "final": 2, "amended": 3, "corrected": 3}
_DOCUMENTS: Final = frozenset({"ED", "RP"})
"""A document, or a pointer to one, is no fact."""
_TAKEN_BACK_RANK: Final = 4
_UNITS: Final = {loinc: analyte for analyte in ANALYTES.values() for loinc in analyte.loinc}


def take_results(message: Message, feed: V2Feed, patient: str, segments: list[Segment], effects: Effects) -> None:
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
    status = code_table("observation-status").get(obx.text(11))
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
