"""A key that stands twice in prefetch is refused, however it is spelt and whatever stands around it."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.errors import BadRequest
from cds_hooks.protocol import body
from cds_hooks.protocol.body import check_depth, check_head
from cds_hooks.protocol.request import read_request
from cds_hooks.services import find_services
from tests.cds_hooks.calls import PLANNING, request_for


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":{"id":"1"},"b":null,"a":{"id":"1"}}',
        '{ "a" : 1 , "a" : 1 }',
        '{"a"\n:\t1,"b":"a","a":2}',
        '{"\\u0069d":"1","id":"2"}',
        '{"a\\\\":1,"a\\\\":2}',
        '{"a\\"":1,"a\\"":2}',
        '{"x":"\\":","id":1,"id":2}',
        '{"p":{"resourceType":"Patient","id":"1","id":"2"}}',
        '{"p":{"entry":[],"entry":[{"resource":{"id":"1"}}]}}',
        '{"p":{"entry":[{"resource":{"encounter":{"reference":"Encounter/1","reference":"Encounter/2"}}}]}}',
        '{"p":{"a\\\\":1,"a\\\\":2}}',
        '{"p":{"id" :"1","id":"2"}}',
        '{"p":{"id"\n\t:"1","id":"2"}}',
        '{"p":{"i\\u0064":"1","id":"2"}}',
        '{"p":{"value":1.50,"value":1.5E0}}',
        '{"p":{"text":"a : b","text":"\\":"}}',
        '{"p":{"entry":[' + '{"resource":{"id":"1"}},' * 50000 + '{"resource":{"id":"1","id":"2"}}]}}',
        '{"p":{"entry":[{"text":"' + "x" * 1_200_000 + '","id":"1","id":"2"}]}}',
        '{"p":' + '{"a":' * 90 + '[{"id":"1","id":"2"},"' + "x" * 1_200_000 + '"]' + "}" * 91,
        '{"p":' + "[" * 300 + "1" + "]" * 300 + ',"p":null}',
    ],
)
def test_a_member_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="prefetch"):
        check_depth(text.encode(), "prefetch")


@pytest.mark.parametrize(("opened", "closed"), [('{"a":', "}"), ("[", "]")])
def test_a_long_text_that_is_nested_deep_is_not_decoded_once_for_each_level(
    opened: str, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    check = body.check_depth

    def noted(text: bytes, location: str | None, *levels: int) -> None:
        lengths.append(len(text))
        check(text, location, *levels)

    monkeypatch.setattr(body, "check_depth", noted)
    monkeypatch.setattr(body, "has_unique_members", lambda _: False)
    body.check_depth(f'{{"p":{opened * 300}"{"x" * 1_200_000}"{closed * 300}}}'.encode(), "prefetch")
    assert 1 < len(lengths) <= 5


def test_a_draft_with_a_member_twice_is_refused() -> None:
    draft = '{"resourceType":"MedicationRequest","id":"1","dosageInstruction":[],"dosageInstruction":[{"text":"2"}]}'
    head = f'{{"hook":"x","context":{{"patientId":"1","draftOrders":{{"entry":[{{"resource":{draft}}}]}}}}}}'
    with pytest.raises(BadRequest, match="twice"):
        check_head(head.encode())


@pytest.mark.parametrize("text", ['{"p":{"text":"id : 1, \\"id\\": 2"}}', '{"p":{"a":1e400,"b":[{"a" : 1},{"a": 2}]}}'])
def test_what_only_looks_like_a_member_twice_is_read(text: str) -> None:
    check_depth(text.encode(), "prefetch")


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.text('ab":\\ é', max_size=4)
_NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(_TEXT, children, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_TEXT, _JSON, max_size=5) | st.none(), st.booleans(), st.sampled_from([None, 1]))
def test_no_other_json_is_refused(value: object, ascii_only: bool, indent: int | None) -> None:
    check_depth(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(), "prefetch")


def test_a_sample_patient_is_read(as_of: datetime) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    check_depth(json.dumps(request["prefetch"]).encode(), "prefetch")


@pytest.mark.parametrize("order", ["last", "first"])
@pytest.mark.parametrize("twice", ['"patient":null', '"p\\u0061tient":null'])
def test_a_call_whose_prefetch_has_a_key_twice_is_refused(twice: str, order: str, as_of: datetime) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    prefetch = json.dumps(request.pop("prefetch"))
    prefetch = f"{prefetch[:-1]},{twice}}}"
    head = json.dumps(request)
    text = f'{head[:-1]},"prefetch":{prefetch}}}' if order == "last" else f'{{"prefetch":{prefetch},{head[1:]}'
    with pytest.raises(BadRequest, match="twice in prefetch"):
        read_request(text.encode(), find_services()[PLANNING].answers)
