"""Two orders of one drug: which words make them alternatives, and which hide no double dose."""

import msgspec

from cards.rules.patient.alternatives import are_meant_together, are_taken_by_turns, gives_a_second_load
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
_LOADED_TWICE = """
2 g IV once | 2 g IV load then 1 g IV q12h
150 mg IV bolus once | 150 mg IV over 10 min then 1 mg/min
600 mg once | 600 mg load then 75 mg daily
5000 units IV bolus once | 80 units/kg bolus followed by 18 units/kg/h
8 mg IV bolus once | 8 mg IV bolus then 72 mg over 60 min
"""
_LOADED_ONCE = """
10 mg PO once now | 10 mg BID x 7 days then 5 mg BID
60 mg once | 40 mg daily x 5 days then 20 mg daily x 5 days
80 units/kg IV bolus once | 18 units/kg/h IV continuous
40 units/kg IV bolus once if aPTT < 45 | 80 units/kg bolus then 18 units/kg/h IV
150 mg IV bolus once | 1 mg/min for 6 h then 0.5 mg/min
125 mg IV once | 24 mg day 1 then taper by 4 mg daily
2 g IV once | 1 g IV q12h
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


@for_rows("single, other", _rows(_LOADED_TWICE))
def test_a_load_beside_an_order_that_begins_with_one_is_a_second(
    single: MedicationRequest, other: MedicationRequest
) -> None:
    assert gives_a_second_load(single, other)
    assert not are_meant_together(single, other)


@for_rows("single, other", _rows(_LOADED_ONCE))
def test_a_single_dose_beside_a_course_a_taper_or_an_infusion_is_no_second_load(
    single: MedicationRequest, other: MedicationRequest
) -> None:
    assert not gives_a_second_load(single, other)
