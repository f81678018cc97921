"""Orders that say so much so often: what they mean is remembered, and is the same as when it is worked out anew."""

from typing import Any

import pytest

from fhir.mapping.medications import daily_dose as computing
from fhir.mapping.medications.daily_dose import DailyDose, daily_dose, plain_order
from fhir.mapping.medications.identity import identify
from fhir.terminology.caching import CACHES
from tests.fhir.mapping.charts import order
from tests.fhir.mapping.medications.doses import METFORMIN, SIX_HOURLY, TWICE, amount

PLAIN: dict[str, Any] = amount(1, "tablet") | {"timing": TWICE}
TEN_DAYS = {"value": 10, "unit": "days", "code": "d"}


def _twice(**more: Any) -> dict[str, Any]:
    return {"timing": {"repeat": TWICE["repeat"] | more}}


@pytest.mark.parametrize(
    ("dosage", "more"),
    [
        (PLAIN, {}),
        (amount(500, "mg", "mg") | {"timing": SIX_HOURLY}, {}),
        (PLAIN | {"text": "1 tablet twice a day for 7 days"}, {}),
        (PLAIN | {"asNeededBoolean": True, "text": "for pain"}, {}),
        (amount(2, "spoons") | {"timing": TWICE}, {}),
        (amount(5, "mg/kg") | {"timing": TWICE}, {}),
        (PLAIN | _twice(boundsDuration=TEN_DAYS), {}),
        (PLAIN | _twice(periodUnit="fortnight"), {}),
        (PLAIN, {"dispenseRequest": {"expectedSupplyDuration": TEN_DAYS, "numberOfRepeatsAllowed": 2}}),
        (PLAIN, {"dispenseRequest": {"quantity": {"value": 60, "unit": "tablet"}}}),
        (amount(1, "tablet") | {"timing": {"repeat": {}}}, {"dispenseRequest": {"quantity": {"value": 60}}}),
    ],
)
def test_what_a_plain_order_means_is_the_same_as_worked_out_anew(dosage: dict[str, Any], more: dict[str, Any]) -> None:
    read = order(METFORMIN, dosage, **more)
    assert plain_order(read) is not None
    identity = identify(read)
    anew = computing._computed(read, identity, None)
    assert [daily_dose(read, identity), daily_dose(read, identity)] == [anew, anew]
    assert anew != DailyDose()


@pytest.mark.parametrize(
    "dosages",
    [
        (),
        (PLAIN, PLAIN),
        (amount(1, "tablet"),),
        (PLAIN | _twice(boundsPeriod={"start": "2026-01-01"}),),
        (PLAIN | _twice(dayOfWeek=["mon"]),),
        (PLAIN | {"maxDosePerPeriod": {"numerator": {"value": 3, "unit": "tablet"}, "denominator": {"value": 1}}},),
        (PLAIN | {"timing": {"event": ["2026-11-20"], "repeat": TWICE["repeat"]}},),
        (PLAIN | {"patientInstruction": "half of it"},),
        ({"timing": TWICE, "doseAndRate": [{"rateQuantity": {"value": 5, "unit": "mg/h"}}]},),
    ],
)
def test_an_order_that_says_more_or_has_a_date_is_not_remembered(dosages: tuple[dict[str, Any], ...]) -> None:
    assert plain_order(order(METFORMIN, *dosages)) is None


def test_a_long_text_is_not_kept() -> None:
    kept = CACHES["plain doses"]
    before = len(kept)
    read = order(METFORMIN, PLAIN | {"text": "1 tablet twice a day " + "as she knows " * 30})
    assert daily_dose(read, identify(read)).per_day
    assert len(kept) == before
