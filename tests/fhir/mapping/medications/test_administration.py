"""How each step of an order is given, from structure and from words in several languages."""

from typing import Any

from fhir.mapping.medications.administration import administrations
from fhir.mapping.medications.identity import identify
from tests.each import for_rows
from tests.fhir.builders import order

STRUCTURED = {"doseAndRate": [{"doseQuantity": {"value": 10, "unit": "mg"}}]}


def _rate(**quantity: object) -> dict[str, Any]:
    return {"doseAndRate": [{"rateQuantity": quantity}]}


def _steps(*dosages: str | dict[str, Any]) -> list[tuple[Any, ...]]:
    draft = order("morphine injection", *({"text": one} if isinstance(one, str) else one for one in dosages))
    return [
        (
            step.way,
            step.dose.high if step.dose else None,
            max((rate.high for rate in step.rates), default=None),
            step.hours and round(step.hours, 3),
        )
        for step in administrations(draft, identify(draft))
    ]


@for_rows(
    ("dosages", "steps"),
    [
        (["10 mg IV, give at 1 mg/min"], [("dose", 10, 1, None)]),
        (["10 mg IV", "give at 1 mg/min"], [("dose", 10, 1, None)]),
        ([STRUCTURED, _rate(value=1, unit="mg/min")], [("dose", 10, 1, None)]),
        ([_rate(value=1, unit="mg/min")], [("drip", None, 1, None)]),
        ([_rate(value=480, unit="mg/d")], [("drip", None, 480, None)]),
        ([_rate(value=5, unit="mg/h", comparator="<")], [("drip", None, 5, None)]),
        (["10 mg IV over 5 minutes"], [("dose", 10, None, 0.083)]),
        (["100 mg IV infusion at 2 mg/h"], [("drip", 100, 2, None)]),
        (["2 to 4 mg/h, titrate by 1 mg/h"], [("drip", None, 4, None)]),
        (["5 mg bolus, 2 mg/h"], [("dose", 5, None, None), ("drip", None, 2, None)]),
        (["PCA: demand 1 mg, lockout 10 min, 2 mg/h, limit 20 mg"], [("dose", 1, None, None), ("drip", None, 2, None)]),
        (["10 mg über 10 min, dann 3 mg/Std. für 6 h"], [("dose", 10, None, 0.167), ("drip", None, 3, 6)]),
        (["10 mg sur 10 min, puis 3 mg/heure"], [("dose", 10, None, 0.167), ("drip", None, 3, None)]),
        ([{"text": "30 g tube", "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "Appl"}}]}], []),
    ],
)
def test_a_rate_is_the_speed_of_its_dose_or_a_drip(dosages: list[Any], steps: list[tuple[Any, ...]]) -> None:
    assert _steps(*dosages) == steps
