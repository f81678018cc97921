"""The link of a card opens the page of its decision for a while, and no other; an EHR launches the app instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace
from pydantic import SecretStr, ValidationError

from cards.card import Card, Link, Source
from cds_hooks.call.security.trust import ANONYMOUS
from cds_hooks.evidence.replay.replaying import response_for_comparison
from cds_hooks.evidence.storage.decision import Decision, new_decision_id
from cds_hooks.people.access.links import ExplanationLinks, link_cards, without_token
from cds_hooks.settings import Settings
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.cds_hooks.people.access.browsing import BROWSER, Person, entries, form_token, visit, with_account
from tests.cds_hooks.people.access.test_smart import at, decision_about, ehr, launch_from_ehr
from tests.cds_hooks.people.pages.worklist.test_worklist_page import keep
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.constants import settings_with

__all__ = ["ehr"]

KEY = "k" * 40
LINKED: dict[str, Any] = {"explain_link_minutes": 30, "explain_link_key": KEY}
PAGE = "https://cds.example/explain/1"


@cache
def _links(**more: Any) -> ExplanationLinks:
    return ExplanationLinks(settings_with(**{**LINKED, **more}))


def _card() -> Card:
    source = Source(label="x")
    rule = Link(label="The rule", url="https://cds.example/rules/1", type="absolute")
    return Card(
        uuid="u",
        summary="s",
        indicator="info",
        source=source,
        links=(rule, Link(label="Why this card", url=PAGE, type="absolute")),
    )


def _path(links: ExplanationLinks, decision: Decision) -> str:
    return httpx.URL(links.url(decision.id, decision.client)).path


@asynccontextmanager
async def _behind_trust(folder: Path, **more: Any) -> AsyncIterator[Person]:
    """A person without a login at a server with a trust file."""
    (folder / "keys.json").write_text('{"keys": []}')
    (folder / "trust.toml").write_text(
        'version = 1\n[[client]]\nname = "ehr"\nissuers = ["https://ehr.example"]\njwks_file = "keys.json"\n'
    )
    async with client(folder, trust_file=folder / "trust.toml", **{**LINKED, **more}) as calls:
        yield Person(calls)


async def test_a_link_opens_the_page_of_its_decision_and_of_no_other(tmp_path: Path) -> None:
    anns, older, bens = decision_about("ann"), decision_about("ann"), decision_about("ben")
    keep(tmp_path, anns, older, bens)
    async with _behind_trust(tmp_path) as person:
        assert (await person.open(f"/explain/{anns.id}")).status_code == 403
        opened = await person.open(_path(_links(), anns))
        assert opened.status_code == 303
        assert opened.headers["location"] == f"../../explain/{anns.id}"
        assert opened.headers["cache-control"] == "no-store"
        shown = await person.open(f"/explain/{anns.id}")
        assert shown.status_code == 200
        assert older.id not in shown.text
        for other in (older, bens):
            refused = await person.open(f"/explain/{other.id}")
            assert refused.status_code == 403
            assert other.patient not in refused.text
        assert (await person.open("/explain")).headers["location"] == f"explain/{anns.id}"
        for path in ("/worklist", "/decisions", "/ops", "/try", "/metrics"):
            assert (await person.open(path)).status_code == 403, path
    who = f"link ehr {anns.id}"
    assert entries(tmp_path, "login") == [(who, {"act": "in", "roles": ["clinician-link"]})]
    assert entries(tmp_path, "page-view")[0] == (who, {"page": f"/explain/{anns.id}"})


async def test_a_link_that_is_changed_in_any_part_opens_nothing_and_begins_no_session(tmp_path: Path) -> None:
    anns, bens = decision_about("ann"), decision_about("ben")
    keep(tmp_path, anns, bens)
    good = _path(_links(), anns)
    token = good.rpartition("/")[2]
    async with _behind_trust(tmp_path) as person:
        others = [
            f"/open/{bens.id}/{token}",
            f"/open/{new_decision_id()}/{token}",
            f"/open/{anns.id}/{token[:-1]}",
            f"/open/{anns.id}/{token}x",
            f"/open/{anns.id}/{token.swapcase()}",
            f"/open/{anns.id}/%C3%A9",
            f"/open/{anns.id[:-4]}0100/{token}",
            _path(_links(explain_link_key="j" * 40), anns),
            httpx.URL(_links().url(anns.id, "another client")).path,
        ]
        for path in others:
            refused = await person.open(path)
            assert refused.status_code == 404, path
            assert "set-cookie" not in refused.headers
            assert "This link opens nothing" in refused.text
        head = await person.calls.head(good)
        assert head.status_code == 204
        assert "set-cookie" not in head.headers
    assert entries(tmp_path, "login") == []


async def test_an_expired_link_says_what_to_do_and_begins_no_session(tmp_path: Path) -> None:
    anns = decision_about("ann")
    old = structs.replace(anns, id=new_decision_id(), decided_at=anns.decided_at - 31 * 60 * 1_000_000)
    keep(tmp_path, anns, old)
    async with _behind_trust(tmp_path) as person:
        refused = await person.open(_path(_links(), old))
        assert refused.status_code == 410
        assert "This link has expired" in refused.text
        assert "Open the patient&#39;s chart again" in refused.text
        assert "set-cookie" not in refused.headers
    async with _behind_trust(tmp_path, explain_link_minutes=0.000_001) as person:
        assert (await person.open(_path(_links(), anns))).status_code == 410


async def test_links_open_nothing_where_the_setting_is_not_there(tmp_path: Path) -> None:
    anns = decision_about("ann")
    keep(tmp_path, anns)
    async with _behind_trust(tmp_path, explain_link_key=None) as person:
        assert (await person.open(_path(_links(), anns))).status_code == 404
        unsigned = ExplanationLinks(Settings()).url(anns.id, anns.client)
        assert (await person.open(httpx.URL(unsigned).path)).status_code == 404


async def test_who_has_logged_in_keeps_the_session_and_the_link_opens_the_page_in_it(tmp_path: Path) -> None:
    anns = decision_about("ann")
    keep(tmp_path, anns)
    with_account(tmp_path, "cleo", "clinician")
    async with visit(tmp_path, **LINKED) as person:
        await person.log_in("cleo")
        opened = await person.open(_path(_links(), anns))
        assert opened.headers["location"] == f"../../explain/{anns.id}"
        assert "set-cookie" not in opened.headers
        assert "Cleo Example" in (await person.open(f"/explain/{anns.id}")).text
        await person.send("/logout", form_token=form_token(await person.open("/worklist")))
        assert (await person.open(f"/explain/{anns.id}")).status_code == 303
        assert (await person.open(_path(_links(), anns))).status_code == 303
        assert (await person.open(f"/explain/{anns.id}")).status_code == 200
        assert (await person.open("/worklist")).status_code == 403
    assert [who for who, _ in entries(tmp_path, "page-view")][-1] == f"link ehr {anns.id}"


async def test_a_card_carries_the_link_and_a_replay_does_not_compare_its_signature(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=AS_OF, **LINKED) as calls:
        answer = await calls.post(
            f"/cds-services/{PLANNING}", json=request_for(PLANNING, "patient-view", "planning-talk", AS_OF)
        )
        (card,) = answer.json()["cards"]
        (link,) = [each for each in card["links"] if each["label"] == "Why this card"]
        assert link["type"] == "absolute"
        assert "planning-talk" not in link["url"]
        opened = await calls.get(httpx.URL(link["url"]).path, headers=BROWSER)
        assert opened.status_code == 303
        assert (await calls.get("/explain", headers=BROWSER)).status_code == 303
    compared = response_for_comparison(answer.content)["cards"][0]["links"]
    assert without_token(link["url"]) in [each["url"] for each in compared]
    assert link["url"] not in str(compared)


async def test_the_ehr_launches_the_app_where_it_is_registered_for_that(tmp_path: Path, ehr: Any) -> None:
    configured = Settings(public_url="https://cds.example", **LINKED)
    (card,) = link_cards([_card()], PAGE, replace(ANONYMOUS, smart_client_id="app"), "1", configured)
    assert card.links[1] == Link(label="Why this card", url="https://cds.example/launch", type="smart", app_context="1")
    assert card.links[0].type == "absolute"
    anns = decision_about("ann")
    keep(tmp_path, anns)
    ehr.launches["of-ann"]["appContext"] = anns.id
    async with at(tmp_path, ehr) as person:
        assert (await launch_from_ehr(person, ehr)).headers["location"] == f"../explain/{anns.id}"
        assert (await person.open(f"/explain/{anns.id}")).status_code == 200


async def test_each_client_gets_the_link_that_it_can_open_or_none() -> None:
    cards = [_card()]
    open_to_all = Settings()
    assert link_cards(cards, PAGE, ANONYMOUS, "1", open_to_all) is cards
    behind = Settings(trust_file=Path("trust.toml"))
    (bare,) = link_cards(cards, PAGE, ANONYMOUS, "1", behind)
    assert [each.label for each in bare.links] == ["The rule"]
    by_login = Settings(trust_file=Path("trust.toml"), login="accounts")
    assert link_cards(cards, PAGE, ANONYMOUS, "1", by_login) is cards
    (keyed,) = link_cards(cards, PAGE, ANONYMOUS, "1", Settings(trust_file=Path("trust.toml"), **LINKED))
    assert keyed.links[1].url.startswith("http://127.0.0.1:8085/open/1/")
    assert keyed.links[1].type == "absolute"


async def test_the_settings_of_links_must_fit_together() -> None:
    with pytest.raises(ValidationError, match="at least 32"):
        Settings(explain_link_key=SecretStr("short"))
    with pytest.raises(ValidationError, match="no link ends"):
        Settings(explain_pages="everyone", **LINKED)


@given(decision=st.uuids(), client_name=st.text(max_size=20), token=st.text(max_size=60))
def test_no_text_is_a_token_but_the_one_that_was_signed(decision: Any, client_name: str, token: str) -> None:
    links = _links()
    good = links.url(str(decision), client_name).rpartition("/")[2]
    assert len(good) == 32
    assert links.state(good, str(decision), client_name, 1000.0, 1000.0 + 29 * 60) == "good"
    assert links.state(good, str(decision), client_name, 1000.0, 1000.0 + 30 * 60) == "expired"
    assert links.state(good, str(decision), client_name + "x", 1000.0, 1000.0) == "wrong"
    if token != good:
        assert links.state(token, str(decision), client_name, 1000.0, 1000.0) == "wrong"
