"""Reads one Dosage of an order: how much in milligrams per ingredient, how often by its Timing, and how long."""

import re
from collections.abc import Iterable, Sequence
from math import isclose
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.medications.sig import (
    AS_NEEDED_WITHOUT_FREQUENCY,
    CONTRADICTION,
    LONGEST_SIG,
    NO_WEIGHT,
    SEVERAL,
    WORDS_DIFFER,
    DoseProblem,
    Sig,
    read_sig,
    said_instead,
)
from fhir.mapping.medications.sig_amounts import DoseAmount, given_in
from fhir.mapping.medications.sig_frequency import MEALS_A_DAY, find_frequencies, normalise_sig
from fhir.mapping.medications.sig_steps import steps_of
from fhir.record.datatypes import (
    DAY_SECONDS,
    CodeableConcept,
    Dosage,
    DoseAndRate,
    Period,
    Quantity,
    Ratio,
    Timing,
    TimingRepeat,
    parse_time,
    plain,
    quoted,
)
from fhir.terminology.combination_products import (
    assign_strengths,
    least_shares,
    member_of_mass,
    shares_of_sum,
    strengths_of_liquid,
)
from fhir.terminology.dosing import DROPS, TIMES_PER_DAY, DoseUnit, days_per_unit, dose_unit
from fhir.terminology.medication_names import CARRIERS
from fhir.terminology.medication_strength import Strength, read_strengths

# EventTiming codes that say "a meal" without saying which: three a day, as in words, where nothing says how often.
_ANY_MEAL = frozenset({"C", "AC", "PC"})
_MEALS = frozenset({f"{when}{meal}" for when in ("C", "AC", "PC") for meal in "MDV"})
_CLOSE = 1e-9
# A second and a century: what is beyond them was never meant, and dividing by it gives no number.
_LEAST_PERIOD_DAYS, _MOST_PERIOD_DAYS = 1 / 86_400, 36_525.0


class Schedule(Struct, frozen=True, gc=False):
    """How often: `low` to `high` times per day on average; `high` is None when not stated; `problem` says why not.

    `single` is one dose in all. `days` is how long, where the timing says so; `on_days` are the days of the week it
    names ("mon"), empty where it names none.
    """

    low: float = 0.0
    high: float | None = None
    single: bool = False
    as_needed: bool = False
    days: float | None = None
    problem: DoseProblem | None = None
    on_days: frozenset[str] = frozenset()

    @property
    def is_known(self) -> bool:
        """Whether the frequency is known."""
        return self.high is not None


def read_timing(timing: Timing) -> Schedule:
    """Return the schedule of a Timing; one that contradicts itself is not known and says so."""
    by_code = _of_code(timing.code) if timing.code is not None else Schedule()
    by_repeat = _of_repeat(timing.repeat) if timing.repeat is not None else Schedule()
    if not by_repeat.is_known and not by_code.is_known and timing.event:
        return _of_events(timing.event)
    if by_code.high is None:
        if timing.code is None:
            return by_repeat
        return replace(by_repeat, as_needed=by_code.as_needed, problem=by_code.problem or by_repeat.problem)
    if by_repeat.high is None:
        # FHIR Timing.code: the code says it all, but for the bounds and the number of doses.
        most = timing.repeat.countMax or timing.repeat.count if timing.repeat is not None else None
        days = float(most) / by_code.low if most and by_code.low else None
        return replace(by_code, days=by_repeat.days or days or by_code.days)
    if isclose(by_code.low, by_repeat.low) and isclose(by_code.high, by_repeat.high):
        return replace(by_repeat, as_needed=by_code.as_needed)
    return Schedule(problem=CONTRADICTION, days=by_repeat.days)


def _of_events(events: tuple[str, ...]) -> Schedule:
    """Return how often the times that are listed come: so many a day, or on average where days lie between them."""
    if len(events) == 1:
        return Schedule(1.0, 1.0, single=True, days=1.0)
    times = [time for event in events if (time := parse_time(event)) is not None]
    days = sorted({time.first_day for time in times})
    if len(times) < len(events):
        return Schedule(problem=DoseProblem("a time of the timing cannot be read"))
    span = (days[-1] - days[0]).days + 1
    per_day = len(times) / span if span == len(days) else (len(times) - 1) / (span - 1)
    return Schedule(per_day, per_day, days=float(span))


def _of_code(code: CodeableConcept) -> Schedule:
    for coding in code.coding:
        times = TIMES_PER_DAY.get(coding.code.strip().upper())
        if times is not None:
            return Schedule(times, times)
    words = [text for coding in code.coding for text in (coding.code, coding.display) if text]
    for text in (code.text, *words):
        sig = read_sig(text) if text else None
        if sig is not None and sig.times_high is not None:
            days = 1.0 if sig.single else sig.days
            return Schedule(sig.times_low, sig.times_high, sig.single, sig.as_needed, days, on_days=sig.on_days)
    problems = (said_instead(text) for text in (code.text, *words) if text)
    problem = next(filter(None, problems), None)
    return Schedule(as_needed=problem == AS_NEEDED_WITHOUT_FREQUENCY, problem=problem)


def occurrence_days(timing: Timing | None) -> float | None:
    """How long each occurrence lasts, in days (FHIR Timing.repeat.duration); None where it is not stated exactly."""
    repeat = timing.repeat if timing is not None else None
    if repeat is None or repeat.duration is None or repeat.duration <= 0 or repeat.durationMax is not None:
        return None
    unit = days_per_unit(repeat.durationUnit)
    return repeat.duration * unit if unit is not None else None


def _of_repeat(repeat: TimingRepeat) -> Schedule:
    days = _bounds_days(repeat)
    low, high, problem = _times_per_day(repeat)
    if high is None:
        if repeat.count == 1 and repeat.countMax in (None, 1) and repeat.period is None:
            return Schedule(1.0, 1.0, single=True, days=days or 1.0)
        return Schedule(days=days, problem=problem)
    if repeat.count:
        most = float(repeat.countMax or repeat.count)
        days = most / high if days is None else days
        # "Every hour, four times" is no more than four a day.
        low, high = min(low, most), min(high, most)
    return Schedule(low, high, days=days, problem=problem, on_days=frozenset(repeat.dayOfWeek))


def _times_per_day(repeat: TimingRepeat) -> tuple[float, float | None, DoseProblem | None]:
    by_clock = _by_clock(repeat)
    if repeat.period is None:
        if by_clock is not None:
            return by_clock, by_clock, None
        sentence = "frequency without a period" if repeat.frequency else "timing does not say how often"
        return 0.0, None, DoseProblem(sentence)
    unit = days_per_unit(repeat.periodUnit)
    if unit is None:
        unit_name = quoted(repeat.periodUnit) if repeat.periodUnit else "missing"
        return 0.0, None, DoseProblem(f"the unit of the period is {unit_name}")
    if repeat.period <= 0:
        return 0.0, None, DoseProblem("the period is 0 or less")
    shortest, longest = repeat.period * unit, max(repeat.period, repeat.periodMax or 0.0) * unit
    if shortest < _LEAST_PERIOD_DAYS or longest > _MOST_PERIOD_DAYS:
        return 0.0, None, DoseProblem("the period cannot be right")
    times = repeat.frequency or 1
    high = max(times, repeat.frequencyMax or times) / shortest
    low = times / longest
    if repeat.dayOfWeek and shortest <= 1.0:
        share = len(set(repeat.dayOfWeek)) / 7.0
        low, high = low * share, high * share
    if by_clock is not None and by_clock > high + _CLOSE:
        # "once a day at 8:00 and 20:00" can be read both ways.
        high = by_clock
    return low, high, None


def _by_clock(repeat: TimingRepeat) -> float | None:
    """Time per day by the clock, the events of the day and the days of the week."""
    if repeat.timeOfDay:
        times = len(set(repeat.timeOfDay))
    elif repeat.when:
        moments = set(repeat.when)
        if _ANY_MEAL & moments:
            if repeat.period is not None or moments & _MEALS:
                return None
            moments = moments - _ANY_MEAL
            return (MEALS_A_DAY + len(moments)) * (len(set(repeat.dayOfWeek)) / 7.0 if repeat.dayOfWeek else 1.0)
        times = len(moments)
    elif repeat.dayOfWeek:
        times = 1
    else:
        return None
    return times * (len(set(repeat.dayOfWeek)) / 7.0 if repeat.dayOfWeek else 1.0)


def _bounds_days(repeat: TimingRepeat) -> float | None:
    if repeat.boundsDuration is not None:
        return quantity_days(repeat.boundsDuration)
    if repeat.boundsRange is not None:
        end = repeat.boundsRange.high or repeat.boundsRange.low
        return quantity_days(end) if end is not None else None
    return _period_days(repeat.boundsPeriod) if repeat.boundsPeriod is not None else None


def course_days(dosages: Sequence[Dosage]) -> float | None:
    """Return how long instructions last by their timings or words, the longest; None where one has no end.

    "500 mg twice daily for 7 days, then 250 mg daily" has none; instructions in sequence last one after the other.
    """
    is_sequence = len({dosage.sequence for dosage in dosages}) == len(dosages)
    return whole_length(map(_course_of, dosages), is_sequence)


def whole_length(lengths: Iterable[float | None], is_sequence: bool) -> float | None:
    """Return how long steps last one after the other, or at once; None where one has no end, or there is none."""
    days = [*lengths]
    known = [length for length in days if length is not None]
    return None if not known or len(known) < len(days) else sum(known) if is_sequence else max(known)


def _course_of(dosage: Dosage) -> float | None:
    by_timing = read_timing(dosage.timing).days if dosage.timing is not None else None
    if by_timing is not None:
        return by_timing
    return next((days for text in dosage.words if (days := _days_in_words(text)) is not None), None)


# "21 days of each 28-day cycle", "7 days a month", "for at least 5 days", "7 days or
# longer", "2 weeks before travel": no end is said.
_COMES_AGAIN: Final = re.compile(
    r"\b(?:days?|weeks?) (?:(?:out )?of |in )?(?:each|every|per|an?) \w|\bcycles?\b|\bat least\b"
    r"|\b(?:days?|weeks?) (?:before|prior|or (?:longer|more|until))\b",
    re.IGNORECASE,
)


def _days_in_words(text: str) -> float | None:
    if _COMES_AGAIN.search(text):
        return None
    steps = steps_of(text)
    if not steps:
        sig = read_sig(text)
        return sig.days if sig.problem is None or sig.problem.reason == "not-stated" else None
    days = [read_sig(step).days for step in steps]
    return None if None in days else sum(filter(None, days))


# "#14", "disp 21", "qty: 60, 3 refills": what was written out, and how often it may be given out again.
_WRITTEN_OUT: Final = re.compile(
    r"(?:#|\b(?:disp(?:ense)?|qty|quantity)[:.]? ?#?) ?(?P<count>\d{1,3})\b(?! ?(?:m?c?g|ml|refills?|rf)\b)",
    re.IGNORECASE,
)
_REFILLS: Final = re.compile(
    r"\b(?:(?P<before>\d{1,2}|no|zero|without) ?)?(?:refills?|rf)\b(?:[:x# ]*(?P<behind>\d{1,2}))?", re.IGNORECASE
)

_FILL_DAYS: Final = 28.0


def days_of_count(dosages: Sequence[Dosage]) -> float | None:
    """Return how long the number of tablets lasts that the words of one instruction name, with its refills.

    "1 tab bid #14" lasts seven days, "500 mg bid #20" ten: a dose is one of what is counted at least. What lasts four
    weeks or more is a fill of what is taken for longer.
    """
    text = dosages[0].text if len(dosages) == 1 else ""
    count = _WRITTEN_OUT.search(text) if text else None
    if count is None:
        return None
    sig = read_sig(text)
    amount = sig.amount
    if amount is None or amount.unit.kind not in ("unit", "mg") or not sig.times_high or sig.as_needed or sig.problem:
        return None
    refills = _refills(text)
    at_a_time = amount.low if amount.unit.kind == "unit" else 1.0
    a_day = at_a_time * (sig.times_low or sig.times_high)
    days = float(count["count"]) * (1 + refills) / a_day if refills is not None and a_day > 0 else None
    return days if days is not None and days < _FILL_DAYS else None


def _refills(text: str) -> int | None:
    """Return how many refills words name, none where they do not speak of them; None where the number is missing."""
    match = _REFILLS.search(text)
    if match is None:
        return 0
    number = match["before"] or match["behind"]
    return None if number is None else int(number) if number.isdigit() else 0


def quantity_days(duration: Quantity) -> float | None:
    """Return a duration in days; None when its unit is none of time."""
    days = days_per_unit(duration.code) or days_per_unit(duration.unit)
    return duration.value * days if days is not None and duration.value is not None else None


def _period_days(period: Period) -> float | None:
    start = period.begin
    end = period.finish
    if start is None or end is None or end.instant < start.instant:
        return None
    # FHIR Period: an end given as a day includes that day.
    whole = 1.0 if end.precision == "day" else 0.0
    return (end.instant - start.instant) / DAY_SECONDS + whole


# A number without a unit counts tablets as far as people take tablets; "500" without a unit is a question.
_MOST_WITHOUT_UNIT = 10.0
_COUNT = DoseUnit("unit")


class Milligrams(Struct, frozen=True, gc=False):
    """`low` to `high` milligrams of one ingredient; `is_per_hour` for what a patch gives off."""

    rxcui: str
    low: float
    high: float
    is_per_hour: bool = False


class Activity(Struct, frozen=True, gc=False):
    """The most of what has no mass in one dose and in a day, in `unit`: "unit", "meq" or "mmol"."""

    unit: str
    per_dose: float | None
    per_day: float | None


Problem: TypeAlias = DoseProblem | None


def amount_of(dosage: Dosage, identity: MedicationIdentity) -> tuple[DoseAmount | None, Problem]:
    """Return the structured dose of a Dosage; (None, None) when it has none, a problem when it cannot be used."""
    stated = _ordered(dosage.doseAndRate)
    if stated is None:
        return None, None
    if stated.doseQuantity is not None:
        return _of_quantities(stated.doseQuantity, stated.doseQuantity, identity)
    if stated.doseRange is not None and stated.doseRange.high is not None:
        return _of_quantities(stated.doseRange.low or stated.doseRange.high, stated.doseRange.high, identity)
    return None, None


def _ordered(given: tuple[DoseAndRate, ...]) -> DoseAndRate | None:
    """Return what was ordered, where what was calculated stands beside it."""
    for dose_and_rate in given:
        if dose_and_rate.type is not None and dose_and_rate.type.has("ordered"):
            return dose_and_rate
    return given[0] if given else None


# Beyond them no unit of a dose is meant, and sums and shares are no numbers any more.
_LEAST, _MOST = 1e-9, 1e12


def _of_quantities(low: Quantity, high: Quantity, identity: MedicationIdentity) -> tuple[DoseAmount | None, Problem]:
    if low.value is None or high.value is None or high.value < 0 or low.value < 0:
        return None, None
    if low.comparator or high.comparator:
        return None, DoseProblem("the dose is not an exact number")
    if high.value > _MOST or 0.0 < low.value < _LEAST:
        return None, DoseProblem("the dose cannot be right")
    unit, problem = _unit(high, identity)
    if unit is None:
        return None, problem
    return _in_one_unit(low.value, _unit(low, identity)[0], high.value, unit)


def _in_one_unit(
    low: float, low_unit: DoseUnit | None, high: float, unit: DoseUnit
) -> tuple[DoseAmount | None, Problem]:
    """Return a range in the unit of its end: "50 mcg to 1 mg", "1 mcg/min to 5 mg/h"."""
    is_alike = low_unit is not None and replace(low_unit, factor=unit.factor, span_days=unit.span_days) == unit
    if low_unit is None or not is_alike or (low_unit.span_days is None) != (unit.span_days is None):
        return None, DoseProblem("the dose range has two units")
    low *= low_unit.factor / unit.factor * (unit.span_days or 1.0) / (low_unit.span_days or 1.0)
    return DoseAmount(min(low, high), max(low, high), unit), None


def _unit(quantity: Quantity, identity: MedicationIdentity) -> tuple[DoseUnit | None, Problem]:
    if not quantity.code and not quantity.unit:
        strengths = [strength for strength in identity.strengths if strength is not None]
        # "10" of a 10 mg tablet may be one tablet or ten.
        is_strength = quantity.value != 1.0 and any(strength.amount == quantity.value for strength in strengths)
        countable = not is_strength and any(strength.per in ("unit", "h") for strength in strengths)
        if countable and (quantity.value or 0.0) <= _MOST_WITHOUT_UNIT:
            return _COUNT, None
        return None, DoseProblem("the dose has no unit")
    coded, worded = dose_unit(quantity.code), dose_unit(quantity.unit)
    if coded is not None and worded is not None and coded != worded and {coded.kind, worded.kind} != {"unit", "patch"}:
        return None, DoseProblem(
            f"the dose's unit says {plain(quantity.unit, 20)}, its code says {plain(quantity.code, 20)}"
        )
    unit = worded if coded == _COUNT and worded is not None else coded or worded
    if unit is None:
        return None, DoseProblem(f"the dose's unit {quoted(quantity.unit or quantity.code)} is not known")
    return unit, None


# Words that are a product's and not a sig's: "5mg Tablet", "20mg/mL Vial".
_PRODUCT_WORDS = re.compile(r"[\d.,]+ ?(?:mg|mcg|g)(?: ?/ ?[\d.]* ?ml)?(?: [a-z]+){1,3}", re.IGNORECASE)
_PART_OF_ONE = re.compile(r"\b(?:half|quarter)\b", re.IGNORECASE)


def with_strength_from_text(identity: MedicationIdentity, dosage: Dosage) -> MedicationIdentity:
    """Return the identity with the strength that stands in the dosage's words, where the product's own is not known.

    "1 TAB" of oxycodone beside the words "5mg Tablet" is 5 mg; "10 mL of 250 mg/5 mL" are 500 mg.
    """
    words = dosage.text.strip()
    if identity.strengths != (None,) or not words or len(words) > LONGEST_SIG:
        return identity
    of_product = bool(dosage.doseAndRate) and _PRODUCT_WORDS.fullmatch(words) is not None
    strengths = [strength for strength in read_strengths(words) if of_product or strength.per == "mL"]
    if len(strengths) != 1 or strengths[0].milligrams is None or _PART_OF_ONE.search(words):
        return identity
    return replace(identity, strengths=(strengths[0],))


_MASSES_OF_PARTS = re.compile(r"\d+(?:\.\d+)?(?: ?mg)?(?: ?/ ?\d+(?:\.\d+)?){1,2} ?mg(?![\w/])")
# Every product has five parts of sulfamethoxazole for each of trimethoprim, whose mass orders name.
_OF_TRIMETHOPRIM = re.compile(r"(\d+(?:\.\d+)?) ?mg (?:of )?(?:TMP|trimethoprim)\b(?: component)?", re.IGNORECASE)
_CO_TRIMOXAZOLE = {"10180": 5.0, "10829": 1.0}

_NAMED_MASS = re.compile(r"(\d+(?:\.\d+)?) ?mg (?:of )?([a-z]{6})[a-z]*(?: acid)?", re.IGNORECASE)

_COUNTED = re.compile(r"[ ,;=(:]{0,4}(?=\d[\d./-]{0,5}(?: to \d)? ?(?:tab|cap))", re.IGNORECASE)


def with_masses_of_parts(identity: MedicationIdentity, dosage: Dosage) -> tuple[MedicationIdentity, Dosage]:
    """Return "875/125 mg twice daily" of a combination as one, twice daily, of a product with these strengths.

    "320 mg TMP every 8 hours" is one of a product with 1,600 mg of sulfamethoxazole beside them; so is "300 mg
    nirmatrelvir with 100 mg ritonavir" one of a product.
    """
    text = dosage.text if len(identity.ingredients) > 1 and not dosage.doseAndRate else ""
    strengths: tuple[Strength | None, ...] = ()
    if (match := _MASSES_OF_PARTS.match(text)) is not None:
        strengths = assign_strengths(identity.ingredients, read_strengths(match.group()))
    elif set(identity.rxcuis) == set(_CO_TRIMOXAZOLE) and (match := _OF_TRIMETHOPRIM.match(text)) is not None:
        part = float(match[1])
        strengths = tuple(Strength(part * _CO_TRIMOXAZOLE[rxcui], "mg", "unit") for rxcui in identity.rxcuis)
    elif _NAMED_MASS.match(text) and (named := [*_NAMED_MASS.finditer(text)]):
        masses = {each[2].lower(): Strength(float(each[1]), "mg", "unit") for each in named}
        strengths = tuple(masses.get(part.name.lower()[:6]) for part in identity.ingredients)
        match = named[-1]
    if match is None or len(strengths) != len(identity.ingredients) or None in strengths:
        return identity, dosage
    rest = text[match.end() :]
    # "10/325 mg, 1-2 tabs every 6 hours" counts what has these masses.
    counted = _COUNTED.match(rest)
    text = rest[counted.end() :] if counted is not None else f"1 each{rest}"
    return replace(identity, strengths=strengths), replace(dosage, text=text)


def amount_for_weight(amount: DoseAmount, weight_kg: float | None) -> tuple[DoseAmount | None, Problem]:
    """Return an amount for each kilogram as one for this patient; other amounts come back as they are."""
    if not amount.unit.by_weight:
        return amount, None
    if weight_kg is None:
        return None, NO_WEIGHT
    return DoseAmount(amount.low * weight_kg, amount.high * weight_kg, replace(amount.unit, by_weight=False)), None


def milligrams(identity: MedicationIdentity, amount: DoseAmount) -> tuple[tuple[Milligrams, ...], Problem]:
    """Milligrams of each ingredient in an amount; ingredients whose strength is not known are left out."""
    unit = amount.unit
    if unit.by_weight:
        return (), NO_WEIGHT
    if unit.kind == "activity":
        return (), DoseProblem("the dose is in units of activity, not in milligrams")
    if unit.kind == "drop":
        return _in_drops(identity, amount)
    if unit.kind == "mg" and not _is_of_product(identity, unit):
        # "2 g of calcium gluconate in 0.9 % sodium chloride" is 2 g of calcium gluconate.
        active = [
            ingredient for ingredient in identity.ingredients if ingredient.rxcui not in CARRIERS
        ] or identity.ingredients
        if len(active) > 1:
            shares = shares_of_sum(active, amount.high * unit.factor)
            if shares and amount.low == amount.high:
                masses = zip(active, shares, strict=True)
                return tuple(Milligrams(ingredient.rxcui, mass, mass) for ingredient, mass in masses), None
            held = [part.milligrams for part in identity.strengths if part is not None and part.per == "unit"]
            if len(held) == len(active) and amount.low == amount.high and held.count(amount.high * unit.factor) == 1:
                return milligrams(identity, DoseAmount(1.0, 1.0, _COUNT))  # "300-100 mg tablet", 300 mg: one of them
            if (member := member_of_mass(active, amount.high * unit.factor)) is not None:
                return (Milligrams(active[member].rxcui, amount.low * unit.factor, amount.high * unit.factor),), None
            return (), DoseProblem("a mass for a combination does not say of which ingredient")
        mass = Milligrams(active[0].rxcui, amount.low * unit.factor, amount.high * unit.factor)
        return (mass,), None
    if (
        unit.kind == "mL"
        and not identity.millilitres
        and (liquid := strengths_of_liquid(identity.ingredients, identity.strengths))
    ):
        identity = replace(identity, strengths=liquid)
    totals = [
        Milligrams(ingredient.rxcui, amount.low * factor, amount.high * factor, strength.per == "h")
        for ingredient, strength in zip(identity.ingredients, identity.strengths, strict=True)
        if strength is not None and (factor := _per_one(strength, unit, identity)) is not None
    ]
    return tuple(totals), None if totals else DoseProblem("the strength of the product is not stated")


def _in_drops(identity: MedicationIdentity, amount: DoseAmount) -> tuple[tuple[Milligrams, ...], Problem]:
    """Milligrams of a number of drops of a solution whose product information says how much a drop holds."""
    rxcui = identity.ingredients[0].rxcui
    strength, mass = DROPS.get(rxcui, (None, 0.0))
    if strength is None or identity.strengths not in ((None,), (strength,)):
        return (), DoseProblem("how much a drop holds is not known", "not-stated")
    return (Milligrams(rxcui, amount.low * mass, amount.high * mass),), None


def least_milligrams(identity: MedicationIdentity, amount: DoseAmount) -> tuple[Milligrams, ...]:
    """Return what a mass of a combination is at least of each ingredient, whichever of them it is the mass of."""
    unit = amount.unit
    if unit.kind != "mg" or unit.by_weight or unit.span_days is not None:
        return ()
    least = zip(identity.ingredients, least_shares(identity.ingredients), strict=False)
    masses = [(ingredient.rxcui, amount.high * unit.factor * share) for ingredient, share in least]
    return tuple(Milligrams(rxcui, mass, mass) for rxcui, mass in masses)


_LEAST_INSULIN = 100.0
"""Units in a milliliter of the weakest insulin: who orders milliliters without a strength gives at least so many."""


def activity(identity: MedicationIdentity, amount: DoseAmount) -> tuple[str, float] | None:
    """Return unit and number of an amount without mass: "5,000 units", a tablet of 20 mEq, 3 patches; else None."""
    unit = amount.unit
    if unit.by_weight:
        return None
    if unit.kind == "patch":
        return "patch", amount.high * unit.factor
    if unit.kind == "activity":
        return (unit.activity, amount.high * unit.factor) if unit.activity else None
    strengths = [
        strength
        for ingredient, strength in zip(identity.ingredients, identity.strengths, strict=True)
        if len(identity.ingredients) == 1 or ingredient.rxcui not in CARRIERS
    ]
    strength = strengths[0] if len(strengths) == 1 else None
    if strength is None and unit.kind == "mL" and "insulin" in identity.classes:
        return "unit", _LEAST_INSULIN * amount.high * unit.factor
    if strength is None or strength.unit in ("mg", "%"):
        return None
    if strength.per == "unit" and unit.kind == "mL" and identity.millilitres:
        return strength.unit, strength.amount / identity.millilitres * amount.high * unit.factor
    if strength.per == "mL" and unit.kind == "unit" and identity.millilitres:
        return strength.unit, strength.amount * identity.millilitres * amount.high * unit.factor
    return (strength.unit, strength.amount * amount.high * unit.factor) if strength.per == unit.kind else None


def number_of_product(identity: MedicationIdentity, amount: DoseAmount, unit: str) -> float | None:
    """Return how many puffs, drops or grams of the product an amount is ("actuation", "drop", "g"); None of others."""
    is_mass = amount.unit.kind == "mg" and _is_of_product(identity, amount.unit)
    kind, factor = ("g", 0.001) if is_mass else (amount.unit.kind, 1.0)
    return amount.high * amount.unit.factor * factor if kind == unit and not amount.unit.by_weight else None


def _is_of_product(identity: MedicationIdentity, unit: DoseUnit) -> bool:
    """Grams of an ointment or a gel, or of what is put where it acts by percent, are those of the product."""
    is_put_on = _PUT_ON.search(identity.route) is not None
    stated = [strength for strength in identity.strengths if strength is not None]
    return unit.factor >= 1000.0 and (
        any(strength.per == "mg" or (strength.unit == "%" and is_put_on) for strength in stated)
        or _SPREAD.search(f"{identity.dose_form} {identity.words}") is not None
    )


_SPREAD = re.compile(r"\b(?:gels?|creams?|ointments?|lotions?)\b", re.IGNORECASE)
_PUT_ON = re.compile(r"\b(?:topical|transdermal|cutaneous|vaginal|rectal)", re.IGNORECASE)


_IN_PIECES = re.compile(r"\bcap|nebul|\bampu?l|\bvial", re.IGNORECASE)


def _per_one(strength: Strength, unit: DoseUnit, identity: MedicationIdentity) -> float | None:
    """Milligrams of an ingredient in one of a unit."""
    if strength.unit == "%":
        if unit.kind == "mg":
            return strength.amount / 100.0 * unit.factor  # grams in 100 g
        return strength.amount * 10.0 * unit.factor if unit.kind == "mL" else None  # grams in 100 mL
    mass = strength.milligrams
    if mass is None:
        return None
    is_of_one = mass < 1.0 or "nasal" in f"{identity.route} {identity.words}".lower()
    if unit.kind == "actuation" and strength.per == "unit" and is_of_one and not _IN_PIECES.search(identity.words):
        return mass * unit.factor  # "Flovent HFA 220 mcg" is of one puff, "18 mcg capsule" of two breaths
    if unit.kind in ("unit", "patch"):
        if strength.per == "mL":
            return mass * identity.millilitres if identity.millilitres is not None else None
        return mass if strength.per in ("unit", "h") else None
    if unit.kind == "mL" and strength.per == "unit" and identity.millilitres:
        return mass / identity.millilitres * unit.factor  # "8 mg in dextrose 5 % 250 mL"
    return mass * unit.factor if strength.per == unit.kind else None


def limit_per_day(limit: Ratio, identity: MedicationIdentity, weight_kg: float | None = None) -> tuple[Milligrams, ...]:
    """Dosage.maxDosePerPeriod as milligrams a day; empty when it cannot be computed."""
    top = limit.numerator
    if top is not None and top.comparator in ("<", "<="):  # as some write a maximum
        limit = replace(limit, numerator=replace(top, comparator=""))
    most = _of_ratio(limit, identity)
    return _of_patient(identity, given_in(1.0, most), weight_kg) if most is not None else ()


def rate_of(dosage: Dosage, identity: MedicationIdentity) -> DoseAmount | None:
    """Read a continuous infusion as an amount of a span of time ("5 units/h"); None when none is stated or readable."""
    stated = _ordered(dosage.doseAndRate)
    if stated is None:
        return None
    if stated.rateRatio is not None:
        return _of_ratio(stated.rateRatio, identity)
    low = high = stated.rateQuantity
    if stated.rateRange is not None:
        low, high = stated.rateRange.low or stated.rateRange.high, stated.rateRange.high
    if low is None or high is None or low.value is None or high.value is None or low.value < 0 or high.value < 0:
        return None
    unit = dose_unit(high.code) or dose_unit(high.unit)
    if unit is None or unit.span_days is None or {low.comparator, high.comparator} - {"", "<", "<="}:
        return None
    amount, _ = _in_one_unit(low.value, dose_unit(low.code) or dose_unit(low.unit), high.value, unit)
    return replace(amount, low=0.0) if amount is not None and high.comparator else amount


def _of_ratio(ratio: Ratio, identity: MedicationIdentity) -> DoseAmount | None:
    top, bottom = ratio.numerator, ratio.denominator
    days = days_per_unit(bottom.code) or days_per_unit(bottom.unit) if bottom is not None else None
    unit = _unit(top, identity)[0] if top is not None else None
    if top is None or top.value is None or bottom is None or bottom.value is None or days is None or unit is None:
        return None
    if top.comparator or bottom.comparator or top.value < 0 or bottom.value <= 0:
        return None
    return DoseAmount(top.value, top.value, replace(unit, span_days=bottom.value * days))


def _while_it_lasts(
    rate: DoseAmount | None, lasts: float | None, often: float | None
) -> tuple[DoseAmount | None, Problem]:
    """Return a rate that runs all day as it is, and what it gives where each infusion has an end, as one dose."""
    if rate is None or rate.unit.span_days is None or lasts is None or lasts >= 1.0:
        return rate, None
    if lasts * (often or 0.0) > 1.0:
        return None, DoseProblem("the infusions of a day last longer than a day")
    return given_in(lasts, rate), None


def _of_patient(identity: MedicationIdentity, amount: DoseAmount, weight_kg: float | None) -> tuple[Milligrams, ...]:
    weighed_amount, _ = amount_for_weight(amount, weight_kg)
    return milligrams(identity, weighed_amount)[0] if weighed_amount is not None else ()


def so_many_times(amounts: Iterable[Milligrams], low: float, high: float) -> tuple[Milligrams, ...]:
    """Return the least so often as `low` and the most so often as `high`."""
    return tuple([replace(amount, low=amount.low * low, high=amount.high * high) for amount in amounts])


class Instruction(Struct, frozen=True, gc=False):
    """What one Dosage says: the amount of one administration and its schedule.

    `parts` are several amounts of one day with their times, `said_days` is how long, both from the words; `limit` is
    the most a day and `cap` that of one dose; `is_weighed`: it is for each kilogram; `is_raised`: its upper end
    is what it may be raised to; `words_say_more` than the structure, whose upper end is then
    theirs; `problem` says what cannot be used.
    """

    amount: DoseAmount | None
    schedule: Schedule
    parts: tuple[tuple[DoseAmount, float, float], ...] = ()
    said_days: float | None = None
    total_per_day: bool = False
    limit: tuple[Milligrams, ...] = ()
    cap: DoseAmount | None = None
    is_weighed: bool = False
    as_needed: bool = False
    is_raised: bool = False
    from_text: bool = False
    words_say_more: bool = False
    problem: DoseProblem | None = None


def read_dosage(dosage: Dosage, identity: MedicationIdentity, weight_kg: float | None = None) -> Instruction:
    """Return what a Dosage says: its structure first, its words for what the structure leaves open.

    Every amount for each kilogram is one for this patient, and every rate what it gives in a day.
    """
    instruction = _read(dosage, identity, weight_kg)
    if instruction.amount is not None and instruction.amount.unit.span_days is not None:
        instruction = replace(instruction, amount=given_in(1.0, instruction.amount), total_per_day=True)
    if instruction.amount is not None:
        if not instruction.amount.unit.by_weight:
            return instruction
        amount, problem = amount_for_weight(instruction.amount, weight_kg)
        weighed = replace(instruction, amount=amount, problem=problem or instruction.problem, is_weighed=True)
        return weighed if weight_kg is None else _under_cap(weighed, identity, weight_kg)
    if any(amount.unit.by_weight for amount, _, _ in instruction.parts):
        return replace(instruction, parts=(), problem=DoseProblem("several amounts for each kilogram"))
    return instruction


def cap_of(dosage: Dosage, identity: MedicationIdentity) -> DoseAmount | None:
    """Return the most of one dose that the structure says: the whole course has no more than its own most, either."""
    caps = [
        DoseAmount(most.value, most.value, unit)
        for most in (dosage.maxDosePerAdministration, dosage.maxDosePerLifetime)
        if most is not None and most.value is not None and most.value > 0 and (unit := _unit(most, identity)[0])
    ]
    return min(caps, key=lambda most: most.high * most.unit.factor, default=None)


def _under_cap(instruction: Instruction, identity: MedicationIdentity, weight_kg: float) -> Instruction:
    """Return a weighed dose with the most that the order itself says: "15 mg/kg (max 1000 mg)".

    What is said of a day and is less than one dose was said of one dose.
    """
    amount, schedule = instruction.amount, instruction.schedule
    cap = amount_for_weight(instruction.cap, weight_kg)[0] if instruction.cap is not None else None
    doses = schedule.high if instruction.total_per_day else 1.0
    if amount is None or cap is None or doses is None or cap.unit.kind != amount.unit.kind:
        return instruction
    most = cap.high * cap.unit.factor / amount.unit.factor * doses
    is_of_day = instruction.limit == milligrams(identity, cap)[0]
    if amount.high <= most or (is_of_day and instruction.total_per_day):
        return instruction
    limit = () if is_of_day else instruction.limit
    return replace(instruction, amount=replace(amount, low=min(amount.low, most), high=most), limit=limit)


def _read(dosage: Dosage, identity: MedicationIdentity, weight_kg: float | None) -> Instruction:
    amount, problem = amount_of(dosage, identity)
    schedule = read_timing(dosage.timing) if dosage.timing is not None else Schedule()
    words, added = dosage.text or dosage.patientInstruction, [more.words for more in dosage.additionalInstruction]
    if added and not schedule.is_known and read_sig(words or "").times_high is None:
        words = "; ".join([*filter(None, [words]), *added])  # "take daily" beside "4 tablets"
    lasts = occurrence_days(dosage.timing)
    rate = rate_of(dosage, identity) if amount is None and problem is None else None
    if words and (problem or (rate is not None and lasts is not None)):
        schedule = _as_often_as(schedule, read_sig(words), dosage)
    if rate is not None:
        amount, problem = _while_it_lasts(rate, lasts, schedule.high)
    limit = dosage.maxDosePerPeriod
    instruction = Instruction(
        amount,
        schedule,
        limit=limit_per_day(limit, identity, weight_kg) if limit is not None else (),
        cap=cap_of(dosage, identity),
        as_needed=bool(dosage.asNeededBoolean or dosage.asNeededCodeableConcept is not None) or schedule.as_needed,
        problem=problem or schedule.problem,
    )
    if not words or problem or schedule.problem == CONTRADICTION:
        return instruction
    return _with_words(instruction, words, dosage, identity, weight_kg)


def _as_often_as(schedule: Schedule, sig: Sig, dosage: Dosage) -> Schedule:
    """Return the schedule of the words where the structure has none, for an amount that is not theirs ("25 mg/m2")."""
    if schedule.is_known or schedule.problem == CONTRADICTION or sig.times_high is None:
        return schedule
    as_needed = schedule.as_needed or (sig.as_needed and dosage.asNeededBoolean is not False)
    return replace(_in_words(sig, schedule), as_needed=as_needed)


def _in_words(sig: Sig, schedule: Schedule) -> Schedule:
    days = 1.0 if sig.single else schedule.days
    return Schedule(sig.times_low, sig.times_high, sig.single, days=days, on_days=sig.on_days)


def _with_words(
    instruction: Instruction, words: str, dosage: Dosage, identity: MedicationIdentity, weight_kg: float | None
) -> Instruction:
    """Return what the structure leaves open, from the words; of a structured dose the words may raise the upper end."""
    sig = _as_restated(read_sig(words), identity)
    amount = instruction.amount or sig.amount
    if amount is None and _says_only_how_often(sig, words) and _is_of_one_strength(identity, words):
        amount = DoseAmount(1.0, 1.0, _COUNT)
    schedule = instruction.schedule
    parts: tuple[tuple[DoseAmount, float, float], ...] = ()
    if not schedule.is_known and (schedule.problem is None or sig.times_high is not None):
        schedule = _in_words(sig, schedule)
        parts = sig.parts if instruction.amount is None else ()
    from_text, words_say_more = True, False
    if instruction.amount is not None and instruction.schedule.high is not None:
        from_text = False
        sig = _of_equal_parts(sig)
        is_less = _says_less(sig, instruction.amount, instruction.schedule, identity)
        if is_less and not instruction.as_needed:
            words_differ = replace(instruction.schedule, low=0.0, problem=WORDS_DIFFER)
            return replace(instruction, amount=None, schedule=words_differ, problem=WORDS_DIFFER)
        amount, schedule = _with_the_greater(
            instruction.amount, instruction.schedule, instruction.schedule.high, sig, identity
        )
        # "x 3 doses" says how many in all, and not how often.
        is_only_count = sig.amount is None and sig.days == 1.0
        is_greater = schedule != instruction.schedule or amount != instruction.amount
        words_say_more = is_greater and not is_only_count
    said_not_needed = dosage.asNeededBoolean is False
    return replace(
        instruction,
        amount=amount,
        schedule=schedule,
        parts=parts,
        said_days=sig.days,
        total_per_day=sig.total_per_day and instruction.amount is None,
        limit=instruction.limit or (_of_patient(identity, sig.maximum, weight_kg) if sig.maximum is not None else ()),
        cap=instruction.cap or sig.cap or sig.maximum,
        is_raised=sig.is_raised,
        as_needed=instruction.as_needed or (sig.as_needed and not said_not_needed),
        from_text=from_text,
        words_say_more=words_say_more,
        problem=(sig.problem or instruction.problem)
        if (amount is None and not parts) or not schedule.is_known
        else None,
    )


def _as_restated(sig: Sig, identity: MedicationIdentity) -> Sig:
    """Return the sig where the tablets have the mass that its words say they have; else it names several amounts."""
    for said in (sig.amount, *(part[0] for part in sig.parts)):
        if said is not None and said.milligrams is not None:
            masses = milligrams(identity, said)[0]
            counted = (masses[0].low, masses[0].high) if len(masses) == 1 else (0.0, 0.0)
            if not all(map(isclose, counted, said.milligrams)):
                return Sig(as_needed=sig.as_needed, days=sig.days, maximum=sig.maximum, problem=SEVERAL)
    return sig


def _of_equal_parts(sig: Sig) -> Sig:
    """Return the sig of parts that are all alike ("1-0-1") as one amount so many times; any other as it is."""
    alike = {(amount.low, amount.high, amount.unit) for amount, _, _ in sig.parts}
    if len(alike) != 1:
        return sig
    low, high = sum(part[1] for part in sig.parts), sum(part[2] for part in sig.parts)
    return replace(sig, amount=sig.parts[0][0], times_low=low, times_high=high, parts=())


# What the words may say above the structure: a rounded number is none.
_ROUNDED = 1.1


def _with_the_greater(
    amount: DoseAmount, schedule: Schedule, high: float, sig: Sig, identity: MedicationIdentity
) -> tuple[DoseAmount, Schedule]:
    """Return the structured dose up to what the words say where that is more: which of the two is meant is not known.

    "40 mg twice daily" beside a structured 4 mg once a day is 4 to 80 mg a day, so that limits see the 80.
    """
    often = sig.times_high or high
    if sig.problem is not None or sig.parts:
        return amount, schedule
    if sig.single or schedule.single or sig.total_per_day or not amount.high:
        return amount, schedule
    stated = sig.amount or amount
    ratio = stated.high / amount.high if stated.unit == amount.unit else _ratio_of_masses(stated, amount, identity)
    if ratio is None or ratio * often <= _ROUNDED * high:
        return amount, schedule
    most = amount.high * ratio
    return (
        replace(amount, low=min(amount.low, most), high=most),
        replace(schedule, low=min(schedule.low, often), high=often),
    )


def _says_less(sig: Sig, amount: DoseAmount, schedule: Schedule, identity: MedicationIdentity) -> bool:
    """Whether the words say clearly less a day than the structure: "every 8 hours" beside 8 an hour.

    Then nobody knows which of the two is meant, and a limit that only the structure passes is none.
    """
    if sig.times_high is None or sig.problem is not None or sig.parts or sig.as_needed or sig.total_per_day:
        return False
    if sig.single or schedule.single or sig.on_days or schedule.on_days or not amount.low:
        return False
    ratio: float | None = 1.0
    if sig.amount is not None:
        stated = sig.amount
        ratio = stated.high / amount.low if stated.unit == amount.unit else _ratio_of_masses(stated, amount, identity)
    return ratio is not None and ratio * sig.times_high * _ROUNDED < schedule.low


def _ratio_of_masses(stated: DoseAmount, amount: DoseAmount, identity: MedicationIdentity) -> float | None:
    theirs, ours = milligrams(identity, stated)[0], milligrams(identity, amount)[0]
    if not theirs or not ours or theirs[0].is_per_hour or not ours[0].high or stated.unit.span_days:
        return None
    return theirs[0].high / ours[0].high


# What stands beside how often in a sig that names no amount: "by mouth every 6 hours", "once now IV over 30 minutes".
_BESIDE_HOW_OFTEN = re.compile(
    r"\b(?:over|x|for) ?\d+(?: ?(?:-|to) ?\d+)? ?(?:h(?:ou)?r?s?|min\w*|d(?:ays?)?|w(?:ee)?ks?|months?|doses?)?\b"
    r"|\b(?:once|one time|now|stat|daily|by|mouth|po|oral(?:ly)?|i[vm]|sl|sc|sq|subcut(?:aneously)?|neb(?:ulized)?"
    r"|ivpb|infuse[dn]?|infusion|with|before|after|and|in|the|at|as|food|meals?|ac|pc|needed|prn|per|x)(?![\w/])|[,. ]"
)


# "once for hypoglycemia", "every 6 hours prn pain > 6", "daily days 1-21", "twice daily hold for HR<60".
_WHY = re.compile(
    r"(?<=\w),? (?:for|prn|p\.r\.n\.|as needed|until|hold|if|at(?= \d{4}\b)"
    r"|(?:on )?days? \d{1,2} ?(?:-|to) ?\d{1,2})(?!\w)"
)
_DOSE_FOLLOWS = re.compile(r"\bthen\b|\d ?(?:m?c?g|ml|units?|tab|cap|puff|spray|drop|patch|meq|mmol)\w*\b")


def _says_only_how_often(sig: Sig, text: str) -> bool:
    """Whether the words say how often, or over how long, and no amount: "Zocor 40 mg" with "nightly"."""
    often, _, why = _WHY.sub("\n", text.lower(), count=1).partition("\n")
    words = normalise_sig(often)
    if _DOSE_FOLLOWS.search(why) or sig.parts or sig.maximum is not None:
        return False
    if sig.times_high is None and re.search(r"\bover\b", words) is None:
        return False
    for time in reversed(find_frequencies(words)):
        words = f"{words[: time.start]} {words[time.end :]}"
    return not _BESIDE_HOW_OFTEN.sub("", words)


def _is_of_one_strength(identity: MedicationIdentity, text: str) -> bool:
    """Whether the order names the strength of one tablet, capsule, syringe or running bag of all ingredients."""
    runs = identity.millilitres is not None and " over " in f" {text}".lower()
    units = ("unit", "mL") if runs else ("unit",)
    stated = [strength for strength in identity.strengths if strength is not None and strength.per in units]
    return identity.systemic is not False and bool(stated) and len(stated) == len(identity.strengths)
