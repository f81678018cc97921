"""Whether an order of a course still counts as taken, and what is made of one that contradicts itself."""

import json
from pathlib import Path
from typing import Any

from fhir.mapping.gaps import gaps
from fhir.mapping.medications.active import active_medications, presence_of
from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.medications.identity import identify
from fhir.mapping.medications.sig import read_sig
from fhir.record.record import record_from_resources
from fhir.record.resources import MedicationRequest
from tests.each import for_rows
from tests.fhir.builders import AS_OF, SUBJECT

Json = dict[str, Any]
_FILE = Path(__file__).with_name("courses.jsonl")
_ROWS = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]
_ORDER = {
    "resourceType": "MedicationRequest",
    "id": "m",
    "status": "active",
    "intent": "order",
    "subject": SUBJECT,
    "medicationCodeableConcept": {"text": "clarithromycin 500 MG Oral Tablet"},
}


@for_rows("row", _ROWS, [row["row"] for row in _ROWS])
def test_an_order_counts_until_its_course_is_over(row: Json) -> None:
    record = record_from_resources([_ORDER | row["order"]], "p1", AS_OF)
    assert bool(active_medications(record)) is row["taken"]


def test_a_supply_that_ended_long_ago_is_said_and_is_no_absence() -> None:
    supply = {"dispenseRequest": {"expectedSupplyDuration": {"value": 7, "code": "d"}}, "authoredOn": "2025-10-24"}
    record = record_from_resources([_ORDER | supply], "p1", AS_OF)
    assert presence_of(record, frozenset({"21212"})).state == "unreadable"
    assert [gap.reason for gap in gaps(record)] == ["supply-ended"]


def _draft(**elements: Any) -> Any:
    (order,) = record_from_resources([_ORDER | elements], "p1", AS_OF).facts(MedicationRequest)
    return order


_TIMES = {"doseAndRate": [{"doseQuantity": {"value": 500, "code": "mg", "unit": "mg"}}]}


@for_rows(("text", "frequency", "period", "unit", "contradicts"))
def test_words_that_say_less_than_the_structure_leave_no_dose(
    text: str, frequency: int, period: int, unit: str, contradicts: bool
) -> None:
    repeat = {"frequency": frequency, "period": period, "periodUnit": unit}
    order = _draft(dosageInstruction=[{**_TIMES, "text": text, "timing": {"repeat": repeat}}])
    dose = daily_dose(order, identify(order))
    assert (dose.problem is not None and dose.problem.reason == "contradiction") is contradicts
    assert bool(dose.per_day) is not contradicts


@for_rows(("code", "words", "is_in_doubt"))
def test_a_code_and_words_of_different_strengths_are_in_doubt(code: str, words: str, is_in_doubt: bool) -> None:
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": code}
    identity = identify(_draft(medicationCodeableConcept={"coding": [coding], "text": words}))
    assert (identity.doubt is not None) is is_in_doubt
    assert (identity.strengths[0] is None) is is_in_doubt


def test_an_order_that_names_one_drug_and_refers_to_another_is_in_doubt() -> None:
    contained = [{"resourceType": "Medication", "id": "m", "code": {"text": "warfarin 5 mg tablet"}}]
    identity = identify(_draft(medicationReference={"reference": "#m"}, contained=contained))
    assert identity.doubt is not None
    assert "warfarin" in identity.doubt


@for_rows(("words", "times", "amount"))
def test_directions_of_other_languages(words: str, times: float, amount: float | None) -> None:
    sig = read_sig(words)
    assert sig.times_high == times
    assert (sig.amount.low if sig.amount is not None else None) == amount
