"""COD: codings."""

import pytest

from cards.card import CardError, Coding, Source, check_card
from tests.conformance.answers import Answers, wrong
from tests.conformance.outside import Json
from tests.conformance.rows import row
from tests.conformance.test_card import card


def _codings(answers: Answers) -> list[tuple[str, Json]]:
    return answers.override_reasons + [(about, each["source"]["topic"]) for about, each in answers.cards]


@row("COD-01", "COD-02")
@pytest.mark.parametrize("member", ["code", "system"])
def test_a_coding_has_code_and_system(answers: Answers, member: str) -> None:
    assert wrong(_codings(answers), lambda each: each[member].strip()) == []
    blank = Coding(**{"system": "s", "code": "c", "display": "d", member: " "})
    for broken in (card(override_reasons=(blank,)), card(source=Source(label="l", topic=blank))):
        with pytest.raises(CardError, match="COD"):
            check_card(broken)


@row("COD-03")
def test_a_topic_may_be_without_words_and_an_override_reason_not(answers: Answers) -> None:
    assert check_card(card(source=Source(label="l", topic=Coding(system="s", code="c"))))
    assert wrong(answers.override_reasons, lambda each: each.get("display")) == []


@row("COD-04")
def test_a_coding_has_no_other_member(answers: Answers) -> None:
    assert wrong(_codings(answers), lambda each: set(each) <= {"code", "system", "display"}) == []
