"""LINK: links."""

import pytest

from cards.card import CardError, Link, check_card
from tests.conformance.answers import Answers, wrong
from tests.conformance.outside import Json
from tests.conformance.rows import row
from tests.conformance.test_card import card
from tests.conformance.test_src import is_web_address


def _checked(**members: str) -> None:
    check_card(card(links=(Link(**{"label": "l", "url": "https://example.org", "type": "absolute", **members}),)))  # type: ignore[arg-type] # wrong on purpose


@row("LINK-01")
def test_a_link_has_a_label(answers: Answers) -> None:
    assert wrong(answers.links, lambda each: each["label"].strip()) == []
    with pytest.raises(CardError, match="LINK-01"):
        _checked(label=" ")


@row("LINK-02")
def test_a_link_is_absolute_and_names_no_patient(answers: Answers) -> None:
    assert wrong(answers.links, lambda each: is_web_address(each["url"])) == []
    for each in answers.all:
        patient = each.request["context"]["patientId"]
        assert not any(patient in link["url"] for one in each.document["cards"] for link in one.get("links", ()))
    for url in ("/explain/1", "javascript:alert(1)", "ftp://example.org"):
        with pytest.raises(CardError, match="LINK-02"):
            _checked(url=url)


@row("LINK-03")
def test_a_link_is_of_one_of_two_types(answers: Answers) -> None:
    assert wrong(answers.links, lambda each: each["type"] in ("absolute", "smart")) == []
    with pytest.raises(CardError, match="LINK-03"):
        _checked(type="relative")


@row("LINK-05", "LINK-06")
def test_words_for_an_app_go_with_smart_links_only(answers: Answers) -> None:
    def is_right(each: Json) -> bool:
        return "appContext" not in each or (each["type"] == "smart" and isinstance(each["appContext"], str))

    assert wrong(answers.links, is_right) == []
    _checked(type="smart", app_context='{"a": 1}')
    with pytest.raises(CardError, match="LINK-06"):
        _checked(app_context="x")


@row("LINK-08", "LINK-09")
def test_no_link_asks_to_be_opened_by_itself(answers: Answers) -> None:
    """What would have to be said in the app as well (LINK-09) is said on the card, which is always drawn."""
    assert wrong(answers.links, lambda each: each.get("autolaunchable", False) is False) == []
