"""The rows of `abnormal_results.json`: which result, what follows within how many days, and what settles it.

A row that is `like` an earlier one says only what is different.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from importlib.resources import files
from math import inf
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from cards.card import WebAddress
from cards.preventive.entries import Done
from cards.preventive.knowledge import Order
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.record.measurement import Measurement
from fhir.terminology.conditions import CONDITION_GROUPS

AFFIRMED: Final = re.compile(
    r"\b(?:positiv[eoa]?|positif|pos|detected|reactive|abnormal|present|\+)(?:\b|$)|(?<=\d)\s?\+$"
    r"|^(?:titer |titre )?(?:of )?1 ?: ?[1-9]\d*$"
)


_BY_MOUTH: Final = re.compile(r"mouth|\boral|\bpo\b|tablet|capsule|suspension|syrup", re.IGNORECASE)


class Threshold(Struct, frozen=True):
    """An analyte and the values that are abnormal, in its canonical unit: from a limit on, over one or below one.

    `times`: so many results have to be so, the newest among them; `fall`: it is so much lower than within half a year.
    """

    analyte: str
    at_least: float = -inf
    over: float = -inf
    below: float = inf
    times: int = 1
    fall: float = 0

    def holds(self, result: Measurement) -> bool:
        """Whether a value is abnormal: one that another unit gives, 6.993, is below 7; so is one of "<7"."""
        value, side = result.value, result.side
        if side is None:
            return value >= self.at_least and self.over < value < self.below
        if side in ("<", "<="):
            return self.at_least == self.over == -inf and (value < self.below or (value == self.below and side == "<"))
        return self.below == inf and value >= max(self.at_least, self.over)


class AbnormalResult(Struct, frozen=True, dict=True, kw_only=True):
    """A row: the result, what follows within `within_days` of it (told from `from_days` on), and what settles it.

    `title` and `needed` are templates: {value}, {before}, {finding}, {test}, {taken}, {days}. `words` and `unless` are
    looked for in each clause of the result (in all of it if `of_whole_result`: an answer with its legend), `with_name`
    also behind the name of the test; `unless_named` in its name.
    `marked_critical`: of whichever test the laboratory marks the result as critical, if no other row tells it and it
    is not what these problems bring with them (`usual_with`, by words of its name; not beside one of `unusual_with`).
    `beside_positive`: only where this test is positive, in the same report or on its day or later; `beside`: only
    where all of these hold too, `unless_results`: where none of them does. `any_entry`: every report counts that says
    it, whatever its name. `settled_by_names`: words in the name of a medication that is taken; `settled_by_course`:
    these medications settle it also where they were ordered since the result and are over; `not_before_days`: an order
    that was older by more days when the result came settles nothing; `by_mouth`: of what is not injected these names
    alone settle it, and those of `injected` where nothing says how they are given; `only_taking`: only with such a one,
    {taken}, ordered before the result, first so many `taking_days` before it; without `analytes` it is the finding.
    `problems`: a problem of these groups is the finding. `only_with_days`: what it is `only_with` began at most so many
    days ago; `from_week`: from this week of the pregnancy on. `treated_within_days`, `tested_within_days`: older
    orders, older tests settle nothing. `lacking`: {lacking}, what is not on record; further rows of its screening add
    theirs to the first. `of_problem`: no result is abnormal; what a problem asks for is due from today on.
    `missing`: what a disease of `problems` asks for and does not go home, told at a discharge with `title`, what to do,
    and `needed`, why, where it is {act}; the rows of one `screening` are one card. Only what goes home settles it: also
    what acts where it is given if `inhaled`, never what `not_settled_by` finds; so does a refusal of what
    `settled_by_refusal` finds, elsewhere, too: a treatment that was refused leaves a dangerous result as it is.
    `beside_medications`: only with one of these, and none of `not_beside_medications`; `by_score`: only where the score
    asks for an anticoagulant; `on_hold`: only where one, {held}, is on hold; `unless_weak_kidneys`: not with an eGFR
    under 30 or an acute rise of creatinine.
    `unless_told`: not of an entry that another row tells. `discharge`: told at a discharge, too, or only there.
    `needed_in_hospital` is said in place of `needed` there; `acted_on`: what shows in hospital, dated at the result or
    after it, that somebody acted; `under_way`: what shows it from the day before, too; `in_hospital`: what
    is lacking is told there.
    `normal_after_days`: a later result without a finding settles it from so many days on; None: none does.
    """

    id: str
    screening: str
    title: str
    needed: str
    needed_in_hospital: str = ""
    acted_on: str = ""
    under_way: str = ""
    in_hospital: bool = False
    citation: str
    document: str
    url: WebAddress
    indicator: Literal["info", "warning", "critical"]
    within_days: int
    from_days: int = 0
    tests: tuple[str, ...] = ()
    words: str = ""
    unless: str = ""
    unless_named: str = ""
    with_name: bool = False
    of_whole_result: bool = False
    positive: bool = False
    beside_positive: str = ""
    incomplete: bool = False
    marked_critical: bool = False
    any_entry: bool = False
    icd10: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    number_from: float | None = None
    number_below: float = inf
    analytes: tuple[Threshold, ...] = ()
    beside: tuple[Threshold, ...] = ()
    unless_results: tuple[Threshold, ...] = ()
    newest_days: int | None = None
    only_with: tuple[str, ...] = ()
    only_with_days: float = inf
    from_week: int = 0
    sex: Literal["male", "female"] | None = None
    from_age: float | None = None
    to_age: int | None = None
    usual_with: dict[str, tuple[str, ...]] = {}
    unusual_with: tuple[str, ...] = ()
    settled_by_tests: tuple[str, ...] = ()
    settled_by_conditions: tuple[str, ...] = ()
    settled_by_medications: tuple[str, ...] = ()
    settled_by_names: str = ""
    settled_by_course: bool = False
    not_before_days: int | None = None
    treated_within_days: int | None = None
    tested_within_days: int | None = None
    discharge: Literal["no", "also", "only"] = "no"
    injected: str = ""
    by_mouth: str = ""
    settled_by_allergies: tuple[str, ...] = ()
    only_taking: str = ""
    taking_days: int = 0
    lacking: str = ""
    of_problem: bool = False
    normal_after_days: int | None = None
    missing: str = ""
    inhaled: bool = False
    not_settled_by: str = ""
    settled_by_refusal: str = ""
    beside_medications: tuple[str, ...] = ()
    not_beside_medications: tuple[str, ...] = ()
    by_score: bool = False
    on_hold: bool = False
    unless_weak_kidneys: bool = False
    in_limited_outlook: bool = False
    unless_told: bool = False
    order: Order | None = None
    note: str = ""

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
        texts = (self.words, self.unless, self.unless_named)  # of what is in lower case
        words, unless, unless_named = (re.compile(text or "(?!)") for text in texts)
        return words, unless, unless_named

    def is_excepted(self, problem: str) -> bool:
        """Whether the words of a problem say that it is none that the row means."""
        return self._patterns[1].search(problem.lower()) is not None

    def is_beside(self, medications: Iterable[MedicationIdentity]) -> bool:
        """Whether the medications have one of those beside which the row is meant and none that it is not beside."""
        keys = frozenset[str]().union(*(one.keys for one in medications if one.systemic is not False))
        has_one = not self.beside_medications or not keys.isdisjoint(self.beside_medications)
        return has_one and keys.isdisjoint(self.not_beside_medications)

    @property
    def needs_anticoagulation(self) -> bool:
        """Whether only an anticoagulant settles it: one in a dose that prevents a thrombosis in hospital does not."""
        return self.settled_by_medications == ("anticoagulant",)

    def is_settled_by(self, medication: MedicationIdentity) -> bool:
        """Whether the medication, given as it is, settles the result."""
        words, names = f"{medication.words} {medication.name}", self.settled_by_names
        if self.not_settled_by and re.search(self.not_settled_by, words, re.IGNORECASE):
            return False
        is_of_class = (self.inhaled or medication.systemic is not False) and any(
            key in self.settled_by_medications for key in medication.keys
        )
        if not (is_of_class or (names and re.search(names, words, re.IGNORECASE))):
            return False
        if not self.by_mouth or medication.is_injected or re.search(self.by_mouth, words, re.IGNORECASE):
            return True
        is_swallowed = _BY_MOUTH.search(f"{medication.route} {medication.dose_form} {words}") is not None
        return not is_swallowed and re.search(self.injected, words, re.IGNORECASE) is not None

    def finding_in(self, test: Done) -> str | None:
        """Return what of the result it is that this row means, "" if it has no words of its own; None if it is not."""
        if self.incomplete:
            return "" if test.is_incomplete else None
        is_named_otherwise = self._patterns[2].search(test.words.lower()) is not None
        if is_named_otherwise or (self.positive and test.is_positive is False):
            return None
        clauses = test.clauses
        is_positive = test.is_positive is True and (len(clauses) <= 1 or not test.result)
        named = test.named_clauses or (f"{test.words.lower()}: ",)
        if self.of_whole_result:
            clauses, named = (test.result.strip().lower(),), (test.whole,)
        for clause, named_clause in zip(clauses or (("",) if is_positive else ()), named, strict=False):
            if self.positive and not is_positive and AFFIRMED.search(clause) is None:
                continue
            finding = self._in_clause(clause, named_clause)
            if finding is not None:
                return finding
        return None

    def _in_clause(self, clause: str, named_clause: str) -> str | None:
        words, unless, _ = self._patterns
        if not self.words:
            return ""
        for text in (clause, named_clause) if self.with_name else (clause,):
            match = words.search(text)
            if match is not None and unless.search(text) is None:
                if self.number_from is not None:
                    return self._size(match, self.number_from)
                return (match.groupdict().get("finding") or match[0]).strip(" :").upper()
        return None

    def measures(self, test: Done) -> bool:
        """Whether a result has a size of what this row is about, whatever it is."""
        words, unless, _ = self._patterns
        return any(words.search(text) is not None and unless.search(text) is None for text in test.named_clauses)

    def _size(self, match: re.Match[str], least: float) -> str | None:
        largest = max(map(float, re.findall(r"[\d.]+", match["number"].replace(",", "."))))
        centimetres = largest / (10 if match["unit"].lower() == "mm" else 1)
        return f"{centimetres:g} cm" if least <= centimetres < self.number_below else None


class AbnormalResults(Struct):
    """All rows, in the order in which they are told."""

    title: str
    reviewed: str
    status: str
    rows: tuple[AbnormalResult, ...]

    @property
    def analytes(self) -> list[str]:
        """Every analyte that a row asks for."""
        return sorted(
            {limit.analyte for row in self.rows for limit in (*row.analytes, *row.beside, *row.unless_results)}
        )


def _read() -> AbnormalResults:
    """Return the rows, each with what it takes from the earlier row that it is `like` and does not say itself."""
    knowledge = msgspec.json.decode((files("cards.preventive") / "abnormal_results.json").read_bytes())
    rows: dict[str, dict[str, Any]] = {}
    for row in knowledge["rows"]:
        rows[row["id"]] = rows.get(row.pop("like", ""), {}) | row
    return msgspec.convert(knowledge | {"rows": [*rows.values()]}, AbnormalResults)


ABNORMAL_RESULTS: Final = _read()
"""The knowledge of `abnormal_results.json`."""
BY_CODE: Final = "icd10"
BY_ANY_ENTRY: Final = "any entry"
BY_MEDICATION: Final = "medication"
LIMITS: Final[defaultdict[str, list[tuple[int, Threshold]]]] = defaultdict(list)
"""By analyte, the limits of the rows, each with the place of its row."""
ROWS_OF: Final[defaultdict[str, set[int]]] = defaultdict(set)
"""The places of the rows by what an entry of the chart may be: a test, a group of problems, a code, any words."""
for _place, _row in enumerate(ABNORMAL_RESULTS.rows):
    for _limit in _row.analytes:
        LIMITS[_limit.analyte].append((_place, _limit))
    _problems = [] if _row.missing else [CONDITION_GROUPS[group].key for group in _row.problems]
    _others = {BY_CODE: _row.icd10, BY_ANY_ENTRY: _row.any_entry, BY_MEDICATION: _row.taking_days}
    for _key in (*_row.tests, *_problems, *(key for key, is_meant in _others.items() if is_meant)):
        ROWS_OF[_key].add(_place)
