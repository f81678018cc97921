"""The drafts of our cases before real patients: an accepted suggestion brings nothing new."""

import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from cards.orders import check_orders
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import accepted, all_cases, findings, originals, uuids
from tests.cards.rules.patients import draft_of, drafts_of
from tests.each import some_of

Json = dict[str, Any]

FAMILIES = ("age-", "allergy-", "dup-", "preg-")
READ = {
    "Patient", "Condition", "MedicationRequest", "MedicationStatement", "Medication", "AllergyIntolerance", "Procedure",
    "Encounter",
}  # fmt: skip
CHARTS = (
    "synthea/afib_warfarin__*", "synthea/dementia__*", "synthea/pregnant_now__*", "synthea/osteoporosis__*",
    "mimic-iv-demo/100159*", "mimic-iv-demo/10037928*",
)  # fmt: skip


def _drafts() -> list[Json]:
    cases = (case for rule, case in all_cases() if rule.startswith(FAMILIES) and case["kind"] == "fires")
    return list({json.dumps(case["draft"], sort_keys=True): case["draft"] for case in cases}.values())


def _session(path: Path) -> tuple[Json, PatientRecord]:
    """The whole chart an hour after its last order."""
    resources = [entry["resource"] for entry in json.loads(gzip.decompress(path.read_bytes()))["entry"]]
    kept = [one for one in resources if one["resourceType"] in READ]
    ordered = [one["authoredOn"] for one in kept if one["resourceType"] == "MedicationRequest" and "authoredOn" in one]
    as_of = max(datetime.fromisoformat(when) for when in ordered) + timedelta(hours=1)
    patient = next(one["id"] for one in kept if one["resourceType"] == "Patient")
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in kept]}
    record = read_record({"all": decoder.decode(orjson.dumps(bundle))}, patient, as_of, on_other_patient="refuse")
    return bundle, record


@pytest.mark.outside_data
@pytest.mark.parametrize("pattern", CHARTS)
@pytest.mark.sampled
def test_an_accepted_suggestion_answers_its_finding_and_brings_no_other(pattern: str, data_folder: Path) -> None:
    bundle, record = _session(sorted((data_folder / "fhir").glob(pattern))[0])
    whole = originals(bundle)
    tried = 0
    for draft in some_of(_drafts(), 3):
        resource = draft_of(draft) | {"subject": {"reference": f"Patient/{record.patient_id}"}}
        outcome = check_orders(record, drafts_of(resource), None, uuids(), original=whole, signing=True)
        before = {one[:2] for one in findings(outcome)}
        for label, after in accepted(outcome, [resource]):
            tried += 1
            again = findings(check_orders(record, after, None, uuids(), original=whole, signing=True))
            assert {one[:2] for one in again} < before, label
    assert tried > 0


def _fault(record: PatientRecord, whole: Callable[[str], Json | None], draft: Json) -> list[str]:
    """The suggestions for a draft that bring a warning which it did not have, or leave all that was found."""
    resource = draft_of(draft) | {"subject": {"reference": f"Patient/{record.patient_id}"}}
    outcome = check_orders(record, drafts_of(resource), None, uuids(), original=whole, signing=True)
    before = {one[:2] for one in findings(outcome)}
    faults = []
    for label, after in accepted(outcome, [resource]):
        again = findings(check_orders(record, after, None, uuids(), original=whole, signing=True))
        loud = {one[:2] for one in again if one[2] in ("warning", "critical")} - before
        if loud or (again and {one[:2] for one in again} == before):
            faults.append(f"{draft['drug']}: {label}: {sorted(loud)}")
    return faults


def _every_draft() -> list[Json]:
    cases = (case for _, case in all_cases() if case["kind"] == "fires" and "draft" in case)
    return list({json.dumps(case["draft"], sort_keys=True): case["draft"] for case in cases}.values())


@pytest.mark.outside_data
@pytest.mark.parametrize("pattern", CHARTS[:2])
@pytest.mark.sampled
def test_no_suggestion_of_any_rule_is_dangerous_for_a_real_patient(pattern: str, data_folder: Path) -> None:
    bundle, record = _session(sorted((data_folder / "fhir").glob(pattern))[0])
    assert [
        fault for draft in some_of(_every_draft()[::15], 2) for fault in _fault(record, originals(bundle), draft)
    ] == []


@pytest.mark.slow
@pytest.mark.outside_data
def test_no_suggestion_of_any_rule_is_dangerous_for_any_real_patient(data_folder: Path) -> None:
    faults = []
    for path in sorted((data_folder / "fhir").glob("*/*.json.gz"))[::20]:
        bundle, record = _session(path)
        faults += [
            f"{path.name}: {one}" for draft in _every_draft() for one in _fault(record, originals(bundle), draft)
        ]
    assert faults == []
