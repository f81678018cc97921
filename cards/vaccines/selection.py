"""Chooses among all series against one disease the one, or the few, that fit the person best.

Source: CDC, Logic Specification for ACIP Recommendations 4.5, chapter 5 (which series are relevant) and chapter 8
(which of them is best). The names of the rules stand beside the functions.
"""

from collections.abc import Callable, Sequence
from datetime import date

from msgspec import Struct

from cards.vaccines.course import Course, DoseStatus
from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.knowledge import Series
from cards.vaccines.patient import Person


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
        return self.course.valid_doses > 0 and self.forecast.status is SeriesStatus.NOT_COMPLETE

    @property
    def finish(self) -> date | None:
        """SELECTB-12: the earliest date of the next dose plus the longest minimum interval of the doses after it."""
        earliest = self.forecast.earliest
        if earliest is None:
            return None
        remaining = self.course.targets[self.course.position + 1 :]
        ends = [
            interval.minimum.after(earliest)
            for target in remaining
            for interval in target.rule.intervals
            if interval.minimum is not None
        ]
        return max(ends, default=earliest)

    @property
    def is_completable(self) -> bool:
        """SELECTB-3."""
        last = self.course.targets[-1].rule
        maximum = self.course.person.at_age(last.ages[-1].maximum) if last.ages else None
        return self.finish is not None and (maximum is None or self.finish < maximum)

    @property
    def has_only_valid_doses(self) -> bool:
        """SELECTB-2."""
        return all(item.status is DoseStatus.VALID for item in self.course.evaluations)

    @property
    def open_doses(self) -> int:
        """How many target doses are neither given nor skipped."""
        return sum(target.satisfied_by is None and not target.skipped for target in self.course.targets)


def is_relevant(series: Series, person: Person, as_of: date) -> bool:
    """Whether a series concerns this person at all (Table 5-5)."""
    if series.genders and person.gender not in series.genders:
        return False
    if series.type != "Risk":
        return True
    return not person.codes.isdisjoint(series.indicated_by) and any(
        item.observation in person.codes and person.within_ages(as_of, item.begin_age, item.end_age)
        for item in series.indications
    )


def first_doses(relevant: Sequence[Series]) -> list[Series]:
    """Of the relevant series those that can be chosen for a person without any dose of the antigen, by their group.

    No dose makes no series complete, in process or scorable but by its risk: of a group without a risk series it is
    the default one, if there is one (`_prioritized`). The others need not be evaluated.
    """
    groups: dict[str, list[Series]] = {}
    for series in relevant:
        groups.setdefault(series.group, []).append(series)
    series_found: list[Series] = []
    for group in groups.values():
        default = next((series for series in group if series.default), None)
        has_risk = any(series.type == "Risk" for series in group)
        series_found += group if default is None or has_risk else [default]
    return series_found


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
        return _best_scored(complete, _score_complete)
    if in_process:
        return _best_scored(in_process, _score_in_process)
    defaults = [item for item in scorable if item.series.default]
    return defaults[0] if defaults else _best_scored(scorable, _score_without_doses)


def _scorable(group: list[Candidate]) -> list[Candidate]:
    """SELECTB-24 and SELECTSCORE-2."""
    open_ones = [item for item in group if item.forecast.status is not SeriesStatus.CONTRAINDICATED] or group
    best_priority = min((item.series.priority for item in group if item.series.type == "Risk"), default="")
    nothing_given = not any(item.course.valid_doses for item in group)
    no_default = not any(item.series.default for item in group)
    return [item for item in open_ones if _is_scorable(item, best_priority, nothing_given and no_default)]


def _is_scorable(item: Candidate, best_priority: str, start_anywhere: bool) -> bool:
    if item.series.type == "Risk":
        return item.series.priority == best_priority
    if item.series.type == "Evaluation Only":
        return item.is_complete
    if not item.course.valid:
        return start_anywhere
    limit = item.course.person.at_age(item.series.max_age_to_start)
    return limit is None or item.course.valid[0].given < limit


def _best_scored(items: list[Candidate], score: Callable[[Candidate, list[Candidate]], int]) -> Candidate:
    """SELECTBEST-2: the highest score, and among equals the preferred series."""
    return max(items, key=lambda item: (score(item, items), -item.series.preference))


def _points(mine: bool, shared: bool, weight: int) -> int:
    """Points for a condition: the weight if it is true for this one alone, nothing if shared, else the loss."""
    if not mine:
        return -weight
    return 0 if shared else weight


def _score_complete(item: Candidate, _: list[Candidate]) -> int:
    """Table 8-7: the most valid doses. It has no other condition, so that the points and the doses order alike."""
    return item.course.valid_doses


def _score_in_process(item: Candidate, items: list[Candidate]) -> int:
    """Table 8-9."""
    most = max(item.course.valid_doses for item in items)
    having_most = [item for item in items if item.course.valid_doses == most]
    fewest = min(item.open_doses for item in items)
    closest = [item for item in items if item.open_doses == fewest]
    finishes = {id(item): item.finish for item in items if item.is_completable and item.finish is not None}
    earliest = min(finishes.values(), default=None)
    first = [key for key, day in finishes.items() if day == earliest]
    return (
        _points(item.series.product and item.has_only_valid_doses, False, 2)
        + _points(item.is_completable, False, 3)
        + _points(item in having_most, len(having_most) > 1, 2)
        + _points(item in closest, len(closest) > 1, 2)
        + _points(id(item) in first, len(first) > 1, 1)
    )


def _score_without_doses(item: Candidate, items: list[Candidate]) -> int:
    """Table 8-11."""
    starts = {id(item): item.forecast.earliest for item in items if item.forecast.earliest is not None}
    earliest = min(starts.values(), default=None)
    first = [key for key, day in starts.items() if day == earliest]
    return (
        _points(id(item) in first, len(first) > 1, 1)
        + _points(item.is_completable, False, 1)
        - _points(item.series.product, False, 1)
    )
