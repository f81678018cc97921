"""Accepting a suggestion brings neither the same advice again nor its opposite, whatever the next hook is."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import convert, structs, to_builtins

from cards.card import Action, Card, Indicator, Source, Suggestion
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference
from cds_hooks.call.hold_back.checks import Caller
from cds_hooks.call.hold_back.history import answer_event
from cds_hooks.evidence.replay.replaying import Replayer
from cds_hooks.evidence.replay.site import open_site
from cds_hooks.evidence.storage.content import use_content_keys
from cds_hooks.evidence.storage.sent import SentCard
from cds_hooks.settings import Settings
from tests.cds_hooks.call.hold_back.restraint_calls import (
    CRITICAL,
    SIGN,
    WARNINGS,
    Site,
    feedback,
    indicators,
    reasons,
    rules_file,
    sign,
)
from tests.cds_hooks.call.prefetch.fetch_calls import app_client
from tests.cds_hooks.call.services.equation_calls import NOW
from tests.live import record_in
from tests.recorded import list_decisions

CALLER = Caller("ehr", "p1", "order-safety", "order-sign")


async def _accept(calls: httpx.AsyncClient, card: dict[str, Any], suggestion: int = 0) -> list[dict[str, Any]]:
    """Accepts a suggestion of the card; gives its actions."""
    chosen = card["suggestions"][suggestion]
    sent = await calls.post(f"/cds-services/{SIGN}/feedback", json=feedback(card, chosen["uuid"]))
    assert sent.status_code == 200, sent.text
    actions: list[dict[str, Any]] = chosen["actions"]
    return actions


@pytest.mark.parametrize("version", ["1.1", "2.0"])
async def test_a_client_that_accepts_and_calls_again_gets_the_same_advice_once(tmp_path: Path, version: str) -> None:
    """The alert loop: accepting changes nothing that the rule looks at, and each acceptance calls the hook again."""
    async with app_client(tmp_path, as_of=NOW, protocol_version=version) as calls:
        shown = 0
        for _ in range(5):
            answered = await sign(calls, WARNINGS[0])
            for card in answered.json()["cards"]:
                shown += 1
                await _accept(calls, card)
        assert shown == 1
        ((subject, text),) = reasons(answered, "loop-guard")
        assert subject == "renal-nsaid"
        assert text.startswith("Accepted a moment ago (“Replace by acetaminophen 500 to 1000 mg every 8 hours")
    # Another process knows it from the record; an hour later it is advice again.
    async with app_client(tmp_path, as_of=NOW + timedelta(minutes=59)) as calls:
        assert indicators(await sign(calls, WARNINGS[0])) == []
    async with app_client(tmp_path, as_of=NOW + timedelta(minutes=61)) as calls:
        assert indicators(await sign(calls, WARNINGS[0])) == ["warning"]


async def test_a_critical_card_comes_again_with_its_suggestions(tmp_path: Path) -> None:
    async with app_client(tmp_path, as_of=NOW) as calls:
        (card,) = (await sign(calls, CRITICAL)).json()["cards"]
        await _accept(calls, card)
        (again,) = (await sign(calls, CRITICAL)).json()["cards"]
        assert [each["label"] for each in again["suggestions"]] == [each["label"] for each in card["suggestions"]]


# The guard by itself


def _card(drug: str, *suggestions: Suggestion, indicator: Indicator = "warning", rule: str = "a-rule") -> Card:
    said = CardExtension(
        findings=(FindingReference(rule, "a-band"),),
        facts=(Fact("draft", drug, drug, source=f"MedicationRequest/{drug}"),),
    )
    return Card(
        uuid=f"card-{drug}",
        summary=f"About {drug}.",
        indicator=indicator,
        source=Source(label="x"),
        suggestions=suggestions,
        selection_behavior="any" if suggestions else None,
        extension={EXTENSION_KEY: said},
    )


def _order(drug: str) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "id": drug, "medicationCodeableConcept": {"text": drug}}


def _replace(old: str, new: str) -> Suggestion:
    actions = (
        Action(type="delete", description="x", resource_id=f"MedicationRequest/{old}"),
        Action(type="create", description="x", resource=_order(new)),
    )
    return Suggestion(label=f"{new} for {old}", uuid=f"{old}-{new}", actions=actions)


def _guard(accepted: Card) -> Site:
    guard = Site(lambda: 1000.0)
    suggestions = tuple(each.uuid for each in accepted.suggestions)
    sent = convert(to_builtins(accepted), SentCard)
    guard.histories.note("ehr", "p1", [answer_event(sent, "accepted", 1000.0, suggestions=suggestions)])
    return guard


def test_the_opposite_of_what_was_accepted_is_not_offered() -> None:
    guard = _guard(_card("naproxen", _replace("naproxen", "acetaminophen")))
    back = _card("acetaminophen", _replace("acetaminophen", "naproxen"), rule="another-rule")
    (card,), withheld = guard.hold_back([back], CALLER)
    assert card.suggestions == ()
    assert card.selection_behavior is None
    ((suggestion, silence),) = withheld.items()
    assert suggestion == "acetaminophen-naproxen"
    assert silence.reason == "loop-guard"
    assert silence.text == (
        "“naproxen for acetaminophen” is not offered: "
        "it would change what was just accepted (“acetaminophen for naproxen”)."
    )


def test_critical_cards_other_patients_and_other_drugs_are_as_they_were() -> None:
    guard = _guard(_card("naproxen", _replace("naproxen", "acetaminophen")))
    cards = [
        _card("acetaminophen", _replace("acetaminophen", "naproxen"), indicator="critical"),
        _card("warfarin", _replace("warfarin", "apixaban")),
    ]
    assert guard.hold_back(cards, CALLER)[0] == cards
    # a card about that order in which no rule found anything, as one of a model
    bare = _card("naproxen")
    bare = structs.replace(bare, extension={EXTENSION_KEY: structs.replace(bare.own_extension, findings=())})
    assert guard.hold_back([bare], CALLER)[0] == [bare]
    same = [_card("naproxen", _replace("naproxen", "acetaminophen"))]
    assert guard.hold_back(same, CALLER)[0] == []
    assert len(guard.hold_back(same, Caller("ehr", "p2", "order-safety", "order-sign"))[0]) == 1


# Replayed


async def test_what_was_held_back_is_held_back_in_a_replay_bit_for_bit(tmp_path: Path) -> None:
    rules = rules_file(tmp_path, '[[budget]]\nof = "user"\ncards_per_day = 2\nnote = "a trial"\n')
    keys = tmp_path / "keys"
    keys.write_text("5a" * 32)
    settings: dict[str, Any] = {"rules_file": rules, "content_keys": keys}
    async with app_client(tmp_path, as_of=NOW, **settings) as calls:
        (card,) = (await sign(calls, WARNINGS[0])).json()["cards"]
        await _accept(calls, card)
        second = await sign(calls, *WARNINGS, CRITICAL)
        assert indicators(second) == ["warning", "critical"]
        third = await sign(calls, *WARNINGS, CRITICAL)
        assert indicators(third) == ["critical"]
        assert len(reasons(third, "loop-guard")) == len(reasons(third, "budget")) == 1
    use_content_keys("5a" * 32)
    try:
        url = record_in(tmp_path)
        site = open_site(Settings(database_url=url, **settings))
        verdicts = list(Replayer(site, url).verdicts(list_decisions(url)))
    finally:
        use_content_keys("")
    assert [(each.outcome, each.differences) for each in verdicts] == [("same", ())] * 3


async def test_of_two_drafts_one_answered_and_one_accepted_each_rests_for_its_own_reason_in_a_replay(
    tmp_path: Path,
) -> None:
    """Both findings are of one rule, and neither is shown: only what was recorded of them tells them apart."""
    keys = tmp_path / "keys"
    keys.write_text("5a" * 32)
    settings: dict[str, Any] = {"content_keys": keys}
    async with app_client(tmp_path, as_of=NOW, **settings) as calls:
        naproxen, ibuprofen = (await sign(calls, "naproxen-egfr-25", "ibuprofen-healthy")).json()["cards"]
        await _accept(calls, ibuprofen)
        await calls.post(f"/cds-services/{SIGN}/feedback", json=feedback(naproxen))
        for drafts in (("naproxen-egfr-25", "ibuprofen-healthy"), ("ibuprofen-healthy", "naproxen-egfr-25")):
            again = await sign(calls, *drafts)
            assert indicators(again) == []
            assert len(reasons(again, "loop-guard")) == len(reasons(again, "acknowledged")) == 1
    use_content_keys("5a" * 32)
    try:
        url = record_in(tmp_path)
        verdicts = list(Replayer(open_site(Settings(database_url=url, **settings)), url).verdicts(list_decisions(url)))
    finally:
        use_content_keys("")
    assert [(each.outcome, each.differences) for each in verdicts] == [("same", ())] * 3
