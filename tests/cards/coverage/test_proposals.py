"""What a payer proposes: the rows of its files, and the resources that a click makes of them."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cards.coverage.policy import PolicyFault
from cards.coverage.proposals import (
    Proposal,
    Proposals,
    companion_order,
    form_task,
    load_proposals,
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
MASK = Proposal(
    "companion", "own", "E0601", "HCPCS", "A7030", "DeviceRequest", "Full face mask", date(2026, 1, 1),
    date(2026, 12, 31), "Own policy 7",
)  # fmt: skip
CODING = {"coding": [{"system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "A7030"}]}


def load(folder: Path, *, proposals: str = "", members: str = "") -> Proposals:
    for name, text in (("proposals.csv", proposals), ("members.csv", members)):
        if text:
            (folder / name).write_text(text)
    return load_proposals(folder, {"own": PAYER})


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
