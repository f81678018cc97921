"""A patient has opted out by a label, by a Consent that denies decision support, or by a flag that the site names."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fhir.record.record import OnOtherPatient, PatientRecord, read_record, read_value
from fhir.record.refusals import WrongPatient
from tests.each import for_rows

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
FLAGS = frozenset({("https://example.org/flags", "no-cds")})
Json = dict[str, Any]


def treatds(system: str = ACT_REASON, code: str = "TREATDS") -> Json:
    return {"system": system, "code": code}


def consent(provision: Json, status: str = "active", patient: str = "p") -> Json:
    """As John Moehrke's example DenyCDS has it (github.com/JohnMoehrke/ConsentAboutAI, read 2026-11-21)."""
    return {
        "resourceType": "Consent", "id": "c", "status": status, "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}],
        "patient": {"reference": f"Patient/{patient}"}, "provision": provision,
    }  # fmt: skip


def denied(**more: Any) -> Json:
    return {"type": "deny", "purpose": [treatds()], **more}


def flag(status: str = "active", **more: Any) -> Json:
    code = {"coding": [{"system": "https://example.org/flags", "code": "no-cds"}]}
    return {
        "resourceType": "Flag", "id": "f", "status": status, "code": code, "subject": {"reference": "Patient/p"},
        **more,
    }  # fmt: skip


def record_with(
    *resources: Json, flags: frozenset[tuple[str, str]] = frozenset(), on_other_patient: OnOtherPatient = "stop"
) -> PatientRecord:
    entries = [{"resource": each} for each in ({"resourceType": "Patient", "id": "p"}, *resources)]
    raw = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    value, refused = read_value("own", raw)
    return read_record(
        {"own": value}, "p", AS_OF, refusals=refused, opt_out_flags=flags, on_other_patient=on_other_patient
    )


@for_rows(
    "provision",
    [
        denied(),
        denied(period={"start": "2026-11-20", "end": "2026-11-20"}),
        denied(period={"start": "2024"}),
        denied(period={"end": "2026-11"}),
        denied(period={"end": "when she says so"}),
        denied(period={"end": "2026-11-20T09:00:00Z"}),
        {"type": "permit", "provision": [{"type": "permit"}, denied()]},
        {"type": "deny", "purpose": [treatds(code="MLTRAINING"), treatds()]},
    ],
    ids=[
        "deny",
        "today",
        "since 2024",
        "this month",
        "an end that cannot be read",
        "to this second",
        "within a permission",
        "and more",
    ],
)
def test_an_active_consent_that_denies_decision_support_now_is_an_opt_out(provision: Json) -> None:
    assert record_with(consent(provision)).opted_out == "Consent/c denies decision support"


@for_rows(
    "other",
    [
        consent(denied(), status="entered-in-error"),
        consent(denied(), status="inactive"),
        consent(denied(), status="proposed"),
        consent(denied(period={"start": "2027-01-01"})),
        consent(denied(period={"end": "2026-11-18"})),
        consent(denied(period={"end": "2026-11-20T08:59:59Z"})),
        consent({"type": "permit", "period": {"end": "2025"}, "provision": [denied()]}),
        consent({"type": "permit", "purpose": [treatds()]}),
        consent({"type": "deny", "purpose": [treatds(code="TREAT")]}),
        consent({"type": "deny", "purpose": [treatds(system="https://example.org")]}),
        consent({"type": "deny"}),
        {key: value for key, value in consent(denied()).items() if key != "provision"},
        flag(),
    ],
    ids=[
        "entered in error", "inactive", "proposed", "from next year on", "over for two days", "over for a second",
        "within a rule that is over", "permitted", "another purpose", "another code system", "no purpose",
        "no provision", "a flag that this site has not named",
    ],
)  # fmt: skip
def test_anything_else_is_none(other: Json) -> None:
    assert record_with(other).opted_out == ""


def test_of_two_consents_the_one_that_denies_counts() -> None:
    allowed = consent({"type": "permit", "purpose": [treatds()]}) | {"id": "newer", "dateTime": "2026-11-01"}
    assert record_with(consent(denied()), allowed).opted_out == "Consent/c denies decision support"


def test_a_flag_counts_by_the_code_that_the_site_names_while_it_is_active_and_in_its_period() -> None:
    assert record_with(flag(), flags=FLAGS).opted_out == "Flag/f of the site"
    for other in (
        flag("inactive"),
        flag("entered-in-error"),
        flag(period={"end": "2026-11-01"}),
        flag(code={"coding": [{"system": "https://example.org", "code": "no-cds"}]}),
        flag(code={"coding": [{"code": "no-cds"}]}),
        flag(code={"text": "no-cds"}),
    ):
        assert record_with(other, flags=FLAGS).opted_out == ""


def test_a_consent_or_flag_of_another_patient_stops_the_call_and_is_left_out_of_a_list() -> None:
    of_another = consent(denied(), patient="q"), flag() | {"subject": {"reference": "Patient/q"}}
    for other in of_another:
        with pytest.raises(WrongPatient):
            record_with(other, flags=FLAGS)
        found = record_with(other, flags=FLAGS, on_other_patient="refuse")
        assert found.opted_out == ""
        assert [refusal.reason for refusal in found.refusals] == ["other-patient"]


def test_a_consent_that_cannot_be_read_is_named_and_not_taken_for_anything() -> None:
    found = record_with(consent(denied()) | {"provision": "deny"})
    assert found.opted_out == ""
    assert [(refusal.subject, refusal.reason) for refusal in found.refusals] == [("Consent/c", "unreadable")]
