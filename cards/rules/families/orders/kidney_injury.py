"""Acute kidney injury now: a rise of creatinine, or an entry of the problem list that is recent and not over.

KDIGO 2012 (acute kidney injury): a rise of creatinine to 1.5 times an earlier value within 7 days; what lasts up to
three months is acute kidney disease, later it is chronic or over. An entry stays on lists for years, so it counts for
90 days only, and not once a later creatinine gives an eGFR of 60 or more. A rise that stays within a normal eGFR (90 or
more, KDIGO's G1) is none.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from cards.extension import Fact
from cards.rules.conditions.condition import Condition, Truth, flag, needs
from cards.rules.conditions.words.patient import CONDITIONS
from cards.rules.families.orders.study import worked_out_once
from cards.rules.patient.context import RuleContext
from cards.text import format_number
from fhir.mapping.equations import RISE_SECONDS, SHARE, SHARE_SECONDS
from fhir.mapping.kidney import KidneyEstimate, egfr_best
from fhir.mapping.stays import is_inpatient
from fhir.record.datatypes import DAY_SECONDS
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord

_KEY: Final = "aki"
_VALUES: Final = ("creatinine", "egfr")
_ACUTE_DAYS: Final = 90.0
_RECENT_DAYS: Final = 7.0
_YEAR_DAYS: Final = 365.0
_FRESH_DAYS: Final = 2.0
_A_DAY_SECONDS: Final = 0.8 * DAY_SECONDS
"""Blood of two mornings is not drawn at the same hour."""
_NORMAL_EGFR: Final = 90.0
_RECOVERED_EGFR: Final = 60.0
_RISK_EGFR: Final = 30.0

_State: TypeAlias = Literal["now", "recovering", "none", "unknown"]


class _Rise(Struct, frozen=True):
    """A creatinine (mg/dL) and the earlier one, of the seven days before, that it exceeds by half or more."""

    now: Measurement
    before: Measurement


def _rise(record: PatientRecord) -> _Rise | None:
    now = record.newest("creatinine")
    if now is None or now.whole_days(record.as_of_epoch) > _RECENT_DAYS or _egfr(record) >= _NORMAL_EGFR:
        return None
    before = min(_week_before(record, now), key=lambda measurement: measurement.value, default=None)
    return _Rise(now, before) if before is not None and now.value >= (1 + SHARE) * before.value else None


def _week_before(record: PatientRecord, newest: Measurement) -> list[Measurement]:
    since = record.measurements_since("creatinine", newest.time.instant - SHARE_SECONDS)
    return [measurement for measurement in since if measurement.time.instant < newest.time.instant]


def _egfr(record: PatientRecord) -> float:
    """Return the best eGFR; 0 where there is none, so that nothing is called normal."""
    estimate = egfr_best(record)
    is_limit = isinstance(estimate, KidneyEstimate) and estimate.side in ("<", "<=")
    return estimate.value if isinstance(estimate, KidneyEstimate) and not is_limit else 0.0


def _state(context: RuleContext) -> _State:
    return worked_out_once(context, "kidney injury", _find_state)


def _find_state(context: RuleContext) -> _State:
    hit, record = context.session.condition(_KEY), context.session.record
    if record.derive(_rise) is not None:
        return "now"
    if hit is None:
        return "unknown" if context.has_condition(_KEY) is None else "none"
    if hit.time is None:
        # A visit's diagnosis without a status and a date may be of any year.
        return "now" if hit.status == "active" else "none"
    if hit.time.whole_days(record.as_of_epoch) > _ACUTE_DAYS:
        return "none"
    newest = record.newest("creatinine")
    if newest is None or newest.time.date < hit.time.date:
        return "now"
    if _egfr(record) >= _RECOVERED_EGFR:
        return "none"
    return "recovering" if _egfr(record) >= _RISK_EGFR and _is_not_rising(record, newest) else "now"


def _is_not_rising(record: PatientRecord, newest: Measurement) -> bool:
    """Whether creatinine has been steady or falling over two days, by at least two values."""
    earlier = _week_before(record, newest)
    two_days = [
        measurement for measurement in earlier if newest.time.instant - measurement.time.instant <= RISE_SECONDS
    ]
    is_long = any(newest.time.instant - measurement.time.instant >= _A_DAY_SECONDS for measurement in earlier)
    is_fresh = newest.whole_days(record.as_of_epoch) <= _FRESH_DAYS
    return is_long and is_fresh and all(newest.value <= two_day.value for two_day in two_days)


def _facts(context: RuleContext) -> list[Fact]:
    rise = context.session.record.derive(_rise)
    listed = [] if _state(context) == "none" else context.condition_facts(_KEY)
    if rise is None:
        return listed
    return [*listed, *(_measured(measurement) for measurement in (rise.now, rise.before))]


def _measured(measurement: Measurement) -> Fact:
    text = f"Creatinine {format_number(measurement.value)} mg/dL"
    return Fact(
        "creatinine", text, measurement.value, "mg/dL", effective=measurement.time.text, source=measurement.source
    )


def _is(state: _State) -> Callable[[RuleContext], Truth]:
    return lambda context: None if _state(context) == "unknown" else _state(context) == state


def injury_words(context: RuleContext) -> str:
    """Return what tells of the injury, for a headline."""
    rise = context.session.record.derive(_rise)
    if rise is None:
        return "Acute kidney injury on the list"
    return (
        f"Creatinine rose from {format_number(rise.before.value)} to {format_number(rise.now.value)} mg/dL "
        f"by {rise.now.time.text[:10]}"
    )


def metformin_reason(context: RuleContext) -> str:
    """Why metformin is stopped at a scan, for a headline: the eGFR, the injury, else the way of the contrast."""
    best = egfr_best(context.session.record)
    if isinstance(best, KidneyEstimate) and best.value < _RISK_EGFR:
        on = f" on {best.time.text[:10]}" if best.time is not None else ""
        return f"with eGFR {best.side or ''}{format_number(best.value)} mL/min/1.73 m²{on}"
    if context.session.condition(_KEY) is not None:
        return "with acute kidney injury"
    return "with contrast into an artery"


def kidney_window(context: RuleContext) -> str:
    """How far back a kidney value is looked for: of an inpatient 7 days."""
    return "7 days" if is_inpatient(context.session.record) else "12 months"


_NEEDS = CONDITIONS | needs(analytes=_VALUES)
_USES = frozenset({"conditions", "condition:aki"})


def _is_missing(context: RuleContext) -> Truth:
    """Whether no kidney value of a year came, of an inpatient none of 7 days; a charted stage is not a value."""
    record = context.session.record
    if not any(record.was_requested(key) for key in _VALUES):
        return None
    best = egfr_best(record)
    measured = [measurement.time for key in _VALUES if (measurement := record.newest(key)) is not None]
    if isinstance(best, KidneyEstimate) and best.inputs and best.time is not None:
        measured.append(best.time)
    limit = _RECENT_DAYS if is_inpatient(record) else _YEAR_DAYS
    return not any(time.whole_days(record.as_of_epoch) <= limit for time in measured)


WORDS: tuple[Condition, ...] = (
    flag(
        "kidney_injury_now",
        _is("now"),
        "creatinine rose to 1.5 times an earlier value of the last 7 days, or acute kidney injury is on the list for "
        "up to 90 days and creatinine does not show that it is over or recovering",
        _USES,
        _facts,
        _NEEDS,
    ),
    flag(
        "kidney_injury_recovering",
        _is("recovering"),
        "acute kidney injury is on the list for up to 90 days, creatinine has been steady or falling for two days, and "
        "the eGFR is 30 to 59",
        _USES,
        _facts,
        _NEEDS,
    ),
    flag(
        "kidney_value_missing",
        _is_missing,
        "no kidney value of the last 365 days came, in hospital none of the last 7",
        needs=needs("Encounter", analytes=_VALUES),
    ),
)
