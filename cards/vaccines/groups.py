"""Chooses the series that fit the person best, and puts their forecasts together into one for each vaccine group.

Source: CDC, Logic Specification for ACIP Recommendations 4.5, sections 4.3 to 4.6, chapter 5 (which series are
relevant), chapter 8 (which of them is best) and chapter 9. The names of the rules stand beside the functions.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import cached_property
from operator import attrgetter
from typing import Final

from msgspec import Struct, structs

from cards.vaccines.course import Course, DoseStatus, Evaluation, evaluate, years_back_to_season
from cards.vaccines.forecasting import Forecast, SeriesStatus, forecast
from cards.vaccines.knowledge import Antigen, Conflict, Period, Series, SeriesDose, VaccineGroup, VaccineKnowledge
from cards.vaccines.patient import PREGNANT, Doses, PatientObservation, Person, doses_by_antigen

TETANUS_GROUP: Final = "DTaP/Tdap/Td"
LABELS: Final = {"Meningococcal": "Meningococcal ACWY"}
"""What clinicians call a group where CDC's name is longer or means two vaccines."""
# CDC, supporting data, tetanus and diphtheria: Tdap or Td from 7 years.
_SEVEN: Final = Period(years=7)
# A dose that cannot be given later than in so many days is named with its last day (rotavirus: CDC's maximum age).
_ENDS_SOON_DAYS: Final = 60
_NO_DOSES: Final = Doses()


class Candidate(Struct, frozen=True):
    """A relevant series of a person, evaluated and forecast."""

    series: Series
    course: Course
    forecast: Forecast

    @property
    def is_complete(self) -> bool:
        """SELECTB-6."""
        return self.forecast.status is SeriesStatus.COMPLETE

    @property
    def is_in_process(self) -> bool:
        """SELECTB-16."""
        return bool(self.course.valid) and self.forecast.status is SeriesStatus.NOT_COMPLETE

    @property
    def finish(self) -> date | None:
        """SELECTB-12: the earliest date of the next dose plus the longest minimum interval of the doses after it."""
        earliest = self.forecast.earliest
        if earliest is None:
            return None
        ends = [
            interval.minimum.after(earliest)
            for rule in self.series.doses[self.course.position + 1 :]
            for interval in rule.intervals
            if interval.minimum is not None
        ]
        return max(ends, default=earliest)

    @property
    def is_completable(self) -> bool:
        """SELECTB-3."""
        last = self.series.doses[-1]
        maximum = self.course.person.reached[last.ages[-1].maximum] if last.ages else None
        return self.finish is not None and (maximum is None or self.finish < maximum)

    @property
    def has_only_valid_doses(self) -> bool:
        """SELECTB-2."""
        return all(item.status is DoseStatus.VALID for item in self.course.evaluations)

    @property
    def open_doses(self) -> int:
        """How many target doses are neither given nor skipped."""
        return len(self.series.doses) - self.course.position


def is_relevant(series: Series, person: Person, as_of: date) -> bool:
    """Whether a series concerns this person at all (Table 5-5)."""
    if series.genders and person.gender not in series.genders:
        return False
    if series.type != "Risk":
        return True
    return not person.codes.isdisjoint(series.indicated_by) and any(
        person.within_ages(as_of, item.begin_age, item.end_age)
        for item in series.indications
        if item.observation in person.codes
    )


def best_candidates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the best candidate of each series group that is needed beside the others (section 8.8)."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.series.group, []).append(candidate)
    chosen = {group: best for group, items in groups.items() if (best := _prioritized(items)) is not None}
    return [item for item in chosen.values() if _is_best(item, chosen)]


def _is_best(item: Candidate, chosen: dict[str, Candidate]) -> bool:
    """Table 8-14."""
    if item.is_complete:
        return True
    if not item.series.equivalent_groups:
        return item.series.type != "Evaluation Only"
    equivalent = [chosen[group] for group in item.series.equivalent_groups if group in chosen]
    if (
        any(equivalent_candidate.is_complete for equivalent_candidate in equivalent)
        or item.series.type == "Evaluation Only"
    ):
        return False
    return item.series.type == "Risk" or not any(
        equivalent_candidate.series.type == "Risk" for equivalent_candidate in equivalent
    )


def _prioritized(group: list[Candidate]) -> Candidate | None:
    """Return the one candidate of a series group (sections 8.1 to 8.7)."""
    if len(group) == 1 and group[0].series.default:
        return group[0]  # scorable or not
    scorable = _scorable(group)
    default = next((item for item in group if item.series.default), None)
    if not scorable:
        return default
    if len(scorable) == 1:
        return scorable[0]
    complete = [item for item in scorable if item.is_complete]
    in_process = [item for item in scorable if item.is_in_process]
    if complete:
        # Table 8-7: the most valid doses. It has no other condition, so that the points and the doses order alike.
        return _best_scored(complete, [len(item.course.valid) for item in complete])
    if in_process:
        return _best_scored(in_process, _scores_in_process(in_process))
    defaults = [item for item in scorable if item.series.default]
    return defaults[0] if defaults else _best_scored(scorable, _scores_without_doses(scorable))


def _scorable(group: list[Candidate]) -> list[Candidate]:
    """SELECTB-24 and SELECTSCORE-2."""
    open_ones = [item for item in group if item.forecast.status is not SeriesStatus.CONTRAINDICATED] or group
    best_priority = min((item.series.priority for item in group if item.series.type == "Risk"), default="")
    nothing_given = not any(item.course.valid for item in group)
    no_default = not any(item.series.default for item in group)
    return [item for item in open_ones if _is_scorable(item, best_priority, nothing_given and no_default)]


def _is_scorable(item: Candidate, best_priority: str, start_anywhere: bool) -> bool:
    if item.series.type == "Risk":
        return item.series.priority == best_priority
    if item.series.type == "Evaluation Only":
        return item.is_complete
    if not item.course.valid:
        return start_anywhere
    limit = item.course.person.reached[item.series.max_age_to_start]
    return limit is None or item.course.valid[0].given < limit


def _best_scored(items: list[Candidate], scores: Iterable[int]) -> Candidate:
    """SELECTBEST-2: the highest score, and among equals the preferred series."""
    places = [(score, -item.series.preference) for score, item in zip(scores, items, strict=True)]
    return items[places.index(max(places))]


def _points(mine: bool, shared: bool, weight: int) -> int:
    """Points for a condition: the weight if it is true for this one alone, nothing if shared, else the loss."""
    if not mine:
        return -weight
    return 0 if shared else weight


def _scores_in_process(items: list[Candidate]) -> list[int]:
    """Table 8-9."""
    most = max(len(item.course.valid) for item in items)
    having_most = [item for item in items if len(item.course.valid) == most]
    fewest = min(item.open_doses for item in items)
    closest = [item for item in items if item.open_doses == fewest]
    finishes = {id(item): item.finish for item in items if item.is_completable and item.finish is not None}
    earliest = min(finishes.values(), default=None)
    first = [key for key, day in finishes.items() if day == earliest]
    return [
        _points(item.series.product and item.has_only_valid_doses, False, 2)
        + _points(item.is_completable, False, 3)
        + _points(item in having_most, len(having_most) > 1, 2)
        + _points(item in closest, len(closest) > 1, 2)
        + _points(id(item) in first, len(first) > 1, 1)
        for item in items
    ]


def _scores_without_doses(items: list[Candidate]) -> list[int]:
    """Table 8-11."""
    starts = {id(item): item.forecast.earliest for item in items if item.forecast.earliest is not None}
    earliest = min(starts.values(), default=None)
    first = [key for key, day in starts.items() if day == earliest]
    return [
        _points(id(item) in first, len(first) > 1, 1)
        + _points(item.is_completable, False, 1)
        - _points(item.series.product, False, 1)
        for item in items
    ]


class GroupForecast(Struct, frozen=True, dict=True):
    """What a vaccine group needs next on a day, from the best series of its antigens of one type (Standard or Risk)."""

    group: str
    series_type: str
    status: SeriesStatus
    best: tuple[Candidate, ...]
    as_of: date
    dose_number: int | None = None
    earliest: date | None = None
    recommended: date | None = None
    past_due: date | None = None
    vaccines: tuple[str, ...] = ()

    @property
    def person(self) -> Person:
        """Whose forecast it is."""
        return self.best[0].course.person

    @property
    def next_doses(self) -> list[SeriesDose]:
        """The target doses that come next in its best series."""
        return [rule for item in self.best if (rule := item.course.current) is not None]

    @cached_property
    def label(self) -> str:
        """What clinicians call the group for a person of this age."""
        if self.group == TETANUS_GROUP:
            return "DTaP" if self.person.within_ages(self.as_of, None, _SEVEN) else "Tdap/Td"
        return LABELS.get(self.group, self.group)

    @cached_property
    def reasons(self) -> tuple[PatientObservation, ...]:
        """What is on record that makes a risk dose necessary."""
        reasons = {
            item.code: item
            for candidate in self.best
            for indication in candidate.series.indications
            for item in self.person.observations
            if item.code == indication.observation
        }
        return tuple(reasons.values())

    @cached_property
    def reason_since(self) -> date | None:
        """The first day of what makes a risk dose necessary, where all of it is dated."""
        days = [item.since for item in self.reasons]
        return min((day for day in days if day is not None), default=None) if None not in days else None

    @cached_property
    def for_pregnancy(self) -> bool:
        """Whether the dose is for a pregnancy, whatever was given before it."""
        return any(item.code == PREGNANT for item in self.reasons)

    @cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Every dose on which the forecast rests, once, with its status."""
        by_day: dict[tuple[date, str], Evaluation] = {}
        for candidate in self.best:
            for item in candidate.course.evaluations:
                by_day.setdefault((item.dose.given, item.dose.cvx), item)
        return tuple(sorted(by_day.values(), key=lambda item: item.dose.given))

    @cached_property
    def counted_days(self) -> tuple[date, ...]:
        """The days of the doses that count, earliest first."""
        return tuple(sorted({item.dose.given for item in self.evaluations if item.status is DoseStatus.VALID}))

    @cached_property
    def last_day(self) -> date | None:
        """The last day on which the dose may be given, by CDC's maximum age, where that day is near."""
        days = [day for candidate in self.best if (day := candidate.forecast.latest) is not None]
        return min(days) if days and (min(days) - self.as_of).days <= _ENDS_SOON_DAYS else None

    @cached_property
    def is_overdue(self) -> bool:
        """Whether the day by which it should have been given is over, counted from when there was a reason."""
        past_due, since = self.past_due, self.reason_since
        if past_due is None or (self.reasons and (since is None or past_due < since)):
            return False
        return past_due < self.as_of

    def begins_by(self, person: Person, day: date) -> bool:
        """Whether the series are for people of this age or younger, or have been started already."""
        starts = [person.reached[item.series.min_age_to_start] for item in self.best if not item.course.valid]
        return len(starts) < len(self.best) or any(start is None or start <= day for start in starts)


def assess(
    person: Person, as_of: date, knowledge: VaccineKnowledge, antigens: Iterable[str] = ()
) -> list[GroupForecast]:
    """Evaluate the doses given and forecast the next ones, for all vaccine groups or those of the antigens named.

    A group stands twice in the answer if a risk series is needed beside the standard one.
    """
    doses = doses_by_antigen(person, knowledge.schedule)
    codes = {dose.cvx for dose in person.doses}
    conflicts = tuple(item for item in knowledge.schedule.conflicts if codes and not codes.isdisjoint(item.previous))
    wanted = set(antigens)
    forecasts: list[GroupForecast] = []
    for name, group in knowledge.schedule.groups.items():
        if wanted and not wanted & set(group.antigens):
            continue
        best: list[Candidate] = []
        for antigen in group.antigens:
            best += _best(knowledge.antigens[antigen], person, doses.get(antigen, _NO_DOSES), conflicts, as_of)
        if best:
            given = [doses[antigen][-1].given for antigen in group.antigens if antigen in doses] if doses else []
            latest = max(given, default=None)
            forecasts += _by_type(name, best, latest, group, as_of)
    return forecasts


def _numbered(best: list[Candidate]) -> Iterator[Candidate]:
    """Yield the best series of an antigen; a risk dose is numbered after every dose that counts in any of them.

    FORECASTDN-1 counts within the series alone. CDC's cases count a dose once it is valid in a best series: the fifth
    polio dose of a laboratory worker is expected as number 5, not as the first of the risk series.
    """
    if all(candidate.series.type != "Risk" for candidate in best):
        yield from best
        return
    counted = {id(dose) for candidate in best for dose in candidate.course.valid}
    for candidate in best:
        rule = candidate.course.current
        seasonal = rule is not None and rule.season_start is not None
        if candidate.series.type != "Risk" or seasonal or candidate.forecast.dose_number is None:
            yield candidate
        else:
            yield structs.replace(candidate, forecast=structs.replace(candidate.forecast, dose_number=len(counted) + 1))


def _best(
    antigen: Antigen,
    person: Person,
    doses: Doses,
    conflicts: tuple[Conflict, ...],
    as_of: date,
) -> Iterable[Candidate]:
    """Return the best series of an antigen, which for most people of whom no dose is known needs no comparison."""
    candidates = Candidates(antigen, person, doses, conflicts, as_of)
    if not doses and person.codes.isdisjoint(antigen.indicated_by):
        first = antigen.series_to_begin
        chosen = first[person.gender] if person.gender in first else first[""]
        if chosen is not None:
            return [candidates.judge(series) for series in chosen]
    return _numbered(best_candidates(candidates.all()))


def _no_group(_: str) -> bool:
    """No group of series is complete without a dose that counts."""
    return False


class Candidates(Struct, frozen=True, dict=True):
    """The series of an antigen for one person; a series asks for another group of series when it needs it."""

    antigen: Antigen
    person: Person
    doses: Doses
    conflicts: tuple[Conflict, ...]
    as_of: date
    made: dict[str, Candidate] = {}

    @cached_property
    def _relevant(self) -> list[Series]:
        has_risk = not self.person.codes.isdisjoint(self.antigen.indicated_by)
        concerned = self.antigen.series if has_risk else self.antigen.series_without_risk
        return [series for series in concerned if is_relevant(series, self.person, self.as_of)]

    def all(self) -> list[Candidate]:
        """Those that are relevant, in the order of the antigen."""
        candidates = [self._candidate(series) for series in self._relevant]
        # Each course holds this object by its question: kept here they would leave the chart to the collector.
        self.made.clear()
        return candidates

    def judge(self, series: Series) -> Candidate:
        """Return one series, evaluated and forecast."""
        end = series.last_season_end
        years_back = years_back_to_season(end, self.as_of) if end is not None else 0
        asks = self._group_is_complete if self.doses else _no_group
        course = Course(series, self.person, self.doses, self.conflicts, asks, series.doses[0], years_back)
        for dose in self.doses:
            course.add(evaluate(course, dose))
        return Candidate(series, course, forecast(course, self.antigen, self.as_of))

    def _candidate(self, series: Series) -> Candidate:
        if series.name not in self.made:
            self.made[series.name] = self.judge(series)
        return self.made[series.name]

    def _group_is_complete(self, group: str) -> bool:
        return any(self._candidate(series).is_complete for series in self._relevant if series.group == group)


def _by_type(
    name: str, best: list[Candidate], latest_dose: date | None, group: VaccineGroup, as_of: date
) -> Iterable[GroupForecast]:
    """One forecast for each series group; best series of a kind (risk or not) are blended across the antigens."""
    if len(best) == len(group.antigens) == 1:
        return [_of_one(name, best[0], as_of)]
    by_kind: dict[tuple[str, str], list[Candidate]] = {}
    for item in best:
        by_kind.setdefault((_kind_of(item), item.series.group), []).append(item)
    return [_blend(name, kind, tuple(items), latest_dose, group, as_of) for (kind, _), items in by_kind.items()]


def _kind_of(item: Candidate) -> str:
    return "Risk" if item.series.type == "Risk" else "Standard"


def _of_one(name: str, item: Candidate, as_of: date) -> GroupForecast:
    """Return the forecast of a group that one series of its one antigen says alone."""
    dose = item.forecast
    recommended, vaccines = dose.recommended or dose.earliest, tuple(dict.fromkeys(dose.vaccines))
    of_dose = (dose.dose_number, dose.earliest, recommended, dose.past_due, vaccines)
    return GroupForecast(name, _kind_of(item), dose.status, (item,), as_of, *of_dose)


# Table 9-4: what one antigen of a group says of all of it. Complete and immune together are complete.
_FIRST_OF_GROUP: Final = (
    SeriesStatus.CONTRAINDICATED,
    SeriesStatus.AGED_OUT,
    SeriesStatus.NOT_RECOMMENDED,
    SeriesStatus.NOT_COMPLETE,
    SeriesStatus.COMPLETE,
    SeriesStatus.IMMUNE,
)


_OF_NEXT_DOSE: Final = tuple(map(attrgetter, ("dose_number", "recommended", "past_due")))


def _blend(
    name: str,
    series_type: str,
    items: tuple[Candidate, ...],
    latest_dose: date | None,
    group: VaccineGroup,
    as_of: date,
) -> GroupForecast:
    """One forecast out of those of the antigens (Tables 9-2 to 9-5)."""
    status = min([item.forecast.status for item in items], key=_FIRST_OF_GROUP.index)
    if status is not SeriesStatus.NOT_COMPLETE:
        return GroupForecast(name, series_type, status, items, as_of)
    forecasts_open = [item.forecast for item in items if item.forecast.status is SeriesStatus.NOT_COMPLETE]
    earliest = _earliest(forecasts_open, latest_dose, group)
    numbers, recommended, past_due = (filter(None, map(value, forecasts_open)) for value in _OF_NEXT_DOSE)
    return GroupForecast(
        name,
        series_type,
        status,
        items,
        as_of,
        dose_number=min(numbers) if group.full else max(numbers),
        earliest=earliest,
        recommended=_not_before(earliest, min(recommended, default=None)) or earliest,
        past_due=_not_before(earliest, min(past_due, default=None)),
        vaccines=tuple(dict.fromkeys(code for item in forecasts_open for code in item.vaccines)),
    )


def _not_before(earliest: date | None, day: date | None) -> date | None:
    return max(earliest, day) if earliest is not None and day is not None else day


def _earliest(open_forecasts: list[Forecast], latest_dose: date | None, group: VaccineGroup) -> date | None:
    """SINGLEANTVG-2 and MULTIANTVG-1: the latest earliest date, unless one antigen's intervals take priority."""
    days = [item.earliest for item in open_forecasts if item.earliest is not None]
    if not days or len(group.antigens) == 1:
        return min(days, default=None)
    if any(item.priority for item in open_forecasts):
        return max(min(days), latest_dose or min(days))
    return max(days)
