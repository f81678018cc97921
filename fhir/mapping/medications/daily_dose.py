"""The daily dose of an order, per ingredient in milligrams, with its certainty: computed or unknown, never guessed.

The structured Dosage comes first; what it leaves open is taken from its words (`sig.py`). A number of tablets is
multiplied by the strength of the product. Without a unit, a strength or a frequency the dose is unknown, and `problem`
says why."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.medications.dosage import (
    Activity,
    Instruction,
    Milligrams,
    activity,
    least_milligrams,
    milligrams,
    quantity_days,
    read_dosage,
    so_many_times,
    whole_length,
    with_masses_of_parts,
    with_strength_from_text,
)
from fhir.mapping.medications.identity import MedicationIdentity, Order, stands_beside_name
from fhir.mapping.medications.sig import (
    AS_NEEDED_WITHOUT_FREQUENCY,
    CHANGING,
    NO_DOSAGE,
    NO_DOSE,
    NO_FREQUENCY,
    NO_WEIGHT,
    TITRATED,
    DoseProblem,
    read_sig,
)
from fhir.mapping.medications.sig_amounts import DoseAmount
from fhir.mapping.medications.sig_frequency import find_frequencies, normalise_sig
from fhir.mapping.medications.sig_steps import steps_of
from fhir.record.datatypes import Dosage, Quantity
from fhir.record.resources import DispenseRequest, MedicationDispense, MedicationRequest
from fhir.terminology.caching import remembered
from fhir.terminology.dosing import dose_unit

Certainty: TypeAlias = Literal["exact", "range", "maximum_prn", "unknown"]


class DailyDose(Struct, frozen=True, gc=False):
    """The daily dose of an order.

    `per_day` and `per_dose` hold `low` to `high` milligrams per ingredient; an ingredient whose strength is not known
    is missing from them. As needed, `low` is 0 and `high` the most that may be taken ("maximum_prn").
    `times_per_day` is the average (1/7 for weekly), its upper end where it is a range. `duration_days` is that of the
    bounds, else of the supply, the words or the quantity, refills counted. `single` is one dose in all; `is_raised`: it
    begins with the lower end; `from_text`: words were needed for how much or how often; `words_say_more`: than the
    structure, and the upper end is theirs.
    Where nothing says how much, it is the average of a quantity over the days that it is to last. `on_days` are the
    days of the week that the order names.

    `most_per_dose` is what the order itself says one dose is at most, where that does not say how much it is.

    What cannot be told in milligrams: `activity` is a dose in units or mEq, and `least_per_day` and `least_per_dose`
    are what a mass of a combination is at least of each ingredient.
    """

    certainty: Certainty = "unknown"
    per_day: tuple[Milligrams, ...] = ()
    per_dose: tuple[Milligrams, ...] = ()
    times_per_day: float | None = None
    duration_days: float | None = None
    single: bool = False
    as_needed: bool = False
    is_raised: bool = False
    from_text: bool = False
    words_say_more: bool = False
    on_days: frozenset[str] = frozenset()
    problem: DoseProblem | None = None
    activity: Activity | None = None
    least_per_day: tuple[Milligrams, ...] = ()
    least_per_dose: tuple[Milligrams, ...] = ()
    most_per_dose: tuple[Milligrams, ...] = ()

    @property
    def times_per_week(self) -> float | None:
        """Doses a week; what falls on one named day of the week (2.5 mg three times on Mondays) counts once."""
        if self.on_days:
            return float(len(self.on_days))
        return self.times_per_day * 7.0 if self.times_per_day is not None else None

    def daily(self, rxcui: str) -> Milligrams | None:
        """Milligrams of one ingredient a day; None when unknown."""
        for amount in self.per_day:  # asked of every pair of orders of one drug; a generator takes three times as long
            if amount.rxcui == rxcui:
                return amount
        return None

    def most_a_day(self, rxcui: str) -> float | None:
        """The most milligrams of one ingredient a day; None when unknown."""
        daily = self.daily(rxcui)
        return daily.high if daily is not None else None

    def per_dose_of(self, rxcui: str) -> Milligrams | None:
        """Milligrams of one ingredient in one dose; None when unknown."""
        return next((amount for amount in self.per_dose if amount.rxcui == rxcui), None)


def daily_dose(order: Order, identity: MedicationIdentity, weight_kg: float | None = None) -> DailyDose:
    """Return the daily dose an order or a statement means for the medication it was identified as.

    `weight_kg` is needed only where the dose is for each kilogram; without it such a dose is unknown.
    """
    if not identity.recognised:
        return DailyDose(problem=DoseProblem("the medication is not recognized"))
    return _computed(order.dosageInstruction, supply_of(order), identity, weight_kg)


def instructions_of(order: Order) -> tuple[Dosage, ...]:
    """Return the instructions; of an order that is words only its words, which may be a sig: "Metformin 500 mg BID"."""
    concept = order.medicationCodeableConcept
    return order.dosageInstruction or ((Dosage(text=concept.text),) if concept is not None and concept.text else ())


# Many orders repeat from call to call and from patient to patient: nothing here is of one of them but its words.
@remembered("daily doses", entries=4096, longest=600)
def _computed(
    dosages: tuple[Dosage, ...], dispense: DispenseRequest | None, identity: MedicationIdentity, weight_kg: float | None
) -> DailyDose:
    given = dosages or (Dosage(text=identity.words),)
    if len(dosages) == 1 and stands_beside_name(dosages[0], identity):
        given = (replace(dosages[0], text=f"{identity.words} {dosages[0].text}"),)
    given = (_in_steps(given[0]) if len(given) == 1 else ()) or given
    read = [with_masses_of_parts(identity, dosage) for dosage in given]
    instructions = [read_dosage(dosage, what, weight_kg) for what, dosage in read]
    sequential = _are_sequential(given)
    adjusted = [with_strength_from_text(what, dosage) for what, dosage in read]
    dose = _together(
        [_dose(instruction, what) for instruction, what in zip(instructions, adjusted, strict=True)], sequential
    )
    if not dosages and dose.certainty == "unknown" and dose.activity is None and dose.problem != NO_WEIGHT:
        dose = DailyDose(problem=NO_DOSAGE)
    if dose.duration_days is None and (days := _days(dispense, instructions, sequential)) is not None:
        dose = replace(dose, duration_days=days)
    # What is left open may be filled by a quantity and the days it is to last; a contradiction may not.
    left_open = dose.problem is not None and dose.problem.reason == "not-stated"
    if left_open and dispense is not None and len(given) == 1:
        return _of_supply(dose, dispense, adjusted[0]) or dose
    return dose


def _in_steps(dosage: Dosage) -> tuple[Dosage, ...]:
    """One instruction for each step of words such as "10 mg twice daily for 7 days, then 5 mg twice daily"."""
    if not dosage.text or dosage.doseAndRate or dosage.timing is not None:
        return ()
    return tuple(replace(dosage, text=step, sequence=number) for number, step in enumerate(steps_of(dosage.text), 1))


def _of_supply(dose: DailyDose, dispense: DispenseRequest, identity: MedicationIdentity) -> DailyDose | None:
    """60 tablets for 30 days: 2 a day on average. None where one of the two is not stated, or it is for under a day."""
    quantity = dispense.quantity
    days = quantity_days(dispense.expectedSupplyDuration) if dispense.expectedSupplyDuration is not None else None
    if quantity is None or quantity.value is None or quantity.comparator or dose.single:
        return None
    if days is None or days < 1.0:
        return None
    unit = dose_unit(quantity.code or quantity.unit)
    if unit is None or unit.kind not in ("unit", "mL") or unit.by_weight or unit.span_days is not None:
        return None
    a_day = quantity.value / days
    per_day, problem = milligrams(identity, DoseAmount(a_day, a_day, unit))
    if problem or any(amount.is_per_hour for amount in per_day):
        return None
    if dose.as_needed:
        per_day = tuple(replace(amount, low=0.0) for amount in per_day)
    certainty: Certainty = "maximum_prn" if dose.as_needed else "exact"
    return replace(dose, certainty=certainty, per_day=per_day, problem=None)


def _dose(instruction: Instruction, identity: MedicationIdentity) -> DailyDose:
    schedule = instruction.schedule
    frame = DailyDose(
        times_per_day=schedule.high,
        duration_days=schedule.days,
        single=schedule.single,
        as_needed=instruction.as_needed,
        is_raised=instruction.is_raised,
        from_text=instruction.from_text,
        words_say_more=instruction.words_say_more,
        on_days=schedule.on_days,
        problem=instruction.problem,
    )
    per_dose, per_day, problem = _sums(instruction, identity)
    open_problem = frame.problem or problem or NO_DOSE
    left_open, is_changed = open_problem.reason == "not-stated", open_problem in (CHANGING, TITRATED)
    if not per_day and instruction.limit and (instruction.as_needed or left_open or is_changed):
        # The order says no more than the most that may be given.
        per_day = tuple(replace(amount, low=0.0) for amount in instruction.limit)
        frame = replace(frame, is_raised=is_changed)
    if not per_day:
        cap = instruction.cap if instruction.amount is None and not instruction.parts else None
        most = milligrams(identity, cap)[0] if cap is not None else ()
        unknown = replace(frame, per_dose=per_dose, problem=open_problem, most_per_dose=most)
        return _without_mass(unknown, instruction, identity) if problem is not None and not per_dose else unknown
    return _with_certainty(replace(frame, per_dose=per_dose, problem=None), per_day, instruction)


def _without_mass(dose: DailyDose, instruction: Instruction, identity: MedicationIdentity) -> DailyDose:
    """Return the unknown dose with its units or mEq, or with what a mass of a combination is at least."""
    amount, often = instruction.amount, instruction.schedule.high
    if instruction.parts:
        return _with_parts(dose, instruction, identity)
    if amount is None:
        return dose
    least = least_milligrams(identity, amount)
    if least:
        share = 1.0 / often if instruction.total_per_day and often else 1.0
        a_day = 1.0 if instruction.total_per_day else often
        per_day = so_many_times(least, a_day, a_day) if a_day is not None else ()
        return replace(dose, least_per_dose=so_many_times(least, share, share), least_per_day=per_day)
    stated = activity(identity, amount)
    if stated is None:
        return dose
    unit, number = stated
    if instruction.total_per_day:
        return replace(dose, activity=Activity(unit, number / often if often else None, number))
    return replace(dose, activity=Activity(unit, number, number * often if often is not None else None))


def _with_parts(dose: DailyDose, instruction: Instruction, identity: MedicationIdentity) -> DailyDose:
    """Return the units of a day where several amounts are stated: 20 in the morning and 10 in the evening."""
    stated = [(activity(identity, amount), high) for amount, _, high in instruction.parts]
    numbers = [(part, high) for part, high in stated if part is not None]
    if len(numbers) < len(stated) or len({unit for (unit, _), _ in numbers}) != 1:
        return dose
    a_day = sum(number * high for (_, number), high in numbers)
    return replace(dose, activity=Activity(numbers[0][0][0], max(number for (_, number), _ in numbers), a_day))


def _activity_together(doses: Sequence[DailyDose], sequential: bool) -> Activity | None:
    """Give the units of several instructions: of one day together, or of the day with most; None where one is open."""
    stated = [dose.activity for dose in doses if dose.activity is not None]
    if len(stated) < len(doses) or len({part.unit for part in stated}) != 1:
        return None
    singles = [part.per_dose for part in stated if part.per_dose is not None]
    days = [part.per_day for part in stated if part.per_day is not None]
    a_day = (max(days) if sequential else sum(days)) if len(days) == len(stated) else None
    return Activity(stated[0].unit, max(singles) if len(singles) == len(stated) else None, a_day)


def _with_certainty(frame: DailyDose, per_day: Sequence[Milligrams], instruction: Instruction) -> DailyDose:
    if instruction.is_weighed:
        per_day = _capped(per_day, instruction.limit)
    if instruction.as_needed:
        per_day = [replace(amount, low=0.0) for amount in _capped(per_day, instruction.limit)]
        return replace(frame, certainty="maximum_prn", per_day=tuple(per_day))
    if any(amount.low < amount.high for amount in per_day):
        return replace(frame, certainty="range", per_day=tuple(_capped(per_day, instruction.limit)))
    return replace(frame, certainty="exact", per_day=tuple(per_day))


def _capped(per_day: Iterable[Milligrams], limit: Iterable[Milligrams]) -> list[Milligrams]:
    most = {amount.rxcui: amount.high for amount in limit}
    capped = [replace(amount, high=min(amount.high, most.get(amount.rxcui, amount.high))) for amount in per_day]
    return [replace(amount, low=min(amount.low, amount.high)) for amount in capped]


def _sums(
    instruction: Instruction, identity: MedicationIdentity
) -> tuple[tuple[Milligrams, ...], tuple[Milligrams, ...], DoseProblem | None]:
    """Milligrams of one dose, of a day, and what stands in the way."""
    schedule = instruction.schedule
    if instruction.parts:
        doses: list[tuple[Milligrams, ...]] = []
        days: list[tuple[Milligrams, ...]] = []
        for amount, low, high in instruction.parts:
            amounts, problem = milligrams(identity, amount)
            if problem:
                return (), (), problem
            doses.append(amounts)
            days.append(so_many_times(amounts, low, high))
        return _least_and_most(doses), _added(days), None
    if instruction.amount is None:
        return (), (), None
    amounts, problem = milligrams(identity, instruction.amount)
    if problem:
        return (), (), problem
    worn = [amount for amount in amounts if amount.is_per_hour]
    if worn:
        # A patch gives so much an hour as long as it is worn, whatever the interval of its change.
        return (
            (),
            tuple(
                replace(amount, low=amount.low * 24.0, high=amount.high * 24.0, is_per_hour=False) for amount in worn
            ),
            None,
        )
    if instruction.total_per_day:
        # "12 mcg/h" and "30 mg/kg/day" are so much in so long, however often it is given.
        share = 1.0 / schedule.high if schedule.high else None
        return so_many_times(amounts, share, share) if share is not None else (), amounts, None
    if schedule.high is None:
        return amounts, (), AS_NEEDED_WITHOUT_FREQUENCY if instruction.as_needed else NO_FREQUENCY
    return amounts, so_many_times(amounts, schedule.low, schedule.high), None


def _least_and_most(doses: Iterable[Iterable[Milligrams]]) -> tuple[Milligrams, ...]:
    """Return the smallest to the largest of several doses: 20 to 40 mg of "20 mg in the morning, 40 at night"."""
    by_drug: dict[str, Milligrams] = {}
    for amount in chain.from_iterable(doses):
        seen = by_drug.get(amount.rxcui, amount)
        by_drug[amount.rxcui] = replace(amount, low=min(seen.low, amount.low), high=max(seen.high, amount.high))
    return tuple(by_drug.values())


def _added(days: Iterable[Iterable[Milligrams]]) -> tuple[Milligrams, ...]:
    total: dict[str, Milligrams] = {}
    for amount in chain.from_iterable(days):
        before = total.get(amount.rxcui, Milligrams(amount.rxcui, 0.0, 0.0))
        total[amount.rxcui] = replace(before, low=before.low + amount.low, high=before.high + amount.high)
    return tuple(total.values())


def _are_sequential(dosages: Sequence[Dosage]) -> bool:
    # FHIR Dosage.sequence: the same number means at the same time, different numbers mean one after the other.
    numbers = [dosage.sequence for dosage in dosages]
    if len(dosages) < 2 or None in numbers or len(set(numbers)) < len(numbers):
        return False
    # 20 mg in the morning as the first and 10 mg in the evening as the second are of one day.
    timed = [_moments(dosage) for dosage in dosages]
    moments = [moment for of_dosage, _ in timed for moment in of_dosage]
    is_of_one_day = all(of_dosage and lasts == timed[0][1] for of_dosage, lasts in timed)
    return not is_of_one_day or len(set(moments)) < len(moments)


def moments_of_day(order: Order) -> frozenset[str]:
    """Return the moments of the day at which an order is given, such as morning; none where it names anything else."""
    moments = [_moments(dosage)[0] for dosage in instructions_of(order)]
    return frozenset().union(*moments) if all(moments) else frozenset()


def _moments(dosage: Dosage) -> tuple[frozenset[str], object]:
    """Return the moments of the day at which it is given, none where it says anything else, and how long it goes on."""
    repeat = dosage.timing.repeat if dosage.timing is not None else None
    if repeat is not None:
        lasts = (repeat.boundsDuration, repeat.boundsPeriod, repeat.boundsRange, repeat.dayOfWeek)
        return frozenset((*repeat.when, *repeat.timeOfDay)), lasts
    times = find_frequencies(normalise_sig(dosage.text))
    is_by_clock = all(time.by_clock for time in times)
    return frozenset(time.name for time in times if is_by_clock), read_sig(dosage.text).days


def _together(doses: Sequence[DailyDose], sequential: bool) -> DailyDose:
    if len(doses) == 1:
        return doses[0]
    doses = _that_go_on(doses)
    if len(doses) == 1:
        # The order has more doses than this one: no suggestion may rewrite it as if it had not.
        return replace(doses[0], per_dose=())
    unknown = next((dose for dose in doses if dose.certainty == "unknown"), None)
    if unknown is not None:
        activity = _activity_together(doses, sequential)
        return replace(
            unknown,
            single=False,
            per_dose=(),
            times_per_day=None,
            duration_days=None,
            activity=activity,
            least_per_day=(),
            least_per_dose=(),
        )
    if sequential:
        return _in_sequence(doses)
    per_day = _added(dose.per_day for dose in doses)
    return _joined(doses, per_day, sum(dose.times_per_day or 0.0 for dose in doses) or None, is_sequence=False)


# A loading dose is at most so many times the dose of a day, and so many times one dose that is taken more rarely.
_MOST_OF_LOADING = 10.0
_MOST_OF_RARE_LOADING = 4.0


def _that_go_on(doses: Sequence[DailyDose]) -> Sequence[DailyDose]:
    """Return the doses without single ones before or beside them: 300 mg once and 75 mg daily is 75 mg a day.

    A single dose that is too large to be a loading dose stays, so that it is judged.
    """
    continued = [dose for dose in doses if not dose.single]
    if not continued or len(continued) == len(doses) or any(_is_open(dose) for dose in doses):
        return doses
    most: dict[tuple[str, str], float] = {}
    for dose in continued:
        for key, amount in _amounts_of(dose):
            most[key] = max(most.get(key, 0.0), _MOST_OF_LOADING * amount)
        for part in dose.per_dose:
            key = ("mg", part.rxcui)
            most[key] = max(most.get(key, 0.0), _MOST_OF_RARE_LOADING * part.high)
    loading = (part for dose in doses if dose.single for part in _amounts_of(dose))
    return continued if all(amount <= most.get(key, 0.0) for key, amount in loading) else doses


def _is_open(dose: DailyDose) -> bool:
    return dose.certainty == "unknown" and (dose.activity is None or dose.activity.per_day is None)


def _amounts_of(dose: DailyDose) -> list[tuple[tuple[str, str], float]]:
    """Return the most of a day: milligrams by ingredient, units and mEq by their unit."""
    amounts = [(("mg", part.rxcui), part.high) for part in dose.per_day]
    if dose.activity is not None and dose.activity.per_day is not None:
        amounts.append((("activity", dose.activity.unit), dose.activity.per_day))
    return amounts


def _in_sequence(doses: Sequence[DailyDose]) -> DailyDose:
    """One after the other: the day with the least and the day with the most."""
    codes = dict.fromkeys(amount.rxcui for dose in doses for amount in dose.per_day)
    per_day = tuple(
        Milligrams(
            code,
            min(amount.low if (amount := dose.daily(code)) else 0.0 for dose in doses),
            max(amount.high if (amount := dose.daily(code)) else 0.0 for dose in doses),
        )
        for code in codes
    )
    return _joined(doses, per_day, max(dose.times_per_day or 0.0 for dose in doses) or None, is_sequence=True)


def _joined(
    doses: Sequence[DailyDose], per_day: tuple[Milligrams, ...], times: float | None, *, is_sequence: bool
) -> DailyDose:
    as_needed = any(dose.as_needed for dose in doses)
    spread = any(amount.low < amount.high for amount in per_day)
    return DailyDose(
        "maximum_prn" if as_needed else "range" if spread else "exact",
        per_day,
        times_per_day=times,
        duration_days=whole_length((dose.duration_days for dose in doses), is_sequence),
        as_needed=as_needed,
        from_text=any(dose.from_text for dose in doses),
        words_say_more=any(dose.words_say_more for dose in doses),
        on_days=frozenset().union(*day_sets) if all(day_sets := [dose.on_days for dose in doses]) else frozenset(),
    )


def _days(dispense: DispenseRequest | None, instructions: Sequence[Instruction], sequential: bool) -> float | None:
    """How long without bounds: the supply, else what the words say, else the quantity; each refill once more."""
    supply = dispense.expectedSupplyDuration if dispense is not None else None
    days = quantity_days(supply) if supply is not None else None
    if days is None:
        days = whole_length((instruction.said_days for instruction in instructions), sequential)
    if days is None and dispense is not None and dispense.quantity is not None and len(instructions) == 1:
        days = _lasts(dispense.quantity, instructions[0])
    refills = dispense.numberOfRepeatsAllowed if dispense is not None else None
    return days * (1 + (refills or 0)) if days is not None else None


def _lasts(quantity: Quantity, instruction: Instruction) -> float | None:
    """Days a quantity lasts where its unit is that of the dose."""
    amount, times = instruction.amount, instruction.schedule.high
    if amount is None or not times or not amount.high or quantity.value is None or instruction.total_per_day:
        return None
    if dose_unit(quantity.code or quantity.unit) != amount.unit:
        return None
    return quantity.value / (amount.high * times)


def supply_of(order: Order) -> DispenseRequest | None:
    """Return what the pharmacy is asked for, or gave out."""
    if isinstance(order, MedicationRequest):
        return order.dispenseRequest
    if isinstance(order, MedicationDispense):
        return DispenseRequest(quantity=order.quantity, expectedSupplyDuration=order.daysSupply)
    return None
