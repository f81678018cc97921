"""Orders whose daily dose is asked, and what is compared."""

from typing import Any

import pytest

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import identify
from tests.fhir.builders import coded, order

METFORMIN = coded("861007", "metformin hydrochloride 500 MG Oral Tablet")
OXYCODONE_ACETAMINOPHEN = coded("1049221", "acetaminophen 325 MG / oxycodone 5 MG Oral Tablet")
ENOXAPARIN = {"text": "0.4 ML enoxaparin sodium 100 MG/ML Prefilled Syringe"}
TWICE = {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}
SIX_HOURLY = {"repeat": {"frequency": 1, "period": 6, "periodUnit": "h"}}


def dose_of(medication: dict[str, Any] | str, *dosages: dict[str, Any], **more: Any) -> DailyDose:
    """The daily dose of an order of this medication."""
    draft = order(medication, *dosages, **more)
    return daily_dose(draft, identify(draft))


def amount(value: float, unit: str | None = None, code: str | None = None) -> dict[str, Any]:
    """A dosage with this amount at a time."""
    quantity = {"value": value, "unit": unit, "code": code}
    return {"doseAndRate": [{"doseQuantity": {name: part for name, part in quantity.items() if part is not None}}]}


def per_day(dose: DailyDose) -> list[Any]:
    """The least and the greatest amount of each ingredient a day, to be compared."""
    return [(pytest.approx(one.low), pytest.approx(one.high)) for one in dose.per_day]
