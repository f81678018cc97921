"""Feedback as published, as the field sends it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.call.protocol.feedback import MOST_ITEMS, read_feedback
from cds_hooks.errors import BadRequest, PayloadTooLarge, TooDeep
from cds_hooks.evidence.storage.decision import FeedbackItem
from tests.each import for_rows

CARD = "01a1f845-4e95-75a9-93e4-433f36c90100"
OVERRIDDEN: dict[str, Any] = {"card": CARD, "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:05:00Z"}
REASON = {"code": "benefit", "system": "https://example.org/reasons", "display": "Benefit outweighs"}
EPIC = "com.epic.cdshooks.feedback.overrideReason"


def _read(document: Any, *, old_forms: bool = False) -> list[FeedbackItem]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_feedback(body, "planning", "a hospital", 1, old_forms=old_forms)


def _one(item: dict[str, Any], *, old_forms: bool = False) -> FeedbackItem:
    (found,) = _read({"feedback": [item]}, old_forms=old_forms)
    return found


def test_the_official_examples_are_read(spec_folder: Path) -> None:
    index = json.loads((spec_folder / "examples-index.json").read_bytes())
    files = [each["file"] for each in index if each["kind"] == "feedback"]
    assert len(files) == 3
    for file in files:
        assert len(_read((spec_folder / "examples" / file).read_bytes())) == 1


@for_rows(
    "reason",
    [
        {"overrideReason": {"reason": REASON, "userComment": "arranged"}},
        {"overrideReasons": {"reason": REASON, "userComment": "arranged"}},  # Epic
        {"overrideReasons": [{"reason": REASON, "userComment": "arranged"}]},
        {"overrideReason": REASON | {"userComment": "arranged"}},  # the drafts of 2020
        {"overrideReason": {"reason": REASON, "userComment": "arranged"}, "overrideReasons": [{"userComment": "b"}]},
        {"overrideReason": {"reason": REASON, "userComment": "arranged"}, "overrideReasons": {"userComment": "b"}},
        {"overrideReasons": [{"reason": REASON, "userComment": "arranged"}, {"userComment": "b"}]},
    ],
)
def test_an_override_reason_is_read_in_every_form(reason: dict[str, Any]) -> None:
    found = _one(OVERRIDDEN | reason)
    assert found.override_reason_code == "benefit"
    assert found.override_reason_system == "https://example.org/reasons"
    assert found.override_reason_display == "Benefit outweighs"
    assert found.user_comment == "arranged"


@for_rows(("extension", "code", "display"))
def test_a_reason_that_epic_keeps_itself_is_read_from_its_extension(
    extension: dict[str, Any], code: str | None, display: str | None
) -> None:
    of_epic = {f"{EPIC}.{name}": value for name, value in extension.items()}
    found = _one(OVERRIDDEN | {"overrideReasons": {"extension": of_epic, "userComment": "x"}})
    assert (found.override_reason_code, found.override_reason_display) == (code, display)
    assert found.override_reason_system == (f"{EPIC}.reasonCategory" if code is not None else None)


@pytest.mark.parametrize("written", [CARD.upper(), f"urn:uuid:{CARD}", f" {CARD} "])
def test_a_uuid_is_the_same_however_it_is_written(written: str) -> None:
    assert _one(OVERRIDDEN | {"card": written}).card == CARD


def test_bounds_of_depth_and_of_number() -> None:
    with pytest.raises(TooDeep):
        _read(b'{"feedback": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    with pytest.raises(PayloadTooLarge):
        _read({"feedback": [OVERRIDDEN] * (MOST_ITEMS + 1)})
    assert len(_read({"feedback": [OVERRIDDEN] * MOST_ITEMS})) == MOST_ITEMS


def test_an_error_names_the_item_and_repeats_nothing() -> None:
    with pytest.raises(BadRequest) as error:
        _read({"feedback": [OVERRIDDEN, OVERRIDDEN | {"outcomeTimestamp": "Jane Secret"}]})
    assert error.value.expression == "feedback[1].outcomeTimestamp"
    assert "Secret" not in error.value.text
