"""Orders that say so much so often, and perhaps for how long, in one instruction: nearly all are such.

What they mean for a product is the same for everyone, so that it can be remembered. Nothing of a patient is in them: an
order with a date, with another instruction or with a limit is none.
"""

from typing import TypeAlias

from fhir.mapping.medications.identity import Order
from fhir.record.datatypes import Dosage, DoseAndRate, Quantity, Timing, TimingRepeat
from fhir.record.resources import DispenseRequest, MedicationDispense, MedicationRequest, MedicationStatement

_Quantity: TypeAlias = tuple[float | None, str | None, str | None, str | None]
"""Value, comparator, unit and code."""
_Repeat: TypeAlias = tuple[int | None, float | None, str | None]
"""Frequency, period and the period's unit."""
_Supply: TypeAlias = tuple[_Quantity | None, _Quantity | None, int | None]
"""Quantity, days and refills."""
PlainOrder: TypeAlias = tuple[str | None, bool | None, _Quantity, _Repeat, _Quantity | None, _Supply]
"""Words, whether as needed, the dose, how often, for how long, and the supply."""


def plain_order(order: Order) -> PlainOrder | None:
    """What the order says; None where it says anything more that counts for the dose."""
    dosages = order.dosage if isinstance(order, MedicationStatement) else order.dosageInstruction
    if len(dosages) != 1:
        return None
    (dosage,) = dosages
    timing, stated = dosage.timing, dosage.doseAndRate
    if timing is None or timing.repeat is None or len(stated) != 1 or stated[0].doseQuantity is None:
        return None
    often, dose, lasts = timing.repeat, stated[0].doseQuantity, timing.repeat.boundsDuration
    repeat = (often.frequency, often.period, often.periodUnit)
    same = Dosage(
        sequence=dosage.sequence,
        text=dosage.text,
        additionalInstruction=dosage.additionalInstruction,
        timing=_timing(repeat, lasts),
        asNeededBoolean=dosage.asNeededBoolean,
        route=dosage.route,
        doseAndRate=(DoseAndRate(type=stated[0].type, doseQuantity=dose),),
    )
    if dosage != same:
        return None
    given = supply_of(order) or DispenseRequest()
    supply = (_parts(given.quantity), _parts(given.expectedSupplyDuration), given.numberOfRepeatsAllowed)
    amount = (dose.value, dose.comparator, dose.unit, dose.code)
    return dosage.text, dosage.asNeededBoolean, amount, repeat, _parts(lasts), supply


def order_of(plain: PlainOrder) -> MedicationRequest:
    """An order that says just this."""
    words, as_needed, dose, repeat, lasts, (quantity, days, refills) = plain
    dosage = Dosage(
        text=words,
        timing=_timing(repeat, _quantity(lasts)),
        asNeededBoolean=as_needed,
        doseAndRate=(DoseAndRate(doseQuantity=_quantity(dose)),),
    )
    supply = DispenseRequest(
        quantity=_quantity(quantity), expectedSupplyDuration=_quantity(days), numberOfRepeatsAllowed=refills
    )
    return MedicationRequest(dosageInstruction=(dosage,), dispenseRequest=supply)


def supply_of(order: Order) -> DispenseRequest | None:
    """What the pharmacy is asked for, or gave out."""
    if isinstance(order, MedicationRequest):
        return order.dispenseRequest
    if isinstance(order, MedicationDispense):
        return DispenseRequest(quantity=order.quantity, expectedSupplyDuration=order.daysSupply)
    return None


def _parts(quantity: Quantity | None) -> _Quantity | None:
    return None if quantity is None else (quantity.value, quantity.comparator, quantity.unit, quantity.code)


def _quantity(parts: _Quantity | None) -> Quantity | None:
    return None if parts is None else Quantity(*parts)


def _timing(repeat: _Repeat, lasts: Quantity | None) -> Timing:
    frequency, period, unit = repeat
    return Timing(repeat=TimingRepeat(boundsDuration=lasts, frequency=frequency, period=period, periodUnit=unit))
