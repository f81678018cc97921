"""How far a person is in one series: target doses given, skipped and open, and the status of every given dose.

Source: CDC, Logic Specification for ACIP Recommendations 4.5, sections 4.4 and 6.5 (from which day an interval counts).
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from enum import StrEnum

from msgspec import Struct

from cards.vaccines.doses_by_day import DosesByDay, GivenDose, LatestDose
from cards.vaccines.knowledge import Conflict, Interval, Period, Series, SeriesDose
from cards.vaccines.patient import Person


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

    dose: GivenDose
    status: DoseStatus
    reason: str = ""


class TargetDose(Struct):
    """A dose of the series in this person's course: given, skipped or still open."""

    rule: SeriesDose
    number: int
    satisfied_by: GivenDose | None = None
    skipped: bool = False


class Course(Struct):
    """How far a person is in one series: the target doses, the next one and every given dose with its status.

    `conflicts` are those that a dose of this person can begin. `valid` and `not_valid` are the doses judged so far,
    `inadvertent` the ids of those that should not have been given; `satisfied` is the day of each target dose by its
    number, of a recurring one the first.
    """

    series: Series
    person: Person
    given: tuple[GivenDose, ...]
    conflicts: tuple[Conflict, ...]
    group_is_complete: Callable[[str], bool]
    years_back: int = 0
    targets: list[TargetDose] = []
    position: int = 0
    evaluations: list[Evaluation] = []
    valid: list[GivenDose] = []
    not_valid: list[GivenDose] = []
    inadvertent: set[int] = set()
    satisfied: dict[int, date] = {}
    _latest: dict[frozenset[str], LatestDose] = {}
    _given_by_day: DosesByDay | None = None
    _valid_by_day: DosesByDay | None = None
    _not_valid_by_day: DosesByDay | None = None

    def add(self, evaluation: Evaluation) -> None:
        """Add the next given dose with what became of it."""
        self.evaluations.append(evaluation)
        (self.valid if evaluation.status is DoseStatus.VALID else self.not_valid).append(evaluation.dose)
        if evaluation.reason == INADVERTENT:
            self.inadvertent.add(id(evaluation.dose))

    @property
    def given_by_day(self) -> DosesByDay:
        """The given doses of the antigen."""
        if self._given_by_day is None:
            self._given_by_day = DosesByDay(self.given)
        return self._given_by_day

    @property
    def valid_by_day(self) -> DosesByDay:
        """Those that count."""
        if self._valid_by_day is None:
            self._valid_by_day = DosesByDay(self.valid)
        return self._valid_by_day

    @property
    def not_valid_by_day(self) -> DosesByDay:
        """Those that were judged and do not count."""
        if self._not_valid_by_day is None:
            self._not_valid_by_day = DosesByDay(self.not_valid)
        return self._not_valid_by_day

    def latest_of(self, cvx: frozenset[str]) -> LatestDose:
        """Asks for the latest dose of these vaccines, of this antigen or not."""
        latest = self._latest.get(cvx)
        if latest is None:
            latest = self._latest[cvx] = LatestDose([dose for dose in self.person.doses if dose.cvx in cvx])
        return latest

    @property
    def current(self) -> TargetDose | None:
        """The target dose that comes next, or None when none is left."""
        return self.targets[self.position] if self.position < len(self.targets) else None

    def in_season_of(self, day: date | None) -> date | None:
        """Return a day of the release's season, moved to the season of the assessment (see `years_back_to_season`)."""
        return Period(years=-self.years_back).after(day) if day is not None and self.years_back else day

    @property
    def valid_doses(self) -> int:
        """How many target doses are satisfied."""
        return len(self.valid)

    def skip_current(self) -> None:
        """Go on to the next target dose without a given one."""
        self.targets[self.position].skipped = True
        self.position += 1

    def satisfy_current(self, dose: GivenDose) -> None:
        """Let a dose satisfy the current target dose; a recurring dose is put again behind itself."""
        target = self.targets[self.position]
        target.satisfied_by = dose
        self.satisfied.setdefault(target.number, dose.given)
        self.position += 1
        if target.rule.recurring:
            self.targets.insert(self.position, TargetDose(target.rule, target.number))


def years_back_to_season(series: Series, as_of: date) -> int:
    """How many years the seasons of a series are moved back for an assessment before the season that CDC released.

    A release dates one season, from one day to another (influenza, RSV). For an earlier assessment the same days of
    earlier years stand for it. A later day is not moved to: what holds in the next season is in the next release.
    """
    end = series.last_season_end
    years = 0
    while end is not None and as_of <= Period(years=-years - 1).after(end):
        years += 1
    return years


def reference_date(course: Course, interval: Interval, dose: GivenDose | None) -> date | None:
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
