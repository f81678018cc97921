"""Sweeps every limit of a rule file: what the rule finds on it, just below it and just above it.

In a case of the rule the compared value is replaced: every comparison that sees the value of the case (an eGFR of 28)
is given the value of the sweep (29.999, 30, 30.001). So each limit is asked, whatever it is about, in a case in which
it decides. `python -m tests.cards.rules.confirm` writes what was found; a person confirms it, and from then on it is a
literal that does not follow the rule.
"""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

from cards.card import Suggestion
from cards.compose.orders import OrderOutcome
from cards.rules.conditions import condition
from cards.rules.conditions.condition import Condition
from cards.rules.engine.compile import CompiledRule, compile_family
from cards.rules.engine.family import rule_families
from cards.rules.engine.rule_book import RuleBook, rule_book
from tests.cards.rules.cases import Case, check_case_anew
from tests.cards.rules.pinned import AS_OF, named_cases
from tests.conftest import ROOT

FOLDER: Final = ROOT / "tests" / "cases" / "sweeps"
_SIGNS: Final = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥"}


class Limit(NamedTuple):
    """One limit of a rule: the condition as it is written, the comparison, the number, and the how-many-eth it is."""

    condition: str
    word: str
    number: float
    occurrence: int = 0

    def __str__(self) -> str:
        """Return it as the files of sweeps have it."""
        return f"{self.condition} {_SIGNS[self.word]} {self.number:g}"


class _Trace:
    """What the comparisons saw, and what they are given in place of a value."""

    def __init__(self) -> None:
        self.conditions: list[tuple[str, str]] = []
        self.family = ""
        self.compiled: dict[str, list[tuple[str, str]]] = {}
        """The comparisons of each family, in the order in which they were compiled: the condition, and as written."""
        self.seen: dict[Limit, float] = {}
        self.replaced: dict[float, float] = {}


_TRACE: Final = _Trace()


class _Operators(dict[str, Any]):
    """The comparisons, each of which tells the trace for which condition it was compiled and what it saw."""

    def __getitem__(self, word: str) -> Any:
        compare = super().__getitem__(word)
        if not _TRACE.conditions:
            return compare
        compiled = _TRACE.compiled.setdefault(_TRACE.family, [])
        (written, _), occurrence = _TRACE.conditions[-1], len(compiled)
        compiled.append(_TRACE.conditions[-1])

        def traced(value: float, limit: float) -> bool:
            _TRACE.seen.setdefault(Limit(written, word, limit, occurrence), value)
            return bool(compare(_TRACE.replaced.get(value, value), limit))

        return traced


def _without_limits(spec: Any) -> Any:
    if isinstance(spec, dict):
        return {name: _without_limits(value) for name, value in spec.items() if name not in _SIGNS}
    return spec


def _name_of(spec: dict[str, Any]) -> str:
    """A condition without its limits, short: {"lab": "potassium"} is "lab potassium"."""
    words = json.dumps(_without_limits(spec), ensure_ascii=False, sort_keys=True)
    return "".join(character for character in words.replace(": {}", "") if character not in '{}"').replace(":", "")


@cache
def traced_rules() -> dict[str, CompiledRule]:
    """Return all rules, compiled so that their comparisons can be traced."""
    compile_condition = Condition.compile

    def compile_traced(word: Condition, spec: Any, compile_part: Any) -> Any:
        _TRACE.conditions.append((_name_of(dict(spec)), json.dumps(dict(spec), sort_keys=True)))
        try:
            return compile_condition(word, spec, compile_part)
        finally:
            _TRACE.conditions.pop()

    with (
        mock.patch.object(condition, "_OPERATORS", _Operators(condition._OPERATORS)),
        mock.patch.object(Condition, "compile", compile_traced),
    ):
        rules: dict[str, CompiledRule] = {}
        for family in rule_families():
            _TRACE.family = family.name
            rules |= {rule.id: rule for rule in compile_family(family)}
        return rules


@contextmanager
def _given(value: float, instead: float) -> Iterator[None]:
    _TRACE.replaced = {value: instead}
    try:
        yield
    finally:
        _TRACE.replaced = {}


def _offer(suggestion: Suggestion) -> str:
    return f"; {'* ' if suggestion.is_recommended else ''}{suggestion.label}"


def _result(rule: str, outcome: OrderOutcome) -> str:
    """What is found, with its indicator and what is offered; else why nothing is."""
    found = [
        f"{finding.band} ({card.indicator}){''.join(map(_offer, card.suggestions))}"
        for card in outcome.cards
        for finding in card.own_extension.findings
        if finding.rule == rule
    ]
    return ", ".join(found) or next(
        (silence.reason for silence in outcome.silences if silence.subject == rule), "silent"
    )


def swept(rule: str, case: Case, value: float, limit: float) -> list[str]:
    """Return what the rule finds in the case just below the limit, on it and just above it."""
    step = 0.001 * max(abs(limit), 1.0)
    results = []
    for instead in (limit - step, limit, limit + step):
        with _given(value, instead):
            results.append(_result(rule, check_case_anew(case, AS_OF, RuleBook([traced_rules()[rule]]))))
    return results


class Sweep(NamedTuple):
    """One limit with the case in which it decides, the value that is replaced there, and what is found."""

    rule: str
    limit: str
    number: str
    case: str
    value: str
    below: str
    on: str
    above: str

    @property
    def decides(self) -> bool:
        """Whether the limit makes a difference in the case."""
        return len({self.below, self.on, self.above}) > 1


def sweeps_of(rule: str) -> list[Sweep]:
    """Return a sweep of each limit that a case of the rule meets, in a case in which it decides if there is one."""
    chosen: dict[Limit, Sweep] = {}
    for name, case in named_cases()[rule].items():
        _TRACE.seen.clear()
        check_case_anew(case, AS_OF, RuleBook([traced_rules()[rule]]))
        for limit, value in dict(_TRACE.seen).items():
            known = chosen.get(limit)
            if known is None or not known.decides:
                results = swept(rule, case, value, limit.number)
                sweep = Sweep(rule, str(limit), repr(limit.number), name, repr(value), *results)
                if known is None or sweep.decides:
                    chosen[limit] = sweep
    return sorted(set(chosen.values()))


@cache
def _met() -> tuple[frozenset[tuple[str, str]], dict[str, set[int]]]:
    """The limits that the cases of each rule meet, and their occurrences by family."""
    limits: set[tuple[str, str]] = set()
    occurrences: dict[str, set[int]] = {}
    for rule, case in ((rule, case) for rule, cases in named_cases().items() for case in cases.values()):
        _TRACE.seen.clear()
        check_case_anew(case, AS_OF, RuleBook([traced_rules()[rule]]))
        limits.update((rule, str(limit)) for limit in _TRACE.seen)
        family = traced_rules()[rule].family.name
        occurrences.setdefault(family, set()).update(limit.occurrence for limit in _TRACE.seen)
    return frozenset(limits), occurrences


def limits_met() -> frozenset[tuple[str, str]]:
    """Return rule and limit of every comparison that a case comes to."""
    return _met()[0]


def unmet_limits() -> dict[str, list[str]]:
    """Return for each family the limits that no case of its rules comes to.

    The limits of rules that are made from a table are swept with their table (tests/cards/rules/families).
    """
    of_tables = {
        (rule.family.name, json.dumps(part, sort_keys=True))
        for rule in rule_book().rules
        if rule.declared.template is not None
        for band in rule.declared.bands
        for part in _parts(band.when)
    }
    _, met = _met()
    unmet = {}
    for family, occurrences in met.items():
        compiled = [written for _, written in _TRACE.compiled.get(family, ())]
        seen = {written for number, written in enumerate(compiled) if number in occurrences}
        unmet[family] = sorted({limit for limit in set(compiled) - seen if (family, limit) not in of_tables})
    return {family: limits for family, limits in unmet.items() if limits}


def _parts(condition: Any) -> Iterator[Any]:
    """Every object of a condition, however deep."""
    if isinstance(condition, dict):
        yield condition
    inner = condition.values() if isinstance(condition, dict) else condition if isinstance(condition, list) else ()
    for part in inner:
        yield from _parts(part)


def file_of(family: str) -> Path:
    """Return the file with the confirmed sweeps of a family."""
    return FOLDER / f"{family}.csv"


def confirmed_sweeps() -> list[Sweep]:
    """Return all sweeps that were confirmed."""
    return [
        Sweep(**row)
        for path in sorted(FOLDER.glob("*.csv"))
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    ]
