"""The daily dose of an order, per ingredient in milligrams, with its certainty: computed or unknown, never guessed.

The structured Dosage comes first; what it leaves open is taken from its words (`sig.py`). A tablet is multiplied with
the strength of the product. Without a unit, a strength or a frequency the dose is unknown, and `problem` says why.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.dose_amount import Amount, Milligrams, amount_of, limit_per_day, milligrams, rate_per_day
from fhir.mapping.medications import Identity, Order
from fhir.mapping.schedule import Schedule, quantity_days, read_timing
from fhir.mapping.sig import Sig, SigAmount, read_sig
from fhir.record.resources import DispenseRequest, Dosage, MedicationRequest
from fhir.terminology.dose_units import dose_unit

Certainty: TypeAlias = Literal["exact", "range", "maximum_prn", "unknown"]


class DailyDose(Struct, frozen=True, gc=False):
    """How much a day.

    `per_day` and `per_dose` hold `low` to `high` milligrams per ingredient; an ingredient whose strength is not known
    is missing from them. As needed, `low` is 0 and `high` the most that may be taken ("maximum_prn").
    `times_per_day` is the average (1/7 for weekly), its upper end where it is a range. `duration_days` counts the
    repeats of a dispense. `single` is one dose in all; `from_text`: words were needed.
    """

    certainty: Certainty = "unknown"
    per_day: tuple[Milligrams, ...] = ()
    per_dose: tuple[Milligrams, ...] = ()
    times_per_day: float | None = None
    duration_days: float | None = None
    single: bool = False
    as_needed: bool = False
    from_text: bool = False
    problem: str | None = None

    def daily(self, rxcui: str) -> Milligrams | None:
        """Milligrams of one ingredient a day; None when unknown."""
        return next((one for one in self.per_day if one.rxcui == rxcui), None)

    def each(self, rxcui: str) -> Milligrams | None:
        """Milligrams of one ingredient in one dose; None when unknown."""
        return next((one for one in self.per_dose if one.rxcui == rxcui), None)


class _Instruction(Struct, frozen=True, gc=False):
    """One Dosage: so much, so often; `parts` where the words name several amounts of a day."""

    amount: Amount | None
    schedule: Schedule
    parts: tuple[tuple[Amount, float, float], ...] = ()
    total_per_day: bool = False
    limit: tuple[Milligrams, ...] = ()
    infused: tuple[Milligrams, ...] = ()
    as_needed: bool = False
    from_text: bool = False
    problem: str | None = None


def daily_dose(order: Order, identity: Identity) -> DailyDose:
    """The daily dose an order or a statement means for the medication it was identified as."""
    if not identity.recognised:
        return DailyDose(problem="the medication is not recognised")
    dosages = order.dosageInstruction if isinstance(order, MedicationRequest) else order.dosage
    # An order that is words only may carry its sig there: "Metformin 500 mg PO BID".
    given = dosages or (Dosage(text=identity.words),)
    instructions = [_instruction(dosage, identity) for dosage in given]
    dose = _together([_dose(one, identity) for one in instructions], _are_sequential(given))
    if not dosages and dose.certainty == "unknown":
        dose = DailyDose(problem="no dosage instruction")
    if dose.duration_days is None and isinstance(order, MedicationRequest) and order.dispenseRequest is not None:
        return replace(dose, duration_days=_supply_days(order.dispenseRequest, instructions))
    return dose


def _instruction(dosage: Dosage, identity: Identity) -> _Instruction:
    amount, problem = amount_of(dosage, identity)
    schedule = read_timing(dosage.timing) if dosage.timing is not None else Schedule()
    infused = rate_per_day(dosage, identity) if amount is None and problem is None else ()
    instruction = _Instruction(
        amount,
        schedule,
        limit=limit_per_day(dosage.maxDosePerPeriod, identity) if dosage.maxDosePerPeriod is not None else (),
        infused=infused,
        as_needed=bool(dosage.asNeededBoolean or dosage.asNeededCodeableConcept is not None) or schedule.as_needed,
        problem=problem or (None if infused else schedule.problem),
    )
    words = dosage.text or dosage.patientInstruction
    if not words or infused or problem or (amount is not None and schedule.is_known):
        return instruction
    return _with_words(instruction, read_sig(words), dosage, identity)


def _with_words(known: _Instruction, sig: Sig, dosage: Dosage, identity: Identity) -> _Instruction:
    """What the structure leaves open, from the words; a structured part is never overruled by them."""
    amount = known.amount or (_amount(sig.amount) if sig.amount is not None else None)
    schedule = known.schedule
    parts: tuple[tuple[Amount, float, float], ...] = ()
    if not schedule.is_known and (schedule.problem is None or sig.times_high is not None):
        schedule = Schedule(sig.times_low, sig.times_high, sig.single, days=schedule.days or sig.days)
        parts = tuple((_amount(one), low, high) for one, low, high in sig.parts) if known.amount is None else ()
    elif schedule.days is None:
        schedule = replace(schedule, days=sig.days)
    said_not_needed = dosage.asNeededBoolean is False
    return replace(
        known,
        amount=amount,
        schedule=schedule,
        parts=parts,
        total_per_day=sig.total_per_day and known.amount is None,
        limit=known.limit or (milligrams(identity, _amount(sig.maximum))[0] if sig.maximum is not None else ()),
        as_needed=known.as_needed or (sig.as_needed and not said_not_needed),
        from_text=True,
        problem=sig.problem if (amount is None and not parts) or not schedule.is_known else None,
    )


def _amount(said: SigAmount) -> Amount:
    return Amount(said.low, said.high, said.unit)


def _dose(instruction: _Instruction, identity: Identity) -> DailyDose:
    schedule = instruction.schedule
    frame = DailyDose(
        times_per_day=schedule.high,
        duration_days=schedule.days,
        single=schedule.single,
        as_needed=instruction.as_needed,
        from_text=instruction.from_text,
        problem=instruction.problem,
    )
    if instruction.infused:
        return replace(frame, certainty="exact", per_day=instruction.infused)
    per_dose, per_day, problem = _sums(instruction, identity)
    if not per_day and instruction.limit and instruction.as_needed:
        per_day = tuple(replace(one, low=0.0) for one in instruction.limit)
    if not per_day:
        return replace(frame, per_dose=per_dose, problem=frame.problem or problem or "the dose is not stated")
    return _with_certainty(replace(frame, per_dose=per_dose, problem=None), per_day, instruction)


def _with_certainty(frame: DailyDose, per_day: Sequence[Milligrams], instruction: _Instruction) -> DailyDose:
    if instruction.as_needed:
        per_day = [replace(one, low=0.0) for one in _capped(per_day, instruction.limit)]
        return replace(frame, certainty="maximum_prn", per_day=tuple(per_day))
    if any(one.low < one.high for one in per_day):
        return replace(frame, certainty="range", per_day=tuple(_capped(per_day, instruction.limit)))
    return replace(frame, certainty="exact", per_day=tuple(per_day))


def _capped(per_day: Iterable[Milligrams], limit: Iterable[Milligrams]) -> list[Milligrams]:
    most = {one.rxcui: one.high for one in limit}
    capped = [replace(one, high=min(one.high, most.get(one.rxcui, one.high))) for one in per_day]
    return [replace(one, low=min(one.low, one.high)) for one in capped]


def _sums(
    instruction: _Instruction, identity: Identity
) -> tuple[tuple[Milligrams, ...], tuple[Milligrams, ...], str | None]:
    """Milligrams of one dose, of a day, and what stands in the way."""
    schedule = instruction.schedule
    if instruction.parts:
        days: list[tuple[Milligrams, ...]] = []
        for amount, low, high in instruction.parts:
            each, problem = milligrams(identity, amount)
            if problem:
                return (), (), problem
            days.append(_times(each, low, high))
        return (), _added(days), None
    if instruction.amount is None:
        return (), (), None
    each, problem = milligrams(identity, instruction.amount)
    if problem:
        return (), (), problem
    worn = [one for one in each if one.is_per_hour]
    if worn:
        # A patch gives so much an hour as long as it is worn, whatever the interval of its change.
        return (
            (),
            tuple(replace(one, low=one.low * 24.0, high=one.high * 24.0, is_per_hour=False) for one in worn),
            None,
        )
    if instruction.total_per_day:
        share = 1.0 / schedule.high if schedule.high else 1.0
        return _times(each, share, share) if schedule.high else (), each, None
    if schedule.low is None or schedule.high is None:
        return each, (), "as needed without a frequency" if instruction.as_needed else "the frequency is not stated"
    return each, _times(each, schedule.low, schedule.high), None


def _times(each: Iterable[Milligrams], low: float, high: float) -> tuple[Milligrams, ...]:
    return tuple(replace(one, low=one.low * low, high=one.high * high) for one in each)


def _added(days: Iterable[Iterable[Milligrams]]) -> tuple[Milligrams, ...]:
    total: dict[str, Milligrams] = {}
    for day in days:
        for one in day:
            known = total.get(one.rxcui, Milligrams(one.rxcui, 0.0, 0.0))
            total[one.rxcui] = replace(known, low=known.low + one.low, high=known.high + one.high)
    return tuple(total.values())


def _are_sequential(dosages: Sequence[Dosage]) -> bool:
    # FHIR Dosage.sequence: the same number means at the same time, different numbers mean one after the other.
    numbers = [dosage.sequence for dosage in dosages]
    return len(dosages) > 1 and None not in numbers and len(set(numbers)) == len(numbers)


def _together(doses: Sequence[DailyDose], sequential: bool) -> DailyDose:
    if len(doses) == 1:
        return doses[0]
    unknown = next((dose for dose in doses if dose.certainty == "unknown"), None)
    if unknown is not None:
        return replace(unknown, single=False, per_dose=(), times_per_day=None, duration_days=None)
    if sequential:
        return _in_sequence(doses)
    per_day = _added(dose.per_day for dose in doses)
    return _joined(doses, per_day, sum(dose.times_per_day or 0.0 for dose in doses) or None, _longest(doses))


def _in_sequence(doses: Sequence[DailyDose]) -> DailyDose:
    """One after the other: the day with the least and the day with the most."""
    codes = dict.fromkeys(one.rxcui for dose in doses for one in dose.per_day)
    per_day = tuple(
        Milligrams(
            code,
            min(one.low if (one := dose.daily(code)) else 0.0 for dose in doses),
            max(one.high if (one := dose.daily(code)) else 0.0 for dose in doses),
        )
        for code in codes
    )
    lengths = [dose.duration_days for dose in doses]
    length = sum(one for one in lengths if one is not None) if None not in lengths else None
    return _joined(doses, per_day, max(dose.times_per_day or 0.0 for dose in doses) or None, length)


def _joined(
    doses: Sequence[DailyDose], per_day: tuple[Milligrams, ...], times: float | None, days: float | None
) -> DailyDose:
    as_needed = any(dose.as_needed for dose in doses)
    spread = any(one.low < one.high for one in per_day)
    return DailyDose(
        "maximum_prn" if as_needed else "range" if spread else "exact",
        per_day,
        times_per_day=times,
        duration_days=days,
        as_needed=as_needed,
        from_text=any(dose.from_text for dose in doses),
    )


def _longest(doses: Iterable[DailyDose]) -> float | None:
    lengths = [dose.duration_days for dose in doses]
    return max((one for one in lengths if one is not None), default=None) if None not in lengths else None


def _supply_days(dispense: DispenseRequest, instructions: Sequence[_Instruction]) -> float | None:
    """Days that the dispenses allow, repeats counted; from the quantity where its unit is that of the dose."""
    fills = 1 + (dispense.numberOfRepeatsAllowed or 0)
    if dispense.expectedSupplyDuration is not None:
        days = quantity_days(dispense.expectedSupplyDuration)
        return days * fills if days is not None else None
    quantity = dispense.quantity
    if quantity is None or quantity.value is None or len(instructions) != 1:
        return None
    amount, times = instructions[0].amount, instructions[0].schedule.high
    if amount is None or not times or not amount.high or dose_unit(quantity.code or quantity.unit) != amount.unit:
        return None
    return quantity.value * fills / (amount.high * times)
