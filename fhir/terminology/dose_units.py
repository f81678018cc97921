"""Units in which a dose is written (tables/dose_units.csv): masses, tablets, millilitres, puffs; and units of time."""

from collections.abc import Mapping
from functools import cache
from typing import Literal, TypeAlias

from msgspec import Struct

from fhir.terminology.medication_strength import MILLIGRAMS
from fhir.terminology.medications import rows

Kind: TypeAlias = Literal["mg", "unit", "mL", "actuation", "patch", "activity"]


class DoseUnit(Struct, frozen=True, gc=False):
    """What a unit counts, and how many of it one is: 1 g is 1,000 of kind "mg".

    "unit" is a thing that holds the product's strength (a tablet); "activity" is what has no mass (units, mEq).
    """

    kind: Kind
    factor: float = 1.0


@cache
def _units() -> Mapping[str, DoseUnit]:
    known = {name: DoseUnit("mg", factor) for name, factor in MILLIGRAMS.items()}
    for row in rows("dose_units.csv"):
        known[row["text"]] = DoseUnit(row["kind"], float(row["factor"]))  # type: ignore[arg-type]  # our own table
    return known


# UCUM and the words people write; a month is UCUM's mean Julian month.
DAYS: dict[str, float] = {
    "s": 1 / 86_400.0,
    "min": 1 / 1440.0,
    "h": 1 / 24.0,
    "hr": 1 / 24.0,
    "hour": 1 / 24.0,
    "d": 1.0,
    "day": 1.0,
    "wk": 7.0,
    "week": 7.0,
    "mo": 30.4375,
    "month": 30.4375,
    "a": 365.25,
    "y": 365.25,
    "year": 365.25,
}


def dose_unit(text: str | None) -> DoseUnit | None:
    """What a dose's unit means; None when it is not known, which is never to be guessed.

    >>> dose_unit("TAB"), dose_unit("mg/kg") is None
    (DoseUnit(kind='unit', factor=1.0), True)
    """
    return _units().get((text or "").strip().lower().replace("μ", "µ"))


def days_in(unit: str | None) -> float | None:
    """How many days a unit of time is; None when it is none."""
    name = (unit or "").strip().lower()
    return DAYS.get(name) or DAYS.get(name.removesuffix("s"))
