"""Whether a pregnancy goes on, by what it is known and how far it is, and what each sign means."""

from typing import Any

import pytest

from fhir.mapping.conditions import find_condition
from fhir.mapping.gestation import gestation
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import ICD10, LOINC, SNOMED, SUBJECT, condition, encounter, observation, record_of

WOMAN = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1996-05-05"}
PREGNANT = {"coding": [{"system": LOINC, "code": "LA15173-0"}]}
NOT_PREGNANT = {"coding": [{"system": SNOMED, "code": "60001007"}]}
POSITIVE = {"coding": [{"system": SNOMED, "code": "10828004"}]}
NEGATIVE = {"coding": [{"system": SNOMED, "code": "260385009"}]}


def seen(code: str, when: str = "2026-11-10", **value: Any) -> dict[str, Any]:
    return observation(code, when=when, **value)


def visit(start: str, code: str = "72892002") -> dict[str, Any]:
    reason = {"coding": [{"system": SNOMED, "code": code}], "text": "Normal pregnancy"}
    return encounter("AMB", "finished", id="v1", period={"start": start}, reasonCode=[reason])


def birth(when: str) -> dict[str, Any]:
    code = {"coding": [{"system": SNOMED, "code": "66348005"}]}
    return builders.procedure(code, when=when, id="b1")


def source(*resources: dict[str, Any], patient: dict[str, Any] = WOMAN) -> str | None:
    hit = find_condition(record_of(*resources, patient=patient), "pregnancy")
    return hit.source if hit is not None else None


def weeks(*resources: dict[str, Any]) -> int | None:
    record = record_of(*resources, patient=WOMAN)
    hit = find_condition(record, "pregnancy")
    assert hit is not None
    dated = gestation(record, hit.time if hit.is_onset else None)
    return dated.weeks if dated is not None else None


@for_rows(
    "sign",
    [
        seen("82810-3", valueCodeableConcept=PREGNANT),
        seen("82810-3", valueCodeableConcept={"text": "Pregnant"}),
        seen("2106-3", valueCodeableConcept=POSITIVE),
        seen("2106-3", valueString="POSITIVE"),
        seen("2118-8", valueString="detected"),
        seen("2106-3", interpretation=[{"coding": [{"code": "POS"}]}]),
        observation("19080-1", 25, "mIU/mL", "2026-11-10"),
        seen("11778-8", valueDateTime="2027-03-01"),
        seen("11779-6", valueDateTime="2027-03-01T00:00:00Z"),
        observation("11884-4", 20, "wk", "2026-11-10"),
        observation("18185-9", 140, "d", "2026-11-10"),
        visit("2026-10-01"),
        observation("21198-7", 4210, "m[IU]/mL", "2026-11-10"),
        seen("8665-2", "2026-08-14", valueDateTime="2026-07-05"),
        condition("72892002"),
        condition("72892002", onsetDateTime="2026-06-01"),
        condition("72892002", onsetDateTime="2026-01-14"),  # 310 days
        seen("8665-2", "2026-08-09", valueDateTime="2026-07-05"),  # five weeks
        condition("Z34.01", ICD10, status=None, recordedDate="2026-09-01"),
    ],
)
def test_each_sign_tells_of_a_pregnancy_with_its_source(sign: dict[str, Any]) -> None:
    assert source(sign) == f"{sign['resourceType']}/{sign['id']}"


@for_rows(
    "sign",
    [
        seen("82810-3", valueCodeableConcept=NOT_PREGNANT),
        seen("82810-3", valueCodeableConcept={"coding": [{"system": LOINC, "code": "LA4489-6"}]}),
        seen("82810-3", "2026-01-01", valueCodeableConcept=PREGNANT),
        seen("2106-3", valueCodeableConcept=NEGATIVE),
        seen("2106-3", valueString="not detected"),
        seen("2106-3", "2026-09-20", valueCodeableConcept=POSITIVE),
        seen("2106-3", valueCodeableConcept=POSITIVE, status="preliminary"),
        seen("2106-3", valueCodeableConcept=POSITIVE, status="entered-in-error"),
        seen("2106-3", valueCodeableConcept={"text": "invalid"}),
        seen("2106-3", "2026-12-24", valueCodeableConcept=POSITIVE),
        observation("19080-1", 24.9, "mIU/mL", "2026-11-10"),
        observation("19080-1", 2500, "ng/mL", "2026-11-10"),
        observation("19080-1", 5, "mIU/mL", "2026-11-10", valueQuantity={"value": 5, "comparator": "<"}),
        seen("11778-8", valueDateTime="2026-10-01"),
        seen("11778-8", valueDateTime="2028-03-01"),
        observation("11884-4", 20, "wk", "2026-01-10"),
        observation("11884-4", 20, "furlong", "2026-11-10"),
        visit("2025-10-01"),
        visit("2026-10-01") | {"period": None},
        visit("2026-10-01") | {"period": {"end": "2026-10-01"}},
        condition("72892002", onsetDateTime="2026-01-13"),
        seen("8665-2", "2026-08-08", valueDateTime="2026-07-05"),
        visit("2026-10-01", "44054006"),
        observation("21198-7", 2, "m[IU]/mL", "2026-11-10"),
        seen("8665-2", "2026-11-10", valueDateTime="2026-10-20"),
        seen("8665-2", "2026-07-08", valueDateTime="2026-07-05"),
        seen("8665-2", "2025-10-10", valueDateTime="2025-08-05"),
        seen("8665-2", "2026-08-14", valueDateTime="2026-07"),
    ],
)
def test_what_is_old_unclear_or_says_no_tells_of_none(sign: dict[str, Any]) -> None:
    assert source(sign) is None


@pytest.mark.parametrize(
    "patient", [WOMAN | {"gender": "male"}, WOMAN | {"birthDate": "2026-11-01"}, WOMAN | {"birthDate": "1970-01-01"}]
)
def test_signs_on_the_chart_of_a_man_a_newborn_or_after_the_age_of_50_are_not_used(patient: dict[str, Any]) -> None:
    assert source(observation("18185-9", 39, "wk", "2026-11-01"), patient=patient) is None


@for_rows(
    "end",
    [
        birth("2026-11-12"),
        condition("O80", ICD10, onsetDateTime="2026-11-12"),
        condition("O80", ICD10, recordedDate="2026-11-12"),
        condition("19169002", status="resolved", onsetDateTime="2026-11-12"),
        birth("2026-11-12") | {"performedDateTime": None, "performedPeriod": {"start": "2026-11-12"}},
        seen("82810-3", "2026-11-12", valueCodeableConcept=NOT_PREGNANT),
    ],
)
@for_rows(
    "sign",
    [
        condition("72892002", onsetDateTime="2026-02-20"),
        visit("2026-11-01"),
        seen("2106-3", "2026-11-01", valueCodeableConcept=POSITIVE),
        seen("11778-8", "2026-04-01", valueDateTime="2026-11-28"),
        observation("11884-4", 38, "wk", "2026-11-01"),
        seen("82810-3", "2026-11-01", valueCodeableConcept=PREGNANT),
    ],
)
def test_the_end_of_it_ends_every_sign_before(sign: dict[str, Any], end: dict[str, Any]) -> None:
    assert source(sign) is not None
    assert source(sign, end) is None


def procedure(words: str, when: str = "2026-11-01", status: str = "completed", **coding: str) -> dict[str, Any]:
    """Something that was done, in words or with a code."""
    code = {"text": words} | ({"coding": [coding]} if coding else {})
    return builders.procedure(code, status=status, when=when, id="p")


def told(words: str) -> dict[str, Any]:
    """A problem in words alone."""
    return builders.problem(words, status=None, id="w", onsetDateTime="2026-11-01")


@for_rows(
    "other",
    [
        procedure("Vaginal delivery", "2024-01-01"),
        procedure("Cesarean section", status="preparation"),
        procedure("Cesarean section", "2027-01-01"),
        procedure("Counseling about vaginal delivery"),
        procedure("Planned cesarean section"),
        procedure("Vaginal delivery education"),
        told("Postpartum hemorrhage risk"),
        told("Postpartum hemorrhage, prior pregnancy"),
        procedure("Delivery of radiation therapy"),
        told("Status post cesarean section"),
        told("History of postpartum depression"),
        told("Threatened miscarriage"),
        told("Recurrent miscarriage"),
        told("No miscarriage"),
    ],
)
def test_what_is_of_another_birth_or_none_does_not_end_it(other: dict[str, Any]) -> None:
    assert find_condition(record_of(condition("Z33.1", ICD10, onsetDateTime="2026-03-01"), other), "pregnancy")


def _tested(when: str, answer: dict[str, Any] = POSITIVE) -> dict[str, Any]:
    return seen("2106-3", when, valueCodeableConcept=answer, id=f"test-{when}")


def _trimester(which: str, status: str, recorded: str | None) -> dict[str, Any]:
    return condition("1", status=status, recordedDate=recorded) | {"code": {"text": f"Pregnancy, {which} trimester"}}


PREGNANCY = condition("72892002", onsetDateTime="2026-09-01")


SAID = {"coding": condition("72892002")["code"]["coding"], "text": "Pregnancy, 18 weeks"}


@for_rows(
    ("resources", "expected"),
    [
        # A due date goes before measured and charted weeks, and those before the onset.
        ([PREGNANCY], 13),
        ([PREGNANCY, seen("11778-8", valueDateTime="2027-04-09")], 20),
        ([PREGNANCY, seen("11778-8", valueDateTime="2027-04-10")], 19),
        ([PREGNANCY, seen("11778-8", "2026-10-01", valueDateTime="2027-05-09"),
          seen("11778-8", valueDateTime="2027-04-09")], 20),
        ([PREGNANCY, observation("11884-4", 18, "wk", "2026-11-06")], 20),
        ([PREGNANCY, observation("49052-4", 126, "d", "2026-11-06")], 20),
        ([PREGNANCY, condition("Z3A.18", ICD10, status=None, recordedDate="2026-11-06")], 20),
        ([PREGNANCY, seen("11778-8", valueDateTime="2027-04-09"), observation("11884-4", 30, "wk", "2026-11-06")], 20),
        # The words of the condition may say the week; the day of its record or of a test does not.
        ([condition("72892002", recordedDate="2026-11-06") | {"code": SAID}], 20),
        ([condition("72892002", onsetDateTime="2026-07-17") | {"code": SAID}], 18),
        ([condition("72892002", recordedDate="2026-09-01")], None),
        ([_tested("2026-11-10")], None),
        # The weeks of the last pregnancy are not those of this one.
        ([PREGNANCY, observation("11884-4", 20, "wk", "2026-07-15"), birth("2026-07-20")], 13),
        ([PREGNANCY, observation("11884-4", 20, "wk", "2026-07-15")], 38),
        # A trimester that the onset contradicts leaves its weeks, the least first; not that of an earlier pregnancy.
        ([PREGNANCY, _trimester("second", "active", "2026-11-13")], 15),
        ([PREGNANCY, _trimester("second", "active", None)], 14),
        ([PREGNANCY, _trimester("third", "active", None)], 28),
        ([condition("72892002", onsetDateTime="2026-04-20"), _trimester("second", "active", None)], 32),
        ([PREGNANCY, _trimester("second", "active", "2022-03-01")], 13),
        ([PREGNANCY, _trimester("second", "resolved", "2022-03-01")], 13),
        # Of several codes that which tells the week counts.
        ([PREGNANCY, condition("Z3A.18", ICD10, status=None, recordedDate="2026-11-06") | {"code": {"coding": [
            {"system": ICD10, "code": "Z33.1"}, {"system": ICD10, "code": "Z3A.18"}]}}], 20),
    ],
)  # fmt: skip
def test_how_far_a_pregnancy_is(resources: list[dict[str, Any]], expected: int | None) -> None:
    assert weeks(*resources) == expected


Z3A = condition("Z3A.18", ICD10, status=None, encounter={"reference": "Encounter/v1"})
"""18 weeks, without a day of its own."""


@for_rows(
    ("more", "is_pregnant"),
    [
        ([], True),
        ([seen("2106-3", "2026-08-20", valueCodeableConcept=NEGATIVE)], False),
        ([seen("2106-3", "2026-08-14", valueCodeableConcept=NEGATIVE)], False),
        ([seen("2106-3", "2026-08-13", valueCodeableConcept=NEGATIVE)], True),
        ([{"resourceType": "Condition", "id": "m", "subject": SUBJECT, "recordedDate": "2026-08-01"}], True),
        ([{"resourceType": "Condition", "id": "m", "subject": SUBJECT, "code": {"text": "Amenorrhea"}}], False),
        ([{"resourceType": "Condition", "id": "m", "subject": SUBJECT, "code": {"text": "Postmenopausal"}}], False),
        ([seen("8665-2", "2026-11-01", valueDateTime="2026-10-28") | {"id": "next"}], False),
        ([birth("2026-10-01")], False),
        ([told("Gout")], True),
        ([procedure("Hysterectomy")], False),
        ([procedure("Hysterectomy", status="preparation")], True),
    ],
)
def test_a_period_that_did_not_come_is_a_supposed_pregnancy(more: list[dict[str, Any]], is_pregnant: bool) -> None:
    period = seen("8665-2", "2026-08-14", valueDateTime="2026-07-05")
    record = record_of(period, *more, patient=WOMAN)
    hit = find_condition(record, "pregnancy")
    assert (hit is not None) is is_pregnant
    if hit is not None:
        assert (hit.words, hit.doubt) == ("last menstrual period 2026-07-05", "unconfirmed")
        assert (dated := gestation(record, None)) is not None
        assert dated.weeks == 19


@for_rows(
    ("gender", "at_birth", "is_pregnant"),
    [("male", "F", True), ("female", "M", False), ("female", "UNK", True), ("male", None, False), ("male", "M", False)],
)
def test_the_sex_at_birth_goes_before_the_gender(gender: str, at_birth: str | None, is_pregnant: bool) -> None:
    birth_sex = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
    patient: dict[str, Any] = WOMAN | {"gender": gender}
    if at_birth is not None:
        patient["extension"] = [{"url": birth_sex, "valueCode": at_birth}]
    pregnant = condition("72892002", onsetDateTime="2026-06-01")
    assert (source(pregnant, patient=patient) is not None) is is_pregnant
    # A test of the body tells more than the administrative gender, and less than the sex that is charted.
    tested = source(pregnant, _tested("2026-11-10"), patient=patient)
    assert (tested is not None) is (is_pregnant or at_birth is None)
