"""What is known about the person: birth date, doses given and observations, and the doses by antigen.

Source: CDC, Logic Specification for ACIP Recommendations 4.5, section 4.2 (organize immunization history).
"""

from dataclasses import dataclass, field
from datetime import date

from cards.vaccines.knowledge import AntigenAtAge, Schedule
from cards.vaccines.periods import Period


@dataclass(frozen=True, slots=True)
class GivenDose:
    """A vaccine dose that was given: the day, the vaccine (CVX code) and where the record says so."""

    given: date
    cvx: str
    manufacturer: str = ""
    substandard: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class PatientObservation:
    """A CDC observation code that holds for the person: since when, the words of the chart, and where they stand."""

    code: str
    since: date | None = None
    source: str = ""
    words: str = ""


@dataclass(frozen=True)
class Person:
    """The person whose vaccination is judged. `gender` is Female, Male or Unknown; `country` is that of birth."""

    birth_date: date
    gender: str = "Unknown"
    doses: tuple[GivenDose, ...] = ()
    observations: tuple[PatientObservation, ...] = ()
    country: str = ""
    codes: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "doses", tuple(sorted(self.doses, key=lambda dose: dose.given)))
        object.__setattr__(self, "codes", frozenset(observation.code for observation in self.observations))

    def at_age(self, age: Period | None) -> date | None:
        """The day on which the person reaches an age."""
        return None if age is None else age.after(self.birth_date)

    def within_ages(self, day: date, begin: Period | None, end: Period | None) -> bool:
        """Whether the person is at least `begin` and not yet `end` old on that day."""
        if begin is not None and day < begin.after(self.birth_date):
            return False
        return end is None or day < end.after(self.birth_date)

    def observed(self, code: str) -> date | None:
        """The latest day on which an observation with this code began."""
        days = [item.since for item in self.observations if item.code == code and item.since is not None]
        return max(days, default=None)


def doses_by_antigen(person: Person, schedule: Schedule) -> dict[str, tuple[GivenDose, ...]]:
    """The given doses that count for each antigen, earliest first."""
    by_antigen: dict[str, list[GivenDose]] = {}
    for dose in person.doses:
        for antigen in _antigens(dose, person, schedule):
            by_antigen.setdefault(antigen, []).append(dose)
    return {antigen: tuple(doses) for antigen, doses in by_antigen.items()}


def _antigens(dose: GivenDose, person: Person, schedule: Schedule) -> list[str]:
    vaccine = schedule.vaccines.get(dose.cvx)
    parts: tuple[AntigenAtAge, ...] = vaccine.antigens if vaccine else ()
    return [part.antigen for part in parts if person.within_ages(dose.given, part.begin_age, part.end_age)]
