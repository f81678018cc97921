"""Maps PID, PV1, AL1 and DG1 to Patient, Encounter, AllergyIntolerance and Condition."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from cds_hooks.add_ons.events.declaration import V2Feed
from cds_hooks.add_ons.events.facts import Effects, Fact, resource_id
from cds_hooks.add_ons.events.v2.message import Segment, Unreadable
from cds_hooks.add_ons.events.v2.values import code_system, code_table, concept, read_time

REMOVED: Final = '""'
"""A field that holds two quotation marks is removed; an empty one stays as it was."""
_FHIR_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_MISPLACED_NUMBER: Final = re.compile(r"[A-Z]{1,4}\d{1,20}")
_ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_SAYS_STATUS: Final = frozenset({"A01", "A03", "A04", "A05", "A11", "A13"})
"""Events that begin or end a visit; the others are about one that goes on, or is over."""
_FINAL: Final = frozenset({"", "F"})
_PARTICIPANTS: Final = {7: "ATND", 8: "REF", 9: "CON", 17: "ADM"}
"""The fields of PV1 with persons, and what HL7's guide says that these are of the visit."""


def patient_numbers(segment: Segment, feed: V2Feed, field: int = 3) -> list[str]:
    """Return every id that a segment has for its patient: numbers of the feed's authority, else with theirs before it.

    Raises:
        Unreadable: There is no such number.
    """
    texts = [
        value if feed.authority or not authority else f"{authority}.{value}"
        for value, authority, _ in _numbers(segment, feed, field)
    ]
    return [text if _FHIR_ID.fullmatch(text) else resource_id("patient", text) for text in texts]


def _numbers(segment: Segment, feed: V2Feed, field: int) -> list[tuple[str, str, str]]:
    """Return the numbers of the feed's authority and kind, each with its authority and kind."""
    numbers = [
        (
            segment.text(field, 1, repetition=at),
            segment.text(field, 4, repetition=at),
            segment.text(field, 5, repetition=at),
        )
        for at in range(segment.repetitions(field))
    ]
    numbers = [number for number in numbers if number[0] and number[0] != REMOVED]
    if not numbers and field == 3 and segment.text(2):
        numbers = [(segment.text(2), segment.text(2, 4), segment.text(2, 5))]
    if feed.authority:
        numbers = [number for number in numbers if number[1] == feed.authority]
    kinds = [number for number in numbers if number[2] == feed.identifier_type] or numbers
    if not kinds:
        where = f" of the authority {feed.authority}" if feed.authority else ""
        raise Unreadable(f"{segment.name}-{field} has no patient number{where}.", "101")
    return kinds


def demographics(pid: Segment, feed: V2Feed, patient: str) -> dict[str, Any]:
    """Return the Patient; what was removed is None, what the segment leaves empty is not there."""
    resource: dict[str, Any] = {"resourceType": "Patient", "id": patient}
    resource["identifier"] = [{"system": feed.identifier_system, "value": _numbers(pid, feed, 3)[0][0]}]
    family, given = pid.text(5, 1), pid.text(5, 2)
    name = [{"family": family, "given": [given] if given else []}] if family or given else None
    _set(resource, "name", pid.whole(5), name)
    _set(resource, "birthDate", pid.whole(7), _birth_date(pid, feed))
    _set(resource, "gender", pid.whole(8), code_table("gender").get(pid.text(8)))
    died = read_time(pid.text(29), feed.zone)
    if died is not None:
        resource["deceasedDateTime"] = died.text
    elif pid.text(30) == "Y":
        resource["deceasedBoolean"] = True
    _set(resource, "deceasedDateTime", pid.whole(29) if pid.whole(29) == REMOVED else "", None)
    return resource


def _birth_date(pid: Segment, feed: V2Feed) -> str | None:
    time = read_time(pid.text(7), feed.zone)
    return time.text[:10] if time is not None else None


def _set(resource: dict[str, Any], name: str, sent: str, value: Any) -> None:
    if sent == REMOVED:
        resource[name] = None
    elif value is not None:
        resource[name] = value


def visit_number(pv1: Segment) -> str:
    """Return the number of a visit: PV1-19, the alternate one of PV1-50, or one that stands a field too late.

    A sender that counts a field wrong puts it into PV1-20. That field holds a financial class otherwise, so only
    letters followed by digits are taken from it.
    """
    misplaced = pv1.whole(20)
    return pv1.text(19) or pv1.text(50) or (misplaced if _MISPLACED_NUMBER.fullmatch(misplaced) else "")


def visit(pv1: Segment, feed: V2Feed, patient: str, trigger: str, at: float) -> Fact | None:
    """Return the Encounter of a visit; None where PV1-19 has no number by which to know it again."""
    number = visit_number(pv1)
    if not number:
        return None
    admitted, discharged = read_time(pv1.text(44), feed.zone), read_time(pv1.text(45), feed.zone)
    status = code_table("encounter-status").get(trigger)
    says_status = trigger in _SAYS_STATUS
    if status is None or status == "unknown":
        status = "planned" if pv1.text(2) == "P" else "finished" if discharged is not None else "in-progress"
        says_status = says_status or discharged is not None
    key = (feed.namespace, "visit", patient, number)
    resource: dict[str, Any] = {
        "resourceType": "Encounter",
        "id": resource_id(*key),
        "identifier": [{"system": f"urn:v2:{feed.namespace}:visit", "value": number}],
        "status": status,
        "class": {"system": _ACT_CODE, "code": code_table("encounter-class").get(pv1.text(2), "AMB")},
        "subject": {"reference": f"Patient/{patient}"},
    }
    parts = [pv1.text(3, part) for part in (1, 2, 3)]
    if any(parts):
        resource["location"] = [{"location": {"display": " ".join(part for part in parts if part)}}]
    if participants := list(_participants(pv1)):
        resource["participant"] = participants
    disposition = concept(pv1, 36)
    if disposition is not None:
        for coding in disposition.get("coding", ()):
            coding.setdefault("system", code_system("HL70112"))
        resource["hospitalization"] = {"dischargeDisposition": disposition}
    period = {}
    if admitted is not None or trigger in ("A01", "A04"):
        period["start"] = admitted.text if admitted is not None else _utc(at)
    if discharged is not None or trigger == "A03":
        period["end"] = discharged.text if discharged is not None else _utc(at)
    if trigger == "A13":
        period.pop("end", None)
    if period:
        resource["period"] = period
    return Fact(patient, resource, at, int(at) if says_status else 0, how="visit", happened=at, key=key)


def _participants(pv1: Segment) -> Iterator[dict[str, Any]]:
    """Yield who attends, refers, consults and admits, each with the number and the name that the sender has."""
    for number, code in _PARTICIPANTS.items():
        for at in range(pv1.repetitions(number)):
            person_number, family, given = (pv1.text(number, part, repetition=at) for part in (1, 2, 3))
            person: dict[str, Any] = (
                {"identifier": {"value": person_number}} if person_number not in ("", REMOVED) else {}
            )
            if family or given:
                person["display"] = " ".join(part for part in (given, family) if part)
            if person:
                system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
                yield {"type": [{"coding": [{"system": system, "code": code}]}], "individual": person}


def _utc(epoch: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")


def take_allergies(segments: Sequence[Segment], feed: V2Feed, patient: str, at: float, effects: Effects) -> None:
    """Add an AllergyIntolerance for each AL1 segment."""
    for segment in segments:
        code = concept(segment, 3) if segment.name == "AL1" else None
        if code is None:
            continue
        feed.map_codes(code)
        key = (feed.namespace, "allergy", patient, segment.text(3) or segment.text(3, 2))
        resource: dict[str, Any] = {
            "resourceType": "AllergyIntolerance",
            "id": resource_id(*key),
            "clinicalStatus": _concept("allergyintolerance-clinical", "active"),
            "code": code,
            "patient": {"reference": f"Patient/{patient}"},
        }
        severity, onset = segment.text(4), read_time(segment.text(6), feed.zone)
        if category := code_table("allergy-category").get(segment.text(2)):
            resource["category"] = [category]
        if kind := code_table("allergy-type").get(segment.text(2)):
            resource["type"] = kind
        if criticality := code_table("allergy-criticality").get(severity):
            resource["criticality"] = criticality
        if onset is not None:
            resource["onsetDateTime"] = onset.text
        reactions = [text for at in range(segment.repetitions(5)) if (text := segment.text(5, repetition=at))]
        if reactions:
            reaction: dict[str, Any] = {"manifestation": [{"text": text} for text in reactions]}
            if severity in code_table("allergy-severity"):
                reaction["severity"] = code_table("allergy-severity")[severity]
            resource["reaction"] = [reaction]
        effects.facts.append(Fact(patient, resource, at, key=key))


def take_diagnoses(segments: Sequence[Segment], feed: V2Feed, patient: str, at: float, effects: Effects) -> None:
    """Add a Condition for each DG1 segment; what is not a final diagnosis (DG1-6) is provisional."""
    for segment in segments:
        code = concept(segment, 3) if segment.name == "DG1" else None
        if code is None:
            continue
        feed.map_codes(code)
        if "coding" in code and not code["coding"][0].get("system") and segment.text(2):
            code["coding"][0]["system"] = code_system(segment.text(2))
        certainty = "confirmed" if segment.text(6) in _FINAL else "provisional"
        is_deleted = segment.text(21) == "D"
        key = (feed.namespace, "diagnosis", patient, segment.text(3) or segment.text(3, 2))
        resource: dict[str, Any] = {
            "resourceType": "Condition",
            "id": resource_id(*key),
            "clinicalStatus": _concept("condition-clinical", "active"),
            "verificationStatus": _concept("condition-ver-status", "entered-in-error" if is_deleted else certainty),
            "category": [_concept("condition-category", "encounter-diagnosis")],
            "code": code,
            "subject": {"reference": f"Patient/{patient}"},
        }
        time = read_time(segment.text(5), feed.zone)
        if time is not None:
            resource["recordedDate"] = time.text
        effects.facts.append(Fact(patient, resource, at, key=key))


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}
