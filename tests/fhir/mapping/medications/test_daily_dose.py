"""The daily dose with its certainty and every field of the answer; else unknown, with the reason; and plain orders."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.dosage import Milligrams
from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.record.datatypes import CodeableConcept, Coding, Dosage, DoseAndRate, Quantity, Timing, TimingRepeat
from fhir.record.resources import DispenseRequest, MedicationRequest, decoder
from fhir.terminology.medication_strength import Strength
from fhir.terminology.medications import INGREDIENT_BY_NAME
from tests.conftest import examples
from tests.each import for_rows
from tests.fhir.builders import order
from tests.fhir.mapping.medications.doses import METFORMIN, TWICE, amount, dose_of, per_day
from tests.medication_strategies import medication_requests


@for_rows(
    ("quantity", "milligrams"),
    [
        (amount(500, "mg", "mg"), 1000),
        (amount(500, "mg"), 1000),
        (amount(0.5, "g"), 1000),
        (amount(0.5, "Gm"), 1000),
        (amount(500000, "mcg"), 1000),
        (amount(1, "tablet"), 1000),
        (amount(1, "TAB", "TAB"), 1000),
        (amount(2, "tablets"), 2000),
        (amount(0.5, "tablet", "{tbl}"), 500),
        (amount(1, "tablet", "1"), 1000),
        (amount(1, None, "{tablet}"), 1000),
        (amount(1, "{pill}"), 1000),
        (amount(2), 2000),
    ],
)
def test_a_dose_of_metformin_500(quantity: dict[str, Any], milligrams: float) -> None:
    dose = dose_of(METFORMIN, quantity | {"timing": TWICE})
    assert per_day(dose) == [(milligrams, milligrams)]
    assert (dose.certainty, dose.times_per_day, dose.from_text) == ("exact", 2.0, False)


@for_rows("dosage")
def test_a_dose_by_weight_is_that_of_the_patient(dosage: dict[str, Any]) -> None:
    draft = order("acetaminophen 160 mg/5 mL suspension", dosage)
    identity = identify(draft)
    assert per_day(daily_dose(draft, identity, 20.0)) == [(1200.0, 1200.0)]
    assert str(daily_dose(draft, identity).problem) == "the dose is for each kilogram and no weight is known"


@for_rows(("dosage", "least", "most"))
def test_the_most_that_the_order_names_is_never_added_to_its_dose(
    dosage: dict[str, Any], least: float, most: float
) -> None:
    draft = order("acetaminophen 160 mg/5 mL suspension", dosage)
    assert per_day(daily_dose(draft, identify(draft), 95.0)) == [(least, most)]


@pytest.mark.outside_data
def test_the_doses_of_the_given_cases_are_as_they_say(data_folder: Path) -> None:
    stated = {
        "oc-001": 40, "oc-003": 250, "oc-019": 2000, "oc-020": 10, "oc-023": 20, "oc-024": 900, "oc-026": 200,
        "oc-030": 300, "oc-033": 15 / 7, "oc-038": 80, "oc-077": 4000,
    }  # fmt: skip
    for case, milligrams in stated.items():
        text = (data_folder / "cases" / "order-select" / f"{case}.json").read_text(encoding="utf-8")
        draft = decoder.decode(
            json.dumps(json.loads(text)["request"]["context"]["draftOrders"]["entry"][0]["resource"])
        )
        assert isinstance(draft, MedicationRequest)
        assert [one.high for one in daily_dose(draft, identify(draft)).per_day] == [pytest.approx(milligrams)], case


# The daily dose of an order whose sig has words, ranges, weeks, several lines or an end.
# No time limit: the first example loads the tables, and the machine may be busy.
CALM = settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])


# Equivalent ways to say how often, and how much of a 500 mg tablet. Whatever is combined, the dose is the same.
OFTEN: dict[int, list[Any]] = {
    1: ["daily", "once daily", "once a day", "every day", "qd", "every 24 hours", "1 time per day", "every morning",
        "qhs"],
    2: ["bid", "b.i.d.", "twice daily", "twice a day", "two times a day", "2x daily", "every 12 hours", "q12h",
        "q 12 h", "2 times per day", "in the morning and at bedtime", "TWICE DAILY"],
    3: ["tid", "T.I.D.", "three times a day", "3 times daily", "every 8 hours", "q8h", "thrice daily", "3x/day"],
    4: ["qid", "four times a day", "4 times a day", "every 6 hours", "q6h", "q 6 hrs"],
}  # fmt: skip
REPEATS: dict[int, list[dict[str, Any]]] = {
    times: [
        {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}},
        {"repeat": {"frequency": 1, "period": 24 / times, "periodUnit": "h"}},
        {"repeat": {"frequency": 7 * times, "period": 1, "periodUnit": "wk"}},
        {"repeat": {"timeOfDay": [f"{hour:02}:00:00" for hour in range(6, 6 + times)]}},
        {"code": {"coding": [{"code": ["QD", "BID", "TID", "QID"][times - 1]}]}},
        {"code": {"text": ["daily", "twice daily", "three times a day", "every 6 hours"][times - 1]}},
    ]
    for times in (1, 2, 3, 4)
}
MUCH: dict[float, list[str]] = {
    0.5: ["0.5 tablet", "half a tablet", "1/2 tab", "½ tab", "250 mg", "0.25 g", "250mg"],
    1.0: ["1 tablet", "one tab", "1 tab", "ONE (1) tablet", "a tablet", "500 mg", "500mg", "0.5 g",
          "1 tablet (500 mg)"],
    2.0: ["2 tablets", "two tabs", "TWO (2) tablets", "1000 mg", "1,000 mg", "1 g", "two 500 mg tablets", "2 x 500 mg"],
}  # fmt: skip
QUANTITIES: dict[float, list[dict[str, Any]]] = {
    count: [
        amount(count, "tablet"),
        amount(count, "Tab"),
        amount(count, "TAB", "TAB"),
        amount(count, None, "{tbl}"),
        amount(500 * count, "mg", "mg"),
        amount(count / 2, "g", "g"),
    ]
    for count in MUCH
}


@settings(deadline=None, max_examples=examples(300))
@given(st.data(), st.sampled_from(sorted(OFTEN)), st.sampled_from(sorted(MUCH)))
def test_rewriting_a_sig_does_not_change_the_dose(data: st.DataObject, times: int, count: float) -> None:
    words = f"{data.draw(st.sampled_from(['take ', '', 'Take: ']))}{data.draw(st.sampled_from(MUCH[count]))}"
    words += data.draw(st.sampled_from([" ", " by mouth ", " po ", "  PO  "])) + data.draw(
        st.sampled_from(OFTEN[times])
    )
    words += data.draw(st.sampled_from(["", " for 10 days", " x 10 days", " with food", "."]))
    quantity = data.draw(st.sampled_from(QUANTITIES[count]))
    timing = {"timing": data.draw(st.sampled_from(REPEATS[times]))}
    written = data.draw(
        st.sampled_from([{"text": words}, quantity | timing, quantity | {"text": words}, timing | {"text": words}])
    )
    dose = dose_of(METFORMIN, written)
    assert dose.certainty == "exact", (written, dose.problem)
    assert [one.high for one in dose.per_day] == [pytest.approx(500.0 * count * times)]


@CALM
@given(medication_requests())
def test_any_order_has_a_dose_or_a_reason(resource: dict[str, Any]) -> None:
    draft = decoder.decode(json.dumps(resource))
    if isinstance(draft, MedicationRequest):
        dose = daily_dose(draft, identify(draft))
        assert (dose.certainty == "unknown") == (not dose.per_day)
        assert dose.per_day or dose.problem
        assert all(one.low <= one.high for one in dose.per_day)


W, M = INGREDIENT_BY_NAME["warfarin"], INGREDIENT_BY_NAME["metformin"]
TEN = MedicationIdentity("warfarin", (W,), (Strength(10.0, "mg"),))


def _near(value: Any) -> Any:
    return pytest.approx(value)


def _q(value: float | None, unit: str = "", comparator: str = "") -> Quantity:
    return Quantity(value, comparator, unit)


def _every(frequency: int | None, period: float = 1.0, unit: str = "d", **more: Any) -> Timing:
    return Timing(repeat=TimingRepeat(frequency=frequency, period=period, periodUnit=unit, **more))


ONCE_A_DAY, TWICE_A_DAY, ONCE_A_WEEK = _every(1), _every(2), _every(1, 1.0, "wk")


def _dosage(value: float | None = None, unit: str = "mg", timing: Timing | None = None, **more: Any) -> Dosage:
    rates = (DoseAndRate(doseQuantity=_q(value, unit)),) if value is not None else ()
    return Dosage(timing=timing, doseAndRate=rates, **more)


def _order(*dosages: Dosage, **more: Any) -> MedicationRequest:
    return MedicationRequest(dosageInstruction=dosages, **more)


def _mg(low: float, high: float | None = None, rxcui: str = W.rxcui) -> tuple[Milligrams, ...]:
    return (Milligrams(rxcui, _near(low), _near(low if high is None else high)),)


def _dose(*dosages: Dosage, identity: MedicationIdentity = TEN, weight: float | None = None, **more: Any) -> DailyDose:
    return daily_dose(_order(*dosages, **more), identity, weight)


# Several instructions.


SINGLE = Timing(event=("2026-11-20",))


@for_rows(
    ("loading", "daily", "expected"),
    [
        # At most ten times the dose of a day, or four times one dose.
        (_dosage(50, timing=SINGLE), _dosage(5, timing=ONCE_A_DAY), _mg(5)),
        (_dosage(50.5, timing=SINGLE), _dosage(5, timing=ONCE_A_DAY), _mg(55.5)),
        (_dosage(20, timing=SINGLE), _dosage(5, timing=ONCE_A_WEEK), _mg(5 / 7)),
        (_dosage(20.5, timing=SINGLE), _dosage(5, timing=ONCE_A_WEEK), _mg(20.5 + 5 / 7)),
    ],
)
def test_a_loading_dose_is_left_out_and_one_that_is_too_large_is_not(
    loading: Dosage, daily: Dosage, expected: tuple[Milligrams, ...]
) -> None:
    for dosages in ((loading, daily), (daily, loading)):
        assert _dose(*dosages).per_day == expected


# A quantity over the days it is to last.


def _supply(value: float | None = 60, unit: str = "tablet", days: float | None = 30, **more: Any) -> Any:
    lasts = _q(days, "d") if days is not None else None
    return DispenseRequest(quantity=_q(value, unit, more.pop("comparator", "")), expectedSupplyDuration=lasts)


@for_rows(
    ("supply", "dosages", "expected"),
    [
        (_supply(), (Dosage(text="as directed"),), _mg(20)),
        (_supply(), (_dosage(asNeededBoolean=True),), _mg(0, 20)),
        (_supply(unit="mL"), (_dosage(),), ()),
        (_supply(unit="mg"), (_dosage(),), ()),
        (_supply(unit="fnord"), (_dosage(),), ()),
        (_supply(value=None), (_dosage(),), ()),
        (_supply(days=None), (_dosage(),), ()),
        (_supply(days=5e-324), (_dosage(),), ()),  # the dose of a day would be infinite
        (_supply(comparator="<"), (_dosage(),), ()),
        (_supply(), (_dosage(timing=SINGLE),), ()),
        # It does not settle what changes or contradicts itself.
        (_supply(), (Dosage(text="taper over 2 weeks"),), ()),
        (
            _supply(),
            (_dosage(5, timing=Timing(code=CodeableConcept((Coding(code="QD"),)), repeat=TWICE_A_DAY.repeat)),),
            (),
        ),
        (_supply(), (_dosage(), _dosage()), ()),
        (_supply(), (_dosage(2, "fnord", TWICE_A_DAY),), ()),
        (DispenseRequest(expectedSupplyDuration=_q(30, "d")), (_dosage(),), ()),
    ],
)
def test_a_quantity_over_the_days_it_lasts(
    supply: DispenseRequest, dosages: tuple[Dosage, ...], expected: tuple[Milligrams, ...]
) -> None:
    dose = _dose(*dosages, dispenseRequest=supply)
    assert dose.per_day == expected
    if expected:
        as_needed = bool(dosages[0].asNeededBoolean)
        assert (dose.certainty, dose.problem) == ("maximum_prn" if as_needed else "exact", None)
        assert (dose.duration_days, dose.as_needed) == (30.0, as_needed)
