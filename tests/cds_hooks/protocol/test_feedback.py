"""Feedback as published, as the field sends it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.errors import BadRequest, PayloadTooLarge, TooDeep
from cds_hooks.protocol.feedback import MOST_ITEMS, read_feedback
from cds_hooks.storage.decision import FeedbackItem
from tests.each import for_rows, rows_of

CARD = "01a1f845-4e95-75a9-93e4-433f36c90100"
SUGGESTION = "01a1f845-4e95-75a9-93e4-433f36c90101"
OVERRIDDEN: dict[str, Any] = {"card": CARD, "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:05:00Z"}
ACCEPTED = OVERRIDDEN | {"outcome": "accepted", "acceptedSuggestions": [{"id": SUGGESTION}]}
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


def test_an_accepted_card_is_read_with_its_suggestions() -> None:
    found = _one(ACCEPTED)
    assert (found.card, found.outcome, found.accepted_suggestions) == (CARD, "accepted", (SUGGESTION,))
    assert (found.service, found.client, found.received_at) == ("planning", "a hospital", 1)


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


@for_rows(
    ("extension", "code", "display"),
    rows_of(__file__, "a_reason_that_epic_keeps_itself_is_read_from_its_extension"),
)
def test_a_reason_that_epic_keeps_itself_is_read_from_its_extension(
    extension: dict[str, Any], code: str | None, display: str | None
) -> None:
    of_epic = {f"{EPIC}.{name}": value for name, value in extension.items()}
    found = _one(OVERRIDDEN | {"overrideReasons": {"extension": of_epic, "userComment": "x"}})
    assert (found.override_reason_code, found.override_reason_display) == (code, display)
    assert found.override_reason_system == (f"{EPIC}.reasonCategory" if code is not None else None)


@pytest.mark.parametrize("reason", [{}, {"overrideReason": None}, {"overrideReason": {"userComment": "why"}}])
def test_a_reason_may_be_missing(reason: dict[str, Any]) -> None:
    assert _one(OVERRIDDEN | reason).override_reason_code is None


def test_a_code_without_display_is_a_reason() -> None:
    found = _one(OVERRIDDEN | {"overrideReason": {"reason": {"code": "d7ecf885", "system": "https://example.org"}}})
    assert found.override_reason_code == "d7ecf885"


def test_one_bare_item_is_read() -> None:
    assert _read(ACCEPTED) == _read({"feedback": [ACCEPTED]})
    assert _read(ACCEPTED | {"feedback": [OVERRIDDEN]}) == _read({"feedback": [OVERRIDDEN]})
    with pytest.raises(BadRequest, match="Expected array, got null"):
        _read({"outcome": "accepted"})


def test_several_cards_of_several_calls_come_in_one_report() -> None:
    assert len(_read({"feedback": [ACCEPTED, OVERRIDDEN, OVERRIDDEN]})) == 3


def test_what_nobody_knows_is_passed_over() -> None:
    assert len(_read({"feedback": [OVERRIDDEN | {"novel": 1, "extension": {}}], "extension": {"a": 1}})) == 1


@pytest.mark.parametrize("written", [CARD.upper(), f"urn:uuid:{CARD}", f" {CARD} "])
def test_a_uuid_is_the_same_however_it_is_written(written: str) -> None:
    assert _one(OVERRIDDEN | {"card": written}).card == CARD


@for_rows(
    "written",
    ["2026-11-20", "2026-11-20T09:05:00", "20 Nov 2026", "", "2026-13-20T09:05:00Z", "2026-11-20T25:05:00Z",
     "0001-01-01T00:00:00+23:59", "2026-11-20T09:05Z", "2026-11-20 09:05:00Z", "１026-11-20T09:05:00Z"],
)  # fmt: skip
def test_what_is_no_instant_is_refused(written: str) -> None:
    with pytest.raises(BadRequest, match="outcomeTimestamp"):
        _one(OVERRIDDEN | {"outcomeTimestamp": written})


@for_rows(
    "document",
    [
        [OVERRIDDEN],
        {},
        {"feedback": []},
        {"feedback": None},
        {"feedback": {}},
        {"feedback": OVERRIDDEN},
        {"feedback": [5]},
        {"feedback": [{}]},
        {"feedback": [OVERRIDDEN | {"outcome": "ignored"}]},
        {"feedback": [OVERRIDDEN | {"card": 5}]},
        {"feedback": [OVERRIDDEN | {"card": " "}]},
        {"feedback": [OVERRIDDEN | {"outcome": "accepted"}]},
        {"feedback": [ACCEPTED | {"acceptedSuggestions": []}]},
        {"feedback": [ACCEPTED | {"acceptedSuggestions": None}]},
        {"feedback": [ACCEPTED | {"acceptedSuggestions": [SUGGESTION]}]},
        {"feedback": [ACCEPTED | {"acceptedSuggestions": [{}]}]},
        {"feedback": [OVERRIDDEN | {"overrideReason": {}}]},
        {"feedback": [OVERRIDDEN | {"overrideReason": {"reason": {"display": "no code"}}}]},
        {"feedback": [OVERRIDDEN | {"overrideReason": "benefit"}]},
        {"feedback": [OVERRIDDEN, {"card": CARD}]},
    ],
)
def test_feedback_of_another_form_is_refused_as_a_whole(document: Any) -> None:
    with pytest.raises(BadRequest):
        _read(document)


@for_rows("body", [b"", b"null", b"{", b"\xff", b'{"feedback": [], "feedback": []}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        _read(body)


def test_bounds_of_depth_and_of_number() -> None:
    with pytest.raises(TooDeep):
        _read(b'{"feedback": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    with pytest.raises(PayloadTooLarge):
        _read({"feedback": [OVERRIDDEN] * (MOST_ITEMS + 1)})
    assert len(_read({"feedback": [OVERRIDDEN] * MOST_ITEMS})) == MOST_ITEMS


def test_clients_of_1_x_may_name_suggestions_by_strings_and_leave_the_zone_out() -> None:
    item = ACCEPTED | {"acceptedSuggestions": [SUGGESTION], "outcomeTimestamp": "2026-11-20T09:05:00"}
    found = _one(item, old_forms=True)
    assert found.accepted_suggestions == (SUGGESTION,)
    assert found.outcome_timestamp == "2026-11-20T09:05:00Z"


def test_an_error_names_the_item_and_repeats_nothing() -> None:
    with pytest.raises(BadRequest) as error:
        _read({"feedback": [OVERRIDDEN, OVERRIDDEN | {"outcomeTimestamp": "Jane Secret"}]})
    assert error.value.expression == "feedback[1].outcomeTimestamp"
    assert "Secret" not in error.value.text
