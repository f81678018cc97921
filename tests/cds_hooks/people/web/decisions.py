"""Decisions made by the real app on sample patients and read back from its record; pages of them."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.queries import get_decision
from cds_hooks.people.pages.explain.explanation import Explanation, explain
from cds_hooks.people.pages.model_files import ModelFiles, evidence_of
from cds_hooks.people.web.site import Site
from tests.cds_hooks.calls import ORDERS, PLANNING, client, ours, request_for
from tests.cds_hooks.people.pages.rendered import explanation_page
from tests.contracts.markup import Page

AS_OF = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)
SITE = Site(development=True, alert_share=None)

Change = Callable[[dict[str, Any]], None]


def decided(folder: Path, sample: str, draft: str | None = None, change: Change | None = None) -> Decision:
    """What the app decided for a sample patient, or for a draft of theirs; `change` alters the request before."""

    async def call() -> str:
        service, hook = (ORDERS, "order-select") if draft else (PLANNING, "patient-view")
        request = request_for(service, hook, sample, AS_OF, draft)
        if change is not None:
            change(request)
        async with client(folder, as_of=AS_OF) as calls:
            answer = await calls.post(f"/cds-services/{service}", json=request)
        assert answer.status_code == 200, answer.text
        decision: str = ours(answer)["decision"]
        return decision

    found = get_decision(f"sqlite:///{folder}/decisions.sqlite3", asyncio.run(call()))
    assert found is not None
    return found


def rewritten(decision: Decision, **members: Callable[[Any], Any]) -> Decision:
    """The decision with some of its JSON members rewritten."""
    changed = {
        name: json.dumps(change(json.loads(getattr(decision, name)))).encode() for name, change in members.items()
    }
    return msgspec.structs.replace(decision, **changed)


def explained(decision: Decision) -> Explanation:
    """What its page says, before it is laid out."""
    return explain(decision, "A service", ModelFiles(None).manifest, evidence_of)


def page_of(decision: Decision) -> Page:
    """Its page."""
    return Page(explanation_page(SITE, explained(decision)))
