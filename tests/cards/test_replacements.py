"""For whom a drug is not offered: every row of replacements.csv withholds, and its look-alike does not."""

from datetime import datetime
from typing import Any

from cards.replacements import why_unfit
from cards.rules.patient.session import PatientSession
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cards.rules.patients import draft_of, drafts_of, record_of

METFORMIN = {"drug": "861007", "dose": "1 tablet", "times": 2}


def _why(patient: dict[str, Any], draft: dict[str, Any], offered: str, as_of: datetime) -> str | None:
    session = PatientSession(record_of(patient, as_of), drafts_of(draft_of(draft)), signing=True)
    return why_unfit(identify_concept(CodeableConcept((), offered)), session, session.drafted[0])


def test_metformin_for_polycystic_ovaries_is_no_reason_for_linagliptin(as_of: datetime) -> None:
    for_ovaries = {**METFORMIN, "more": {"reasonCode": [{"text": "Polycystic ovary syndrome"}]}}
    assert _why({}, for_ovaries, "linagliptin 5 mg tablet", as_of) is not None
    assert _why({"conditions": ["dm2"]}, METFORMIN, "linagliptin 5 mg tablet", as_of) is None
    assert _why({"conditions": ["dm1"]}, METFORMIN, "linagliptin 5 mg tablet", as_of) is not None


def test_acetaminophen_does_not_replace_what_is_given_against_inflammation_or_to_prevent(as_of: datetime) -> None:
    ibuprofen = {"drug": "ibuprofen 600 mg tablet", "dose": "600 mg", "times": 3}
    for reason in ("Acute gout", "Pericarditis", "Patent ductus arteriosus"):
        draft = {**ibuprofen, "more": {"reasonCode": [{"text": reason}]}}
        assert _why({}, draft, "acetaminophen 500 mg tablet", as_of)
    assert _why({}, ibuprofen, "acetaminophen 500 mg tablet", as_of) is None
