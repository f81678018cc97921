"""Names of decisions, filters and basis by themselves: on and beside their limits."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from msgspec import Raw
from msgspec.structs import replace

from cds_hooks.storage.decision import (
    Basis,
    Decision,
    FeedbackItem,
    RecordHealth,
    RecordUnavailable,
    answer_all,
    card_uuid,
    decision_of,
    encode_basis,
    encode_inputs,
    new_decision_id,
    numbered_uuid,
    part_uuid,
    plain,
    suggestion_uuid,
    without_nul,
)
from cds_hooks.storage.queries import DecisionFilter
from tests.cds_hooks.storage.samples import a_decision
from tests.each import for_rows

ID = "0190a1b2-c3d4-7000-8000-1234567f0000"


def test_the_uuids_of_a_decision_end_with_their_numbers() -> None:
    assert card_uuid(ID, 1) == ID[:-4] + "0100"
    assert card_uuid(ID, 255) == ID[:-4] + "ff00"
    assert suggestion_uuid(card_uuid(ID, 2), 3) == ID[:-4] + "0203"
    assert suggestion_uuid(card_uuid(ID, 2), 255) == ID[:-4] + "02ff"
    for number in (0, 256):
        with pytest.raises(ValueError, match="1 to 255"):
            card_uuid(ID, number)
        with pytest.raises(ValueError, match="1 to 255"):
            suggestion_uuid(ID, number)
    numbers = {1: "0100", 255: "ff00", 256: "0101", 511: "0102", 2040: "ff07"}
    assert {number: numbered_uuid(ID, number)[-4:] for number in numbers} == numbers
    for number in (0, 2041):
        with pytest.raises(ValueError, match="at most 2040"):
            numbered_uuid(ID, number)
    parts = {0: "80", 15: "8f"}
    assert {part: part_uuid(card_uuid(ID, 1), part)[-2:] for part in parts} == parts
    assert part_uuid(numbered_uuid(ID, 2040), 15)[-4:] == "ffff"
    for part in (-1, 16):
        with pytest.raises(ValueError, match="up to 16 parts"):
            part_uuid(ID, part)


@for_rows(
    ("text", "decision"),
    [
        (card_uuid(ID, 7), ID),
        (f" urn:uuid:{card_uuid(ID, 7).upper()} ", ID),
        (ID, ID),
        (ID[:-1], None),
        (ID + "0", None),
        (ID.replace("-7", "-4"), None),
        (ID.replace("-", "_"), None),
        ("", None),
    ],
)
def test_the_decision_of_a_card_is_told_by_its_uuid(text: str, decision: str | None) -> None:
    assert decision_of(text) == decision


def test_ids_are_unique_and_sort_in_the_order_in_which_they_were_made() -> None:
    made = [new_decision_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert made == sorted(made)


def test_a_cause_is_plain_and_short_for_the_log() -> None:
    assert plain("a" * 121) == "a" * 120
    assert "\n" not in plain("disk\nis full")


def test_failures_are_counted_and_the_cause_is_told_until_the_next_success() -> None:
    now = [100.0]
    health = RecordHealth("the record", lambda: now[0])
    assert health.recent_failure is None
    health.failed("disk full", 3)
    health.failed("disk full")
    assert health.failures == 4
    assert str(health.refusal("disk full")) == "the record cannot be written: disk full"
    now[0] += 5
    assert health.recent_failure == "disk full"
    now[0] += 0.001
    assert health.recent_failure is None
    now[0] -= 1
    health.succeeded()
    assert health.recent_failure is None
    assert health.failures == 4


async def test_every_waiting_caller_is_answered_but_for_one_that_has_gone() -> None:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(4)]
    futures[0].cancel()
    made: Any = [(None, future) for future in futures]
    answer_all(made[:2], None)
    answer_all(made[2:], RecordUnavailable("sentence", "cause"))
    outcomes: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
    gone, good, *bad = outcomes
    assert isinstance(gone, asyncio.CancelledError)
    assert good is None
    assert [(str(error), error.cause) for error in bad] == [("sentence", "cause")] * 2
    assert RecordUnavailable("sentence").cause == "sentence"


def test_a_nul_is_replaced_in_texts_and_nothing_else_is_changed() -> None:
    item = FeedbackItem("c", "s", "e", "overridden", "t", 1, user_comment="a\0b")
    assert without_nul(item) == replace(item, user_comment="a\N{REPLACEMENT CHARACTER}b")
    clean = replace(item, user_comment="ab")
    assert without_nul(clean) is clean


def test_the_basis_has_what_there_is_and_leaves_out_what_there_is_not() -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    inputs = encode_inputs(at, None, None)
    assert orjson.loads(inputs) == {"as_of": "2026-11-20T00:00:00+00:00"}
    assert orjson.loads(encode_inputs(at, None, {"drafts": []}, {"doses": []})) == {
        "as_of": "2026-11-20T00:00:00+00:00", "orders": {"drafts": []}, "vaccinations": {"doses": []},
    }  # fmt: skip
    least = orjson.loads(encode_basis(inputs, Basis(timings={})))
    assert least == {"as_of": "2026-11-20T00:00:00+00:00", "timings": {}}
    whole = encode_basis(
        inputs,
        Basis(
            timings={"read": 1.0}, config="digest", units=("icu",), withheld={"u": 0}, groups=("group",),
            trace={"id": "x"}, prefetch=Raw(b'{"a":"given"}'), scores={}, silence=[("s", "r", "t")],
        ),
    )  # fmt: skip
    assert orjson.loads(whole) == least | {
        "timings": {"read": 1.0}, "config": "digest", "units": ["icu"], "withheld": {"u": 0}, "groups": ["group"],
        "trace": {"id": "x"}, "prefetch": {"a": "given"}, "scores": {}, "silence": [["s", "r", "t"]],
    }  # fmt: skip


# Filters


def decision(
    outcome: Any = "cards", rules: tuple[str, ...] = ("a",), silences: Any = (("b", "budget", "t"),)
) -> Decision:
    ours = {"findings": [{"rule": rule, "band": "x"} for rule in rules]}
    card = {
        "uuid": "c", "indicator": "warning", "suggestions": [{"uuid": "s"}],
        "extension": {"org.cds-hooks-onnx": ours},
    }  # fmt: skip
    response, basis = {"cards": [card]}, {"silence": list(silences)}
    return a_decision(id=ID, outcome=outcome, response=orjson.dumps(response), basis=orjson.dumps(basis))


@for_rows(
    ("wanted", "fits"),
    [
        ({}, True),
        ({"severity": "warning"}, True),
        ({"severity": "critical"}, False),
        ({"rule": "a"}, True),
        ({"rule": "b"}, True),
        ({"rule": "c"}, False),
        ({"held_back": ("budget",)}, True),
        ({"held_back": ("shadow",)}, False),
        ({"held_back": ("budget",), "rule": "c"}, False),
        ({"held_back": ("shadow",), "rule": "a"}, False),
        ({"reason": "budget"}, True),
        ({"reason": "shadow"}, False),
        ({"reason": "budget", "rule": "b"}, True),
        ({"reason": "budget", "rule": "a"}, False),
        ({"severity": "critical", "rule": "a"}, False),
    ],
)
def test_a_filter_looks_at_cards_and_reasons(wanted: dict[str, Any], *, fits: bool) -> None:
    assert DecisionFilter(**wanted).fits(decision()) is fits
