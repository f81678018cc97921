"""How far a person is in one series: whether each given dose counts, and which target doses are skipped and open.

A dose may not be needed because of age, time or the doses given.

Source: CDC, Logic Specification for ACIP Recommendations 4.5, sections 4.4 (the loop over doses) and 6.5 (from which
day an interval counts), and chapter 6 (section 6.2 for the conditional skip).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from enum import StrEnum

from msgspec import Struct, field

from cards.vaccines.knowledge import (
    Ages,
    Conflict,
    Interval,
    Period,
    Series,
    SeriesDose,
    SkipCondition,
    Vaccines,
)
from cards.vaccines.patient import Doses, LatestDose, Person
from fhir.mapping.immunizations import VaccineDose


class DoseStatus(StrEnum):
    """What became of a given dose in a series."""

    VALID = "Valid"
    NOT_VALID = "Not Valid"
    EXTRANEOUS = "Extraneous"
    SUBSTANDARD = "Sub-standard"


TOO_YOUNG = "Age: Too Young"
TOO_OLD = "Age: Too Old"
TOO_SOON = "Interval: too Soon"
INADVERTENT = "Inadvertent Vaccine"
CONFLICT = "Live Virus Conflict"
WRONG_VACCINE = "Not a preferable or allowable vaccine"
ALREADY_COMPLETE = "Series Already Complete"

DAY = timedelta(days=1)


class Evaluation(Struct, frozen=True):
    """A given dose, its status in a series and the reason where it does not count."""

    dose: VaccineDose
    status: DoseStatus
    reason: str = ""


class Course(Struct):
    """How far a person is in one series: the next target dose and every given dose with its status.

    Those before `position` were given or are skipped; a recurring dose that is given stays the next one.
    `conflicts` are those that a dose of this person can begin. `valid` and `not_valid` are the doses judged so far,
    `inadvertent` the ids of those that should not have been given; `satisfied` is the day of each target dose by its
    number, of a recurring one the first.
    """

    series: Series
    person: Person
    given: Doses
    conflicts: tuple[Conflict, ...]
    group_is_complete: Callable[[str], bool]
    current: SeriesDose | None
    """The target dose that comes next, or None when none is left."""
    years_back: int = 0
    position: int = 0
    evaluations: list[Evaluation] = []
    valid: Doses = field(default_factory=Doses)
    not_valid: Doses = field(default_factory=Doses)
    inadvertent: set[int] = set()
    satisfied: dict[int, date] = {}
    _latest: dict[frozenset[str], LatestDose] = {}

    def add(self, evaluation: Evaluation) -> None:
        """Add the next given dose with what became of it."""
        self.evaluations.append(evaluation)
        (self.valid if evaluation.status is DoseStatus.VALID else self.not_valid).append(evaluation.dose)
        if evaluation.reason == INADVERTENT:
            self.inadvertent.add(id(evaluation.dose))

    def latest_of(self, cvx: frozenset[str]) -> LatestDose:
        """Asks for the latest dose of these vaccines, of this antigen or not."""
        latest = self._latest.get(cvx)
        if latest is None:
            latest = self._latest[cvx] = LatestDose([dose for dose in self.person.doses if dose.cvx in cvx])
        return latest

    def in_season_of(self, day: date | None) -> date | None:
        """Return a day of the release's season, moved to the season of the assessment (see `years_back_to_season`)."""
        return Period(years=-self.years_back).after(day) if day is not None and self.years_back else day

    def skip_current(self) -> None:
        """Go on to the next target dose without a given one."""
        self.position += 1
        doses = self.series.doses
        self.current = doses[self.position] if self.position < len(doses) else None

    def satisfy_current(self, dose: VaccineDose) -> None:
        """Let a dose satisfy the current target dose; a recurring one comes next again."""
        self.satisfied.setdefault(self.position + 1, dose.given)
        if not self.series.doses[self.position].recurring:
            self.skip_current()


def years_back_to_season(end: date, as_of: date) -> int:
    """How many years the seasons up to `end` are moved back for an assessment before the season that CDC released.

    A release dates one season, from one day to another (influenza, RSV). For an earlier assessment the same days of
    earlier years stand for it. A later day is not moved to: what holds in the next season is in the next release.
    """
    years = 0
    while as_of <= Period(years=-years - 1).after(end):
        years += 1
    return years


def reference_date(course: Course, interval: Interval, dose: VaccineDose | None) -> date | None:
    """Return the day from which an interval is counted, before `dose` or, in a forecast, after all doses given.

    Business rules CALCDTINT-1, -2, -8 and -9: an extraneous, sub-standard or inadvertent dose starts no interval.
    """
    if interval.from_previous:
        return _latest_counted(course.evaluations)
    if interval.from_target_dose is not None:
        return course.satisfied.get(interval.from_target_dose)
    if interval.from_most_recent:
        return course.latest_of(interval.from_most_recent).up_to(dose, course.inadvertent)
    return course.person.observed(interval.from_observation)


def _latest_counted(evaluations: Sequence[Evaluation]) -> date | None:
    for item in reversed(evaluations):
        if item.status in (DoseStatus.VALID, DoseStatus.NOT_VALID) and item.reason != INADVERTENT:
            return item.dose.given
    return None


def can_skip(course: Course, rule: SeriesDose, reference: date, dose: VaccineDose | None = None) -> bool:
    """Whether a target dose is not needed (section 6.2), in the evaluation of `dose` or, without one, in a forecast."""
    for skip in rule.forecast_skips if dose is None else rule.evaluation_skips:
        one_is_enough, is_met = skip.logic == "OR", False
        for item in skip.sets:
            if item.effective <= reference <= item.cessation:
                for condition in item.conditions:
                    is_met = _condition_is_met(course, condition, reference, dose)
                    if is_met is (item.logic == "OR"):
                        break
                if is_met is one_is_enough:
                    break
        if is_met:
            return True
    return False


def _condition_is_met(course: Course, condition: SkipCondition, reference: date, dose: VaccineDose | None) -> bool:
    kind = condition.kind
    if kind == "age":
        return course.person.within_ages(reference, condition.begin_age, condition.end_age)
    if kind == "completed series":
        return any(map(course.group_is_complete, condition.series_groups))
    if kind == "interval":
        if not course.evaluations or condition.interval is None:
            return False
        return reference >= condition.interval.after(course.evaluations[-1].dose.given)
    can_count = course.person.doses if condition.cvx else course.given
    count = _conditional_doses(course, condition, dose) if can_count else 0
    if condition.count_logic == "greater than":
        return count > condition.count
    return count < condition.count if condition.count_logic == "less than" else count == condition.count


def _conditional_doses(course: Course, condition: SkipCondition, dose: VaccineDose | None) -> int:
    """How many given doses a count condition counts (CONDSKIP-1); the dose under evaluation is not one of them."""
    person = course.person
    pool = course.valid if condition.valid_only else person.by_day if condition.cvx else course.given
    if not pool.has_any(condition.cvx):
        return 0
    begin = _last(course.in_season_of(condition.start), person.reached[condition.begin_age])
    end = _first(course.in_season_of(condition.end), person.reached[condition.end_age])
    if condition.valid_only or dose is None:
        return pool.count_between(condition.cvx, begin, end)
    end = min(end, dose.given + DAY)
    is_itself = begin <= dose.given < end and (not condition.cvx or dose.cvx in condition.cvx)
    return pool.count_between(condition.cvx, begin, end) - is_itself


def _last(first: date | None, second: date | None) -> date:
    return max(first or date.min, second or date.min)


def _first(first: date | None, second: date | None) -> date:
    return min(first or date.max, second or date.max)


def evaluate(course: Course, dose: VaccineDose) -> Evaluation:
    """Judge the next given dose of the antigen, and advance the course."""
    while (rule := course.current) is not None and can_skip(course, rule, dose.given, dose):
        course.skip_current()
    if rule is None:
        return Evaluation(dose, DoseStatus.EXTRANEOUS, ALREADY_COMPLETE)
    if dose.substandard:
        return Evaluation(dose, DoseStatus.SUBSTANDARD)
    reason = _reason_against(course, rule, dose)
    if reason == TOO_OLD:
        return Evaluation(dose, DoseStatus.EXTRANEOUS, reason)
    if reason:
        return Evaluation(dose, DoseStatus.NOT_VALID, reason)
    course.satisfy_current(dose)
    return Evaluation(dose, DoseStatus.VALID)


def _reason_against(course: Course, rule: SeriesDose, dose: VaccineDose) -> str:
    """Why the dose does not satisfy the target dose, or nothing (Table 6-31)."""
    person = course.person
    if dose.cvx in rule.inadvertent:
        return INADVERTENT
    ages = ages_on(rule, dose.given)
    if ages is not None and _before(dose.given, person.reached[ages.absolute_minimum]):
        return TOO_YOUNG
    if ages is not None and (end := person.reached[ages.maximum]) is not None and dose.given >= end:
        return TOO_OLD
    if not _intervals_kept(course, rule, dose):
        return TOO_SOON
    if _in_conflict(course, dose):
        return CONFLICT
    if not (_is_among(rule.preferable, dose, person) or _is_among(rule.allowable, dose, person)):
        return WRONG_VACCINE
    return ""


def ages_on(rule: SeriesDose, day: date) -> Ages | None:
    """Return the ages that were in force on a day."""
    for ages in rule.ages:
        if ages.effective <= day <= ages.cessation:
            return ages
    return None


def _before(day: date, limit: date | None) -> bool:
    return limit is not None and day < limit


def _intervals_kept(course: Course, rule: SeriesDose, dose: VaccineDose) -> bool:
    """Whether all preferable intervals are kept, or else all allowable ones (sections 6.5 and 6.6)."""
    if _all_kept(course, rule.intervals, dose):
        return True
    return bool(rule.allowable_intervals) and _all_kept(course, rule.allowable_intervals, dose)


def _all_kept(course: Course, intervals: Iterable[Interval], dose: VaccineDose) -> bool:
    return not any(_is_too_soon(course, interval, dose) for interval in intervals)


def _is_too_soon(course: Course, interval: Interval, dose: VaccineDose) -> bool:
    if interval.absolute_minimum is None or not interval.effective <= dose.given <= interval.cessation:
        return False
    start = reference_date(course, interval, dose)
    return start is not None and dose.given < interval.absolute_minimum.after(start)


def _in_conflict(course: Course, dose: VaccineDose) -> bool:
    """Whether an earlier vaccine forbids this one on its day (section 6.7)."""
    return any(
        _is_forbidden_on(course, conflict, dose.given) for conflict in course.conflicts if dose.cvx in conflict.current
    )


def _is_forbidden_on(course: Course, conflict: Conflict, day: date) -> bool:
    """Whether a conflict has begun by that day and is not over: it is over sooner after a dose that counts."""
    for doses, end in _ends(course, conflict):
        earlier = doses.latest_before(conflict.previous, day, conflict.begin)
        if earlier is not None and day < end.after(earlier):
            return True
    return False


def conflict_end(course: Course, conflict: Conflict) -> date | None:
    """When the last of the conflicts with the doses given is over (CALCDTCONFLICT-2)."""
    latest_doses = ((doses.latest(conflict.previous), end) for doses, end in _ends(course, conflict))
    return max((end.after(day) for day, end in latest_doses if day is not None), default=None)


def _ends(course: Course, conflict: Conflict) -> tuple[tuple[Doses, Period], tuple[Doses, Period]]:
    """Return the doses that begin the conflict with its end: all of them, and those that do not count, if it is later.

    The shorter end holds for a dose that counts; for one that does not the longer one comes beside it.
    """
    return (course.person.by_day, conflict.minimum_end), (course.not_valid, conflict.end)


def _is_among(vaccines: Iterable[Vaccines], dose: VaccineDose, person: Person) -> bool:
    """Whether the dose is one of these vaccines at an age that fits; an unknown manufacturer is not held against it."""
    return any(
        dose.cvx in entry.cvx
        and person.within_ages(dose.given, entry.begin_age, entry.end_age)
        and not (
            entry.trade_name and entry.manufacturer and dose.manufacturer and dose.manufacturer != entry.manufacturer
        )
        for entry in vaccines
    )
