"""Units in which a dose is written (tables/dose_units.csv): masses, tablets, millilitres, puffs; and units of time."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Literal, TypeAlias

from msgspec import Struct

from fhir.terminology.medication_strength import MILLIGRAMS
from fhir.terminology.medications import rows

Kind: TypeAlias = Literal["mg", "unit", "mL", "actuation", "patch", "activity"]


class DoseUnit(Struct, frozen=True, gc=False):
    """What a unit counts, and how many of it one is: 1 g is 1,000 of kind "mg".

    "unit" is a thing that holds the product's strength (a tablet); "activity" is what has no mass (units, mEq).
    `by_weight`: for each kilogram of the patient; `span_days`: so much in so many days ("mg/day" 1, "mcg/h" 1/24),
    None for so much at a time.
    """

    kind: Kind
    factor: float = 1.0
    by_weight: bool = False
    span_days: float | None = None


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


# What may stand after the slash beside a time: the kilogram, and "dose", which says only that it is one.
_BY_WEIGHT = frozenset({"kg"})
_ONE_DOSE = frozenset({"dose", "doses", "{dose}"})


def dose_unit(text: str | None) -> DoseUnit | None:
    """What a dose's unit means; None when it is not known, which is never to be guessed.

    >>> dose_unit("TAB")
    DoseUnit(kind='unit', factor=1.0, by_weight=False, span_days=None)
    >>> dose_unit("mcg/kg/day")
    DoseUnit(kind='mg', factor=0.001, by_weight=True, span_days=1.0)
    >>> dose_unit("mg/m2") is None
    True
    """
    name = (text or "").strip().lower().replace("μ", "µ")
    known = _units().get(name)
    return known if known is not None or "/" not in name else _composed(name)


@lru_cache(maxsize=512)
def _composed(name: str) -> DoseUnit | None:
    """ "mg/kg/day": a unit, by weight, in a time; each at most once, in any order."""
    first, *rest = (part.strip() for part in name.split("/"))
    unit = _units().get(first)
    if unit is None or unit.kind not in ("mg", "mL", "activity"):
        return None
    by_weight, span = False, None
    for part in rest:
        if part in _BY_WEIGHT and not by_weight:
            by_weight = True
        elif span is None and (days := _span(part)) is not None:
            span = days
        elif part not in _ONE_DOSE:
            return None
    return DoseUnit(unit.kind, unit.factor, by_weight, span)


def _span(text: str) -> float | None:
    """How many days "24h", "24 hr" or "d" is."""
    match = _COUNTED_TIME.fullmatch(text)
    days = days_in(match["unit"]) if match is not None else None
    return days * float(match["count"] or 1) if match is not None and days is not None else None


_COUNTED_TIME = re.compile(r"(?P<count>\d+)? ?(?P<unit>[a-z]+)")


def days_in(unit: str | None) -> float | None:
    """How many days a unit of time is; None when it is none."""
    name = (unit or "").strip().lower()
    return DAYS.get(name) or DAYS.get(name.removesuffix("s"))
