"""SUG: suggestions."""

import pytest

from cards.card import CardError, check_card
from tests.conformance.answers import Answers, wrong
from tests.conformance.outside import Json
from tests.conformance.rows import row
from tests.conformance.test_card import card, suggestion


@row("SUG-01")
def test_a_suggestion_has_a_label(answers: Answers) -> None:
    assert wrong(answers.suggestions, lambda each: each["label"].strip()) == []
    with pytest.raises(CardError, match="SUG-01"):
        check_card(card(suggestions=(suggestion(label=" "),), selection_behavior="any"))


@row("SUG-02")
def test_a_suggestion_without_uuid_is_not_sent() -> None:
    with pytest.raises(CardError, match="SUG-02"):
        check_card(card(suggestions=(suggestion(uuid=" "),), selection_behavior="any"))


@row("SUG-03")
def test_recommended_is_true_or_absent(answers: Answers) -> None:
    assert wrong(answers.suggestions, lambda each: each.get("isRecommended", True) is True) == []


@row("SUG-04")
def test_of_suggestions_of_which_one_can_be_taken_one_is_recommended_at_most(answers: Answers) -> None:
    def is_right(each: Json) -> bool:
        recommended = [one for one in each.get("suggestions", ()) if one.get("isRecommended")]
        return len(recommended) <= 1 or each["selectionBehavior"] == "any"

    assert wrong(answers.cards, is_right) == []
    both = (suggestion(uuid="a", is_recommended=True), suggestion(uuid="b", is_recommended=True))
    assert check_card(card(suggestions=both, selection_behavior="any"))
    with pytest.raises(CardError, match="SUG-04"):
        check_card(card(suggestions=both, selection_behavior="at-most-one"))


@row("SUG-05")
def test_a_suggestion_may_be_without_actions() -> None:
    assert check_card(card(suggestions=(suggestion(),), selection_behavior="any"))
