"""A lint over every sentence that a rule can say: length, units, digits, plurals, and nothing for its author only.

Every band has cases that fire, so that the cards of all cases hold every sentence with sample facts. The services are
in tests/cds_hooks/services/test_sentences.py.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from cards.card import SUMMARY_LIMIT
from cards.rules.engine.rule_book import rule_book
from tests.cards.rules.cases import Case, check_case, every_case
from tests.cards.sentences import faults


@every_case()
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


def _repeated(detail: str) -> list[str]:
    """Lines that stand twice on one card."""
    lines = [line for line in detail.split("\n") if line.strip()]
    return [line for line in lines if lines.count(line) > 1]


def _declared() -> Iterator[tuple[str, str]]:
    for rule in rule_book().rules:
        for band in rule.bands:
            whole = (band.declared.summary, band.declared.detail, band.declared.unsure_summary)
            yield from ((rule.id, text) for text in whole if text and band.declared.indicator != "silent")
        yield from ((rule.id, text) for one in rule.missing for text in (one.declared.summary, one.declared.detail))
        yield from ((rule.id, question.text) for question in rule.declared.questions)


def test_no_text_of_a_rule_names_a_rule() -> None:
    """What a clinician reads does not send him to the tables."""
    names = {one.id for one in rule_book().rules}
    assert [text for _, text in _declared() for name in names if name in text] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Creatinine 1.23457 mg/dL.", "1.23457"),
        ("eGFR 28 on 2026-11-20.", "eGFR 28"),
        ("systolic pressure 165 mm\\[Hg\\]", "[Hg"),
        ("Potassium 5.6 on 2026-11-20.", "Potassium 5.6"),
        ("After 1 days.", "1 days"),
        ("At exactly 5.0 stay silent.", "stay silent"),
        ("The digoxin_level is not known.", "digoxin_level"),
        ("This is is wrong.", "is is"),
        (" ".join(["word"] * 45) + ".", "45 words"),
    ],
)
def test_a_faulty_sentence_is_found(text: str, fault: str) -> None:
    assert [one for one in faults(text) if fault in one]


def test_ordinary_sentences_pass() -> None:
    said: list[Any] = [
        "Metformin is contraindicated: eGFR 20 mL/min on 2026-10-10 (under 30).",
        "Potassium 5.6 mmol/L on 2026-11-20; 1 dose a day; 0.0625 mg daily.",
        "No usable potassium in the last 30 days.",
    ]
    assert [fault for text in said for fault in faults(text)] == []
