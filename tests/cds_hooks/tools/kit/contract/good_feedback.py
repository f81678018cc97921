"""How the good server takes feedback."""

import json
import re
from typing import Any

from tests.cds_hooks.tools.kit.contract.habits import Habits, Json, Refusal


def take_feedback(habits: Habits, body: bytes) -> None:
    if habits.has("feedback is never read"):
        return
    if habits.has("feedback is 500"):
        raise Refusal(500, "database")
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Refusal(400, "no JSON") from error
    items = document.get("feedback") if isinstance(document, dict) else None
    if habits.has("feedback as bare item"):
        items = [document]
    if not isinstance(items, list):
        raise Refusal(400, "feedback is not an array")
    if habits.has("one item a call") and len(items) > 1:
        raise Refusal(400, "one at a time")
    for item in items:
        _check_item(habits, item)


def _check_item(habits: Habits, item: Any) -> None:
    if not isinstance(item, dict):
        raise Refusal(400, "item is not an object")
    given = {key: value for key, value in item.items() if key != "overrideReasons"}
    if habits.has("feedback without unknown members") and set(given) - {
        "card",
        "outcome",
        "acceptedSuggestions",
        "overrideReason",
        "outcomeTimestamp",
    }:
        raise Refusal(400, "unknown member")
    if habits.has("overrideReasons refused") and "overrideReasons" in item:
        raise Refusal(400, "overrideReasons")
    if not isinstance(item.get("card"), str) and not habits.has("card may be missing"):
        raise Refusal(400, "card")
    if habits.has("unknown cards refused") and item.get("card") not in habits.seen:
        raise Refusal(404, "no such card")
    if item.get("outcome") not in ("accepted", "overridden") and not habits.has("any outcome"):
        raise Refusal(400, "outcome")
    _check_accepted(habits, item)
    _check_reason(habits, item.get("overrideReason"))
    _check_instant(habits, item.get("outcomeTimestamp"))


def _check_accepted(habits: Habits, item: Json) -> None:
    if habits.has("accepted is refused") and item.get("outcome") == "accepted":
        raise Refusal(422, "acceptedSuggestions")
    accepted = item.get("acceptedSuggestions")
    if item.get("outcome") == "accepted" and not accepted and not habits.has("nothing accepted"):
        raise Refusal(400, "acceptedSuggestions")
    for each in accepted or []:
        if not (isinstance(each, dict) and "id" in each) and not habits.has("suggestions of any kind"):
            raise Refusal(400, "acceptedSuggestions")


def _check_reason(habits: Habits, override: Any) -> None:
    if override is None:
        if habits.has("a reason is needed"):
            raise Refusal(400, "overrideReason")
        return
    if not override and not habits.has("an empty reason"):
        raise Refusal(400, "overrideReason is empty")
    reason = override.get("reason")
    if reason is None and habits.has("no comment alone"):
        raise Refusal(400, "reason")
    if reason is not None and not (isinstance(reason, dict) and "code" in reason) and not habits.has("any reason"):
        raise Refusal(400, "reason")
    if habits.has("display needed") and isinstance(reason, dict) and "display" not in reason:
        raise Refusal(400, "display")


def _check_instant(habits: Habits, instant: Any) -> None:
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
    if habits.has("no fractions"):
        form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    if not re.fullmatch(form, str(instant)) and not habits.has("any timestamp"):
        raise Refusal(400, "outcomeTimestamp")
