"""Drafts as they arrive: their names, whether they are to be given, vaccinations that are services, open tests."""

from typing import Any

import msgspec
import pytest

from cards.rules.patient.orders import (
    is_for_other_patient,
    is_to_be_given,
    is_wanted_study,
    needs_cover,
    open_tests,
    order_text,
    ordered_medication,
    read_draft,
    read_drafts,
)
from fhir.mapping.medications.daily_dose import DailyDose
from fhir.record.resources import MedicationRequest, ServiceRequest
from tests.cards.rules.contexts import context_of, session_of, study_context_of
from tests.cards.rules.patients import draft_of
from tests.each import for_rows
from tests.fhir.builders import LOINC, service_request

Json = dict[str, Any]
WARFARIN: Json = draft_of({"drug": "warfarin 5 MG Oral Tablet"}, "7")
CVX = "http://hl7.org/fhir/sid/cvx"


@for_rows(
    ("name", "is_named"),
    [
        ("MedicationRequest/7", True),
        ("7", True),
        ("http://server/x/7", True),
        ("http://server/MedicationRequest/7/_history/2", True),
        ("MedicationRequest/8", False),
        ("ServiceRequest/7", False),
        ("", False),
    ],
)
def test_which_names_mean_a_draft(name: str, is_named: bool) -> None:
    draft = read_draft(WARFARIN, full_url="http://server/x/7")
    assert draft.is_named([name]) is is_named
    assert draft.is_named(["x", name]) is is_named
    assert draft.is_named([]) is False
    unread = read_draft(WARFARIN | {"id": None}, full_url="http://server/MedicationRequest/7 8")
    assert read_draft(WARFARIN | {"id": None}, full_url="7").reference is None
    assert (unread.reference, unread.is_named(["MedicationRequest/7 8"])) == (None, False)
    nameless = read_draft({key: value for key, value in WARFARIN.items() if key != "id"})
    assert nameless.is_named(["draftOrders.entry[0]"]) is True
    assert nameless.is_named([name]) is False


def test_entries_of_a_bundle_that_are_no_drafts_are_passed_over() -> None:
    entries: list[Any] = [
        None,
        {},
        {"resource": []},
        {"resource": WARFARIN, "fullUrl": 3},
        {"resource": {"resourceType": "Task"}},
    ]
    drafts = read_drafts(entries)
    assert [(one.kind, one.position, one.full_url) for one in drafts] == [
        ("MedicationRequest", 3, None), ("Task", 4, None)]  # fmt: skip
    assert (drafts[0].order is not None, drafts[1].order, drafts[1].read, drafts[1].fault) == (True, None, None, None)


def test_what_cannot_be_read_keeps_the_reason() -> None:
    draft = read_draft({**WARFARIN, "dosageInstruction": "daily"})
    assert (draft.read, draft.order) == (None, None)
    assert draft.fault is not None
    assert "dosageInstruction" in draft.fault


def test_runs_of_white_space_are_collapsed_where_there_may_be_some() -> None:
    order: Json = {**WARFARIN, "medicationCodeableConcept": {"text": "warfarin   5 mg"}}
    for has_runs, words in ((True, "warfarin 5 mg"), (False, "warfarin   5 mg")):
        draft = read_draft(order, has_runs=has_runs)
        assert draft.order is not None
        concept = draft.order.medicationCodeableConcept
        assert concept is not None
        assert (concept.text, draft.may_hold_runs) == (words, has_runs)
        assert draft.resource is order
    assert read_drafts([{"resource": order}], has_runs=False)[0].may_hold_runs is False
    assert read_drafts([{"resource": order}])[0].may_hold_runs is True


@for_rows(
    ("more", "given"),
    [
        ({}, True),
        ({"status": "active"}, True),
        ({"status": None}, True),
        ({"doNotPerform": True}, False),
        ({"doNotPerform": False}, True),
        *(({"status": one}, False) for one in ("cancelled", "entered-in-error", "stopped", "on-hold", "completed")),
    ],
)
def test_whether_an_order_is_to_be_given(more: Json, given: bool) -> None:
    draft = read_draft({**WARFARIN, **more})
    assert draft.order is not None
    assert is_to_be_given(draft.order) is given
    assert (ordered_medication(draft) is draft.order) is given
    assert (ordered_medication(draft) is None) is not given


def _service(text: str = "", code: str = "", system: str = CVX, **more: Any) -> Json:
    coding = [{"system": system, "code": code}] if code else []
    return service_request({"text": text, "coding": coding}, status="draft", patient="case", id="s") | more


@for_rows(
    ("draft", "is_wanted"),
    [
        (_service("PSA"), True),
        (_service("PSA", doNotPerform=True), False),
        (_service("PSA", status="completed"), False),
        (WARFARIN, False),
    ],
)
def test_a_study_that_is_wanted(draft: Json, is_wanted: bool) -> None:
    assert is_wanted_study(read_draft(draft)) is is_wanted


@for_rows(
    ("request_", "codes"),
    [
        (_service("", "2823-3", LOINC), {"2823-3"}),
        ({**_service(), "code": {"coding": [{"code": "2823-3"}, {"system": LOINC}]}}, {"2823-3"}),
        (_service("", "2823-3", "urn:other"), set()),
        (_service("", "2823-3", LOINC, status="active"), {"2823-3"}),
        (_service("", "2823-3", LOINC, status="on-hold"), {"2823-3"}),
        (_service("", "2823-3", LOINC, status="completed"), set()),
        (_service("", "2823-3", LOINC, doNotPerform=True), set()),
        (_service("", "2823-3", LOINC, intent="proposal"), set()),
        ({**_service(), "code": None}, set()),
        (WARFARIN, set()),
    ],
)
def test_the_tests_that_are_ordered_and_not_done(request_: Json, codes: set[str]) -> None:
    kind = MedicationRequest if request_["resourceType"] == "MedicationRequest" else ServiceRequest
    assert open_tests([msgspec.convert(request_, kind)]) == codes


def test_every_instruction_and_reason_of_an_order() -> None:
    dosage = {"text": "1 daily", "patientInstruction": "with food", "additionalInstruction": [{"text": "at night"}]}
    order = msgspec.convert({**WARFARIN, "dosageInstruction": [dosage, {"text": "2 daily"}],
                             "reasonCode": [{"text": "AF"}]}, MedicationRequest)  # fmt: skip
    assert order_text(order) == "1 daily with food at night 2 daily AF"
    assert order_text(MedicationRequest()) == ""


@for_rows(
    ("more", "is_other"),
    [
        ({}, False),
        ({"subject": {"reference": "Patient/other"}}, True),
        ({"subject": {"reference": "http://server/Patient/case"}}, False),
        ({"subject": {"reference": "Group/other"}}, False),
        ({"subject": {"display": "x"}}, False),
        ({"patient": {"reference": "Patient/other"}}, True),
        ({"for": {"reference": "Patient/other"}}, True),
        ({"subject": "Patient/other"}, False),
    ],
)
def test_a_draft_for_another_patient(more: Json, is_other: bool) -> None:
    assert is_for_other_patient(read_draft({**WARFARIN, **more}), "case") is is_other


@pytest.mark.parametrize(
    ("drug", "needs"),
    [("warfarin 5 MG Oral Tablet", True), ("insulin glargine 100 UNT/ML Injection", True), ("metformin 500 MG", False)],
)
def test_what_a_patient_must_not_be_left_without(drug: str, needs: bool) -> None:
    assert needs_cover(context_of({"drug": drug}).medication) is needs


def test_a_study_is_nothing_that_is_taken() -> None:
    reasons = {"reasonCode": [{"text": "cough"}]}
    drafted = study_context_of({"drug": "CT chest with contrast", "test": "24628-0", "more": reasons}).drafted
    assert drafted.dose == DailyDose()
    assert (drafted.medication.name, drafted.renews) == ("CT chest with contrast", None)
    assert [reason.words for reason in drafted.order.reasonCode] == ["cough"]
    assert all(key.startswith("test:") for key in drafted.medication.rxcuis)
    wrong = {"drug": "CT chest with contrast", "test": "24628-0", "more": {"reasonCode": "cough"}}
    assert session_of(wrong).studies == (), "what cannot be read is refused whole, and named"


def test_a_vaccination_that_is_ordered_as_a_service_keeps_its_reasons() -> None:
    order = ordered_medication(read_draft(service_request("MMR vaccination", reasonCode=[{"text": "Travel"}])))
    assert order is not None
    assert [reason.text for reason in order.reasonCode] == ["Travel"]
