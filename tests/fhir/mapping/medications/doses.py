"""Orders whose daily dose is asked, and what is compared."""

from typing import Any

import msgspec
import pytest

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import identify
from tests.fhir.builders import coded, order

METFORMIN = coded("861007", "metformin hydrochloride 500 MG Oral Tablet")
TWICE = {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}


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


def plain(value: Any) -> Any:
    """What a struct says beside its defaults, as JSON has it; numbers are rounded to a millionth."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if not isinstance(value, msgspec.Struct):
        return value
    empty = {field.name: field.default for field in msgspec.structs.fields(value)}
    return {name: plain(said) for name in empty if (said := getattr(value, name)) != empty[name]}
