"""The vaccine knowledge: CDC's series, doses, conflicts and coded observations, read once from `data/`.

One file per antigen and one for the schedule as a whole. Each file names its source, the CDC version and its date.
The words are CDC's (CDSi supporting data 4.64, `AntigenSupportingData.xsd`); empty elements are left out.

Ages and intervals are as CDC writes them ("6 months - 4 days"); what a date becomes when one is added follows CDC,
Logic Specification for ACIP Recommendations 4.5, business rules CALCDT-1 to CALCDT-6.
"""

import re
from datetime import date, timedelta
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, TypeVar

import msgspec

_PART = re.compile(r"\s*([+-]?)\s*(\d+)\s*(year|month|week|day)s?\s*", re.IGNORECASE)
_DAYS = {"week": 7, "day": 1}


class Period:
    """A length of time that is added to a date: first the years, then the months, then the days.

    A plain class, not a dataclass: the knowledge files write it as text, and msgspec reads a dataclass as an object.
    """

    __slots__ = ("_beyond", "days", "months", "years")

    def __init__(self, years: int = 0, months: int = 0, days: int = 0) -> None:
        self.years, self.months, self.days = years, months, days
        self._beyond = timedelta(days=days)

    def after(self, start: date) -> date:
        """Return the date that lies this period after `start`."""
        start = _add_months(start, self.years * 12) if self.years else start
        start = _add_months(start, self.months) if self.months else start
        return start + self._beyond if self.days else start


def parse_period(text: str) -> Period:
    """Read a period as CDC writes it.

    >>> parse_period("6 months - 4 days").after(date(2000, 1, 31))
    datetime.date(2000, 7, 27)

    Raises:
        ValueError: the text is not a period.
    """
    amounts = {"year": 0, "month": 0, "day": 0}
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise ValueError("not an age or interval of the form '6 months - 4 days'")
        sign, number, unit = part.groups()
        unit = unit.lower()
        amounts["day" if unit in _DAYS else unit] += int(f"{sign}{number}") * _DAYS.get(unit, 1)
        position = part.end()
    return Period(amounts["year"], amounts["month"], amounts["day"])


def _add_months(start: date, months: int) -> date:
    """Add months; a day that the month does not have becomes the first of the next month (CALCDT-5)."""
    count = start.year * 12 + start.month - 1 + months
    try:
        return date(count // 12, count % 12 + 1, start.day)
    except ValueError:
        count += 1
        return date(count // 12, count % 12 + 1, 1)


_T = TypeVar("_T")


class _Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of knowledge: it cannot be changed, and an unknown key in the file is an error."""


class TimeFrame(_Fact, frozen=True):
    """Something that holds only from one date to another, both included."""

    effective: date = date.min
    cessation: date = date.max


class Ages(TimeFrame, frozen=True):
    """The ages for one dose of a series."""

    absolute_minimum: Period | None = None
    minimum: Period | None = None
    earliest_recommended: Period | None = None
    latest_recommended: Period | None = None
    maximum: Period | None = None


class Interval(TimeFrame, frozen=True):
    """The time between one dose and the event it is counted from: exactly one of the four `from_` fields is set."""

    from_previous: bool = False
    from_target_dose: int | None = None
    from_most_recent: frozenset[str] = frozenset()
    from_observation: str = ""
    absolute_minimum: Period | None = None
    minimum: Period | None = None
    earliest_recommended: Period | None = None
    latest_recommended: Period | None = None
    priority: bool = False


class Vaccines(_Fact, frozen=True):
    """Vaccine codes (CVX) that may be given from one age until before another."""

    cvx: tuple[str, ...]
    begin_age: Period | None = None
    end_age: Period | None = None
    manufacturer: str = ""
    trade_name: str = ""
    forecast: bool = False


class SkipCondition(_Fact, frozen=True):
    """One condition under which a dose of a series is not needed; `kind` says which fields count."""

    kind: str
    start: date | None = None
    end: date | None = None
    begin_age: Period | None = None
    end_age: Period | None = None
    interval: Period | None = None
    count: int = 0
    count_logic: str = ""
    valid_only: bool = False
    cvx: frozenset[str] = frozenset()
    series_groups: frozenset[str] = frozenset()


class SkipSet(TimeFrame, frozen=True):
    """Skip conditions of which all (`AND`) or one (`OR`) must be met."""

    conditions: tuple[SkipCondition, ...] = ()
    logic: str = "AND"


class Skip(_Fact, frozen=True):
    """When a dose of a series is skipped: in evaluation, in forecasting or in both."""

    context: str
    sets: tuple[SkipSet, ...] = ()
    logic: str = "AND"


class SeriesDose(_Fact, frozen=True, dict=True):
    """One dose of a series, with everything a given dose must meet to count as it."""

    ages: tuple[Ages, ...] = ()
    intervals: tuple[Interval, ...] = ()
    allowable_intervals: tuple[Interval, ...] = ()
    preferable: tuple[Vaccines, ...] = ()
    allowable: tuple[Vaccines, ...] = ()
    inadvertent: frozenset[str] = frozenset()
    skips: tuple[Skip, ...] = ()
    recurring: bool = False
    season_start: date | None = None
    season_end: date | None = None

    @cached_property
    def evaluation_skips(self) -> tuple[Skip, ...]:
        """When this dose is not needed, as the evaluation of a given dose asks it."""
        return tuple(skip for skip in self.skips if skip.context in ("Evaluation", "Both"))

    @cached_property
    def forecast_skips(self) -> tuple[Skip, ...]:
        """When this dose is not needed, as a forecast asks it."""
        return tuple(skip for skip in self.skips if skip.context in ("Forecast", "Both"))

    @cached_property
    def has_priority(self) -> bool:
        """Whether it has intervals, each of which overrides those of the other antigens in its vaccine group."""
        return bool(self.intervals) and all(interval.priority for interval in self.intervals)

    @cached_property
    def preferable_cvx(self) -> frozenset[str]:
        """Every vaccine that is preferable for this dose at some age."""
        return frozenset(code for entry in self.preferable for code in entry.cvx)

    @cached_property
    def season_over(self) -> date | None:
        """The last day of its season; if the release dates only the beginning, a year later; None without a season."""
        return self.season_end or (Period(years=1).after(self.season_start) if self.season_start is not None else None)

    @cached_property
    def recommendable(self) -> tuple[Vaccines, ...]:
        """The preferable vaccines that CDC recommends in a forecast."""
        return tuple(entry for entry in self.preferable if entry.forecast)


class Indication(_Fact, frozen=True):
    """An observation about the patient that makes a risk series relevant, at certain ages."""

    observation: str
    begin_age: Period | None = None
    end_age: Period | None = None


class Series(_Fact, frozen=True, dict=True):
    """One path to immunity against one disease."""

    name: str
    type: str
    vaccine_group: str
    group: str
    doses: tuple[SeriesDose, ...]
    genders: frozenset[str] = frozenset()
    equivalent_groups: frozenset[str] = frozenset()
    default: bool = False
    product: bool = False
    priority: str = "A"
    preference: int = 99
    min_age_to_start: Period | None = None
    max_age_to_start: Period | None = None
    indications: tuple[Indication, ...] = ()

    @cached_property
    def last_season_end(self) -> date | None:
        """The end of the last season that the release dates for it; None where it has no dated season."""
        return max((rule.season_end for rule in self.doses if rule.season_start and rule.season_end), default=None)

    @cached_property
    def indicated_by(self) -> frozenset[str]:
        """The observations that can make it relevant."""
        return frozenset(item.observation for item in self.indications)


class BirthCohort(_Fact, frozen=True):
    """People born before a date who count as immune, unless an observation says otherwise."""

    born_before: date
    country: str = ""
    unless: frozenset[str] = frozenset()


class Contraindication(_Fact, frozen=True):
    """An observation that forbids the antigen, or, where `vaccines` is given, only those vaccines."""

    observation: str
    text: str = ""
    begin_age: Period | None = None
    end_age: Period | None = None
    vaccines: tuple[Vaccines, ...] = ()


class Antigen(_Fact, frozen=True, dict=True):
    """Everything known about vaccination against one disease."""

    antigen: str
    source: str
    version: str
    date: date
    series: tuple[Series, ...]
    immune_observations: frozenset[str] = frozenset()
    immune_births: tuple[BirthCohort, ...] = ()
    contraindications: tuple[Contraindication, ...] = ()
    vaccine_contraindications: tuple[Contraindication, ...] = ()

    @cached_property
    def series_without_risk(self) -> tuple[Series, ...]:
        """The series that concern people without any observation, in their order."""
        return tuple(series for series in self.series if series.type != "Risk")

    @cached_property
    def indicated_by(self) -> frozenset[str]:
        """The observations that can make a risk series relevant."""
        return frozenset().union(*(series.indicated_by for series in self.series))

    @cached_property
    def series_to_begin(self) -> dict[str, tuple[Series, ...] | None]:
        """With what a person without dose and risk begins, by gender ("" for any other one): the best series.

        Table 8-14 and section 8.1: no series is complete or in process, so that of each group it is the default one,
        but for those that only evaluate. None where a group has no default: then the series are to be compared.
        """
        genders = {"", *(gender for series in self.series for gender in series.genders)}
        return {gender: self._defaults(gender) for gender in genders}

    def _defaults(self, gender: str) -> tuple[Series, ...] | None:
        concerned = [series for series in self.series_without_risk if not series.genders or gender in series.genders]
        defaults: dict[str, Series] = {}
        for series in concerned:
            if series.default:
                defaults.setdefault(series.group, series)
        groups = dict.fromkeys(series.group for series in concerned)
        if groups.keys() != defaults.keys():
            return None
        return tuple(defaults[group] for group in groups if defaults[group].type != "Evaluation Only")

    @cached_property
    def contraindicated_by(self) -> frozenset[str]:
        """The observations that can forbid the antigen, or some of its vaccines."""
        return frozenset(item.observation for item in (*self.contraindications, *self.vaccine_contraindications))


class AntigenAtAge(_Fact, frozen=True):
    """An antigen that a vaccine counts for when it was given from one age until before another."""

    antigen: str
    begin_age: Period | None = None
    end_age: Period | None = None


class Vaccine(_Fact, frozen=True):
    """A vaccine by its CVX code: a short name and the antigens it counts for."""

    name: str
    antigens: tuple[AntigenAtAge, ...]


class Conflict(_Fact, frozen=True):
    """How long after the vaccines `previous` none of the vaccines `current` may be given."""

    previous: frozenset[str]
    current: frozenset[str]
    begin: Period
    minimum_end: Period
    end: Period


class VaccineGroup(_Fact, frozen=True):
    """Antigens that are given and forecast together, such as measles, mumps and rubella."""

    antigens: tuple[str, ...]
    full: bool = False


class CodedObservation(_Fact, frozen=True):
    """A CDC observation code: its title and the codes of other systems that mean it (system name to codes)."""

    title: str
    codes: dict[str, tuple[str, ...]] = {}


class Schedule(_Fact, frozen=True):
    """What holds for all antigens: groups, vaccines, conflicts and observations."""

    source: str
    version: str
    date: date
    groups: dict[str, VaccineGroup]
    vaccines: dict[str, Vaccine]
    conflicts: tuple[Conflict, ...]
    observations: dict[str, CodedObservation]


class VaccineKnowledge(msgspec.Struct, frozen=True):
    """One release of the vaccine knowledge."""

    schedule: Schedule
    antigens: dict[str, Antigen]

    @property
    def citation(self) -> str:
        """The source as a card names it: CDC, ACIP, version and date."""
        return f"CDC CDSi {self.schedule.version} after ACIP, {self.schedule.date.isoformat()}"


@cache
def load_knowledge() -> VaccineKnowledge:
    """Read the release that ships with the package; later calls return the same object (about 1 MB)."""
    folder = files("cards.vaccines") / "data"
    schedule = decode((folder / "schedule.json").read_bytes(), Schedule)
    antigens = (
        decode(entry.read_bytes(), Antigen)
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".json") and entry.name != "schedule.json"
    )
    return VaccineKnowledge(schedule, {antigen.antigen: antigen for antigen in antigens})


def decode(content: bytes, kind: type[_T]) -> _T:
    """Read one knowledge file; equal periods are one object, so that a person's dates are computed once for each.

    Raises:
        msgspec.ValidationError: the file does not have the form of `kind`.
    """
    return msgspec.json.decode(content, type=kind, dec_hook=_period)


def _period(kind: type, value: Any) -> Any:
    if kind is Period:
        return _period_of(value)
    raise NotImplementedError


@cache
def _period_of(text: str) -> Period:
    return parse_period(text)
