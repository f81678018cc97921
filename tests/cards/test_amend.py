"""The client's own order after a change: each element that must change, and everything else as it came."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from cards.amend import NotChangeable, amend
from cards.rules.language.rule import DosePart, OrderChange, Product, Sig
from cards.rules.patient.orders import DraftMedication
from cards.rules.patient.session import PatientSession
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.hardening.mutations import HOSTILE, places_in, with_value

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


@pytest.mark.parametrize(("words", "stays"), [("with food", True), ("take half", False), ("2 at night", False)])
def test_words_for_the_patient_that_say_no_dose_stay(words: str, stays: bool) -> None:
    dosage = {"timing": TWICE, "doseAndRate": tablets(2), "patientInstruction": words}
    (after,) = dosage_after(dosage, ONCE_DAILY)
    assert after["patientInstruction"] == (words if stays else "500 mg once daily")
    assert "text" not in after


def test_an_instruction_in_words_alone_gets_words_and_a_dose() -> None:
    assert dosage_after({"text": "1 tablet twice daily"}, ONCE_DAILY) == [
        {"text": "500 mg once daily", "timing": ONCE, "doseAndRate": mg(500)}
    ]
    assert dosage_after([{}], ONCE_DAILY) == [{"text": "500 mg once daily", "timing": ONCE, "doseAndRate": mg(500)}]
    written = Sig("in words too", 500, times_per_day=1, is_written=True)
    assert dosage_after({"timing": ONCE, "doseAndRate": tablets(1)}, written)[0]["text"] == "in words too"


def test_several_instructions_become_one() -> None:
    first, second = ({"timing": ONCE, "doseAndRate": tablets(count)} for count in (1, 2))
    assert dosage_after([first, second], ONCE_DAILY) == [{"timing": ONCE, "doseAndRate": tablets(1)}]
    # Two that are given once each are as often as the new one; the first alone is not.
    twice = Sig("x", 500, times_per_day=2)
    assert dosage_after([first, first], twice) == [{"timing": TWICE, "doseAndRate": tablets(1)}]


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


def test_as_needed_is_written_where_the_order_does_not_say_for_what() -> None:
    sig = Sig("x", 500, times_per_day=2, as_needed=True)
    plain: Json = {"timing": TWICE, "doseAndRate": tablets(1)}
    assert dosage_after(plain, sig) == [plain | {"asNeededBoolean": True}]
    for_pain = plain | {"asNeededCodeableConcept": {"text": "pain"}}
    assert dosage_after(for_pain, sig) == [for_pain]


def test_a_range_and_a_rate_become_one_dose() -> None:
    high = {"value": 2, "unit": "tablet"}
    rate = {"doseRange": {"low": {"value": 1}, "high": high}, "rateRatio": {}, "rateRange": {}, "rateQuantity": {}}
    assert dosage_after({"timing": TWICE, "doseAndRate": [rate, {"type": {"text": "x"}}]}, ONCE_DAILY) == [
        {"timing": ONCE, "doseAndRate": tablets(1)}
    ]


def test_a_share_of_the_dose_keeps_its_unit() -> None:
    half = Sig("half", dose_share=0.5, times_per_day=2)
    assert dosage_after({"timing": TWICE, "doseAndRate": tablets(3)}, half)[0]["doseAndRate"] == tablets(1.5)
    order = order_of({"timing": TWICE, "doseAndRate": tablets(2)}, dispenseRequest={"quantity": {"value": 61}})
    assert changed_in(order, OrderChange(sig=half))["dispenseRequest"] == {"quantity": {"value": 31}}
    with pytest.raises(NotChangeable, match=r"^the drafted dose stands in words only$"):
        dosage_after({"text": "1 tablet twice daily"}, half)


def test_a_second_instruction_is_like_the_first() -> None:
    first, second = Sig("400 mg on even days", 500, times_per_day=1), Sig("200 mg on odd days", 250, times_per_day=1)
    dosage = {
        "timing": ONCE, "doseAndRate": tablets(1), "text": "x", "patientInstruction": "1", "route": {"text": "oral"},
    }  # fmt: skip
    after = amended(order_of(dosage), OrderChange(sig=first, second=second))["dosageInstruction"]
    assert after == [
        {**dosage, "text": first.text, "patientInstruction": first.text},
        {"timing": ONCE, "doseAndRate": mg(250), "text": second.text, "route": {"text": "oral"}},
    ]
    silent = {"timing": ONCE, "doseAndRate": tablets(1)}
    (_, added) = amended(order_of(silent), OrderChange(sig=first, second=second))["dosageInstruction"]
    assert added == {"timing": ONCE, "doseAndRate": mg(250)}


def test_words_without_a_dose_are_the_words_of_the_first_instruction() -> None:
    change = OrderChange(sig=Sig("titrate by the level"))
    two: list[Json] = [{"text": "a", "patientInstruction": "b", "timing": TWICE}, {"text": "c"}]
    assert changed_in(order_of(two), change) == {
        "dosageInstruction": [{"text": change.sig.text if change.sig else "", "timing": TWICE}, {"text": "c"}]
    }
    without = {name: value for name, value in order_of().items() if name != "dosageInstruction"}
    assert changed_in(without, change) == {"dosageInstruction": [{"text": "titrate by the level"}]}


# A part of the dose


UNKNOWN = "the drafted dose is not exactly known"
FIVE_TIMES = {"repeat": {"frequency": 5, "period": 1, "periodUnit": "d"}}
ONE_OR_TWO = [{"doseRange": {"low": {"value": 1, "unit": "tablet"}, "high": {"value": 2, "unit": "tablet"}}}]
TWO_DRUGS = "lisinopril 10 MG / hydrochlorothiazide 12.5 MG Oral Tablet"


@for_rows(
    ("dosage", "drug", "fault"),
    [
        ({"timing": TWICE, "doseAndRate": tablets(1)}, METFORMIN, "no tablet gives so little"),
        ({"timing": TWICE, "doseAndRate": tablets(2), "asNeededBoolean": True}, METFORMIN, UNKNOWN),
        ({"timing": TWICE}, METFORMIN, UNKNOWN),
        ({"timing": FIVE_TIMES, "doseAndRate": tablets(2)}, METFORMIN, UNKNOWN),
        ({"timing": TWICE, "doseAndRate": ONE_OR_TWO}, METFORMIN, UNKNOWN),
        ({"timing": TWICE, "doseAndRate": tablets(2)}, TWO_DRUGS, UNKNOWN),
    ],
)  # fmt: skip
def test_a_part_of_an_unknown_dose_or_under_the_least_is_none(dosage: Json, drug: str, fault: str) -> None:
    with pytest.raises(NotChangeable) as refusal:
        amended(order_of(dosage, drug), OrderChange(part=DosePart(0.5, 0.3, 300)))
    assert str(refusal.value) == fault


# Product


P250 = Product("1", "metformin 250 MG Oral Tablet", 250)
SLOW_750 = Product("2", "metformin XR 750 MG", 750, slow_release=True)


def concept_of(product: Product) -> Json:
    rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
    return {"coding": [{"system": rxnorm, "code": product.rxcui, "display": product.name}], "text": product.name}


def test_a_product_takes_the_place_of_another_strength_or_release() -> None:
    order = order_of(dispenseRequest={"quantity": {"value": 60}})
    sig = Sig("250 mg twice daily", 250, times_per_day=2)
    assert changed_in(order, OrderChange(sig=sig, product=P250)) == {"medicationCodeableConcept": concept_of(P250)}
    same = Product("3", "metformin 500", 500)
    assert changed_in(order, OrderChange(product=same)) == {}
    slow = Product("4", "metformin XR 500", 500, slow_release=True)
    assert changed_in(order, OrderChange(product=slow)) == {"medicationCodeableConcept": concept_of(slow)}


@for_rows(("dose", "chosen"), [(250, P250), (500, None), (1000, None), (750, P250), (625, P250)])
def test_a_smaller_product_is_chosen_only_where_the_dose_would_be_a_part_of_a_tablet(
    dose: float, chosen: Product | None
) -> None:
    others = (SLOW_750, Product("5", "the same strength", 500), P250)
    change = OrderChange(sig=Sig("x", dose, times_per_day=2), products_if_split=others)
    after = amended(order_of(), change)["medicationCodeableConcept"]
    assert after == (concept_of(chosen) if chosen else order_of()["medicationCodeableConcept"])


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


HOSTILE_CHANGES = (
    OrderChange(sig=ONCE_DAILY),
    OrderChange(sig=Sig("half", dose_share=0.5, times_per_day=2)),
    OrderChange(sig=ONCE_DAILY, second=ONCE_DAILY),
    OrderChange(sig=Sig("titrate by the level")),
    OrderChange(product=P250),
    OrderChange(duration_days=5),
    OrderChange(start_in_hours=12),
)


@for_rows("change", HOSTILE_CHANGES)
def test_what_is_against_fhir_somewhere_in_an_order_ends_no_change(change: OrderChange) -> None:
    rate = {"doseRange": {"low": {"value": 1}, "high": {"value": 2, "unit": "tablet"}}, **tablets(1)[0]}
    dosage = {
        "text": "1 tablet twice daily for 5 days",
        "patientInstruction": "x",
        "timing": TWICE,
        "doseAndRate": [rate],
    }
    supply = {"quantity": {"value": 60}, "expectedSupplyDuration": {**DAYS, "value": 10}, "numberOfRepeatsAllowed": 3}
    order = order_of(dosage, dispenseRequest=supply, contained=[{"resourceType": "Medication", "id": "m"}])
    session = PatientSession(record_of({}, AS_OF), drafts_of(order))
    for place in places_in(order):
        for value in (*HOSTILE, [[None]], {"a": [None]}):
            drafted = session.drafted[0]
            resource = with_value(order, place, value)
            draft = structs.replace(drafted.draft, resource=resource)
            with suppress(NotChangeable):
                amend(DraftMedication(draft, drafted.order, session.medications, lambda: None), change, AS_OF)


# Supply and duration


@for_rows(("quantity", "expected"), [(61, 31), (60, 30), (2_000_000, 1_000_000), (2_000_002, None), (-1, None)])
def test_a_supply_is_scaled_and_rounded_up_or_left_out(quantity: Any, expected: int | None) -> None:
    order = order_of(dispenseRequest={"quantity": {"value": quantity}, "validityPeriod": {}})
    after = amended(order, OrderChange(sig=ONCE_DAILY))["dispenseRequest"]
    assert after == {"validityPeriod": {}} | ({"quantity": {"value": expected}} if expected else {})


def test_a_supply_of_an_unknown_dose_is_left_out() -> None:
    order = order_of({"text": "as directed"}, dispenseRequest={"quantity": {"value": 60}})
    assert amended(order, OrderChange(sig=ONCE_DAILY))["dispenseRequest"] == {}
    # A solution has no strength of one unit by which millilitres could be counted.
    solution = order_of({"timing": TWICE, "doseAndRate": mg(500)}, "metformin hydrochloride 100 MG/ML Oral Solution",
                        dispenseRequest={"quantity": {"value": 300, "unit": "mL"}})  # fmt: skip
    assert amended(solution, OrderChange(sig=ONCE_DAILY))["dispenseRequest"] == {}
    # Half a tablet is written in milligrams.
    halved = amended(order_of(drug="metformin hydrochloride 1000 MG Oral Tablet"), OrderChange(sig=ONCE_DAILY))
    assert halved["dosageInstruction"][0]["doseAndRate"] == mg(500)
    every = Sig("x", 500, every_hours=12)
    same = order_of(dispenseRequest={"quantity": {"value": 60}})
    assert amended(same, OrderChange(sig=every))["dispenseRequest"] == {"quantity": {"value": 60}}
    weekly = Sig("x", 500, times_per_week=7)
    assert amended(same, OrderChange(sig=weekly))["dispenseRequest"] == {"quantity": {"value": 30}}


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


def test_contained_resources_stay_where_the_medication_is_not_among_them() -> None:
    base = {name: value for name, value in order_of().items() if name != "medicationCodeableConcept"}
    inside = [{"resourceType": "Practitioner", "id": "p"}, {"resourceType": "Medication", "id": "7"}]
    for reference in ("Medication/7", ""):
        by_reference = base | {"medicationReference": {"reference": reference}, "contained": inside}
        after = amended(by_reference, OrderChange(product=P250))
        assert (after["contained"], "medicationReference" in after) == (inside, False)


@for_rows(("refills", "left", "supply"), [(0, 0, 10), (1, 0, 20), (None, None, 10), (-1, -1, None)])
def test_a_supply_of_several_fills_is_that_of_one(refills: int | None, left: int | None, supply: int | None) -> None:
    """Twenty tablets for ten days, or for each of two fills of five days; a number below none says nothing."""
    stated = {
        "timing": {"repeat": {**TWICE["repeat"], "boundsDuration": {**DAYS, "value": 10}}},
        "doseAndRate": tablets(1),
    }
    dispense = {"quantity": {"value": 20}, "numberOfRepeatsAllowed": refills}
    after = amended(order_of(stated, dispenseRequest=dispense), OrderChange(duration_days=5))["dispenseRequest"]
    quantity = {} if supply is None else {"quantity": {"value": supply}}
    assert after == {"numberOfRepeatsAllowed": left} | quantity


def test_a_supply_that_says_its_days_says_the_new_ones() -> None:
    order = order_of({"timing": {"repeat": {"boundsDuration": {**DAYS, "value": 10}}}},
                     dispenseRequest={"expectedSupplyDuration": {**DAYS, "value": 10}})  # fmt: skip
    after = amended(order, OrderChange(duration_days=5))["dispenseRequest"]
    assert after == {"expectedSupplyDuration": {**DAYS, "value": 5}}
