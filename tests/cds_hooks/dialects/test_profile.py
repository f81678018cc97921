"""A client's profile: its dialect, version, links and reasons; the published client costs nothing."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cards.card import Card, Coding, Link, Source, check_card
from cds_hooks.build_sheet import SAMPLE_CALLS, request_of
from cds_hooks.dialects import DEVELOPMENT, UnknownDialect, find_dialects, profile_for, shape_cards
from cds_hooks.package_tests.contracts import (
    test_nothing_that_is_sent_is_null_or_empty,
    test_numbers_and_dates_are_the_same,
    test_summary_urgency_and_source_are_the_same,
    test_whatever_can_be_accepted_or_read_as_to_do_is_there,
)
from cds_hooks.package_tests.plugin import parametrize
from cds_hooks.settings import Settings
from tests.cds_hooks.calls import ORDERS, PLANNING, client, ours, request_for
from tests.cds_hooks.dialects.sent import DIALECTS, FOLDER, NAMES, every_card, sent, snapshot
from tests.cds_hooks.services.test_planning import _typed

CARD = Card(
    uuid="u",
    summary="s",
    indicator="info",
    source=Source(label="FDA", url="https://www.fda.gov/label"),
    detail="[Why](https://cds.example/explain/1) [Elsewhere](http://other.example:8080/a)",
    override_reasons=(Coding(system="https://ours.example", code="ours", display="Ours"),),
    links=(
        Link(label="Why", url="https://CDS.example/explain/1", type="absolute"),
        Link(label="Elsewhere", url="http://other.example:8080/a", type="absolute"),
    ),
)


def _shaped(**words: Any) -> Card:
    (card,) = shape_cards([CARD], profile_for("a hospital", **words))
    assert isinstance(card, Card)
    return card


def test_cards_for_a_client_of_the_published_protocol_are_not_touched() -> None:
    cards = [CARD]
    assert shape_cards(cards, DEVELOPMENT) is cards
    assert shape_cards(cards, profile_for("x", "standard", version="2.0.1")) is cards


def test_links_are_kept_to_the_hosts_of_the_list() -> None:
    card = _shaped(link_hosts=["cds.example"])
    assert [link.label for link in card.links] == ["Why"]
    assert card.detail == "[Why](https://cds.example/explain/1) Elsewhere"
    assert card.source == Source(label="FDA")


def test_a_site_may_have_reasons_of_its_own() -> None:
    own = Coding(system="https://site.example", code="protocol", display="By protocol")
    assert _shaped(override_reasons=[own]).override_reasons == (own,)
    assert _shaped(link_hosts=["cds.example"]).override_reasons == CARD.override_reasons


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"dialect": "cerner"}, "there are epic, oracle, sandbox, standard"),
        ({"version": "4.0"}, "there are 1.0, 1.1, 2.0"),
        ({"markdown": "html"}, "full, basic, plain"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(words: dict[str, str], said: str) -> None:
    with pytest.raises(UnknownDialect, match=said):
        profile_for("x", **words)  # type: ignore[arg-type] # wrong on purpose


def test_the_dialect_gives_version_and_markdown_unless_they_are_said() -> None:
    assert (profile_for("x", "oracle").version, profile_for("x", "oracle").markdown) == ("1.0", "basic")
    assert profile_for("x", "oracle", version="2.0", markdown="full").version == "2.0"


def test_the_settings_take_every_dialect() -> None:
    for name in find_dialects():
        assert Settings(dialect=name).dialect == name


@pytest.mark.parametrize("dialect", ["standard", "epic", "oracle", "sandbox"])
async def test_the_settings_hosts_reach_the_cards(tmp_path: Path, as_of: datetime, dialect: str) -> None:
    async with client(tmp_path, as_of=as_of, dialect=dialect, link_hosts=("nowhere.example",)) as calls:
        planning = request_for(PLANNING, "patient-view", "planning-talk", as_of)
        order = request_for(ORDERS, "order-select", "ckd4-metformin", as_of, "metformin-ckd4-coded")
        answered = [
            (await calls.post(f"/cds-services/{service}", json=request)).json()["cards"]
            for service, request in ((PLANNING, planning), (ORDERS, order))
        ]
    for cards in answered:
        for card in cards:
            assert "links" not in card
            assert "http" not in card["detail"]


# The page behind a card opens however the card was written.
@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_why_this_card_can_be_read(tmp_path: Path, as_of: datetime, dialect: str) -> None:
    found = []
    async with client(tmp_path, as_of=as_of, dialect=dialect) as calls:
        for each in SAMPLE_CALLS:
            answer = await calls.post(f"/cds-services/{each.service}", json=request_of(each, as_of))
            page = await calls.get(f"/explain/{ours(answer)['decision']}")
            found += [(page.status_code, card["source"]["label"], page.text) for card in answer.json()["cards"]]
    assert len(found) > len(SAMPLE_CALLS) / 2
    for status, source, text in found:
        assert status == 200
        assert source.replace("'", "&#39;") in text


__all__ = [
    "test_nothing_that_is_sent_is_null_or_empty",
    "test_numbers_and_dates_are_the_same",
    "test_summary_urgency_and_source_are_the_same",
    "test_whatever_can_be_accepted_or_read_as_to_do_is_there",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of every dialect run on each of ours."""
    parametrize(metafunc, {"dialect": list(DIALECTS)})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", NAMES)
def test_our_own_part_is_the_same(dialect: str, name: str) -> None:
    for card, published in zip(sent(dialect)[name], sent("standard")[name], strict=True):
        assert card["extension"]["org.cds-hooks-onnx"] == published["extension"]["org.cds-hooks-onnx"]


@pytest.mark.parametrize("dialect", ["standard", "epic", "sandbox"])
def test_every_card_keeps_to_cds_hooks_2_0_1(dialect: str) -> None:
    for card in every_card(dialect):
        check_card(_typed(card))
        uuids = [card["uuid"], *(each["uuid"] for each in card.get("suggestions", ()))]
        assert len(set(uuids)) == len(uuids)


def test_what_is_taken_out_of_a_detail_is_markup_only() -> None:
    for card, published in zip(every_card("oracle"), every_card("standard"), strict=True):
        plain = re.sub(r"\[([^\]]*)\]\(([^)]*)\)", r"\1: \2", published["detail"])
        assert card["detail"] == plain


def test_the_samples_hold_every_kind_of_action() -> None:
    kinds = {
        (action["type"], (action.get("resource") or {}).get("resourceType"))
        for card in every_card("standard")
        for suggestion in card["suggestions"]
        for action in suggestion["actions"]
    }
    assert kinds >= {
        ("create", "ServiceRequest"),
        ("create", "MedicationRequest"),
        ("update", "MedicationRequest"),
        ("delete", None),
    }
    assert {specimen.service for specimen in SAMPLE_CALLS} == {
        "planning-conversation",
        "order-safety",
        "order-safety-dispatch",
        "discharge-medications",
        "statin-discussion",
        "nephrology-referral",
        "anticoagulation-discussion",
        "liver-assessment",
        "discharge-follow-up",
    }
    assert json.dumps(every_card("standard"))


# The cards of five samples in every dialect, letter by letter.
def test_every_dialect_has_a_snapshot() -> None:
    assert set(find_dialects()) == set(DIALECTS) == {file.stem for file in FOLDER.iterdir()}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_cards_are_those_of_the_snapshot(dialect: str) -> None:
    assert snapshot(dialect) == (FOLDER / f"{dialect}.json").read_text(encoding="utf-8")
