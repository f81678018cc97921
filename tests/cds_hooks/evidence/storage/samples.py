"""Decisions and feedback to put into a record."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import msgspec

from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import Decision, DecisionLog, FeedbackItem, new_decision_id, numbered_uuid
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.queries import store_feedback

_numbers = count(1)


def a_decision(**changes: Any) -> Decision:
    """A decision with an id of its own and whatever is wanted otherwise."""
    number = next(_numbers)
    decision = Decision(
        id=new_decision_id(),
        decided_at=1_795_165_200_000_000 + number,
        hook="patient-view",
        service="planning",
        hook_instance=f"d1577c69-dfbe-44ad-ba6d-{number:012}",
        client="a hospital",
        patient=f"patient-{number % 3}",
        outcome="cards",
        input_digest="ab" * 32,
        models=b'[{"id":"mortality_5y","version":"1","sha256":"' + b"c" * 64 + b'"}]',
        response=b'{"cards":[{"summary":"A summary \xe2\x89\xa5 3","indicator":"info","source":{"label":"s"}}]}',
        basis=b'{"as_of":"2026-11-20T09:00:00+00:00","features":{"age_years":[71.0,"2026-11-20","Patient/1"]}}',
    )
    return msgspec.structs.replace(decision, **changes)


def some_feedback(decision_id: str, **changes: Any) -> FeedbackItem:
    """A clinician overrode the decision's first card."""
    item = FeedbackItem(
        card=numbered_uuid(decision_id, 1),
        service="planning",
        client="a hospital",
        outcome="overridden",
        outcome_timestamp="2026-11-20T09:05:00Z",
        received_at=1_795_165_500_000_000,
        override_reason_code="contraindicated",
        user_comment="Already discussed",
    )
    return msgspec.structs.replace(item, **changes)


def store(url: str, *given: Decision, answered: bool = False) -> list[Decision]:
    """Puts decisions into a record, as one run of a server; with `answered` each with its feedback."""

    async def run() -> None:
        log = open_decision_log(url)
        for decision in given:
            await log.append(decision)
            if answered:
                store_feedback(parse_url(url), [some_feedback(decision.id)])
        await log.close()

    with ThreadPoolExecutor(1) as thread:  # the test may have an event loop of its own
        thread.submit(lambda: asyncio.run(run())).result()
    return list(given)


async def append_together(log: DecisionLog, many: int, **changes: Any) -> list[Decision]:
    """So many decisions, all at once; returns when each is committed."""
    decisions = [a_decision(**changes) for _ in range(many)]
    await asyncio.gather(*(log.append(decision) for decision in decisions))
    return decisions
