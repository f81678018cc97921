"""What a payer proposes: the rows of its files, and the resources that a click makes of them."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cards.coverage.annotation import URL
from cards.coverage.policy import PolicyFault
from cards.coverage.proposals import (
    Member,
    Proposal,
    Proposals,
    alternate_order,
    companion_order,
    form_task,
    known_coverage,
    load_proposals,
    new_coverage,
)
from tests.cards.coverage.test_annotation import PAYER
from tests.cards.coverage.test_policy import table

Json = dict[str, Any]
ROW = {
    "payer": "own", "kind": "companion", "code": "e0601", "system": "HCPCS", "value": "A7030",
    "resource": "DeviceRequest", "text": " Full face mask ", "effective_from": "2026-01-01",
    "effective_to": "2026-12-31", "source": "Own policy 7",
}  # fmt: skip
FORM = ROW | {"kind": "form", "system": "", "value": "prior-auth-include", "resource": "", "effective_to": ""}
MEMBER = {
    "payer": "own", "number": "M-1", "birth_date": "1955-06-15", "plan": "gold", "plan_name": "Gold",
    "start": "2026-10-01", "end": "2027-09-30",
}  # fmt: skip
MASK = Proposal(
    "companion", "own", "E0601", "HCPCS", "A7030", "DeviceRequest", "Full face mask", date(2026, 1, 1),
    date(2026, 12, 31), "Own policy 7",
)  # fmt: skip
PERSON = Member("own", "M-1", "1955-06-15", "gold", "Gold", "2026-10-01", "2027-09-30")
KNOWN = Proposals({}, {("own", "M-1"): PERSON})
CODING = {"coding": [{"system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "A7030"}]}


def load(folder: Path, *, proposals: str = "", members: str = "") -> Proposals:
    for name, text in (("proposals.csv", proposals), ("members.csv", members)):
        if text:
            (folder / name).write_text(text)
    return load_proposals(folder, {"own": PAYER})


def test_the_rows_of_a_folder_are_read(tmp_path: Path) -> None:
    assert load(tmp_path, proposals=table(ROW, FORM), members=table(MEMBER)) == Proposals(
        {
            ("own", "E0601"): (MASK,
                               replace(MASK, kind="form", system="", value="prior-auth-include", resource="",
                                       effective_to=None)),
        },
        {("own", "M-1"): PERSON},
    )  # fmt: skip
    assert load_proposals(None, {}) == Proposals()


def test_columns_of_an_end_need_not_be_there(tmp_path: Path) -> None:
    row = {name: cell for name, cell in ROW.items() if name != "effective_to"}
    member = {name: cell for name, cell in MEMBER.items() if name != "end"}
    read = load(tmp_path, proposals=table(row), members=table(member))
    assert read == Proposals(
        {("own", "E0601"): (replace(MASK, effective_to=None),)}, {("own", "M-1"): replace(PERSON, end="")}
    )


def test_a_proposal_holds_from_its_first_to_its_last_day() -> None:
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1)]
    assert [MASK.is_in_force(day) for day in days] == [False, True, True, False]
    assert replace(MASK, effective_to=None).is_in_force(days[3])


SYSTEM_FAULT = (
    "proposals.csv, line 2: system is one of HCPCS, CPT, "
    "resource one of DeviceRequest, ServiceRequest, MedicationRequest"
)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (ROW | {"payer": "other"}, "proposals.csv, line 2: the payer 'other' is not in payers.csv"),
        (ROW | {"kind": "advice"}, "proposals.csv, line 2: kind is one of companion, alternate, form"),
        (ROW | {"system": "ICD"}, SYSTEM_FAULT),
        (ROW | {"resource": "Device"}, SYSTEM_FAULT),
        (ROW | {"value": ""}, SYSTEM_FAULT),
        (
            FORM | {"value": "A7030"},
            "proposals.csv, line 2: value of a form is one of prior-auth-include, initial-claim-include, "
            "all-claims-include",
        ),
        (ROW | {"text": " "}, "proposals.csv, line 2: text and source are required"),
        (ROW | {"source": " "}, "proposals.csv, line 2: text and source are required"),
        (
            ROW | {"text": "Instead of the other"},
            "proposals.csv, line 2: text refuses care or speaks of its necessity; a proposal only offers",
        ),
        (
            ROW | {"effective_from": "x"},
            "proposals.csv, line 2: 'x' is no day as YYYY-MM-DD; a table without dates is not used",
        ),
    ],
)
def test_a_row_with_a_fault_is_refused(row: dict[str, str], fault: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyFault) as refusal:
        load(tmp_path, proposals=table(row))
    assert str(refusal.value) == fault


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"payer": "other"}, "the payer 'other' is not in payers.csv"),
        ({"number": ""}, "number and plan are required"),
        ({"plan": ""}, "number and plan are required"),
        ({"birth_date": "x"}, "'x' is no day as YYYY-MM-DD; a table without dates is not used"),
        ({"start": ""}, "'' is no day as YYYY-MM-DD; a table without dates is not used"),
        ({"end": "x"}, "'x' is no day as YYYY-MM-DD; a table without dates is not used"),
    ],
)
def test_a_member_with_a_fault_is_refused(change: dict[str, str], fault: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyFault) as refusal:
        load(tmp_path, members=table(MEMBER | change))
    assert str(refusal.value) == f"members.csv, line 2: {fault}"


# Resources

ORDER: Json = {
    "resourceType": "DeviceRequest", "id": "d", "status": "draft", "subject": {"reference": "Patient/p"},
    "encounter": {"reference": "Encounter/e"}, "requester": {"reference": "Practitioner/p"}, "insurance": [1],
    "authoredOn": "2026-11-20", "reasonCode": [2], "occurrenceDateTime": "2026-11-21", "note": [3],
}  # fmt: skip


def test_a_companion_keeps_for_whom_and_when_it_is() -> None:
    kept = ("subject", "encounter", "requester", "insurance", "authoredOn", "reasonCode", "occurrenceDateTime")
    copied = {name: ORDER[name] for name in kept}
    code = {**CODING, "text": "Full face mask"}
    expected = {"resourceType": "DeviceRequest", "status": "draft", "intent": "order", **copied}
    assert companion_order(MASK, ORDER) == {**expected, "codeCodeableConcept": code}
    assert companion_order(replace(MASK, resource="ServiceRequest"), {}) == {
        "resourceType": "ServiceRequest", "status": "draft", "intent": "order", "code": code,
    }  # fmt: skip
    del copied["occurrenceDateTime"]
    assert companion_order(replace(MASK, resource="MedicationRequest"), ORDER) == {
        "resourceType": "MedicationRequest", "status": "draft", "intent": "order", **copied,
        "medicationCodeableConcept": code,
    }  # fmt: skip


def test_an_alternate_is_the_same_order_with_another_code() -> None:
    code = {"codeCodeableConcept": {**CODING, "text": "Full face mask"}}
    assert alternate_order(MASK, ORDER) == ORDER | code
    extensions = [{"url": URL}, {"url": "http://example.org/x"}]
    assert alternate_order(MASK, ORDER | {"extension": extensions}) == ORDER | code | {"extension": extensions[1:]}
    assert alternate_order(MASK, ORDER | {"extension": extensions[:1]}) == ORDER | code
    assert alternate_order(MASK, ORDER | {"resourceType": "ServiceRequest"}) is None


def test_a_form_is_a_task_about_the_order() -> None:
    crd, sdc = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"
    form = replace(MASK, kind="form", value="prior-auth-include", text="Report of the sleep test")
    task = form_task(form, PAYER, ORDER, {"url": "https://example.org/q", "version": "1"}, "p", date(2026, 11, 20))
    after = {"coding": [{"system": crd, "code": "prior-auth-include"}]}
    expected = {
        "resourceType": "Task", "basedOn": [{"reference": "DeviceRequest/d"}], "status": "ready", "intent": "order",
        "code": {"coding": [{"system": sdc, "code": "complete-questionnaire"}]},
        "description": "Report of the sleep test", "for": {"reference": "Patient/p"}, "authoredOn": "2026-11-20",
        "requester": {"display": "Own Health Plan"},
        "reasonCode": {"coding": [{"system": crd, "code": "reason-prior-auth"}]},
        "input": [{"type": {"coding": [{"system": sdc, "code": "questionnaire"}]},
                   "valueCanonical": "https://example.org/q|1"},
                  {"type": {"coding": [{"system": crd, "code": "after-completion-action"}]},
                   "valueCodeableConcept": after}],
        "encounter": {"reference": "Encounter/e"},
    }  # fmt: skip
    assert task == expected
    elsewhere = ORDER | {"encounter": "Encounter/e"}
    del expected["encounter"]
    assert (
        form_task(form, PAYER, elsewhere, {"url": "https://example.org/q", "version": "1"}, "p", date(2026, 11, 20))
        == expected
    )


PLAN = {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/coverage-class", "code": "plan"}]}}
GROUP = {"type": {"coding": [{"code": "group"}]}, "value": "g"}
FACTS: Json = {
    "period": {"start": "2026-10-01", "end": "2027-09-30"},
    "class": [GROUP, {**PLAN, "value": "gold", "name": "Gold"}],
}
COVERAGE: Json = {
    "resourceType": "Coverage", "id": "c", "subscriberId": "M-1", "class": [GROUP, {**PLAN, "value": "old"}],
}  # fmt: skip


def test_a_coverage_is_written_as_the_payer_has_it_where_it_differs() -> None:
    born = "1955-06-15"
    assert known_coverage(KNOWN, PAYER, COVERAGE, born) == COVERAGE | FACTS
    assert known_coverage(KNOWN, PAYER, COVERAGE, "1955-06-16") is None
    assert known_coverage(KNOWN, replace(PAYER, id="other"), COVERAGE, born) is None
    by_identifier = {name: value for name, value in COVERAGE.items() if name != "subscriberId"}
    by_identifier |= {"identifier": [{"value": "M-0"}, {"value": "M-1"}]}
    assert known_coverage(KNOWN, PAYER, by_identifier, born) == by_identifier | FACTS
    assert known_coverage(KNOWN, PAYER, COVERAGE | FACTS, born) is None
    other_day = COVERAGE | FACTS | {"period": FACTS["period"] | {"start": "2026-01-01"}}
    assert known_coverage(KNOWN, PAYER, other_day, born) == COVERAGE | FACTS
    assert known_coverage(KNOWN, PAYER, COVERAGE | FACTS | {"period": "2026"}, born) == COVERAGE | FACTS
    least = Proposals({}, {("own", "M-1"): replace(PERSON, plan_name="", end="")})
    open_end = COVERAGE | {"period": {"start": "2026-10-01"}, "class": [GROUP, {**PLAN, "value": "gold"}]}
    assert known_coverage(least, PAYER, COVERAGE, born) == open_end
    assert known_coverage(least, PAYER, open_end, born) is None


def test_a_patient_whose_number_the_payer_knows_gets_a_coverage() -> None:
    number = {"type": {"coding": [{"code": "MB"}]}, "value": "M-1"}
    patient = {"id": "p", "birthDate": "1955-06-15", "identifier": [{"value": "M-2"}, number]}
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}]}
    assert new_coverage(KNOWN, PAYER, patient) == {
        "resourceType": "Coverage", "identifier": [{"type": kind, "value": "M-1"}], "status": "active",
        "subscriberId": "M-1", "beneficiary": {"reference": "Patient/p"}, "payor": [{"display": "Own Health Plan"}],
        "period": FACTS["period"], "class": FACTS["class"][1:],
    }  # fmt: skip
    assert new_coverage(KNOWN, PAYER, patient | {"birthDate": "1955"}) is None
    assert new_coverage(KNOWN, PAYER, patient | {"identifier": [{"value": "M-1"}]}) is None
