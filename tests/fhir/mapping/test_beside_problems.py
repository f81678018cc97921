"""Operations, devices, flags and reasons that tell of a condition beside the problem list, and since when it counts."""

from typing import Any

from fhir.mapping.conditions import find_condition, signs_by_group
from tests.each import for_rows
from tests.fhir.builders import SUBJECT, record_of, request


def _of(kind: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", "subject": SUBJECT} | more


def _device(words: str, status: str = "active") -> dict[str, Any]:
    return {"resourceType": "Device", "id": "x", "patient": SUBJECT, "status": status, "type": {"text": words}}


def _visit(words: str, start: str = "2026-09-01", status: str = "finished") -> dict[str, Any]:
    return _of("Encounter", status=status, period={"start": start}, reasonCode=[{"text": words}])


def _ordered(words: str, **more: Any) -> dict[str, Any]:
    return request("a drug", reasonCode=[{"text": words}], **more)


def _flag(words: str, status: str = "active", **more: Any) -> dict[str, Any]:
    return _of("Flag", status=status, code={"text": words}, **more)


def _document(loinc: str, status: str = "current") -> dict[str, Any]:
    return _of("DocumentReference", status=status, type={"coding": [{"system": "http://loinc.org", "code": loinc}]})


def _consent(category: str, status: str = "active") -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/consentcategorycodes"
    return {"resourceType": "Consent", "id": "x", "patient": SUBJECT, "status": status} | {
        "category": [{"coding": [{"system": system, "code": category}]}]
    }


def _relative(relation: str, words: str, status: str = "completed") -> dict[str, Any]:
    return {"resourceType": "FamilyMemberHistory", "id": "x", "patient": SUBJECT, "status": status} | {
        "relationship": {"text": relation},
        "condition": [{"code": {"text": words}}],
    }


@for_rows(
    ("group", "resource"),
    [
        ("cabg", _of("Procedure", status="preparation", code={"text": "CABG"})),
        (
            "dialysis",
            _of("Procedure", status="completed", code={"text": "Hemodialysis"}, performedDateTime="2026-10-01"),
        ),
        ("dialysis", _of("Procedure", status="not-done", code={"text": "Hemodialysis"})),
        ("pacemaker", _device("Cardiac pacemaker", "inactive")),
        ("do_not_resuscitate", _flag("Do not resuscitate", "inactive")),
        ("do_not_resuscitate", _flag("Do not resuscitate", period={"end": "2026-01-01"})),
        ("hospice", _of("CarePlan", status="completed", intent="plan", title="Hospice care")),
        ("hospice", _of("CarePlan", status="active", intent="plan", title="Hospice care declined")),
        ("advance_care_planning", _document("86533-7", "superseded")),
        ("do_not_resuscitate", _consent("dnr", "inactive")),
        ("family_history_colorectal", _relative("grandmother", "Colon cancer")),
        ("family_history_colorectal", _relative("stepfather", "Colon cancer")),
        ("family_history_colorectal", _relative("mother", "Colon cancer", "entered-in-error")),
        ("family_history_colorectal", _relative("mother", "no colon cancer")),
        ("colorectal_cancer", _relative("mother", "Colon cancer")),
        ("afib", _ordered("Atrial fibrillation", status="completed")),
        ("afib", _ordered("rule out atrial fibrillation")),
        ("gout", _ordered("prevention of gout flares")),
        ("hf", _visit("Heart failure follow-up", "2024-09-01")),
        ("hf", _visit("Heart failure follow-up", status="cancelled")),
        ("hf", _visit("screening for heart failure")),
        ("breast_cancer", _visit("breast cancer")),
        ("stroke", _ordered("Stroke")),
    ],
)
def test_what_is_over_planned_denied_or_not_counted_by_the_group_does_not(group: str, resource: dict[str, Any]) -> None:
    assert find_condition(record_of(resource), group) is None


def _resource(kind: str, **more: Any) -> dict[str, Any]:
    resource = {"resourceType": kind, "id": "x", "subject": SUBJECT} | more
    return {name: part for name, part in resource.items() if part is not None}


def _signs(group: str, *resources: dict[str, Any]) -> list[tuple[str, str, str, str | None]]:
    signs = signs_by_group(record_of(*resources)).get(group, ())
    return [(sign.words, sign.code, sign.source, sign.time.text if sign.time else None) for sign in signs]


CABG = _resource("Procedure", status="completed", code={"text": "CABG x3"}, performedDateTime="2015-01-01")
DNR = _resource("Flag", status="active", code={"text": "Do not resuscitate"})
HOSPICE = _resource("CarePlan", status="active", intent="plan", title="Hospice care")
REASON = [{"text": "Atrial fibrillation"}]
AFIB, FAILURE = "afib", "heart_failure"


def _period(**period: str) -> dict[str, Any]:
    return {"period": period}


@for_rows(
    ("group", "resource", "sign"),
    [
        ("cabg", CABG, ("CABG x3", "", "Procedure/x", "2015-01-01")),
        ("cabg", CABG | {"performedDateTime": "2026-12-01"}, None),
        ("cabg", CABG | {"performedDateTime": "when she was young"}, ("CABG x3", "", "Procedure/x", None)),
        ("cabg", _resource("Procedure", status="completed", code={"text": "CABG"}, id=None,
                     performedPeriod={"start": "2016"}), ("CABG", "", "Procedure without id", "2016")),
        ("cabg", CABG | {"status": "in-progress"}, None),
        ("do_not_resuscitate", DNR, ("Do not resuscitate", "", "Flag/x", None)),
        ("do_not_resuscitate", DNR | _period(start="2026-11-01"), ("Do not resuscitate", "", "Flag/x", "2026-11-01")),
        ("do_not_resuscitate", DNR | _period(start="2026-12-01"), None),
        ("do_not_resuscitate", DNR | _period(end="2026-12-01"), ("Do not resuscitate", "", "Flag/x", None)),
        ("do_not_resuscitate", DNR | _period(start="2026-01-01", end="2026-02-01"), None),
        ("hospice", HOSPICE, ("Hospice care", "", "CarePlan/x", None)),
        ("hospice", HOSPICE | {"title": "Plan", "category": [{"text": "Hospice care"}]},
         ("Hospice care", "", "CarePlan/x", None)),
        ("hospice", HOSPICE | {"title": "Plan", "activity": [{}, {"detail": {"code": {"text": "Hospice care"}}}]},
         ("Hospice care", "", "CarePlan/x", None)),
        (AFIB, request("a drug", reasonCode=REASON), ("Atrial fibrillation", "", "MedicationRequest/m1", "2026-11-01")),
        (AFIB, request("a drug", reasonCode=REASON, authoredOn="2026-12-01"), None),
        (AFIB, request("a drug", reasonCode=REASON, intent="proposal"), None),
        (AFIB, request("a drug", reasonCode=REASON, status="stopped"), None),
    ],
)  # fmt: skip
def test_a_sign_is_what_the_chart_says_with_its_source_and_day(
    group: str, resource: dict[str, Any], sign: tuple[str, str, str, str | None] | None
) -> None:
    signs = _signs(group, resource)
    assert signs[:1] == ([sign] if sign is not None else [])


@for_rows(
    ("code", "counts"),
    [("02RF0JZ", True), ("02RG4JZ", True), ("02RF08Z", False), ("02RF5JZ", False), ("12RF0JZ", False), (None, False)],
)
def test_a_mechanical_valve_is_known_by_its_operation(code: str | None, counts: bool) -> None:
    coding = {"system": "http://www.cms.gov/Medicare/Coding/ICD10", "display": "Replacement"}
    operation = CABG | {"code": {"coding": [coding | ({"code": code} if code else {})]}}
    hit = find_condition(record_of(operation), "mechanical_valve")
    assert (hit.code if hit is not None else None) == (code if counts else None)


def test_relatives_are_named_with_what_they_had_and_distant_ones_do_not_count() -> None:
    group = "family_history_colorectal"

    def relative(relation: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
        resource = {"resourceType": "FamilyMemberHistory", "id": "x", "patient": SUBJECT, "status": "completed",
                    "relationship": relation, "condition": [{"code": {"text": "Colon cancer"}}]} | more  # fmt: skip
        return {name: part for name, part in resource.items() if part is not None}

    def coded(code: str) -> dict[str, Any]:
        return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": code}]}

    source = "FamilyMemberHistory/x"
    assert _signs(group, relative({"text": "mother"})) == [("mother: Colon cancer", "", source, None)]
    for uncoded in ({"coding": [{"display": "mother"}]}, {"coding": [{"system": "urn:oid:2.999"}], "text": "mother"}):
        assert _signs(group, relative(uncoded)) == [("mother: Colon cancer", "", source, None)]
    assert _signs(group, relative(None)) == [("Colon cancer", "", source, None)]
    for relation in (coded("MAUNT"), coded("GRMTH"), coded("WIFE"), {"text": "half sister"}):
        assert _signs(group, relative(relation)) == []
    assert len(_signs(group, relative(coded("MTH")))) == 1
    assert _signs(group, relative({"text": "mother"}, status="health-unknown")) == []
    record = record_of(relative({"text": "mother"})).with_requested(frozenset({"Condition"}))
    assert signs_by_group(record) == {}
