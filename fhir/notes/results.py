"""The results that a note names in running text, each with value, unit and date."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Final

from msgspec import Struct

from fhir.notes.layout import Layout
from fhir.terminology.dates import FoundDate, find_dates
from fhir.terminology.package_tables import package_rows


class Result(Struct, frozen=True):
    """A result in a note with its place; `unit` is "" where the note has none.

    `unit_assumed`: a vital sign is in its only usual unit, which the note does not write.
    """

    start: int
    end: int
    text: str
    name: str
    value: str
    unit: str
    date: date
    unit_assumed: bool = False


class _Test(Struct, frozen=True, gc=False):
    written: str
    name: str
    unit: str


@cache
def _tests() -> Mapping[str, tuple[_Test, ...]]:
    by_first: dict[str, list[_Test]] = {}
    for row in package_rows("fhir.notes", "result_names.csv"):
        for name in row["names"].split("|"):
            first = _FIRST.match(name)
            if first is not None:
                by_first.setdefault(first[0], []).append(_Test(name, row["name"], row["unit"]))
    return {word: tuple(sorted(tests, key=lambda test: -len(test.written))) for word, tests in by_first.items()}


_FIRST: Final = re.compile(r"[a-z][a-z0-9]*|\d+[a-z]+")
_WORD: Final = re.compile(r"(?<![a-z0-9/])(?:[a-z][a-z0-9]*|\d+am)")
_UNITS: Final = (
    r"mmol/mol|mmol/l|umol/l|µmol/l|micromol/l|nmol/l|pmol/l|mg/mmol|mcg/l|ug/l|µg/l|ng/l|ng/ml|pg/ml|mg/dl|g/dl|g/l"
    r"|mg/l|mcg/dl|ug/dl|ml/min/1\.73 ?m2|ml/min|meq/l|miu/l|mu/l|iu/l|u/l|iu/ml|uiu/ml|miu/ml|mm/hr?|mm/h|mmhg|kpa|bpm"
    r"|/min|x ?10\^?9/l|x10\*9/l|10\^9/l|k/ul|mg/g|ug/g|mcg/g|ug/mg|kg/m2|kg|lbs?|cm|ppb|ms|msec|mosm/kg|ml/h|ml|l/min"
    r"|°c|c|°f|f|%|mm|copies/ml|/ul|units/l|g|mg|fl|pg|sec|s|l"
)
_LINK: Final = (
    r"(?:\s?(?:level|count|today|now|is|was|of|at|on admission|adm|repeat|high|low|raised|elevated|stable|normal|up"
    r"|down|to|only|initial|peak|nadir|remains|still|again|rose|fell|risen|fallen|improved|increased|decreased|reading"
    r"|readings|\(h\)|\(l\)|last|latest|this morning|am))*\s?[:=~]?\s?(?:approx\.? |about |~)?"
)
_NUMBER: Final = r"(?:[<>≤≥]=?\s?)?-?\d{1,3}(?:,\d{3})+(?![\d])|(?:[<>≤≥]=?\s?)?\d+(?:\.\d+|,\d{1,2}(?!\d))?"
_VALUE: Final = re.compile(
    rf"{_LINK}(?P<value>\d{{2,3}}/\d{{2,3}}(?![/\d])"
    rf"|{_NUMBER})(?![\d/]{0, 12}[/:]\d)(?:[ ]?(?P<unit>{_UNITS})(?![a-z0-9]))?",
    re.IGNORECASE,
)
_NEXT: Final = re.compile(
    rf"(?:\s?\([^()\n]{{1,12}}\))?\s?[,;(]?\s?(?:(?:adm|admission|initially|on arrival|today|yesterday"
    rf"|RA)\s?)?(?P<link>prior|prev(?:iously|ious)?\.?|was|from|down from|up from|->|>|=>|to|then|baseline|last|repeat"
    rf"|at baseline|vs\.?|nadir|peak|on discharge|now|compared (?:to|with))[ ]?(?:of "
    rf"|was )?(?P<value>\d{{2,3}}/\d{{2,3}}(?![/\d])"
    rf"|{_NUMBER})(?!\s?/?\d*[/:]\d)(?:[ ]?(?P<unit>{_UNITS})(?![a-z0-9]))?",
    re.IGNORECASE,
)
_PLAIN_NEXT: Final = re.compile(rf"\s?\((?P<value>{_NUMBER})(?=[ )])(?![ ]?(?:/|weeks|days))(?P<unit>)", re.IGNORECASE)
# "Weight up 4 kg"
_CHANGE: Final = re.compile(r"\b(?:up|down|rose|fell|increased|decreased)\b(?! to| from)", re.IGNORECASE)
_GOAL: Final = re.compile(
    r"\b(?:target|goal|if|aim(?:ing)?(?: for)?|when|until|unless|keep|should|range)\b[^.;\n,]{0,14}$", re.IGNORECASE
)
_TITLED: Final = frozenset({"na", "ca", "mg", "cl", "cr", "li", "ur", "br", "ht"})
_IN_CAPITALS: Final = _TITLED | {"k", "t", "p", "ck", "ag", "be", "fit", "pt", "ef", "bm", "vl", "tm", "uo"}
_OF_THE_VISIT: Final = frozenset(
    {"blood pressure", "heart rate", "respiratory rate", "oxygen saturation", "temperature", "weight", "GCS", "NEWS"}
)
_LEAST_PRESSURE: Final = 50.0


def read_results(note: str, layout: Layout, on: date, *, month_first: bool) -> tuple[Result, ...]:
    """Return the results of a note that was written on a day, in the order of their places.

    `month_first`: "10/9/26" is the ninth of October.
    """
    text = layout.text
    lowered = "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
    dates = find_dates(text, on, month_first=month_first)
    results: list[Result] = []
    ended = 0
    carried: date | None = None
    for start, test in _tests_named(lowered, text):
        if start < ended:
            continue
        offset = start + len(test.written)
        match = _VALUE.match(text, offset)
        if (
            match is None
            or _GOAL.search(text[max(0, start - 30) : start])
            or (test.name == "weight" and _CHANGE.search(match[0]))
            or not _is_plausible(test, match["value"], match["unit"])
        ):
            continue
        if "\n" in text[ended:start]:
            carried = None
        day = _date_behind(match.end(), dates, text)
        if test.name not in _OF_THE_VISIT:
            day = carried = day or carried or _date_of_line(start, match.end(), dates, text)
        results.append(_result(note, start, match, test, day or on))
        ended = match.end()
        for _ in range(4):
            following = _NEXT.match(text, ended) or _PLAIN_NEXT.match(text, ended)
            if following is None:
                break
            day = _date_behind(following.end(), dates, text) or carried or on
            results.append(_result(note, following.start("value"), following, test, day, unit=match["unit"] or ""))
            ended = following.end()
    return tuple(results)


def _tests_named(lowered: str, text: str) -> Iterator[tuple[int, _Test]]:
    tests = _tests()
    for match in _WORD.finditer(lowered):
        for test in tests.get(match[0], ()):
            start, end = match.start(), match.start() + len(test.written)
            if not lowered.startswith(test.written, start):
                continue
            written = text[start:end]
            if test.written in _IN_CAPITALS and not (
                written.isupper() or (test.written in _TITLED and written.istitle())
            ):
                continue
            yield start, test
            break


def _is_plausible(test: _Test, value: str, unit: str | None) -> bool:
    if test.name == "blood pressure":
        return "/" in value or _number_in(value) >= _LEAST_PRESSURE
    if "/" in value or test.name == "pain score":
        return False
    number = _number_in(value)
    if test.name == "temperature":
        return 30 <= number <= 43 or 90 <= number <= 110
    return not (test.name in ("iron", "lithium level", "valproate level") and (unit or "").lower() in ("mg", "g"))


def _number_in(value: str) -> float:
    return float(re.sub(r"[^\d.]", "", re.sub(r"(?<=\d),(?=\d{1,2}$)", ".", value)))


def _result(note: str, start: int, match: re.Match[str], test: _Test, day: date, unit: str = "") -> Result:
    written = (match["unit"] or "").strip()
    value = re.sub(r"(?<=\d),(?=\d{1,2}$)", ".", re.sub(r"\s", "", match["value"]))  # "5,6" has a decimal comma
    stated = written or unit
    if not stated:
        stated = _usual_unit(test, value)
        is_assumed = bool(stated)
    else:
        is_assumed = not written
    end = match.end()
    return Result(start, end, note[start:end], test.name, value, stated, day, is_assumed)


_BY_SIZE: Final = {
    "temperature": (60.0, "C", "F"),
    "HbA1c": (20.0, "%", "mmol/mol"),
    "total cholesterol": (20.0, "mmol/L", "mg/dL"),
    "LDL cholesterol": (12.0, "mmol/L", "mg/dL"),
    "non-HDL cholesterol": (15.0, "mmol/L", "mg/dL"),
}
"""Tests of which the number says the unit: below the first figure it is the one, above it the other."""


def _usual_unit(test: _Test, value: str) -> str:
    """Return the unit meant where a note writes none: the only usual one, or the one of a number of this size."""
    if test.name in _BY_SIZE:
        limit, below, above = _BY_SIZE[test.name]
        return below if _number_in(value) < limit else above
    return test.unit


_BESIDE: Final = re.compile(r"[\s(]*(?:on |in |at |adm |RA )?[\s(]*")
_LONGEST_LINE: Final = 4000
_FARTHEST: Final = 60
"""So many characters a date can stand behind a result, or behind the beginning of its line."""
_HEADS: Final = re.compile(r"[\s)]*:|[\s)]*(?:[A-Z][A-Za-z]* ){0,2}$")


def _date_behind(end: int, dates: Sequence[FoundDate], note: str) -> date | None:
    """Return the date that stands right behind a value."""
    position = bisect_left(dates, end, key=lambda dated: dated.start)
    if position < len(dates) and dates[position].start <= end + 10:
        dated = dates[position]
        return dated.day if _BESIDE.fullmatch(note[end : dated.start]) else None
    return None


def _date_of_line(start: int, end: int, dates: Sequence[FoundDate], note: str) -> date | None:
    """Return the date that a line or its sentence begins with, or else the one that ends the sentence."""
    line = note.rfind("\n", max(0, start - _LONGEST_LINE), start) + 1
    position = bisect_left(dates, start, key=lambda dated: dated.start)
    for dated in dates[max(0, position - 4) : position][::-1]:
        if dated.start < line:
            break
        if start - dated.end > _LONGEST_LINE:
            break
        is_first = dated.start - line < _FARTHEST and not note[line : dated.start].strip()
        begins = is_first or ". " not in note[dated.end : start]
        if begins and (is_first or _HEADS.match(note[dated.end : dated.end + 24])):
            return dated.day
    if position < len(dates) and dates[position].start - end <= _FARTHEST:
        between = note[end : dates[position].start]
        is_same = re.search(r"[;:(\n]|\. ", between) is None
        return dates[position].day if is_same and not re.search(r"[a-z]{4}", between.partition(",")[2]) else None
    return None
