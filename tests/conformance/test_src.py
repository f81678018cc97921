"""SRC: the source of a card."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cards.card import CardError, Source, check_card
from tests.conformance.answers import Answers, wrong
from tests.conformance.outside import Json
from tests.conformance.rows import row
from tests.conformance.test_card import card
from tests.conftest import ROOT


def _sources(answers: Answers) -> list[tuple[str, Json]]:
    return [(about, each["source"]) for about, each in answers.cards]


def is_web_address(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).netloc)


@row("SRC-01")
@pytest.mark.parametrize("label", ["", "  "])
def test_a_source_has_a_label(answers: Answers, label: str) -> None:
    assert wrong(_sources(answers), lambda each: each["label"].strip()) == []
    with pytest.raises(CardError, match="SRC-01"):
        check_card(card(source=Source(label=label)))


@row("SRC-02", "SRC-03")
def test_the_address_of_a_source_is_absolute_and_not_about_this_card(answers: Answers) -> None:
    def is_right(each: Json) -> bool:
        # a label's set id is the name of the document, as a path would be
        return "url" not in each or (
            is_web_address(each["url"]) and urlsplit(each["url"]).query.partition("=")[0] in ("", "setid")
        )

    assert wrong(_sources(answers), is_right) == []
    with pytest.raises(CardError, match="SRC"):
        check_card(card(source=Source(label="l", url="/models")))


@row("SRC-02", "SRC-03")
def test_the_same_source_has_the_same_address_on_every_card(answers: Answers) -> None:
    urls: dict[str, set[str]] = {}
    for _, each in _sources(answers):
        urls.setdefault(each["label"], set()).add(each.get("url", ""))
    assert all(len(found) == 1 for found in urls.values())


@row("SRC-04", "SRC-05")
def test_an_icon_is_an_absolute_address_and_none_is_sent_that_is_not_checked(answers: Answers) -> None:
    """No service has an icon. The first that gets one needs a PNG of 100 by 100 pixels here, and this test."""
    assert [about for about, each in _sources(answers) if "icon" in each] == []
    assert [path.name for path in Path(ROOT / "cds_hooks/people/web/static").glob("*.png")] == []
    with pytest.raises(CardError, match="SRC"):
        check_card(card(source=Source(label="l", icon="icon.png")))


@row("SRC-07")
def test_a_topic_is_a_coding(answers: Answers) -> None:
    assert wrong(_sources(answers), lambda each: each["topic"]["system"] and each["topic"]["code"]) == []
