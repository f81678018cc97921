"""From the dose of one administration to milligrams per ingredient: units and strengths multiplied."""

import re
from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.medications import Identity
from fhir.record.resources import Dosage, DoseAndRate, Quantity, Ratio
from fhir.terminology.dose_units import DoseUnit, days_in, dose_unit
from fhir.terminology.medication_strength import Strength, read_strengths

# A number without a unit counts tablets as far as people take tablets; "500" without a unit is a question.
_MOST_WITHOUT_UNIT = 10.0
_COUNT = DoseUnit("unit")
NO_WEIGHT = "the dose is for each kilogram and no weight is known"
"""The problem of a dose by weight for a patient whose weight is not on record."""
# Sodium chloride and glucose carry another drug in an infusion.
_CARRIERS = frozenset({"9863", "4850"})


class Amount(Struct, frozen=True, gc=False):
    """`low` to `high` of a unit at a time."""

    low: float
    high: float
    unit: DoseUnit


class Milligrams(Struct, frozen=True, gc=False):
    """`low` to `high` milligrams of one ingredient; `is_per_hour` for what a patch gives off."""

    rxcui: str
    low: float
    high: float
    is_per_hour: bool = False


Problem: TypeAlias = str | None


def amount_of(dosage: Dosage, identity: Identity) -> tuple[Amount | None, Problem]:
    """The structured dose of a Dosage; (None, None) when it has none, a problem when it cannot be used."""
    stated = _ordered(dosage.doseAndRate)
    if stated is None:
        return None, None
    if stated.doseQuantity is not None:
        return _of_quantities(stated.doseQuantity, stated.doseQuantity, identity)
    if stated.doseRange is not None and stated.doseRange.high is not None:
        return _of_quantities(stated.doseRange.low or stated.doseRange.high, stated.doseRange.high, identity)
    return None, None


def _ordered(given: tuple[DoseAndRate, ...]) -> DoseAndRate | None:
    """What was ordered, where what was calculated stands beside it."""
    for one in given:
        if one.type is not None and one.type.has("ordered"):
            return one
    return given[0] if given else None


def _of_quantities(low: Quantity, high: Quantity, identity: Identity) -> tuple[Amount | None, Problem]:
    if low.value is None or high.value is None or high.value < 0 or low.value < 0:
        return None, None
    if low.comparator or high.comparator:
        return None, "the dose is not an exact number"
    unit, problem = _unit(high, identity)
    if unit is None:
        return None, problem
    if _unit(low, identity)[0] != unit:
        return None, "the dose range has two units"
    return Amount(min(low.value, high.value), max(low.value, high.value), unit), None


def _unit(quantity: Quantity, identity: Identity) -> tuple[DoseUnit | None, Problem]:
    if not quantity.code and not quantity.unit:
        countable = any(strength is not None and strength.per in ("unit", "h") for strength in identity.strengths)
        if countable and (quantity.value or 0.0) <= _MOST_WITHOUT_UNIT:
            return _COUNT, None
        return None, "the dose has no unit"
    coded, spoken = dose_unit(quantity.code), dose_unit(quantity.unit)
    if coded is not None and spoken is not None and coded != spoken and {coded.kind, spoken.kind} != {"unit", "patch"}:
        return None, f"the dose's unit says {quantity.unit}, its code says {quantity.code}"
    found = spoken if coded == _COUNT and spoken is not None else coded or spoken
    if found is None:
        return None, f"the dose's unit {(quantity.unit or quantity.code or '')[:20]!r} is not known"
    return found, None


# Words that are a product's and not a sig's: "5mg Tablet", "20mg/mL Vial".
_PRODUCT_WORDS = re.compile(r"[\d.,]+ ?(?:mg|mcg|g)(?: ?/ ?[\d.]* ?ml)?(?: [a-z]+){1,3}", re.IGNORECASE)
_PART_OF_ONE = re.compile(r"\b(?:half|quarter)\b", re.IGNORECASE)


def with_said_strength(identity: Identity, dosage: Dosage) -> Identity:
    """The identity with the strength that stands in the dosage's words, where the product's own is not known.

    "1 TAB" of oxycodone beside the words "5mg Tablet" is 5 mg.
    """
    words = (dosage.text or "").strip()
    if identity.strengths != (None,) or not dosage.doseAndRate or not _PRODUCT_WORDS.fullmatch(words):
        return identity
    found = read_strengths(words)
    if len(found) != 1 or found[0].milligrams is None or _PART_OF_ONE.search(words):
        return identity
    return replace(identity, strengths=(found[0],))


def weighed(amount: Amount, weight_kg: float | None) -> tuple[Amount | None, Problem]:
    """An amount for each kilogram as one for this patient; other amounts come back as they are."""
    if not amount.unit.by_weight:
        return amount, None
    if weight_kg is None:
        return None, NO_WEIGHT
    return Amount(amount.low * weight_kg, amount.high * weight_kg, replace(amount.unit, by_weight=False)), None


def milligrams(identity: Identity, amount: Amount) -> tuple[tuple[Milligrams, ...], Problem]:
    """Milligrams of each ingredient in an amount; ingredients whose strength is not known are left out."""
    unit = amount.unit
    if unit.by_weight:
        return (), NO_WEIGHT
    if unit.kind == "activity":
        return (), "the dose is in units of activity, not in milligrams"
    if unit.kind == "mg" and not _is_of_product(identity, unit):
        # "2 g of calcium gluconate in 0.9 % sodium chloride" is 2 g of calcium gluconate.
        active = [one for one in identity.ingredients if one.rxcui not in _CARRIERS] or identity.ingredients
        if len(active) > 1:
            return (), "a mass for a combination does not say of which ingredient"
        mass = Milligrams(active[0].rxcui, amount.low * unit.factor, amount.high * unit.factor)
        return (mass,), None
    found = [
        Milligrams(ingredient.rxcui, amount.low * factor, amount.high * factor, strength.per == "h")
        for ingredient, strength in zip(identity.ingredients, identity.strengths, strict=True)
        if strength is not None and (factor := _per_one(strength, unit, identity)) is not None
    ]
    return tuple(found), None if found else "the strength of the product is not stated"


def _is_of_product(identity: Identity, unit: DoseUnit) -> bool:
    """Grams of an ointment are grams of the product, not of the drug."""
    return unit.factor >= 1000.0 and any(one is not None and one.per == "mg" for one in identity.strengths)


def _per_one(strength: Strength, unit: DoseUnit, identity: Identity) -> float | None:
    """Milligrams of an ingredient in one of a unit."""
    mass = strength.milligrams
    if mass is None:
        return None
    if unit.kind in ("unit", "patch"):
        if strength.per == "mL":
            return mass * identity.millilitres if identity.millilitres is not None else None
        return mass if strength.per in ("unit", "h") else None
    if unit.kind == "mg":
        return mass * unit.factor if strength.per == "mg" else None
    return mass * unit.factor if strength.per == unit.kind else None


def limit_per_day(limit: Ratio, identity: Identity, weight_kg: float | None = None) -> tuple[Milligrams, ...]:
    """Dosage.maxDosePerPeriod as milligrams a day; empty when it cannot be computed."""
    top, bottom = limit.numerator, limit.denominator
    days = days_in(bottom.code) or days_in(bottom.unit) if bottom is not None else None
    if top is None or top.value is None or bottom is None or not bottom.value or days is None:
        return ()
    unit = _unit(top, identity)[0]
    if unit is None:
        return ()
    share = 1.0 / (bottom.value * days)
    return _scaled(_of_patient(identity, Amount(top.value, top.value, unit), weight_kg), share)


def rate_per_day(dosage: Dosage, identity: Identity, weight_kg: float | None = None) -> tuple[Milligrams, ...]:
    """A continuous infusion as milligrams a day; empty when there is none or it cannot be computed."""
    stated = _ordered(dosage.doseAndRate)
    if stated is None:
        return ()
    if stated.rateRatio is not None:
        return limit_per_day(stated.rateRatio, identity, weight_kg)
    low = high = stated.rateQuantity
    if stated.rateRange is not None:
        low, high = stated.rateRange.low or stated.rateRange.high, stated.rateRange.high
    if low is None or high is None or low.value is None or high.value is None:
        return ()
    unit = dose_unit(high.code or high.unit)
    if unit is None or unit.span_days is None or dose_unit(low.code or low.unit) != unit:
        return ()
    each = _of_patient(identity, Amount(low.value, high.value, unit), weight_kg)
    return _scaled(each, 1.0 / unit.span_days)


def _of_patient(identity: Identity, amount: Amount, weight_kg: float | None) -> tuple[Milligrams, ...]:
    known, _ = weighed(amount, weight_kg)
    return milligrams(identity, known)[0] if known is not None else ()


def _scaled(amounts: Iterable[Milligrams], factor: float) -> tuple[Milligrams, ...]:
    return tuple(replace(one, low=one.low * factor, high=one.high * factor) for one in amounts)
