"""Reads a FHIR Timing as times per day: from codes, repeats, times of day and events."""

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.medications.sig import AS_NEEDED_WITHOUT_FREQUENCY, CONTRADICTION, DoseProblem, read_sig, said_instead
from fhir.mapping.medications.sig_frequency import MEALS_A_DAY
from fhir.record.chart_text import quoted
from fhir.record.datatypes import DAY_SECONDS, CodeableConcept, Period, Quantity, Timing, TimingRepeat, parse_time
from fhir.terminology.dosing import days_per_unit

# HL7 GTSAbbreviation and timing-abbreviation, the codes of FHIR's value set timing-abbreviation, as times per day.
TIMES_PER_DAY = {
    "BID": 2.0,
    "TID": 3.0,
    "QID": 4.0,
    "AM": 1.0,
    "PM": 1.0,
    "QD": 1.0,
    "QOD": 0.5,
    "Q1H": 24.0,
    "Q2H": 12.0,
    "Q3H": 8.0,
    "Q4H": 6.0,
    "Q6H": 4.0,
    "Q8H": 3.0,
    "BED": 1.0,
    "WK": 1 / 7.0,
    "MO": 1 / 30.4375,
}
# EventTiming codes that say "a meal" without saying which: three a day, as in words, where nothing says how often.
_ANY_MEAL = frozenset({"C", "AC", "PC"})
_MEALS = frozenset({f"{when}{meal}" for when in ("C", "AC", "PC") for meal in "MDV"})
_CLOSE = 1e-9
# A second and a century: what is beyond them was never meant, and dividing by it gives no number.
_LEAST_PERIOD_DAYS, _MOST_PERIOD_DAYS = 1 / 86_400, 36_525.0


class Schedule(Struct, frozen=True, gc=False):
    """How often: `low` to `high` times per day on average, None when not stated; `problem` says why not.

    `single` is one dose in all. `days` is how long, where the timing says so; `on_days` are the days of the week it
    names ("mon"), empty where it names none.
    """

    low: float | None = None
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
    """The schedule of a Timing; one that contradicts itself is not known and says so."""
    by_code = _of_code(timing.code) if timing.code is not None else Schedule()
    by_repeat = _of_repeat(timing.repeat) if timing.repeat is not None else Schedule()
    if not by_repeat.is_known and not by_code.is_known and len(timing.event) == 1:
        return Schedule(1.0, 1.0, single=True, days=1.0)
    if not by_code.is_known:
        if timing.code is None:
            return by_repeat
        return replace(by_repeat, as_needed=by_code.as_needed, problem=by_code.problem or by_repeat.problem)
    if not by_repeat.is_known:
        # FHIR Timing.code: the code says it all, but for the bounds.
        return replace(by_code, days=by_repeat.days or by_code.days, on_days=by_code.on_days or by_repeat.on_days)
    if _same(by_code, by_repeat):
        return replace(by_repeat, as_needed=by_code.as_needed)
    return Schedule(problem=CONTRADICTION, days=by_repeat.days)


def _same(schedule: Schedule, other: Schedule) -> bool:
    pairs = ((schedule.low, other.low), (schedule.high, other.high))
    return all(a is not None and b is not None and abs(a - b) <= _CLOSE for a, b in pairs)


def _of_code(code: CodeableConcept) -> Schedule:
    for coding in code.coding:
        times = TIMES_PER_DAY.get((coding.code or "").strip().upper())
        if times is not None:
            return Schedule(times, times)
    words = [text for coding in code.coding for text in (coding.code, coding.display) if text]
    for text in (code.text, *words):
        sig = read_sig(text) if text else None
        if sig is not None and (sig.times_high is not None or sig.single):
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
    low, high, problem = _rate(repeat)
    if high is None:
        if repeat.count == 1 and repeat.countMax in (None, 1) and repeat.period is None:
            return Schedule(1.0, 1.0, single=True, days=days or 1.0)
        return Schedule(days=days, problem=problem)
    if repeat.count and low is not None:
        most = float(repeat.countMax or repeat.count)
        days = most / high if days is None else days
        # "Every hour, four times" is no more than four a day.
        low, high = min(low, most), min(high, most)
    return Schedule(low, high, days=days, problem=problem, on_days=frozenset(repeat.dayOfWeek))


def _rate(repeat: TimingRepeat) -> tuple[float | None, float | None, DoseProblem | None]:
    by_clock = _by_clock(repeat)
    if repeat.period is None:
        if by_clock is not None:
            return by_clock, by_clock, None
        sentence = "frequency without a period" if repeat.frequency else "timing does not say how often"
        return None, None, DoseProblem(sentence)
    unit = days_per_unit(repeat.periodUnit)
    if unit is None:
        unit_name = quoted(repeat.periodUnit) if repeat.periodUnit else "missing"
        return None, None, DoseProblem(f"the unit of the period is {unit_name}")
    if repeat.period <= 0:
        return None, None, DoseProblem("the period is 0 or less")
    shortest, longest = repeat.period * unit, max(repeat.period, repeat.periodMax or 0.0) * unit
    if shortest < _LEAST_PERIOD_DAYS or longest > _MOST_PERIOD_DAYS:
        return None, None, DoseProblem("the period cannot be right")
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
    """Times per day by the clock, the events of the day and the days of the week."""
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


def quantity_days(duration: Quantity) -> float | None:
    """A duration in days; None when its unit is none of time."""
    days = days_per_unit(duration.code) or days_per_unit(duration.unit)
    return duration.value * days if days is not None and duration.value is not None else None


def _period_days(period: Period) -> float | None:
    start = parse_time(period.start) if period.start else None
    end = parse_time(period.end) if period.end else None
    if start is None or end is None or end.instant < start.instant:
        return None
    # FHIR Period: an end given as a day includes that day.
    whole = 1.0 if end.precision == "day" else 0.0
    return (end.instant - start.instant) / DAY_SECONDS + whole
