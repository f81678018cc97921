"""For whom a drug is not offered: every row of replacements.csv withholds, and its look-alike does not."""

from datetime import datetime
from typing import Any

import pytest

from cards.replacements import _exclusion, why_unfit
from cards.rules.patient.session import PatientSession
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import problem

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


def _problem(words: str, **more: Any) -> dict[str, Any]:
    """A problem in words."""
    return problem(words, status=None, patient="case", id="p") | more


OVER = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
IBUPROFEN = {"drug": "ibuprofen 600 mg tablet", "dose": "600 mg", "times": 3}
ACETAMINOPHEN, LINAGLIPTIN = "acetaminophen 500 mg tablet", "linagliptin 5 mg tablet"
LABETALOL, LORATADINE = "labetalol 100 mg tablet", "loratadine 10 mg tablet"
NO_PAIN = "the order is not for pain or fever"
AS_NEEDED = {"dosageInstruction": [{"text": "as needed", "asNeededCodeableConcept": {"text": "acute gout"}}]}


@for_rows(
    ("offered", "draft", "patient", "why"),
    [
        (ACETAMINOPHEN, IBUPROFEN, {"conditions": ["acute_hepatitis"]}, "liver disease is on record"),
        (ACETAMINOPHEN, IBUPROFEN, {"conditions": ["liver_severe"]}, "liver disease is on record"),
        (ACETAMINOPHEN, IBUPROFEN, {"conditions": ["dm2"]}, None),
        (LINAGLIPTIN, METFORMIN, {"conditions": ["prediabetes"]}, "the order is not for type 2 diabetes"),
        (LINAGLIPTIN, METFORMIN, {"conditions": ["prediabetes", "dm2"]}, None),
        (LINAGLIPTIN, METFORMIN, {"conditions": ["dm2", "pregnancy"], "sex": "female", "age": 30},
         "it is not for this patient"),
        (ACETAMINOPHEN, IBUPROFEN, {"more": [_problem("Febrile NEUTROPENIA")]}, "it hides fever in neutropenia"),
        (ACETAMINOPHEN, IBUPROFEN, {"more": [_problem("Febrile neutropenia", **OVER)]}, None),
        (ACETAMINOPHEN, IBUPROFEN, {"more": [_problem("Nonneutropenic fever")]}, None),
        (ACETAMINOPHEN, IBUPROFEN, {"more": [_problem("Acute gout")]}, None),
        (ACETAMINOPHEN, IBUPROFEN | {"more": {"reasonCode": [{"text": "Gouty arthritis"}]}}, {}, NO_PAIN),
        (ACETAMINOPHEN, IBUPROFEN | {"more": {"note": [{"text": "x"}], **AS_NEEDED}}, {}, NO_PAIN),
        (ACETAMINOPHEN, IBUPROFEN | {"more": {"reasonCode": [{"text": "neutropenic fever"}]}}, {},
         "it hides fever in neutropenia"),
        (LABETALOL, METFORMIN, {"active": ["metoprolol tartrate 50 MG Oral Tablet"]},
         "a drug that slows the heart is taken"),
        (LABETALOL, METFORMIN, {"active": ["amlodipine 5 MG Oral Tablet"]}, None),
        (LABETALOL, {"drug": "metoprolol tartrate 50 MG Oral Tablet"}, {}, None),
        (LORATADINE, {"drug": "diphenhydramine 50 MG/ML Injectable Solution"}, {}, "the order is not one of a tablet"),
        (LORATADINE, {"drug": "diphenhydramine 25 MG Oral Capsule"}, {}, None),
        ("amlodipine 5 mg tablet", METFORMIN, {"conditions": ["cirrhosis"]}, None),
    ],
)  # fmt: skip
def test_what_excludes_a_drug_and_what_only_looks_like_it(
    offered: str, draft: dict[str, Any], patient: dict[str, Any], why: str | None, as_of: datetime
) -> None:
    assert _why(patient, draft, offered, as_of) == why


def test_a_row_with_a_condition_that_nobody_knows_is_refused() -> None:
    row = {"drug": "x", "kind": "condition", "values": "dm2|no_such", "unless": "nor_this", "why": "w"}
    with pytest.raises(ValueError, match=r"^replacements.csv, x: no condition has the key no_such, nor_this$"):
        _exclusion(row)
    with pytest.raises(ValueError, match=r"no condition has the key nor_this$"):
        _exclusion(row | {"kind": "reason"})
    assert _exclusion(row | {"kind": "reason", "unless": ""}).values == ("dm2", "no_such")
