"""Two orders of one drug: which words make them alternatives, and which hide no double dose."""

import msgspec

from cards.rules.patient.alternatives import are_meant_together, are_taken_by_turns
from fhir.record.resources import MedicationRequest
from tests.each import for_rows

_BY_TURNS = """
650 mg PR q6h prn if unable to take PO | 650 mg PO q6h prn
5 mg IM q6h prn if refusing PO | 5 mg PO q6h prn
1 mg PO q1h prn CIWA 8-15 | 2 mg PO q1h prn CIWA greater than 15
10 mg BID x 7 days | 5 mg BID starting day 8
5 mg PO Mon, Wed, Fri | 2.5 mg PO all other days
600 mg q6h start after last ketorolac dose | 30 mg IV q6h x 24 hours
"""
_TOGETHER = """
5 mg q4h prn moderate pain | 10 mg q4h prn severe pain
80 units/kg IV bolus once | 18 units/kg/hr IV continuous
5000 units IV bolus once | 12 units/kg/h IV continuous, titrate to aPTT 60-80
150 mg IV bolus over 10 minutes | 0.5 mg/min continuous infusion after the bolus
80 units/kg IV bolus once | 18 units/kg/h continuous; bolus 40 units/kg if aPTT < 45 seconds
40 units/kg IV bolus prn aPTT < 45 seconds | bolus 80 units/kg then 18 units/kg/h IV
5000 units IV push once | 12 units/kg/h continuous, no initial bolus
80 units/kg IV bolus once | 18 units/kg/h continuous, re-bolus 40 units/kg per protocol
5 mg q4h prn pain 4-6 | 10 mg q4h prn pain score 7-10
"""
_TWICE = """
650 mg q4h for pain. Patient NPO after midnight | 1000 mg q6h
650 mg q4h for fever, hold if NPO | 1000 mg q6h
650 mg q4h prn pain 4-6 | 1000 mg q6h prn pain 5-7
1 mg q4h prn RASS > 1 | 2 mg q4h prn CIWA > 8
10 mg BID x 10 days | 5 mg BID starting day 4
15 mg every Monday | 15 mg every Thursday
1000 mg q6h, no sooner than 4 hours after the last | 650 mg q4h for 3 days
5 mg BID starting week 1 | 10 mg BID x 7 days
12 units/kg/hr IV continuous | 18 units/kg/hour IV continuous
18 units/kg/h IV continuous | bolus 80 units/kg then 18 units/kg/h IV
18 units/kg/h IV continuous | 12 units/kg/h IV continuous, titrate to aPTT 60-80
bolus 80 units/kg then 18 units/kg/h IV | 80 mg IV bolus then 8 mg/h continuous
5000 units IV bolus once | bolus 80 units/kg then 18 units/kg/h IV
80 mg IV push once | 80 mg IV bolus, then 8 mg/hour for 72 hours
80 units/kg i.v. bolus | 80 units/kg intravenous bolus followed by continuous infusion 18 units/kg/h
5000 units IVP | IV push per protocol, then 18 units/kg/h; re-bolus if aPTT < 45
5000 units bolus | loading dose, then 1000 units/h, titrate to aPTT 60-80
"""


def _rows(text: str) -> list[tuple[MedicationRequest, ...]]:
    return [tuple(map(_order, row.split("|"))) for row in text.strip().splitlines()]


def _order(sig: str) -> MedicationRequest:
    order = {"status": "draft", "dosageInstruction": [{"text": sig.strip()}]}
    return msgspec.convert(order, MedicationRequest)


@for_rows("first, second", _rows(_BY_TURNS))
def test_orders_given_by_turns_are_not_added_up(first: MedicationRequest, second: MedicationRequest) -> None:
    assert are_taken_by_turns(first, second)
    assert are_taken_by_turns(second, first)


@for_rows("first, second", _rows(_TOGETHER))
def test_orders_that_stand_together_are_added_up(first: MedicationRequest, second: MedicationRequest) -> None:
    assert are_meant_together(first, second)
    assert not are_taken_by_turns(first, second)


@for_rows("first, second", _rows(_TWICE))
def test_other_words_make_no_alternative(first: MedicationRequest, second: MedicationRequest) -> None:
    assert not are_meant_together(first, second)
    assert not are_meant_together(second, first)
