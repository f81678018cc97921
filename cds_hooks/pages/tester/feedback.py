"""What a clinician does with a card, and what follows: the feedback, the changed drafts, the next call."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from msgspec import Struct

from cds_hooks.decision_history import Reason
from cds_hooks.kit.simulator.chart import Resource
from cds_hooks.kit.simulator.request import as_draft
from cds_hooks.pages.tester.orders import dose_of, name_of, orders_of


class Change(Struct):
    """One draft before and after an accepted suggestion, in words."""

    draft: str
    before: str
    after: str


def accepted_feedback(card: str, suggestion: str, when: datetime) -> dict[str, Any]:
    """Return the feedback that a suggestion was accepted (CDS Hooks 2.0.1)."""
    return _feedback(card, "accepted", when) | {"acceptedSuggestions": [{"id": suggestion}]}


def override_feedback(card: str, reason: Reason | None, when: datetime) -> dict[str, Any]:
    """Return the feedback that a card was overridden; `reason` is one of the card's own, None if it was dismissed."""
    if reason is None:
        return _feedback(card, "overridden", when)
    coding = {"code": reason.code, "system": reason.system, "display": reason.display}
    words = {name: text for name, text in coding.items() if text}
    return _feedback(card, "overridden", when) | {"overrideReason": {"reason": words}}


def _feedback(card: str, outcome: str, when: datetime) -> dict[str, Any]:
    return {"card": card, "outcome": outcome, "outcomeTimestamp": when.isoformat(timespec="seconds")}


def apply_actions(drafts: Sequence[Resource], actions: Iterable[Any]) -> tuple[list[Resource], list[Change]]:
    """Return the drafts after the actions of a suggestion, and what changed; what is no action changes nothing."""
    now, changes = list(drafts), []
    for action in actions:
        if not isinstance(action, dict):
            continue
        resource = action.get("resource")
        if action.get("type") == "delete":
            now, removed = _without(now, str(action.get("resourceId") or _reference(resource)))
            changes += [Change(name_of(draft), _dose_text(draft), "removed") for draft in removed]
        elif isinstance(resource, dict) and action.get("type") in ("create", "update"):
            new = resource if resource.get("id") else {**resource, "id": f"draft-{uuid4().hex[:8]}"}
            now, replaced = _without(now, _reference(new))
            now.append(new)
            before = _dose_text(replaced[0]) if replaced else "not there"
            changes.append(Change(name_of(replaced[0] if replaced else new), before, _dose_text(new)))
    return now, changes


def _reference(resource: Any) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}" if isinstance(resource, dict) else ""


def _without(drafts: list[Resource], reference: str) -> tuple[list[Resource], list[Resource]]:
    removed = [draft for draft in drafts if _reference(draft) == reference]
    return [draft for draft in drafts if _reference(draft) != reference], removed


def _dose_text(draft: Resource) -> str:
    return ", ".join(filter(None, (name_of(draft), dose_of(draft))))


def next_request(request: dict[str, Any], drafts: Sequence[Resource]) -> dict[str, Any]:
    """Return the call that follows a choice: the same one with these drafts, under a hookInstance of its own."""
    context = dict(request.get("context") or {})
    following = request | {"hookInstance": str(uuid4()), "context": context}
    if "draftOrders" not in context:
        return following
    patient = str(context.get("patientId") or "")
    drafted = [draft if draft.get("resourceType") == "Medication" else as_draft(draft, patient) for draft in drafts]
    context["draftOrders"] = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": draft} for draft in drafted],
    }
    if "selections" in context:
        context["selections"] = [_reference(draft) for draft in orders_of(drafted)]
    return following
