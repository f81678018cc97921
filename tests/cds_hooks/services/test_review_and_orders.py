"""One list, one truth: what order-sign says critically of a drug, the medication review says of it once it is taken.

Every case of a rule whose finding is critical is asked again with its drafts as active orders, and every active
medication of the samples is asked as if it were ordered today.
"""

import gzip
import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import pytest

from cards.casebook.cases import AS_OF
from cards.casebook.patients import draft_of, record_of
from cards.rules.engine.rule_book import MISSING, whole_book
from cards.rules.patient.orders import DraftOrder, read_draft
from cards.rules.patient.session import PatientSession
from cds_hooks.kit.samples import list_samples, load_patient
from cds_hooks.services._current_medications import taken_medications
from cds_hooks.services.medication_review import _OF_ORDERS_ONLY, _is_meant, _reports_under_65, review_book
from fhir.record.record import PatientRecord, read_record
from fhir.record.repair import repair_resource
from fhir.record.resources import decoder
from tests.conftest import ROOT
from tests.each import for_rows
from tests.fhir.record.test_resources import bundle_files

Json = dict[str, Any]
Found = set[tuple[str, str]]
"""The draft's name and the rule."""
_FAMILIES: Final = {rule.id: rule.family.name for rule in whole_book().rules}
# Crossing 90 MME a day is critical of the order that crosses it; whoever takes it is warned (CDC 2022).
_OF_THE_ORDER: Final = {("opioid-mme", "ge90")}


def reviewed(record: PatientRecord, drafts: list[DraftOrder]) -> Found:
    """What the review tells of these active orders at an age under 65."""
    session = PatientSession(record, drafts, signing=True, active_orders=True)
    reviewed_findings = {
        (drafted.draft.name, finding.rule)
        for drafted in session.drafted
        for finding in review_book().evaluate(session, drafted).findings_of(_reports_under_65)
        if finding.indicator == "critical" and _is_meant(finding, drafted, is_older=False)
    }
    # The first look of a call of another service misses none of them.
    can_find = (review_book().can_find(session, drafted, _reports_under_65) for drafted in session.drafted)
    assert not reviewed_findings or any(can_find)
    return reviewed_findings


def _readable(resource: Json) -> Any:
    """A bundle of the resource; None where it cannot be read, as one in the messy record."""
    bundle = {"resourceType": "Bundle", "entry": [{"resource": repair_resource(resource)}]}
    with suppress(msgspec.ValidationError):
        return decoder.decode(orjson.dumps(bundle))
    return None


def _ordered_today(record: PatientRecord, drafts: list[DraftOrder]) -> Found:
    """What is critical of each of them where it is ordered today, beside what the chart has."""
    return {
        (draft.name, finding.rule)
        for draft in drafts
        for session in [PatientSession(record, [draft], signing=True)]
        for drafted in session.drafted
        for finding in whole_book().evaluate(session, drafted).findings
        if finding.indicator == "critical"
        and finding.band != MISSING
        and _FAMILIES[finding.rule] not in _OF_ORDERS_ONLY
        and (finding.rule, finding.band) not in _OF_THE_ORDER
    }


def _record(entries: list[Json], as_of: datetime) -> PatientRecord:
    parts = {str(place): _readable(entry["resource"]) for place, entry in enumerate(entries)}
    patient = next(entry["resource"]["id"] for entry in entries if entry["resource"]["resourceType"] == "Patient")
    return read_record({place: part for place, part in parts.items() if part is not None}, patient, as_of)


@for_rows("sample", [sample.id for sample in list_samples()])
def test_an_active_medication_of_a_sample_is_told_as_if_it_were_ordered_today(sample: str, as_of: datetime) -> None:
    record = _record(load_patient(sample, as_of)["entry"], as_of)
    drafts = [draft for _, draft in taken_medications(record)]
    assert _ordered_today(record, drafts) <= reviewed(record, drafts)


@pytest.mark.slow
@pytest.mark.outside_data
def test_so_is_an_active_medication_of_a_foreign_chart(data_folder: Path, as_of: datetime) -> None:
    """A chart that ended in the past is read as of its last entry, so that its orders are active."""
    told, missing = 0, []
    for path in bundle_files(data_folder):
        entries = json.loads(gzip.decompress(path.read_bytes()))["entry"]
        written = [entry["resource"].get("authoredOn", "")[:10] for entry in entries]
        day = max(filter(None, written), default="")
        at = datetime.fromisoformat(f"{day}T23:00:00+00:00") if day else as_of
        record = _record(entries, at)
        drafts = [draft for _, draft in taken_medications(record)]
        told += len(drafts)
        missing += sorted((path.name, *pair) for pair in _ordered_today(record, drafts) - reviewed(record, drafts))
    assert (told > 100, missing) == (True, [])


def test_acetaminophen_that_a_diseased_liver_does_not_stand_and_a_high_inr_are_told_at_every_age() -> None:
    liver = {"age": 40, "conditions": ["cirrhosis"]}
    inr = {"age": 40, "labs": [["inr", 6.8]]}
    for patient, draft, rule in (
        (
            liver,
            {"drug": "acetaminophen 500 MG Oral Tablet", "dose": "2 tablets", "times": 4},
            "dup-acetaminophen-dose",
        ),
        (inr, {"drug": "warfarin sodium 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}, "mon-warfarin-inr"),
    ):
        record = record_of(patient, AS_OF)
        order = read_draft(draft_of(draft) | {"status": "active", "authoredOn": "2026-10-20"})
        session = PatientSession(record, [order], signing=True, active_orders=True)
        (drafted,) = session.drafted
        findings = review_book().evaluate(session, drafted).findings
        assert rule in {found.rule for found in findings if _is_meant(found, drafted, is_older=False)}


CASES: Final = ROOT / "tests" / "cases" / "rules"


def _critical_cases(file: Path) -> list[Json]:
    cases = json.loads(file.read_text())
    return [
        case
        for case in cases
        if case.get("indicator") == "critical"
        and "test" not in case["draft"]
        and (file.stem, case["band"]) not in _OF_THE_ORDER
    ]


FILES: Final = [
    file
    for file in sorted(CASES.glob("*.json"))
    if _FAMILIES.get(file.stem, "orders") not in _OF_ORDERS_ONLY and _critical_cases(file)
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_an_order_is_critically_warned_of_is_in_the_review_of_who_takes_it(file: Path) -> None:
    for case in _critical_cases(file):
        resources = [draft_of(case["draft"])]
        resources += [draft_of(draft, f"beside-{place}") for place, draft in enumerate(case.get("beside", ()))]
        active = [
            read_draft(resource | {"status": "active", "authoredOn": "2026-10-20"})
            for resource in resources
            if resource["resourceType"] == "MedicationRequest"
        ]
        record = record_of(case["patient"], AS_OF)
        taken = [draft for _, draft in taken_medications(record)]
        assert file.stem in {rule for _, rule in reviewed(record, [*active, *taken])}, case["id"]
