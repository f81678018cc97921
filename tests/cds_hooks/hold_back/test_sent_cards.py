"""What was shown and answered is read from the record, in both databases: at the start, and what others add later."""

import asyncio
import json
from datetime import UTC, datetime
from time import time_ns

from cards.card import Card, Source
from cards.extension import EXTENSION_KEY, CardExtension
from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.sent_cards import ShownRows
from cds_hooks.storage import card_uuid, new_decision_id, open_decision_log
from tests.cds_hooks.storage.conftest import postgres_server, postgres_url, sqlite_url, url
from tests.cds_hooks.storage.samples import a_decision, some_feedback

__all__ = ["postgres_server", "postgres_url", "sqlite_url", "url"]  # fixtures of the record's tests

DAY = 86_400.0
NOW = 1_800_000_000.0
CALLER = Caller("ehr", "p1", "nephrology-referral", "patient-view")
OURS = {"model": {"id": "kfre_4"}, "output": "5y", "probability": 0.1, "band": {"id": "high", "source": "x"}}


def _card() -> Card:
    said = CardExtension(model={"id": "kfre_4"}, output="5y", probability=0.1, band={"id": "high", "source": "x"})
    source = Source(label="x")
    return Card(uuid="c", summary="A finding.", indicator="info", source=source, extension={EXTENSION_KEY: said})


def _store(
    url: str, patient: str, at: float, *, answer: str | None = None, hook: str = "patient-view", days_ago: int = 0
) -> str:
    """A decision of another worker that showed the card at `at`, and perhaps the answer to it."""
    made = new_decision_id()

    async def write() -> None:
        log = open_decision_log(url)
        card = {"uuid": card_uuid(made, 1), "extension": {EXTENSION_KEY: OURS}}
        await log.append(
            a_decision(
                id=made,
                client="ehr",
                patient=patient,
                hook=hook,
                service="nephrology-referral",
                outcome="cards",
                decided_at=time_ns() // 1000 - days_ago * 86_400_000_000,
                response=json.dumps({"cards": [card]}).encode(),
                basis=json.dumps({"as_of": datetime.fromtimestamp(at, UTC).isoformat()}).encode(),
            )
        )
        if answer is not None:
            item = some_feedback(made, client="ehr", override_reason_code=answer, received_at=int(at * 1e6))
            await log.append_feedback([item])
        await log.close()

    asyncio.run(write())
    return made


def _site() -> Governance:
    return Governance(None, needs_approval=False, now=lambda: NOW)


def _rests(site: Governance, caller: Caller = CALLER) -> list[str]:
    chosen = asyncio.run(site.hold_back([_card()], CheckedCall(caller, NOW)))
    return [each.because for each in chosen.resting]


def test_a_worker_knows_what_others_showed_before_it_began_and_since(url: str) -> None:
    _store(url, "p1", NOW - 3 * DAY)
    site = _site()
    site.read_shown(url)
    assert _rests(site) == ["shown"]
    other = Caller("ehr", "p2", CALLER.service, CALLER.hook)
    assert _rests(site, other) == []
    _store(url, "p2", NOW - 2 * DAY)
    site.read_shown(url)
    assert _rests(site, other) == ["shown"]


def test_a_worker_knows_what_was_answered_elsewhere(url: str) -> None:
    _store(url, "p1", NOW - 20 * DAY, answer="need-more-info")
    site = _site()
    site.read_answers(url)
    site.read_shown(url)
    assert _rests(site) == ["need-more-info"]


def test_each_decision_is_read_once_and_those_of_this_process_are_not(url: str) -> None:
    rows = ShownRows(90)
    _store(url, "p1", NOW)
    own = _store(url, "p2", NOW)
    _store(url, "p3", NOW, hook="order-sign")
    # an order's decision says which drafted drugs were said not to be covered
    assert [each.patient for each in rows.read(url, {own})] == ["p1", "p3"]
    assert list(rows.read(url)) == []
    _store(url, "p4", NOW)
    assert [each.patient for each in rows.read(url)] == ["p4"]


def test_decisions_from_before_the_period_are_not_read_at_the_start(url: str) -> None:
    for number in range(5):
        _store(url, f"p{number}", NOW, days_ago=100 if number < 3 else 0)
    assert [each.patient for each in ShownRows(90).read(url)] == ["p3", "p4"]
    assert [each.patient for each in ShownRows(110).read(url)] == [f"p{number}" for number in range(5)]
