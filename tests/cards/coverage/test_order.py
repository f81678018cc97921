"""What of an order decides about coverage: codes, days, places, sites and for whom it is."""

from datetime import date
from typing import Any

import pytest

from cards.coverage.order import OrderFacts, billing_code, is_for_patient, misshapen, read_order
from tests.each import for_rows

Json = dict[str, Any]
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
CPT = "http://www.ama-assn.org/go/cpt"
PLACE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"


def concept(code: str, system: str = HCPCS) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def order(kind: str = "ServiceRequest", **more: Any) -> Json:
    return {"resourceType": kind, "id": "o", **more}


def read(resource: Json, sites: Json | None = None) -> OrderFacts:
    facts = read_order(resource, sites or {})
    assert facts is not None
    return facts


def test_every_fact_of_an_order_is_read() -> None:
    location = {
        "resourceType": "Location", "type": [concept("22", PLACE), concept("x", "http://example.org")],
        "identifier": [{"value": "H-1"}, {"value": None}],
    }  # fmt: skip
    resource = order(
        code=concept(" l5856 "), orderDetail=[concept("J0585"), concept("J0585")], occurrenceDateTime="2026-11-20",
        locationReference=[{"reference": "https://ehr.example/fhir/Location/l"}], locationCode=[concept("2", PLACE)],
        performer=[{"reference": "Organization/Own"}, {"identifier": {"value": "NPI-7"}}],
        requester={"reference": "Practitioner/p"}, insurance=[{"reference": "Coverage/c"}, {"display": "none"}],
    )  # fmt: skip
    sites = {"Location/l": location}
    nine = date(2026, 11, 20)
    assert read(resource, sites) == OrderFacts(
        "ServiceRequest/o", resource, (("HCPCS", "L5856"), ("HCPCS", "J0585")), False, (nine, nine),
        frozenset({"22", "02"}), frozenset({"location/l", "h-1", "organization/own", "npi-7"}), "Practitioner/p",
        ("Coverage/c",),
    )  # fmt: skip


@for_rows(
    "change",
    [
        {"resourceType": "Observation"}, {"id": ""}, {"id": 1}, {"doNotPerform": True}, {"status": "cancelled"},
        {"status": "entered-in-error"}, {"status": "revoked"},
    ],
)  # fmt: skip
def test_what_is_no_order_or_is_not_to_be_done_is_not_read(change: Json) -> None:
    assert read_order(order() | change, {}) is None


@for_rows(
    ("resource", "is_coarse"),
    [
        (order(code={"text": "Wheelchair"}), True),
        (order("DeviceRequest", codeCodeableConcept=concept("1", "http://snomed.info/sct")), True),
        (order("DeviceRequest", codeCodeableConcept=concept("E0601")), False),
        (order(code=concept("4548-4", "http://loinc.org")), False),
        (order(), False),
        (order("MedicationRequest", medicationCodeableConcept={"text": "x"}), False),
    ],
)
def test_words_or_a_clinical_code_alone_are_too_coarse(resource: Json, is_coarse: bool) -> None:
    assert read(resource).is_too_coarse is is_coarse


@for_rows(
    ("resource", "codes"),
    [
        (order("NutritionOrder", enteralFormula={"baseFormulaType": concept("B4150"), "additiveType": concept("B41")}),
         ("B4150", "B41")),
        (order("NutritionOrder", supplement=[{"type": concept("B4155")}, "x"]), ("B4155",)),
        (order("VisionPrescription", lensSpecification=[{"product": concept("V2020")}, {"product": 1}]), ("V2020",)),
        (order("MedicationRequest", medicationCodeableConcept=concept("J0585")), ("J0585",)),
        (order("Appointment", serviceType=[concept("G0296")]), ("G0296",)),
        (order("Encounter", type=[concept("G0297")]), ("G0297",)),
        (order("ServiceRequest", type=[concept("G0297")]), ()),
        (order("ServiceRequest", orderDetail=concept("G0298")), ("G0298",)),
    ],
)  # fmt: skip
def test_codes_stand_in_the_member_of_each_type_of_order(resource: Json, codes: tuple[str, ...]) -> None:
    assert tuple(code for _, code in read(resource).codes) == codes


@for_rows(
    ("system", "name"),
    [
        (HCPCS, "HCPCS"), (f" {HCPCS.upper()}/ ", "HCPCS"), (HCPCS.replace("https", "http"), "HCPCS"), (CPT, "CPT"),
        ("urn:oid:2.16.840.1.113883.6.285", "HCPCS"), ("urn:oid:2.16.840.1.113883.6.12", "CPT"),
        ("http://loinc.org", None), (None, None),
    ],
)  # fmt: skip
def test_a_billing_code_is_known_by_its_system(system: str | None, name: str | None) -> None:
    expected = (name, "E0601") if name else None
    assert billing_code({"system": system, "code": " e0601 "}) == expected
    assert billing_code({"system": system, "code": 1}) is None


@for_rows(
    ("times", "days"),
    [
        ({}, ()),
        ({"occurrenceDateTime": "soon"}, ()),
        ({"occurrenceDateTime": "2026-11"}, ("2026-11-01", "2026-11-30")),
        ({"occurrencePeriod": {"start": "2026-11-01", "end": "2026-11-09"}}, ("2026-11-01", "2026-11-09")),
        ({"occurrencePeriod": {"start": "2026-11-01"}}, ("2026-11-01", "2026-11-01")),
        ({"period": {"start": "2026-11-02"}}, ("2026-11-02", "2026-11-02")),
        ({"start": "2026-11-03T08:00:00Z"}, ("2026-11-03", "2026-11-03")),
        ({"occurrenceTiming": {"event": ["2026-11-04", "2026-11-05"]}}, ("2026-11-04", "2026-11-04")),
        (
            {"occurrenceTiming": {"repeat": {"boundsPeriod": {"start": "2026-11-06", "end": "2026-12-06"}}}},
            ("2026-11-06", "2026-12-06"),
        ),
        ({"occurrenceTiming": {"repeat": 1, "event": "2026"}}, ()),
        ({"occurrenceTiming": "daily"}, ()),
    ],
)
def test_the_days_of_service_are_those_that_the_order_names(times: Json, days: tuple[str, ...]) -> None:
    assert read(order(**times)).days == tuple(map(date.fromisoformat, days))


def test_places_are_those_of_the_locations_that_an_order_refers_to() -> None:
    number = {"coding": [{"system": PLACE, "code": 12}]}  # no code of FHIR
    office = {"resourceType": "Location", "id": "in", "type": [concept("11", PLACE), number]}
    sites = {"Location/l": {"type": [concept("24", "urn:oid:2.16.840.1.113883.6.50")]}}
    visit = order("Encounter", location=[{"location": {"reference": "Location/l"}}])
    appointment = order("Appointment", participant=[{"actor": {"reference": "Location/l"}}, {"actor": {}}])
    contained = order(contained=[office], locationReference=[{"reference": "#in"}, {"reference": "Location/none"}])
    assert [read(resource, sites).places for resource in (visit, appointment, contained)] == [{"24"}, {"24"}, {"11"}]


@for_rows(
    ("resource", "is_own"),
    [
        (order(), True),
        (order(subject={"reference": "Patient/p"}), True),
        (order(subject={"reference": "Patient/q"}), False),
        (order(subject={"reference": "Group/q"}), True),
        (order("NutritionOrder", patient={"reference": "Patient/q"}, subject={"reference": "Patient/p"}), False),
        (order("Appointment", participant=[{"actor": {"reference": "Patient/q"}}]), False),
        (order("Appointment", participant=[{"actor": {"reference": f"Patient/{x}"}} for x in "qp"]), True),
        (order("Appointment", participant=[{"actor": {"reference": "Practitioner/q"}}, {"status": "accepted"}]), True),
    ],
)
def test_an_order_is_for_this_patient_or_for_nobody_by_name(resource: Json, is_own: bool) -> None:
    assert is_for_patient(resource, "p") is is_own


@for_rows(
    ("resource", "member"),
    [
        ({"resourceType": "Coverage", "status": 1}, "Coverage.status"),
        ({"resourceType": "Coverage", "payor": {}}, "Coverage.payor"),
        ({"resourceType": "Coverage", "payor": ["Organization/1"]}, "Coverage.payor"),
        ({"resourceType": "Coverage", "payor": [{}, None]}, "Coverage.payor"),
        ({"resourceType": "Coverage", "payor": [{}], "period": "2026"}, "Coverage.period"),
        ({"resourceType": "Coverage", "payor": None, "class": []}, None),
        ({"resourceType": "Patient", "address": {}}, "Patient.address"),
        ({"resourceType": "Device", "address": {}}, None),
        ({"resourceType": 1}, "resourceType"),
        ({}, None),
    ],
)
def test_a_member_of_another_type_is_named(resource: Json, member: str | None) -> None:
    assert misshapen(resource) == member


@pytest.mark.parametrize("member", ["requester", "orderer", "prescriber"])
def test_who_orders_stands_in_one_of_three_members(member: str) -> None:
    assert read(order() | {member: {"reference": "Practitioner/p"}}).requester == "Practitioner/p"
    assert read(order() | {member: {"reference": ""}}).requester is None
