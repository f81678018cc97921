"""Says when a dose of a series is not needed because of age, time or the doses given.

Source: CDC, Logic Specification for ACIP Recommendations 4.5, section 6.2 (conditional skip).
"""

from datetime import date

from cards.vaccines.course import Course
from cards.vaccines.history import GivenDose
from cards.vaccines.knowledge import SeriesDose, Skip, SkipCondition, SkipSet


def can_skip(course: Course, rule: SeriesDose, context: str, reference: date, dose: GivenDose | None = None) -> bool:
    """Whether a target dose is not needed (section 6.2), in evaluation (of `dose`) or in a forecast."""
    return any(skip.context in (context, "Both") and _skip_is_met(course, skip, reference, dose) for skip in rule.skips)


def _skip_is_met(course: Course, skip: Skip, reference: date, dose: GivenDose | None) -> bool:
    sets = [item for item in skip.sets if item.holds_on(reference)]
    met = (_set_is_met(course, item, reference, dose) for item in sets)
    return bool(sets) and (any(met) if skip.logic == "OR" else all(met))


def _set_is_met(course: Course, skip_set: SkipSet, reference: date, dose: GivenDose | None) -> bool:
    met = (_condition_is_met(course, condition, reference, dose) for condition in skip_set.conditions)
    return any(met) if skip_set.logic == "OR" else all(met)


def _condition_is_met(course: Course, condition: SkipCondition, reference: date, dose: GivenDose | None) -> bool:
    if condition.kind == "age":
        return course.person.within_ages(reference, condition.begin_age, condition.end_age)
    if condition.kind == "completed series":
        return any(course.group_is_complete(group) for group in condition.series_groups)
    if condition.kind == "interval":
        return _is_interval_over(course, condition, reference)
    return _compare(_conditional_doses(course, condition, dose), condition)


def _is_interval_over(course: Course, condition: SkipCondition, reference: date) -> bool:
    if not course.evaluations or condition.interval is None:
        return False
    return reference >= condition.interval.after(course.evaluations[-1].dose.given)


def _conditional_doses(course: Course, condition: SkipCondition, dose: GivenDose | None) -> int:
    """How many given doses a count condition counts (CONDSKIP-1); the dose under evaluation is not one of them."""
    pool = course.valid if condition.valid_only else _given_before(course, condition, dose)
    start = course.in_season_of(condition.start) or date.min
    end = course.in_season_of(condition.end) or date.max
    return sum(
        (not condition.cvx or item.cvx in condition.cvx)
        and course.person.within_ages(item.given, condition.begin_age, condition.end_age)
        and start <= item.given < end
        for item in pool
    )


def _given_before(course: Course, condition: SkipCondition, dose: GivenDose | None) -> list[GivenDose]:
    doses = course.person.doses if condition.cvx else course.given
    return [item for item in doses if dose is None or (item is not dose and item.given <= dose.given)]


def _compare(count: int, condition: SkipCondition) -> bool:
    if condition.count_logic == "greater than":
        return count > condition.count
    return count < condition.count if condition.count_logic == "less than" else count == condition.count
