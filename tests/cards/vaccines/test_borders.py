"""A dose counts from the very day that CDC's table says and not the day before; what means the same changes nothing.

The table is the flat one of the data folder, which is not the project's own import of CDC's files; its ages and
intervals are added to a date here, by another way than the engine's.
"""

import calendar
import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from cards.vaccines.course import DoseStatus
from cards.vaccines.groups import Candidates
from cards.vaccines.knowledge import Antigen, Series, load_knowledge
from cards.vaccines.patient import Doses, Person
from fhir.mapping.immunizations import VaccineDose

pytestmark = pytest.mark.outside_data
BORN = (date(2008, 12, 15), date(2010, 1, 31), date(2012, 2, 29))
# CDC's files also allow an interval of 4 weeks for this dose, which the flat table does not hold.
ALLOWED_EARLIER = {("Varicella", "Varicella childhood 2-dose series", 2)}
DAY = timedelta(days=1)
Row = dict[str, str]


def _add(day: date, text: str) -> date:
    """Years and months first, then weeks and days: "6 weeks - 4 days"."""
    months = days = 0
    for sign, number, unit in re.findall(r"([+-]?)\s*(\d+)\s*(year|month|week|day)", text):
        amount = int(number) * (-1 if sign == "-" else 1)
        months += amount * {"year": 12, "month": 1}.get(unit, 0)
        days += amount * {"week": 7, "day": 1}.get(unit, 0)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if day.day > calendar.monthrange(year, month + 1)[1]:
        moved = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    else:
        moved = date(year, month + 1, day.day)
    return moved + timedelta(days=days)


def _last(antigen: Antigen, series: Series, born: date, given: list[VaccineDose]) -> DoseStatus:
    person = Person(born, "Male" if series.genders == {"Male"} else "Female")
    as_of = given[-1].given + timedelta(days=400)
    return Candidates(antigen, person, Doses(given), (), as_of).judge(series).course.evaluations[-1].status


def _simple(row: Row) -> bool:
    """Whether age and the interval to the dose before are all that a date of this dose must meet."""
    return (
        row["age_rows"] in ("0", "1") and row["conditional_skip"] == "no" and row["interval_from"] in ("", "previous")
    )


def _borders(antigen: Antigen, series: Series, rows: list[Row], born: date) -> Iterator[tuple[int, str]]:
    """Each dose on the first and the last day that it counts, and a day outside; the faults by the dose's number."""
    given: list[VaccineDose] = []
    for number, row in enumerate(rows, start=1):
        if not _simple(row):
            return
        codes = (row["preferable_cvx"] or row["allowable_cvx"]).split(";")
        before = given[-1].given if given else None
        by_age = _add(born, row["abs_min_age"] or "0 days")
        first = max(by_age, _add(before, row["abs_min_interval"] or "1 day")) if before is not None else by_age
        fits = [
            cvx for cvx in codes if _last(antigen, series, born, [*given, VaccineDose(first, cvx)]) is DoseStatus.VALID
        ]
        if not fits:  # every vaccine of the table begins at a later age
            return
        cvx = fits[0]
        yield number, "valid on the first day"
        if first > max(born, before or born):
            early = _last(antigen, series, born, [*given, VaccineDose(first - DAY, cvx)])
            yield number, "not valid before" if early is not DoseStatus.VALID else "VALID BEFORE"
        if row["max_age"] and (end := _add(born, row["max_age"])) - DAY >= first:
            late = _last(antigen, series, born, [*given, VaccineDose(end, cvx)])
            yield number, "not valid too old" if late is not DoseStatus.VALID else "VALID TOO OLD"
        given.append(VaccineDose(first, cvx))


def test_each_dose_counts_from_the_first_day_of_the_table_and_not_before(data_folder: Path) -> None:
    by_series: dict[tuple[str, str], list[Row]] = defaultdict(list)
    with (data_folder / "preventive" / "cdsi_doses.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            by_series[row["antigen"], row["series"]].append(row)
    known = {(name, one.name): (antigen, one) for name, antigen in load_knowledge().antigens.items()
             for one in antigen.series}  # fmt: skip
    counted: Counter[str] = Counter()
    faults = set()
    for key in sorted(by_series.keys() & known.keys()):
        for born in BORN:
            for number, outcome in _borders(*known[key], by_series[key], born):
                counted[outcome] += 1
                if outcome.isupper():
                    faults.add((*key, number))
    assert faults <= ALLOWED_EARLIER
    assert counted["valid on the first day"] >= 500
    assert counted["not valid before"] >= 400
    assert counted["not valid too old"] >= 140
