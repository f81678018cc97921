"""A client's profile: its dialect, version, links and reasons; the published client costs nothing."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cards.card import Card, Coding, Link, Source
from cds_hooks.call.dialects import UnknownDialect, profile_for, shape_cards
from tests.cds_hooks.call.dialects.sent import DIALECTS
from tests.cds_hooks.calls import ORDERS, PLANNING, client, ours, request_for
from tests.contracts.sample_calls import SAMPLE_CALLS, request_of
from tests.each import each_row

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


def test_links_are_kept_to_the_hosts_of_the_list() -> None:
    card = _shaped(link_hosts=["cds.example"])
    assert [link.label for link in card.links] == ["Why"]
    assert card.detail == "[Why](https://cds.example/explain/1) Elsewhere"
    assert card.source == Source(label="FDA")


def test_a_site_may_have_reasons_of_its_own() -> None:
    own = Coding(system="https://site.example", code="protocol", display="By protocol")
    assert _shaped(override_reasons=[own]).override_reasons == (own,)
    assert _shaped(link_hosts=["cds.example"]).override_reasons == CARD.override_reasons


@each_row(("words", "said"))
def test_what_is_not_there_is_refused_with_what_is(words: dict[str, str], said: str) -> None:
    with pytest.raises(UnknownDialect, match=said):
        profile_for("x", **words)  # type: ignore[arg-type] # wrong on purpose


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
