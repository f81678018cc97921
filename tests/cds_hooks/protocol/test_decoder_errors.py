"""What a decoder says, without the value that is there, however that is spelled."""

import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from cds_hooks.errors import BadRequest
from cds_hooks.protocol.body import describe_decoder_error, error_path
from cds_hooks.protocol.feedback import read_feedback


class _Item(Struct):
    outcome: Literal["accepted", "overridden"]


class _Report(Struct):
    feedback: list[_Item]


TEXTS = ["x", "it's", 'a"b', "both ' and \" x", "x' - at `$.elsewhere`", "a\nb", "`"]


@pytest.mark.parametrize("value", TEXTS)
def test_the_place_is_said_and_the_value_is_not(value: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(json.dumps({"feedback": [{"outcome": value}]}), type=_Report)
    assert describe_decoder_error(error.value) == "Invalid enum value - at feedback[0].outcome"
    assert error_path(error.value) == "feedback[0].outcome"
    assert error_path(error.value, "context") == "context.feedback[0].outcome"


def test_a_fault_of_the_body_itself_has_no_place() -> None:
    with pytest.raises(msgspec.DecodeError) as error:
        msgspec.json.decode(b"{", type=_Report)
    assert (describe_decoder_error(error.value), error_path(error.value)) == ("Input data was truncated", None)


@given(st.text(min_size=1).map("canary".__add__), st.sampled_from(["outcome", "outcomeTimestamp", "card"]))
def test_no_text_of_feedback_comes_back_in_its_error(text: str, member: str) -> None:
    item: dict[str, Any] = {"card": 5, "outcome": "ignored", "outcomeTimestamp": "now"} | {member: text}
    with pytest.raises(BadRequest) as error:
        read_feedback(json.dumps({"feedback": [item]}).encode(), "s", "c", 0)
    assert "canary" not in str(error.value)
