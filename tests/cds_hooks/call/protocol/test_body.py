"""What two readers could read in two ways is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.call.protocol.body import check_head, without_prefetch
from cds_hooks.call.protocol.feedback import read_feedback
from cds_hooks.errors import BadRequest
from tests.each import for_rows

CALL: dict[str, Any] = {
    "hook": "order-select",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {"userId": "Practitioner/1", "patientId": "p", "selections": ["MedicationRequest/1"]},
    "prefetch": {"patient": {"resourceType": "Patient", "id": "p"}, "labs": None},
}
SPELLINGS: tuple[dict[str, Any], ...] = ({}, {"separators": (",", ":")}, {"indent": 2})


def _spelled(how: int, call: dict[str, Any] = CALL) -> bytes:
    return json.dumps(call, **SPELLINGS[how]).encode()


def _check(body: bytes) -> None:
    """As the reader of requests does it: without the prefetch, which is checked by itself."""
    prefetch = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["prefetch"]
    check_head(without_prefetch(body, bytes(prefetch)))


@for_rows("how", range(3))
@for_rows("twice", ['"patientId":"other"', '"selections":[]', '"userId":"Practitioner/1"'])
def test_a_member_that_stands_twice_in_context_is_refused_with_its_place(how: int, twice: str) -> None:
    text = _spelled(how).decode()
    at = text.index("{", text.index('"context"')) + 1
    with pytest.raises(BadRequest, match="twice in context") as caught:
        _check((text[:at] + twice + "," + text[at:]).encode())
    assert caught.value.expression == "context"


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(
    call=st.dictionaries(st.text(), _json, max_size=5), context=st.dictionaries(st.text(), _json), how=st.integers(0, 2)
)
def test_what_stands_once_is_never_refused(call: dict[str, Any], context: dict[str, Any], how: int) -> None:
    body = _spelled(how, {**call, "context": context, "prefetch": {"patient": None}})
    if "\\u0000" not in body.decode():
        _check(body)


@given(call=st.dictionaries(st.text(), _json, min_size=1, max_size=5), how=st.integers(0, 2), data=st.data())
def test_what_stands_twice_is_always_refused(call: dict[str, Any], how: int, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(call)))
    body = _spelled(how, {**call, "prefetch": {"patient": None}}).strip()
    again = json.dumps({name: data.draw(_json)}).encode()[:-1]
    with pytest.raises(BadRequest):
        _check(again + b"," + body[1:])


# What a decoder says, without the value that is there, however that is spelled.


@given(st.text(min_size=1).map("canary".__add__), st.sampled_from(["outcome", "outcomeTimestamp", "card"]))
def test_no_text_of_feedback_comes_back_in_its_error(text: str, member: str) -> None:
    item: dict[str, Any] = {"card": 5, "outcome": "ignored", "outcomeTimestamp": "now"} | {member: text}
    with pytest.raises(BadRequest) as error:
        read_feedback(json.dumps({"feedback": [item]}).encode(), "s", "c", 0)
    assert "canary" not in str(error.value)
