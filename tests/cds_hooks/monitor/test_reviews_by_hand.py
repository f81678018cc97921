"""Lists of reasons against cards: counted by client, service and what the card is of, with the newest decisions."""

import asyncio
import json
from typing import Any

from cds_hooks.monitor.catalogue import FEWEST_CALLS, rules_without_findings
from cds_hooks.monitor.reviews import Reviewed, reviewed
from cds_hooks.storage import Decision, FeedbackItem, card_uuid, new_decision_id, open_decision_log
from models_onnx.monitoring.figure import Figure
from tests.cds_hooks.monitor.test_catalogue import service
from tests.cds_hooks.storage.conftest import sqlite_url
from tests.cds_hooks.storage.samples import a_decision

__all__ = ["sqlite_url"]

OURS = "org.cds-hooks-onnx"
MISFIT, DOUBT, OTHER_ROLE = "patient-ineligible", "recipient-does-not-trust", "inappropriate-recipient"


def carded(number: int, extension: dict[str, Any], **members: Any) -> Decision:
    """A decision with one card that has this extension."""
    name = new_decision_id()
    card = {"uuid": card_uuid(name, 1), "summary": "s", "indicator": "info", "extension": {OURS: extension}}
    usual: dict[str, Any] = {"id": name, "service": "planning", "client": "north", "decided_at": number}
    return a_decision(**usual | members, response=json.dumps({"cards": [card]}).encode())


def answer(decision: Decision, at: int, code: str | None) -> FeedbackItem:
    """An answer to its card at this microsecond."""
    return FeedbackItem(
        card_uuid(decision.id, 1), decision.service, decision.client, "overridden", f"2026-11-20T09:00:00.{at:06}Z", at,
        override_reason_code=code,
    )  # fmt: skip


def write(url: str, decisions: list[Decision], answers: list[FeedbackItem]) -> None:
    """Puts both into the record, in this order."""

    async def scenario() -> None:
        log = open_decision_log(url)
        for decision in decisions:
            await log.append(decision)
        for item in answers:
            await log.append_feedback([item])
        await log.close()

    asyncio.run(scenario())


MODEL = {"model": {"id": "m", "version": "1"}}


def test_each_reason_is_counted_for_what_the_card_is_of_with_the_five_newest_decisions(sqlite_url: str) -> None:
    of_model = [carded(number, MODEL) for number in range(6)]
    of_rules = carded(10, {"findings": [{"rule": "r", "band": "b"}, {"rule": "q", "band": "b"}]}, service="orders")
    of_service, elsewhere = carded(11, {}), carded(12, MODEL, client="east")
    answers = [
        *(answer(decision, 100 + number, MISFIT) for number, decision in enumerate(of_model)),
        answer(of_rules, 200, MISFIT), answer(of_rules, 201, DOUBT), answer(of_service, 202, OTHER_ROLE),
        answer(elsewhere, 203, MISFIT), answer(of_model[0], 204, "benefit-outweighs"), answer(of_model[1], 205, None),
    ]  # fmt: skip
    write(sqlite_url, [*of_model, of_rules, of_service, elsewhere], answers)
    newest = [decision.id for decision in of_model[:0:-1]]
    assert reviewed(sqlite_url, 100) == [
        Reviewed(MISFIT, "north", "planning", "model", "m", 6, 105, newest),
        Reviewed(MISFIT, "east", "planning", "model", "m", 1, 203, [elsewhere.id]),
        Reviewed(MISFIT, "north", "orders", "rule", "q", 1, 200, [of_rules.id]),
        Reviewed(MISFIT, "north", "orders", "rule", "r", 1, 200, [of_rules.id]),
        Reviewed(DOUBT, "north", "orders", "rule", "q", 1, 201, [of_rules.id]),
        Reviewed(DOUBT, "north", "orders", "rule", "r", 1, 201, [of_rules.id]),
        Reviewed(OTHER_ROLE, "north", "planning", "service", "planning", 1, 202, [of_service.id]),
    ]
    later = reviewed(sqlite_url, 101)
    assert (later[0].answers, later[0].decisions) == (5, newest)
    assert [each.reason for each in reviewed(sqlite_url, 202)] == [MISFIT, OTHER_ROLE]
    assert reviewed(sqlite_url, 204) == []


def test_the_first_twenty_rules_without_a_finding_are_named_and_the_others_counted() -> None:
    names = [f"rule-{number:02}" for number in range(22)]

    def told(silent: int) -> Figure:
        found = service(2 * FEWEST_CALLS, rules=dict.fromkeys(names[silent:], 1))
        (figure,) = rules_without_findings([found], frozenset(names))
        return figure

    begin = (
        "of 22 rules found nothing in 6,000 calls, so each finds something in fewer than 0.5 of 1,000 (95 % certainty):"
    )
    listed = ", ".join(names[:20])
    assert told(20).text == f"20 {begin} {listed}."
    assert told(21) == Figure(
        "north", "all services", "rules", "rules without a finding", "watch", 6000, 3000, 21 / 22, None,
        f"21 {begin} {listed} and 1 more.",
    )  # fmt: skip
    assert (told(0).state, told(0).value, told(1).state) == ("good", 0.0, "watch")
    (few,) = rules_without_findings([service(2999, rules={"rule-00": 1})], frozenset(names))
    assert few == Figure(
        "north", "all services", "rules", "rules without a finding", "insufficient", 2999, 3000, None, None,
        "rules without a finding: 2,999 calls were counted, 3,000 are needed.",
    )  # fmt: skip
