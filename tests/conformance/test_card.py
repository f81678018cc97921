"""CARD: cards."""

import re
from typing import Any

import pytest

from cards.card import Card, CardError, Coding, Link, Source, Suggestion, check_card
from cds_hooks.tools.kit.contract.definitions import NON_ADHERENCE, NON_ADHERENCE_CODES
from tests.cds_hooks.calls import ORDERS, request_for
from tests.conformance.answers import AS_OF, WITH_EVERY_HOOK, Answers, answers_of, wrong
from tests.conformance.conftest import Opened
from tests.conformance.outside import Outside, walk
from tests.conformance.rows import row

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HTML = re.compile(r"<[a-zA-Z/!]")
REASON = Coding(system="http://example.org", code="c", display="d")


def card(**members: Any) -> Card:
    """A card that the specification allows, with other members."""
    plain: dict[str, Any] = {"uuid": "u", "summary": "s", "indicator": "info", "source": Source(label="l")}
    return Card(**{**plain, **members})


def suggestion(**members: Any) -> Suggestion:
    """A suggestion that the specification allows, with other members."""
    return Suggestion(**{"label": "l", "uuid": "s", **members})


@row("CARD-01", "SUG-02")
def test_every_card_and_suggestion_has_a_uuid_of_its_own(answers: Answers) -> None:
    found = [each["uuid"] for _, each in [*answers.cards, *answers.suggestions]]
    assert len(set(found)) == len(found)
    assert all(UUID.fullmatch(each) for each in found)


@row("CARD-03")
def test_every_summary_is_one_short_sentence(answers: Answers) -> None:
    assert wrong(answers.cards, lambda each: 0 < len(each["summary"]) < 140 and "\n" not in each["summary"]) == []


@row("CARD-03")
@pytest.mark.parametrize("sign", ["x", "é", "😀"])
def test_a_summary_has_at_most_139_characters(sign: str) -> None:
    check_card(card(summary=sign * 139))
    with pytest.raises(CardError, match="CARD-03"):
        check_card(card(summary=sign * 140))


@row("CARD-04")
def test_a_detail_is_words_or_absent(answers: Answers) -> None:
    assert wrong(answers.cards, lambda each: "detail" not in each or each["detail"].strip()) == []
    with pytest.raises(CardError, match="CARD-04"):
        check_card(card(detail=" "))


@row("CARD-05", "CARD-06")
def test_no_detail_holds_html(answers: Answers) -> None:
    assert wrong(answers.cards, lambda each: not HTML.search(each.get("detail", ""))) == []


@row("CARD-05", "CARD-06")
def test_words_of_the_chart_are_no_markup_on_a_card(server: Outside) -> None:
    hostile = "<script>alert(1)</script> [x](http://evil.example) ![y](http://evil.example/z.png) **b** `c` | d |"
    request = request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
    concept = request["context"]["draftOrders"]["entry"][0]["resource"]["medicationCodeableConcept"]
    concept["text"] = hostile
    for coding in concept["coding"]:
        coding["display"] = hostile
    cards = server.call(ORDERS, request).json()["cards"]
    assert cards
    for each in cards:
        for text in (each["summary"], each["detail"]):
            assert not HTML.search(text)
            assert "](http://evil" not in text


@row("CARD-08")
def test_an_indicator_is_one_of_three(answers: Answers) -> None:
    assert wrong(answers.cards, lambda each: each["indicator"] in ("info", "warning", "critical")) == []
    for other in ("success", "hard-stop", "error", "INFO", ""):
        with pytest.raises(CardError, match="CARD-08"):
            check_card(card(indicator=other))


@row("CARD-10")
def test_every_card_has_a_source(answers: Answers) -> None:
    assert wrong(answers.cards, lambda each: each["source"]["label"]) == []


@row("CARD-12", "CARD-16", "CARD-19", "SUG-05")
def test_arrays_of_a_card_are_there_with_something_in_them_or_not_at_all(answers: Answers) -> None:
    for about, each in answers.cards:
        arrays = [value for _, value in walk(each) if isinstance(value, list)]
        assert all(arrays), about


@row("CARD-13", "CARD-14")
def test_suggestions_say_how_many_can_be_taken(answers: Answers) -> None:
    def is_right(each: Any) -> bool:
        return ("suggestions" in each) == ("selectionBehavior" in each) and each.get("selectionBehavior") in (
            "at-most-one",
            "any",
            None,
        )

    assert wrong(answers.cards, is_right) == []
    with pytest.raises(CardError, match="CARD-13"):
        check_card(card(suggestions=(suggestion(),)))
    with pytest.raises(CardError, match="CARD-14"):
        check_card(card(suggestions=(suggestion(),), selection_behavior="all"))


@row("CARD-14")
@WITH_EVERY_HOOK
def test_a_client_of_1_0_never_gets_what_it_takes_for_an_error(opened: Opened, hooks: tuple[str, ...]) -> None:
    cards = answers_of(opened(protocol_version="1.0"), *hooks).cards
    assert wrong(cards, lambda each: each.get("selectionBehavior") in ("at-most-one", None)) == []
    assert wrong(cards, lambda each: not {"uuid", "overrideReasons"} & set(each)) == []


@row("CARD-16", "CARD-17", "COD-03")
def test_every_override_reason_has_words(answers: Answers) -> None:
    assert wrong(answers.override_reasons, lambda each: each["display"].strip()) == []
    with pytest.raises(CardError, match="CARD-17"):
        check_card(card(override_reasons=(Coding(system="s", code="c"),)))
    assert check_card(card(override_reasons=(REASON,)))


@row("CARD-19", "LINK-03")
def test_links_are_checked_before_they_are_sent() -> None:
    assert check_card(card(links=(Link(label="l", url="https://example.org", type="absolute"),)))
    with pytest.raises(CardError, match="LINK-03"):
        check_card(card(links=(Link(label="l", url="https://example.org", type="relative"),)))  # type: ignore[arg-type] # wrong on purpose


@row("CARD-20", "EXT-02")
def test_an_extension_is_an_object_with_unique_names(answers: Answers) -> None:
    # CRD names the order that a card is about by a name of its own, which holds no dot.
    names = {"org.cds-hooks-onnx", "davinci-associated-resource"}
    assert wrong(answers.cards, lambda each: set(each.get("extension", {})) <= names) == []
    assert all(set(each.document.get("extension", {})) <= {"org.cds-hooks-onnx"} for each in answers.all)


@row("CARD-21")
def test_codes_of_the_suggested_system_are_in_it(answers: Answers) -> None:
    def is_right(each: Any) -> bool:
        return each["system"] != NON_ADHERENCE or each["code"] in NON_ADHERENCE_CODES

    assert wrong(answers.override_reasons, is_right) == []
