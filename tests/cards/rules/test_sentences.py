"""A lint over every sentence that a rule can say: length, units, digits, plurals, and nothing for its author only.

Every band has cases that fire, so that the cards of all cases hold every sentence with sample facts. The services are
in tests/cds_hooks/services/test_sentences.py.
"""

import json
import re
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from cards.card import SUMMARY_LIMIT
from cards.rules.engine.rule_book import rule_book, whole_book
from cards.rules.language.table import read_family
from cards.rules.patient.orders import read_draft
from cards.rules.patient.session import PatientSession
from tests.cards.rules.cases import Case, check, check_case, every_case, resources_of_case
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of, record_of
from tests.cards.rules.pinned import AS_OF, book_of, named_cases
from tests.cards.sentences import faults
from tests.conftest import ROOT
from tests.each import some_of


@every_case(every=3)
def test_every_sentence_of_a_case_is_one_for_a_clinician(rule: str, case: Case, as_of: datetime) -> None:
    outcome = check_case(case, as_of)
    for card in outcome.cards:
        assert len(card.summary) <= SUMMARY_LIMIT
        assert card.summary[-1] in ".?!)", card.summary
        said = [card.summary, *(card.detail or "").split("\n"), *(one.label for one in card.suggestions)]
        said += [one.text for one in card.own_extension.facts]
        assert [fault for text in said for fault in faults(text)] == []
        assert _repeated(card.detail or "") == []
    assert [fault for silence in outcome.silences for fault in faults(silence.text)] == []


@pytest.mark.parametrize("family", sorted({rule.family.name for rule in whole_book().rules}))
def test_no_sentence_of_a_band_is_a_question_or_a_riddle(family: str) -> None:
    bands = [band.declared for rule in whole_book().rules if rule.family.name == family for band in rule.bands]
    texts = {text for band in bands for text in (band.summary, band.detail)}
    assert [text for text in texts if "?" in text] == []
    assert [fault for text in texts for fault in faults(text) if fault.startswith("a riddle")] == []


def test_the_headline_of_every_kept_card_is_read_at_once() -> None:
    lines = [
        line for file in (ROOT / "tests/cases/cards").glob("*.txt") for line in file.read_text("utf-8").split("\n")
    ]
    headlines = {line.partition(": ")[2] for line in lines if line.startswith(("critical: ", "warning: ", "info: "))}
    assert len(headlines) > 400
    assert [line for line in headlines if len(line) > _READ_AT_ONCE] == []


_READ_AT_ONCE = 100


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
        if word not in known and word not in _due(text) and f"read {word}" not in text
    ]
    assert strange == []


def _due(text: str) -> set[str]:
    """The days on which a test may be repeated: so many days after the one that is named."""
    return {
        (date.fromisoformat(day) + timedelta(days=int(interval[1]))).isoformat()
        for interval in re.finditer(r"interval is (\d+) days", text)
        for day in _DATE.findall(text)
    }


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
@every_case("fires", every=3)
def test_what_is_advised_on_a_warning_takes_the_headline_away(rule: str, case: Case, as_of: datetime) -> None:
    """The whole book on the patient of every firing case: a test alone is no advice against a hazard."""
    signing = case.get("hook") != "order-select"
    _advice_takes_the_headline_away(case["patient"], case["draft"], as_of, signing=signing)


def _advice_takes_the_headline_away(
    patient: dict[str, Any], draft: dict[str, Any], as_of: datetime, *, signing: bool
) -> int:
    """How many suggestions were advised; each of them takes away what the card's headline warns of."""
    record = record_of(patient, as_of)
    drafts = drafts_of(draft_of(draft))
    told = 0
    for card in check(record, drafts, signing=signing).cards:
        headline = card.own_extension.findings[0]
        asks_for_tests = headline.rule.startswith("mon-")
        for one in card.suggestions:
            if not one.is_recommended or card.indicator == "info" or asks_for_tests:
                continue
            told += 1
            after = [draft for draft in drafts if draft.reference not in {a.resource_id for a in one.actions}]
            changed = [a.resource for a in one.actions if (a.resource or {}).get("resourceType") == "MedicationRequest"]
            assert changed or len(after) < len(drafts), f"{one.label} is advised, but the order stays as it is"
            created = [action.resource for action in one.actions if action.resource is not None]
            ids = {resource.get("id") for resource in created}
            kept = [draft for draft in after if draft.resource.get("id") not in ids]
            later = PatientSession(record, [*kept, *(read_draft(each) for each in created)], signing=signing)
            found = {pair for each in later.drafted for pair in rule_book().evaluate(later, each).finding_keys}
            assert (headline.rule, headline.band) not in found, one.label
    return told
