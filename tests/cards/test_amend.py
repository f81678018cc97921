"""The client's own order after a change: each element that must change, and everything else as it came."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cards.amend import NotChangeable, amend
from cards.rules.language.rule import OrderChange, Product, Sig
from cards.rules.patient.session import PatientSession
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
METFORMIN = "metformin hydrochloride 500 MG Oral Tablet"
MG = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
DAYS = {"unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
TWICE = {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}
ONCE = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
ONCE_DAILY = Sig("500 mg once daily", 500, times_per_day=1)


def tablets(count: float, unit: str = "tablet") -> list[Json]:
    return [{"doseQuantity": {"value": count, "unit": unit}}]


def mg(value: float) -> list[Json]:
    return [{"doseQuantity": {"value": value, **MG}}]


def order_of(dosage: Json | list[Json] | None = None, drug: str = METFORMIN, **more: Any) -> Json:
    """A draft of one tablet twice a day, or with this instruction."""
    instructions = dosage if isinstance(dosage, list) else [dosage or {"timing": TWICE, "doseAndRate": tablets(1)}]
    return draft_of({"drug": drug, "more": {"dosageInstruction": instructions, **more}})


def amended(order: Json, change: OrderChange) -> Json:
    session = PatientSession(record_of({}, AS_OF), drafts_of(order))
    return amend(session.drafted[0], change, AS_OF)


def changed_in(order: Json, change: OrderChange) -> Json:
    """The members of the order that differ after the change; None for one that is gone."""
    after = amended(order, change)
    return {name: after.get(name) for name in {**order, **after} if after.get(name) != order.get(name)}


def dosage_after(dosage: Json | list[Json], sig: Sig) -> list[Json]:
    instructions: list[Json] = amended(order_of(dosage), OrderChange(sig=sig))["dosageInstruction"]
    return instructions


# Dose and timing


def test_a_dose_is_written_in_the_units_of_the_client_and_its_supply_is_scaled() -> None:
    order = order_of(
        dispenseRequest={"quantity": {"value": 60, "unit": "tablet"}, "numberOfRepeatsAllowed": 2}, note=[{"text": "x"}]
    )
    assert changed_in(order, OrderChange(sig=ONCE_DAILY)) == {
        "dosageInstruction": [{"timing": ONCE, "doseAndRate": tablets(1)}],
        "dispenseRequest": {"quantity": {"value": 30, "unit": "tablet"}, "numberOfRepeatsAllowed": 2},
    }
    assert order["dosageInstruction"] == [{"timing": TWICE, "doseAndRate": tablets(1)}], "the draft itself stays"


def test_words_that_would_contradict_the_new_dose_are_replaced() -> None:
    repeated = {**TWICE["repeat"], "boundsDuration": {**DAYS, "value": 7}, "timeOfDay": ["08:00"]}
    said = {
        "text": "1 tablet twice daily with food", "patientInstruction": "Take one in the morning",
        "timing": {"code": {"text": "BID"}, "event": ["2026-11-20"], "repeat": repeated},
        "doseAndRate": tablets(1), "maxDosePerPeriod": {"numerator": {"value": 2}}, "route": {"text": "oral"},
    }  # fmt: skip
    assert dosage_after(said, ONCE_DAILY) == [
        {"text": "500 mg once daily", "patientInstruction": "500 mg once daily",
         "timing": {"repeat": {"boundsDuration": {**DAYS, "value": 7}, **ONCE["repeat"]}}, "doseAndRate": tablets(1),
         "route": {"text": "oral"}},
    ]  # fmt: skip


def test_a_timing_that_stays_the_same_is_not_written_anew() -> None:
    coded = {"code": {"text": "BID"}, "repeat": TWICE["repeat"]}
    (after,) = dosage_after({"timing": coded, "doseAndRate": tablets(2)}, Sig("x", 500, times_per_day=2))
    assert after["timing"] == coded
    at_night = Sig("x", 500, times_per_day=2, when="HS")
    (after,) = dosage_after({"timing": coded, "doseAndRate": tablets(2)}, at_night)
    assert after["timing"] == {"repeat": {**TWICE["repeat"], "when": ["HS"]}}
    weekly = Sig("x", 500, times_per_week=1, weekday="mon")
    (after,) = dosage_after({"timing": coded, "doseAndRate": tablets(2)}, weekly)
    assert after["timing"] == {"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk", "dayOfWeek": ["mon"]}}


def test_a_share_of_the_dose_keeps_its_unit() -> None:
    half = Sig("half", dose_share=0.5, times_per_day=2)
    assert dosage_after({"timing": TWICE, "doseAndRate": tablets(3)}, half)[0]["doseAndRate"] == tablets(1.5)
    order = order_of({"timing": TWICE, "doseAndRate": tablets(2)}, dispenseRequest={"quantity": {"value": 61}})
    assert changed_in(order, OrderChange(sig=half))["dispenseRequest"] == {"quantity": {"value": 31}}
    with pytest.raises(NotChangeable, match=r"^the drafted dose stands in words only$"):
        dosage_after({"text": "1 tablet twice daily"}, half)


# A part of the dose


# Product


P250 = Product("1", "metformin 250 MG Oral Tablet", 250)


def concept_of(product: Product) -> Json:
    rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
    return {"coding": [{"system": rxnorm, "code": product.rxcui, "display": product.name}], "text": product.name}


def test_a_contained_medication_that_nothing_names_any_more_goes() -> None:
    inside = {"resourceType": "Medication", "id": "m", "code": {"text": METFORMIN}}
    other = {"resourceType": "Practitioner", "id": "p"}
    base = {name: value for name, value in order_of().items() if name != "medicationCodeableConcept"}
    by_reference = base | {"medicationReference": {"reference": "#m"}, "contained": [inside, other]}
    after = amended(by_reference, OrderChange(product=P250))
    assert (after["contained"], after["medicationCodeableConcept"]) == ([other], concept_of(P250))
    assert "medicationReference" not in after
    assert "contained" not in amended(by_reference | {"contained": [inside]}, OrderChange(product=P250))
    # A draft whose contained medication did not come is known by the words of the reference alone.
    named = base | {"medicationReference": {"reference": "#m", "display": METFORMIN}}
    assert amended(named, OrderChange(product=P250))["medicationCodeableConcept"] == concept_of(P250)


# Supply and duration


@for_rows(("quantity", "expected"), [(61, 31), (60, 30), (2_000_000, 1_000_000), (2_000_002, None), (-1, None)])
def test_a_supply_is_scaled_and_rounded_up_or_left_out(quantity: Any, expected: int | None) -> None:
    order = order_of(dispenseRequest={"quantity": {"value": quantity}, "validityPeriod": {}})
    after = amended(order, OrderChange(sig=ONCE_DAILY))["dispenseRequest"]
    assert after == {"validityPeriod": {}} | ({"quantity": {"value": expected}} if expected else {})


def test_a_start_is_written_on_every_instruction() -> None:
    two: list[Json] = [
        {"timing": TWICE},
        {"timing": {"repeat": {"boundsPeriod": {"start": "2026-11-20", "end": "2026-11-30"}}}},
    ]
    start = {"start": "2026-11-20T21:00:00+00:00"}
    assert changed_in(order_of(two), OrderChange(start_in_hours=12)) == {
        "dosageInstruction": [
            {"timing": {"repeat": {**TWICE["repeat"], "boundsPeriod": start}}},
            {"timing": {"repeat": {"boundsPeriod": {**start, "end": "2026-11-30"}}}},
        ]
    }
    without = {name: value for name, value in order_of().items() if name != "dosageInstruction"}
    after = amended(without, OrderChange(start_in_hours=0))["dosageInstruction"]
    assert after == [{"timing": {"repeat": {"boundsPeriod": {"start": "2026-11-20T09:00:00+00:00"}}}}]
    bounded = {"timing": {"repeat": {"boundsDuration": {**DAYS, "value": 5}}}}
    with pytest.raises(NotChangeable, match=r"^the draft says how long in a way that has no start$"):
        amended(order_of(bounded), OrderChange(start_in_hours=12))
