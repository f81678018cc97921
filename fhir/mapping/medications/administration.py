"""How each step of an order is given: as one dose, at a speed or over a time, or as a drip that runs by a rate.

A rate is read once, here: as the speed of the dose beside it, or as what runs into the patient for as long as it runs.
All that is guessed from words, and no source says, stands under "Readings that are guesses".
"""

import re
from collections.abc import Iterator, Sequence
from math import isclose
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.medications.daily_dose import instructions_of
from fhir.mapping.medications.dosage import (
    Schedule,
    activity,
    amount_of,
    cap_of,
    milligrams,
    number_of_product,
    occurrence_days,
    rate_of,
    read_timing,
    with_strength_from_text,
)
from fhir.mapping.medications.identity import MedicationIdentity, Order
from fhir.mapping.medications.sig import CHANGING, PER_DAY, SLIDING_SCALE, TITRATED, read_sig
from fhir.mapping.medications.sig_amounts import DRIP, SPEED, DoseAmount, SigAmount, amounts_in, hours_in, is_rate
from fhir.mapping.medications.sig_frequency import find_frequencies, normalise_sig
from fhir.record.datatypes import Dosage
from fhir.terminology.caching import remembered
from fhir.terminology.dosing import DoseUnit

_HOURS_A_DAY: Final = 24.0
_LONGEST: Final = 500
"""The most characters of an instruction in which a rate is looked for."""


PRODUCT_UNITS: Final = frozenset({"actuation", "drop", "g"})
"""What a product is counted in, whatever its strength: puffs, sprays and pumps; drops; grams of a cream."""


class Measure(Struct, frozen=True):
    """What is asked of an order: how much of an ingredient in a unit ("mg", "unit", "g"), or for each kilogram."""

    medication: MedicationIdentity
    rxcui: str
    unit: str
    per_kg: bool
    weight_kg: float | None
    is_of_start: bool = False  # what it begins with, where it is to be raised

    def __call__(self, amount: DoseAmount) -> tuple[float, float] | None:
        """Return the least and the most of an amount, of a rate in an hour; None where its unit or weight says not."""
        bare, span = replace(amount, unit=replace(amount.unit, by_weight=False, span_days=None)), amount.unit.span_days
        if self.unit == "mg":
            masses = [mass for mass in milligrams(self.medication, bare)[0] if mass.rxcui == self.rxcui]
            most = masses[0].high if masses and not masses[0].is_per_hour else None
        elif self.unit in PRODUCT_UNITS:
            most = number_of_product(self.medication, bare, self.unit)
        else:
            stated = activity(self.medication, bare)
            most = stated[1] if stated is not None and stated[0] == self.unit else None
        if most is None or (amount.unit.by_weight != self.per_kg and not self.weight_kg):
            return None
        if amount.unit.by_weight != self.per_kg and self.weight_kg:
            most *= 1.0 / self.weight_kg if self.per_kg else self.weight_kg
        most /= _HOURS_A_DAY * span if span is not None else 1.0
        least = most * (amount.low / amount.high if amount.high else 1.0)
        return least, least if self.is_of_start else most


class Administration(Struct, frozen=True, gc=False):
    """One step of an order.

    A "dose" is given as often as `times` a day says (None: not said), over `hours` or with `rates` as its speed. A
    "drip" runs by its `rates`, for `hours` where an end is said; `dose` is then what its bag holds. Several rates are
    one that may be raised, or is said in two units. `runs_on`: the words say that it is continuous. `is_at_once`: that
    it is pushed or injected at one time; `is_bag`: that it is an infusion; `is_day_sum`: that it is for 24 hours, and
    not that it runs. `cap` is what the order says one dose is at most. `medication` has the strength that the
    instruction names.
    """

    way: Literal["dose", "drip"]
    medication: MedicationIdentity
    dose: DoseAmount | None = None
    cap: DoseAmount | None = None
    rates: tuple[DoseAmount, ...] = ()
    hours: float | None = None
    times: float | None = None
    single: bool = False
    runs_on: bool = False
    is_at_once: bool = False
    is_bag: bool = False
    is_day_sum: bool = False

    @property
    def runs_all_day(self) -> bool:
        """Whether one follows the other: what so much time takes is no single dose ("60 mg/24 h")."""
        return (self.hours or 0.0) * max(1.0, self.times or 1.0) >= _HOURS_A_DAY

    def speed(self, measure: Measure) -> tuple[float, float] | None:
        """Return the least and the most in an hour while it runs: as the order says, else the dose by its time."""
        of_step = replace(measure, medication=self.medication)
        rates = [rate for stated in self.rates if (rate := of_step(stated)) is not None]
        if rates:
            return min(low for low, _ in rates), max(high for _, high in rates)
        dose = self._dose(measure) if self.hours else None
        return (dose[0] / self.hours, dose[1] / self.hours) if dose is not None and self.hours else None

    def _dose(self, measure: Measure) -> tuple[float, float] | None:
        of_step = replace(measure, medication=self.medication)
        dose = of_step(self.dose) if self.dose is not None else None
        cap = of_step(self.cap) if self.dose is not None and self.dose.unit.by_weight and self.cap is not None else None
        return (min(dose[0], cap[1]), min(dose[1], cap[1])) if dose is not None and cap is not None else dose

    def in_an_hour(self, measure: Measure) -> tuple[float, float] | None:
        """Return the least and the most in an hour; None of what is given within it, which is one dose."""
        speed, dose = self.speed(measure), self.given(measure)
        is_dose = self.way == "dose" and speed is not None and dose is not None and dose < speed[1]
        return None if is_dose else speed

    def given(self, measure: Measure) -> float | None:
        """Return the most of one dose, or of what a bag holds."""
        amount = self._dose(measure)
        return amount[1] if amount is not None else None

    def runs_for(self, left: float, measure: Measure) -> float | None:
        """Return the most that a drip gives in the hours that are left of a day: no more than its bag, if it ends."""
        speed, bag = self.speed(measure), self.given(measure)
        if speed is None:
            return None
        run = speed[1] * min(self.hours or left, left)
        return run if bag is None or self.runs_on else min(run, bag)


def in_a_day(steps: Sequence[Administration], measure: Measure) -> tuple[float | None, bool]:
    """Return the most that the steps give in a day, the first or a later one, and whether that is all of it.

    A dose without a frequency is given once at least, and a loading dose is no part of what goes on. How long a drip
    runs that another follows is not known where the order does not say it.
    """
    once, regular, ended, later, left, is_all = 0.0, 0.0, 0.0, 0.0, _HOURS_A_DAY, True
    drips = [step for step in steps if step.way == "drip"]
    for step in steps:
        given = step.given(measure) if step.way == "dose" else step.runs_for(left, measure)
        if given is None:
            return None, False
        if step.way == "dose":
            once, regular = max(once, given), max(regular, given * (step.times or 0.0))
            is_all = is_all and step.times is not None
        elif step.hours:
            ended, left = ended + given, max(0.0, left - step.hours)
        elif step is drips[-1]:
            later = max(ended + given, step.runs_for(_HOURS_A_DAY, measure) or 0.0)
        is_all = is_all and (step.way == "dose" or step.dose is None or step.runs_on)
    return max(once, ended + regular, later + regular) if steps else None, is_all


def administrations(order: Order, medication: MedicationIdentity) -> tuple[Administration, ...]:
    """Return the steps of an order, in their order, from structure and words; none of a drug that is not known."""
    steps: list[Administration] = []
    for dosage in instructions_of(order) if medication.recognised else ():
        # What an order without instructions names is the strength of its product; a rate is none.
        of_dosage = [step for step in _steps_of(dosage, medication) if step.rates or order.dosageInstruction]
        if steps and len(of_dosage) == 1 and _is_speed_of(steps[-1], of_dosage[0], dosage):
            steps[-1] = replace(steps[-1], rates=of_dosage[0].rates)
        else:
            steps += of_dosage
    return tuple(steps)


@remembered("how a dosage is given", entries=2048, longest=400)
def _steps_of(dosage: Dosage, medication: MedicationIdentity) -> tuple[Administration, ...]:
    return tuple(_steps(dosage, medication))


def _steps(dosage: Dosage, medication: MedicationIdentity) -> Iterator[Administration]:
    """Yield the steps of one instruction; what its structure says belongs to the first of its words."""
    medication = with_strength_from_text(medication, dosage)
    amount, rate = amount_of(dosage, medication)[0], rate_of(dosage, medication)
    days = occurrence_days(dosage.timing)
    timed = read_timing(dosage.timing) if dosage.timing is not None else Schedule()
    first = Administration(
        "dose",
        medication,
        hours=days * _HOURS_A_DAY if days is not None else None,
        times=timed.high,
        single=timed.single,
        dose=amount if amount is not None and amount.unit.span_days is None else None,
        cap=cap_of(dosage, medication),
        rates=tuple(stated for stated in (amount, rate) if stated is not None and (stated is rate or is_rate(stated))),
    )
    # Beside a dose in a unit that is not known ("1 application") a mass of the words is that of the product.
    is_unread = amount is None and any(given.doseQuantity or given.doseRange for given in dosage.doseAndRate)
    text = "" if is_unread else _IN_VOLUME.sub(r"\1 in \2", normalise_sig(dosage.text[:_LONGEST]))
    for number, part in enumerate(_NEXT.split(text)):
        yield from _of_words(part, Administration("dose", medication) if number else first)


def _of_words(text: str, frame: Administration) -> Iterator[Administration]:
    """Yield one step, or two where a dose and a drip stand beside each other ("5000 units bolus, 1200 units/h")."""
    written = [amount for amount in amounts_in(text) if not _is_pack(amount, text, frame.medication)]
    changes = read_sig(text).problem
    is_raised = changes in (CHANGING, TITRATED, SLIDING_SCALE)
    said = [amount for amount in written if not (_LIMIT if is_raised else _UP_TO).search(text[: amount.start])]
    doses = [amount for amount in (frame.dose, *said) if amount is not None and amount.unit.span_days is None]
    measured = [_weighed(amount, frame.medication) if is_raised else amount for amount in doses]
    measured = [amount for amount in measured if amount.unit.kind in ("mg", "activity")]
    is_scale = changes == SLIDING_SCALE
    dose = _raised(measured, is_scale=is_scale) if is_raised and measured else next(iter(measured or doses), None)
    found = [amount for amount in written if is_rate(amount)]
    found = [rate for rate in found if not text[: rate.start].endswith("by ")] or found  # "raise by 5 mcg/min"
    rates = (*frame.rates, *found)
    of_dose = text[dose.start :] if is_raised and isinstance(dose, SigAmount) else text  # "raise to 25 mg twice daily"
    step = _with_words(replace(frame, dose=dose, rates=rates), text, of_dose)
    a_day = dose is not None and isinstance(dose, SigAmount) and PER_DAY.match(text, dose.end) is not None
    if dose is not None and a_day and not rates and (step.is_bag or step.runs_on):
        rate = DoseAmount(dose.low, dose.high, replace(dose.unit, span_days=1.0))
        yield replace(step, way="drip", dose=None, rates=(rate,), hours=_HOURS_A_DAY, times=None)
    elif dose is None and rates:
        yield replace(step, way="drip", times=None)
    elif dose is not None and not all(_belongs(rate, dose, text) for rate in found):
        yield replace(step, rates=(), hours=frame.hours or hours_in(text, is_drip=False))
        yield Administration("drip", step.medication, rates=rates, runs_on=step.runs_on)
    elif dose is not None:
        if a_day and (is_raised or "per 24 h" in text) and frame.hours is None:
            step = replace(step, hours=_HOURS_A_DAY, is_day_sum=not (is_raised or step.medication.is_injected))
        if a_day and step.times is None and number_of_product(step.medication, dose, "g") is not None:
            step = replace(step, times=1.0)  # "twice daily, 60 g a day"
        is_held = bool(rates) and not _PUSHED.search(text) and CONTAINER.search(step.medication.words) is not None
        is_bag = step.times is None and (step.is_bag or is_held) and (bool(rates) or step.hours is None)
        yield replace(step, way="drip" if is_bag or (rates and step.runs_on) else "dose")


def _weighed(amount: DoseAmount, medication: MedicationIdentity) -> DoseAmount:
    """Return tablets of one drug in milligrams: "1 tablet twice daily, target 25 mg twice daily" begins with them."""
    masses = milligrams(medication, amount)[0] if amount.unit.kind == "unit" else ()
    if len(masses) != 1 or len(medication.rxcuis) != 1:
        return amount
    return replace(amount, low=masses[0].low, high=masses[0].high, unit=DoseUnit("mg"))


def _raised(doses: Sequence[DoseAmount], *, is_scale: bool) -> DoseAmount:
    """Return the largest of several doses, from the first on; of a scale any may be given first."""
    unit = doses[0].unit
    alike = [dose for dose in doses if replace(dose.unit, factor=unit.factor) == unit]
    most = max(alike, key=lambda dose: dose.high * dose.unit.factor)
    least = most.high if is_scale else doses[0].low * unit.factor / most.unit.factor
    return replace(most, low=min(least, most.high))


def _with_words(step: Administration, text: str, of_dose: str) -> Administration:
    """Return a step with how often and how it is given by its words, where its structure does not say."""
    sig, is_at_once = read_sig(of_dose), _AT_ONCE.search(text) is not None
    times = sig.times_high if step.times is None else step.times
    words = f"{text} {step.medication.words}".lower()
    is_pushed = _PUSHED.search(text) is not None or (is_at_once and "pca" in words)  # what a patient asks a pump for
    is_titrated = "titrat" in words and (step.rates or CONTAINER.search(words) or _INTO_VEIN.search(words))
    return replace(
        step,
        cap=step.cap or sig.cap,
        hours=step.hours or hours_in(text, is_drip=bool(step.rates) or times is None, times=times),
        times=times,
        single=step.single or sig.single,
        runs_on=_RUNS_ON.search(text) is not None,
        is_at_once=is_pushed or is_at_once,
        is_bag=not is_pushed and bool(is_titrated or DRIP.search(words)),
    )


# Readings that are guesses

_NEXT: Final = re.compile(r"\bthen\b|\bfollowed by\b|;")
CONTAINER: Final = re.compile(r"\bbag\b|premix|(?<![\d.])(?:[5-9]\d|\d{3,4}) ?ml\b(?! ?/)", re.IGNORECASE)
"""A product of 50 mL and more is no syringe: what it holds runs in, and the next one follows."""
_IN_VOLUME: Final = re.compile(r"(\d ?(?:m?c?g|units|meq|mmol)) ?/ ?(\d{2,4} ?ml\b)(?=.* over \d)")
"""A bag: "40 mEq/100 mL over 1 hour"."""
_RUNS_ON: Final = re.compile(
    r"continuous(?:ly)? (?:iv |intravenous )?(?:infus|drip)|infus\w* continuous(?!\w* monitor)"
    r"|^\W*(?:iv )?continuous(?: iv)?\W*$|dauerinfusion|kontinuierliche infus|(?:in|per)fus\w* (?:en )?continu"
)
_ON_DEMAND: Final = re.compile(r"\bdemand|\block-?out")
_PUSHED: Final = re.compile(rf"\bbolus|\bpush\b|{_ON_DEMAND.pattern}")
_AT_ONCE: Final = re.compile(
    rf"infiltra|nerve block|nervenblock|\bload|\b(?:q|every|alle) ?\d{{1,2}} ?min|{_ON_DEMAND.pattern}"
)
_IN_BAG: Final = re.compile(r" ?(?:in|/|per) ?\d+ ?ml\b")
_TUBE: Final = re.compile(r" ?(?:tub[ea]|jar|bottle|pump|can\b|pack|flasche)")
_DOSED: Final = re.compile(r"(?:apply|use|spread)\W*\d|\d ?g\w* ?(?:/|(?:per|a|each|every|daily)\b)")
"""Grams of one application or of a day, wherever they stand."""
_LIMIT: Final = re.compile(r"(?:\bmax\w*\.?|\blimit|exceed\w*|\btotal(?: of)?|more than)[ :a-z]{0,12}$|\b(?:by|from) $")
_UP_TO: Final = re.compile(rf"{_LIMIT.pattern}|\bup to[ :a-z]{{0,12}}$")
_BESIDE: Final = re.compile(r"\bbolus|\bload|\bpush\b|\bpca\b|demand")
_INTO_VEIN: Final = re.compile(r"\b(?:iv|i\.v\.|intraven\w*|infus\w*|drip)(?!\w)", re.IGNORECASE)
"""A rate with a route of its own is an order of its own."""
_PRESSOR: Final = "pressor_infusion"
"""The class of what is never pushed slowly: its rate a minute is that of a drip."""
_PUSH_MINUTES: Final = 30.0
"""A dose and, as another instruction without words or route, a rate a minute: longer than this nobody pushes."""


def _is_pack(amount: SigAmount, text: str, medication: MedicationIdentity) -> bool:
    """Whether it is what a pump's bag holds ("10 mg in 50 mL, demand 0.2 mg"), or grams of a cream those of its tube.

    These stand before the tube ("60 g tube") or behind how often: "apply twice daily, 60 g".
    """
    if _IN_BAG.match(text, amount.end) is not None and _ON_DEMAND.search(text) is not None:
        return True
    if number_of_product(medication, amount, "g") is None:
        return False
    is_dosed = _DOSED.search(text, max(0, amount.start - 8)) is not None
    is_behind = not is_dosed and any(often.end <= amount.start for often in find_frequencies(text))
    return is_behind or _TUBE.match(text, amount.end) is not None


def _belongs(rate: SigAmount, dose: DoseAmount, text: str) -> bool:
    """Whether a rate is the speed of the dose beside it and no drip of its own."""
    if SPEED.search(text[: rate.start]):
        return True
    over = hours_in(text, is_drip=False)
    if over is not None:
        hourly = rate.high / (_HOURS_A_DAY * (rate.unit.span_days or 1.0)) * rate.unit.factor
        return isclose(hourly * over, dose.high * dose.unit.factor, rel_tol=0.1)
    is_hourly = rate.unit.span_days is not None and rate.unit.span_days > 1 / 1440
    return not (is_hourly and _BESIDE.search(text))


def _is_speed_of(dose: Administration, rate: Administration, dosage: Dosage) -> bool:
    """Whether an instruction that is only a rate says how fast the dose of the one before is given."""
    is_dose = dose.way == "dose" and not (dose.hours or dose.rates)
    is_rate_alone = rate.way == "drip" and rate.dose is None and not (rate.hours or rate.runs_on or rate.is_bag)
    if dose.dose is None or not is_dose or not is_rate_alone:
        return False
    if any(stated.unit.kind != dose.dose.unit.kind for stated in rate.rates):
        return False
    if re.search(r"\b(?:at|rate|than|push)\b", dosage.text.lower()):
        return True
    is_pressor = _PRESSOR in rate.medication.classes
    if is_pressor or dosage.route is not None or _INTO_VEIN.search(dosage.text):
        return False
    a_minute = [stated.high * stated.unit.factor / (1440 * (stated.unit.span_days or 1.0)) for stated in rate.rates]
    is_slow = any(stated.unit.by_weight or (stated.unit.span_days or 1.0) > 1 / 1440 for stated in rate.rates)
    return not is_slow and dose.dose.high * dose.dose.unit.factor <= _PUSH_MINUTES * max(a_minute)
