"""A lint over every sentence that a rule can say: length, units, digits, plurals, and nothing for its author only.

Every band has cases that fire, so that the cards of all cases hold every sentence with sample facts. The services are
in tests/cds_hooks/call/services/test_sentences.py.
"""

import json
import re
from datetime import date, datetime, timedelta
from functools import cache

import pytest

from cards.rules.engine.rule_book import whole_book
from cards.rules.language.table import read_family
from cards.text import is_action
from tests.cards.rules.cases import Case, check_case, every_case, resources_of_case
from tests.cards.rules.patients import bundle_of
from tests.cards.rules.pinned import AS_OF, book_of, named_cases
from tests.cards.sentences import LONGEST_HEADLINE, MOST_WORDS_BEFORE_WHY, faults
from tests.each import some_of

_TWO_COLONS = re.compile(r": [^.]*: |\([^()]*\(")
"""A danger behind a danger, or parentheses within parentheses: each was read twice."""


@every_case(every=3)
def test_every_sentence_of_a_case_is_one_for_a_clinician(rule: str, case: Case, as_of: datetime) -> None:
    outcome = check_case(case, as_of)
    for card in outcome.cards:
        assert len(card.summary) <= LONGEST_HEADLINE, card.summary
        assert card.summary[-1] in ".?!)", card.summary
        assert not _TWO_COLONS.search(card.summary), card.summary
        if len(card.own_extension.findings) == 1:
            before_why = re.split("\n- (?:Why|Note|Other sources):", f"{card.summary}\n{card.detail}")[0].replace(
                "\n- ", "\n"
            )
            assert len(before_why.split()) <= MOST_WORDS_BEFORE_WHY, before_why
            asks = any(map(is_action, re.split("[.:;,] ", card.summary)[1:]))
            assert asks or "**To do:**" in before_why or not card.suggestions, before_why
        said = [card.summary, *(card.detail or "").split("\n"), *(one.label for one in card.suggestions)]
        said += [one.text for one in card.own_extension.facts]
        assert [fault for text in said for fault in faults(text)] == []
        assert _repeated(card.detail or "") == []
    assert [fault for silence in outcome.silences for fault in faults(silence.text)] == []


def _repeated(detail: str) -> list[str]:
    """Lines that stand twice on one card."""
    lines = [line for line in detail.split("\n") if line.strip()]
    return [line for line in lines if lines.count(line) > 1]


# What a card's sentences name comes from the chart or from the rule's own text: dates, weekdays, values.
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_WEEKDAY = re.compile(r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b")
_MEASURED = re.compile(r"\b(eGFR|[Pp]otassium|QTc|INR|[Pp]latelets) (\d[\d,]*(?:\.\d+)?) (?:mL/min|mmol/L|ms|10|on)\b")
_ANALYTES = {"eGFR": "egfr", "potassium": "potassium", "QTc": "qtc", "INR": "inr", "platelets": "platelets"}


@cache
def _written(family: str) -> str:
    """Everything that the family's files say."""
    return json.dumps(read_family(family).raw, ensure_ascii=False)


@cache
def _cards() -> list[tuple[str, Case, str, str]]:
    """Each card of each case: its rule, the case, what it says, and everything that chart, draft and rules hold."""
    families, found = {rule.id: rule.family.name for rule in whole_book().rules}, []
    for rule, cases in named_cases().items():
        for case in some_of(cases.values(), 4):
            cards = check_case(case, AS_OF, book_of(rule)).cards
            if cards:
                chart = json.dumps([bundle_of(case["patient"], AS_OF), resources_of_case(case)], ensure_ascii=False)
                known = chart + _written(families[rule])
                found += [(rule, case, f"{card.summary}\n{card.detail or ''}", known) for card in cards]
    return found


@pytest.mark.slow
def test_every_date_and_weekday_on_a_card_is_on_the_chart_or_in_the_rule() -> None:
    strange = [
        f"{rule}: {case['id']}: {word}"
        for rule, case, text, known in _cards()
        for word in (*_DATE.findall(text), *_WEEKDAY.findall(text))
        if word not in known and word not in _due(text, known) and f"read {word}" not in text
    ]
    assert strange == []


def _due(text: str, known: str) -> set[str]:
    """The days so many days after one that is named; the day on which an age in months is reached."""
    days = {
        (date.fromisoformat(day) + timedelta(days=int(interval[1]))).isoformat()
        for interval in re.finditer(r"interval is (\d+) days", text)
        for day in _DATE.findall(text)
    }
    born = re.search(r'"birthDate": "\d{4}-\d{2}-(\d{2})"', known)
    return days | {day for day in re.findall(r"Give it from (\S+) on, the age", text) if born and day[8:] == born[1]}


@pytest.mark.sampled
def test_a_value_on_a_card_is_that_of_the_chart() -> None:
    """A reported value as it was charted, to the last digit."""
    compared, strange = 0, []
    for rule, case, text, _ in _cards():
        charted: dict[str, list[float]] = {}
        for lab in case["patient"].get("labs", ()):
            charted.setdefault(lab[0], []).append(float(lab[1]))
        for name, shown in _MEASURED.findall(text):
            values = charted.get(_ANALYTES.get(name) or _ANALYTES[name.lower()])
            if values:
                compared += 1
                if float(shown.replace(",", "")) not in values:
                    strange.append(f"{rule}: {case['id']}: {name} {shown}, on the chart {values}")
    assert strange == []
    assert compared > 30


# What a card advises takes its hazard away, and pairs speak whichever drug is drafted.
