"""All order rules about a proposed order, and about what is taken."""

from datetime import datetime

import pytest

from cards.rules.engine.judgement import findings_of_taken, objections_to
from tests.cards.rules.patients import draft_of, drafts_of, record_of

METFORMIN = {"drug": "861007", "dose": "1 tablet", "times": 2}
SIMVASTATIN = {"drug": "312961", "dose": "1 tablet", "times": 1}
CLARITHROMYCIN = {"drug": "197517", "dose": "1 tablet", "times": 2}


def test_a_proposed_order_meets_the_rules_that_a_drafted_one_meets(as_of: datetime) -> None:
    failing = record_of({"labs": [["egfr", 20]]}, as_of)
    assert [one.rule for one in objections_to(failing, draft_of(METFORMIN))] == ["renal-metformin"]
    healthy = record_of({"labs": [["egfr", 90]]}, as_of)
    assert objections_to(healthy, draft_of(METFORMIN)) == ()


def test_a_proposed_order_that_is_not_recognised_is_refused(as_of: datetime) -> None:
    order = {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "no such drug"}}
    with pytest.raises(ValueError, match="recognised"):
        objections_to(record_of({}, as_of), order)


def test_what_is_taken_is_judged_as_if_it_was_signed_and_a_pair_is_told_once(as_of: datetime) -> None:
    taken = drafts_of(draft_of(SIMVASTATIN, "one"), draft_of(CLARITHROMYCIN, "two"))
    told = [
        (drafted.medication.name, one.rule)
        for drafted, found in findings_of_taken(record_of({}, as_of), taken)
        for one in found
    ]
    assert len(told) == 1
    assert told[0][1] == "ddi-simvastatin-cyp3a4"
