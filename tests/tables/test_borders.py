"""Each threshold of tables and rules, asked below it, on it and above it; its side is taken from the source's words.

A family gives its borders: what the row compares with (lt, le, gt, ge), the words of its source, and the product's own
answer for a value. "over", "at least" or "below" beside the number decides on which side the number itself lies, not
the comparison of the row. Where the words do not say it, the row's comparison is asked for, and the border is counted
as one that could not be judged. What a rule finds near its limits is asked in tests/cards/rules/test_sweeps.py.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

from cards.preventive.abnormal import ABNORMAL_RESULTS, AbnormalResult
from cards.preventive.knowledge import PREVENTIVE
from cards.rules.conditions import condition
from cards.rules.engine.family import rule_families
from cards.rules.language.table import RuleFile, read_family
from fhir.mapping.shown_by_results import result_limits, shown_by_result
from fhir.terminology.analytes import ANALYTES
from models_onnx.equations.declaration import find_equations
from tests.cards.preventive import charts
from tests.cards.preventive.test_abnormal import opened
from tests.each import for_each, for_rows
from tests.fhir.builders import Json, observation, record_of

SIDES = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
_BEFORE = {
    "lt": "below|under|less than|lower than|fewer than|<|younger than",
    "le": "at most|up to|no more than|not over|≤",
    "gt": "(?<!at or )above|(?<!at or )over|more than|greater than|>|older than|exceeds?|longer than|beyond",
    "ge": "at least|≥|not below|at or above|at or over",
}
_AFTER = {"more higher older over above longer": "ge", "less lower younger under below shorter fewer": "le"}
_AGREES = {"gt": {"gt", "le"}, "ge": {"ge", "lt"}, "lt": {"lt", "ge"}, "le": {"le", "gt"}}


class Border(NamedTuple):
    """A threshold: its row, the number, the row's comparison, the words about it, and the product's own answer."""

    row: str
    limit: float
    side: str
    words: str
    is_met: Callable[[float], bool]
    in_words: tuple[float, ...] = ()
    """The same number as the words may give it, in another unit."""

    @property
    def said(self) -> set[str]:
        """The comparisons that the words make with the number."""
        return set().union(*(sides(value, self.words) for value in (self.limit, *self.in_words)))


def sides(value: float, words: str) -> set[str]:
    """Return the comparisons that the words make with this number."""
    number = rf"{re.escape(f'{value:g}')}(?:\.0)?(?!\.?\d)"
    said = {side for side, before in _BEFORE.items() if re.search(rf"(?<!\w)(?:{before})\s?{number}", words)}
    after = re.search(rf"(?<![\d.]){number}(?:/\d+)?(?: \S+)?,? (?:or|and) (\w+)", words)
    said |= {side for names, side in _AFTER.items() if after and after[1] in names.split()}
    return said | ({"ge"} if re.search(rf"(?<!\w)from {number}(?: \S+)? on\b", words) else set())


# The borders of each family


def _comparisons(part: Any) -> Iterator[tuple[str, float]]:
    if isinstance(part, dict):
        yield from ((name, float(part[name])) for name in SIDES if isinstance(part.get(name), int | float))
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from _comparisons(inner)


def _words_of(rule: RuleFile) -> list[str]:
    evidence = [part for part in rule.raw.get("evidence", ()) if isinstance(part, dict)]
    return [part[name] for part in evidence for name in ("document", "section") if name in part]


def _rules() -> Iterator[Border]:
    for family in rule_families():
        for rule in read_family(family.name).rules:
            for band in rule.raw.get("bands", ()):
                ours = [rule.raw["title"], band.get("summary", ""), band.get("detail", "")]
                words = " | ".join([*ours, *_words_of(rule), *(rule.row or {}).values()])
                for side, value in _comparisons(band.get("when")):
                    years = (value / 12,) if value and value % 12 == 0 else ()
                    compare = condition._OPERATORS[side]
                    yield Border(
                        f"{rule.raw['id']}, {band['id']}", value, side, words, partial(_is, compare, value), years
                    )


def _is(compare: Callable[[float, float], bool], limit: float, value: float) -> bool:
    return compare(value, limit)


def _result(analyte: str, value: float, when: str = "2026-11-19") -> Json:
    return observation(ANALYTES[analyte].loinc[0], value, ANALYTES[analyte].unit, when)


def _results_as_diagnoses() -> Iterator[Border]:
    for group, limits in result_limits().items():
        for row in limits:
            if row.group == group:
                shown = partial(_is_shown, group, row.analyte)
                yield Border(f"{group} by {row.analyte}", row.limit, row.side, row.source, shown)


def _is_shown(group: str, analyte: str, value: float) -> bool:
    return shown_by_result(record_of(_result(analyte, value)), group) is not None


def _abnormal_results() -> Iterator[Border]:
    for row in ABNORMAL_RESULTS.rows:
        words = f"{row.title} | {row.needed} | {row.document} | {row.note}"
        for threshold in row.analytes:
            is_open = partial(_is_open, row, threshold.analyte)
            limits = {"ge": threshold.at_least, "gt": threshold.over, "lt": threshold.below}
            ((side, limit),) = ((side, limit) for side, limit in limits.items() if isfinite(limit))
            yield Border(f"{row.id}, {threshold.analyte}", limit, side, words, is_open)


def _is_open(row: AbnormalResult, analyte: str, value: float) -> bool:
    resources = [_result(analyte, value, "2026-11-20" if row.newest_days == 1 else "2026-11-18")]
    resources += [charts.problem("Z34.90")] if row.only_with else []
    resources += [_result(beside.analyte, beside.below - 0.1, "2026-11-18") for beside in row.beside]
    age = next((years for years in (row.to_age, row.from_age) if years), 56)
    patient = charts.person(f"{2026 - age}-11-20", row.sex or "female")
    return any(result.row.id == row.id for result in opened(*resources, patient=patient))


def _preventive_services() -> Iterator[Border]:
    interval = {service.id: service.interval for service in PREVENTIVE.services}
    yield Border("lung cancer, pack-years", 20, "ge", interval["lung-cancer"], _smoked_enough)
    yield Border("diabetes, body mass index", 25, "ge", interval["diabetes"], _weighs_enough)


def _smoked_enough(years: float) -> bool:
    return charts.state("lung-cancer", charts.smoking(charts.DAILY), charts.pack_years(years))[0] == "due"


def _weighs_enough(index: float) -> bool:
    return charts.state("diabetes", charts.number("39156-5", index, "kg/m2"))[0] == "due"


def _categories() -> Iterator[Border]:
    for equation in find_equations().values():
        for table in equation.bands:
            for before, band in pairwise(table.bands):
                assert band.low is not None
                words = " | ".join((before.words, band.words, table.source, table.note))
                side = "gt" if band.strictly else "ge"
                percent = (round(band.low * 100, 6),) if band.low < 1 else ()
                yield Border(f"{equation.id}, {band.id}", band.low, side, words, band.is_reached, percent)


def _plausible_values() -> Iterator[Border]:
    for key, analyte in ANALYTES.items():
        yield Border(f"{key}, lowest", analyte.plausible_low, "ge", "", partial(_is_read, key))
        yield Border(f"{key}, highest", analyte.plausible_high, "le", "", partial(_is_read, key))


def _is_read(analyte: str, value: float) -> bool:
    return record_of(_result(analyte, value)).newest(analyte) is not None


# The borders of each family, and how many of them the words decide; those of doses are asked in test_dose_limits.py
# and test_label_limits.py, where "max" is the word.
FAMILIES: dict[str, tuple[Callable[[], Iterable[Border]], int]] = {
    "rules": (_rules, 700),
    "results as diagnoses": (_results_as_diagnoses, 17),
    "abnormal results": (_abnormal_results, 10),
    "preventive services": (_preventive_services, 2),
    "categories of equations": (_categories, 8),
    "plausible values": (_plausible_values, 0),
}
# By row, limit, and why the words are about another limit than that of the row.
EXCUSED = {
    ("ddi-dabigatran-pgp", 50.0): "up to 50 in atrial fibrillation; the words under 50 are those of venous thrombosis",
    ("dose-frequency", 2.0): "the dose is what tells the form for a week; at most 2 mg is another drug's",
    ("renal-dabigatran", 30.0): "2.2 reduces the dose at 15 to 30; under 30 is the limit of the European label",
    ("renal-gabapentin", 15.0): "300 mg is the most at 15, and less under 15",
    ("renal-mra", 5.5): "the words over 5.5 are those of eplerenone at its start, which the band asks for beside it",
    ("screen-interval", 65.0): "cervical to 65; the words under 65 are those of bone density",
}
UNASKED = {"hbsag-reactive, hbsag": "0 and 1 are a negative and a reactive result; there is nothing above 1"}


@for_rows("family", FAMILIES)
def test_the_words_of_a_source_and_the_comparison_of_a_row_agree(family: str) -> None:
    borders, decided = FAMILIES[family]
    judged = [border for border in borders() if border.said]
    differ = {(border.row.split(",")[0], border.limit) for border in judged if not border.said & _AGREES[border.side]}
    assert differ == (EXCUSED.keys() if family == "rules" else set())
    assert len(judged) >= decided


@for_rows("family", FAMILIES)
def test_a_border_is_met_on_its_side_and_not_on_the_other(family: str) -> None:
    def is_exact(border: Border) -> None:
        step = max(abs(border.limit) / 500, 0.01)
        asked = [border.limit - step, border.limit, border.limit + step]
        assert [border.is_met(value) for value in asked] == [SIDES[border.side](value, border.limit) for value in asked]

    borders, _ = FAMILIES[family]
    for_each(((border.row, (border,)) for border in borders() if border.row not in UNASKED), is_exact)


@for_rows(
    ("value", "words", "side"),
    [
        (30, "under 30", "lt"), (30, "30 or more", "ge"), (30, "≤30", "le"), (30, "over 30", "gt"),
        (7.5, "at or over 7.5 %", "ge"), (160, "160/110 or more", "ge"), (5.5, "from 5.5 cm on", "ge"),
        (500, "500 mg/dL and more", "ge"),
    ],
)  # fmt: skip
def test_words_have_one_side(value: float, words: str, side: str) -> None:
    assert sides(value, words) == {side}
    assert not sides(3, words)
