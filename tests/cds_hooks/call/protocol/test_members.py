"""The pass in C over JSON text clears nothing in which a member stands twice, and reads nothing beyond the text."""

import json
import os
import random
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.call.protocol.body import SCANS_IN_C, check_depth, check_head, has_unique_members
from cds_hooks.call.protocol.request import read_request
from cds_hooks.call.services import find_services
from cds_hooks.errors import BadRequest
from tests.cds_hooks.calls import PLANNING, request_for
from tests.each import for_rows

needs_the_pass = pytest.mark.skipif(not SCANS_IN_C, reason="the pass in C was not built here (no compiler)")


class Members(list[tuple[str, Any]]):
    """The members of an object, of which some may have one name."""


NAMES = st.sampled_from(["a", "b", "ab", "id", "", "ä", "a:b", "resourceType", "x" * 40, 'q"', "back\\", "\n"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=12) | st.sampled_from(['"', "\\", '\\"', "{", "]", ":,"]),
    lambda below: st.lists(below, max_size=4) | st.lists(st.tuples(NAMES, below), max_size=6).map(Members),
    max_leaves=20,
)
SPACES = st.sampled_from(["", " ", "\n\t", "\r "])


def write(value: Any, space: str, *, escape: bool) -> str:
    """Returns the value as JSON text with this space around its signs."""
    if isinstance(value, Members):
        members = (
            f"{json.dumps(n, ensure_ascii=escape)}{space}:{space}{write(v, space, escape=escape)}" for n, v in value
        )
        return "{" + space + f"{space},{space}".join(members) + space + "}"
    if isinstance(value, list):
        return "[" + f",{space}".join(write(item, space, escape=escape) for item in value) + "]"
    return json.dumps(value, ensure_ascii=escape)


def stands_twice(text: str) -> bool:
    """Returns what Python's own decoder finds: whether any object of the text has two members of one name."""
    doubled = False

    def look_at(members: list[tuple[str, Any]]) -> None:
        nonlocal doubled
        doubled = doubled or len(dict(members)) < len(members)

    json.loads(text, object_pairs_hook=look_at)
    return doubled


@needs_the_pass
@given(value=VALUES, space=SPACES, escape=st.booleans())
def test_a_text_is_cleared_only_where_no_member_stands_twice(value: Any, space: str, *, escape: bool) -> None:
    text = write(value, space, escape=escape)
    if stands_twice(text):
        assert not has_unique_members(text.encode())
    elif "\\" not in text:
        assert has_unique_members(text.encode())


@needs_the_pass
def test_a_damaged_text_is_never_cleared_where_a_decoder_finds_a_doubled_member() -> None:
    source = json.dumps({"entry": [{"resource": {"id": str(n), "code": {"text": "a"}}} for n in range(6)]}).encode()
    random.seed(48)
    for _ in range(5000):
        text = bytearray(source)
        for _ in range(random.randint(1, 6)):
            text[random.randrange(len(text))] = random.choice(b'{}[]",:\\ab ')
        try:
            doubled = stands_twice(text.decode())
        except json.JSONDecodeError:
            continue
        assert not (doubled and has_unique_members(bytes(text)))


@pytest.mark.slow
def test_no_text_makes_the_pass_read_beyond_it(tmp_path: Path) -> None:
    """Ten minutes in `make fuzz`; a moment among the slow tests."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no compiler here")
    program, here = tmp_path / "fuzz", Path(__file__)
    sources = ["-I", str(here.parents[4] / "cds_hooks" / "call" / "protocol"), str(here.with_name("fuzz_members.c"))]
    sanitizers = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DWITHOUT_PYTHON"]
    subprocess.run([compiler, *sanitizers, "-o", str(program), *sources], check=True)
    seconds, seed = os.environ.get("CDS_FUZZ_SECONDS", "3"), str(random.randrange(2**32))
    result = subprocess.run([str(program), seconds, seed], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"seed {seed}: {result.stderr[-2000:]}"
    assert "texts" in result.stdout


# A key that stands twice in prefetch is refused, however it is spelt and whatever stands around it.
@for_rows(
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


def test_a_draft_with_a_member_twice_is_refused() -> None:
    draft = '{"resourceType":"MedicationRequest","id":"1","dosageInstruction":[],"dosageInstruction":[{"text":"2"}]}'
    head = f'{{"hook":"x","context":{{"patientId":"1","draftOrders":{{"entry":[{{"resource":{draft}}}]}}}}}}'
    with pytest.raises(BadRequest, match="twice"):
        check_head(head.encode())


@for_rows("order", ["last", "first"])
@for_rows("twice", ['"patient":null', '"p\\u0061tient":null'])
def test_a_call_whose_prefetch_has_a_key_twice_is_refused(twice: str, order: str, as_of: datetime) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    prefetch = json.dumps(request.pop("prefetch"))
    prefetch = f"{prefetch[:-1]},{twice}}}"
    head = json.dumps(request)
    text = f'{head[:-1]},"prefetch":{prefetch}}}' if order == "last" else f'{{"prefetch":{prefetch},{head[1:]}'
    with pytest.raises(BadRequest, match="twice in prefetch"):
        read_request(text.encode(), find_services(file="separate")[PLANNING].answers)
