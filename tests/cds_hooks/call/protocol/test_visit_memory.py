"""With the memory of a visit a call is read or refused as without it, and nobody else's values are used."""

from functools import partial
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cds_hooks.call.protocol.hooks import LIBRARY
from cds_hooks.call.protocol.request import CDSRequest, Recall, read_request
from cds_hooks.call.protocol.visit_memory import VisitMemory
from cds_hooks.errors import HookError

HOOKS = {"patient-view": LIBRARY["patient-view"]}
MEGABYTE = 1 << 20
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-02-03"}
GOUT = {"resourceType": "Condition", "id": "c", "code": {"text": "Gout  of the foot"}}
PROBLEMS = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": GOUT}]}


def _body(prefetch: bytes, patient: str = "p1") -> bytes:
    head = {"hook": "patient-view", "hookInstance": "d1577c69", "context": {"userId": "Practitioner/1"}}
    head["context"] |= {"patientId": patient}  # type: ignore[operator]
    return orjson.dumps(head)[:-1] + b',"prefetch":' + prefetch + b"}"


def _recall(memory: VisitMemory, client: str = "ehr") -> Recall:
    return partial(memory.of_patient, client)


def _read(memory: VisitMemory, prefetch: dict[str, Any], patient: str = "p1", client: str = "ehr") -> CDSRequest:
    return read_request(_body(orjson.dumps(prefetch), patient), HOOKS, recall=_recall(memory, client))


@pytest.mark.parametrize(("patient", "client"), [("p2", "ehr"), ("p1", "other-ehr")])
def test_what_came_about_another_patient_or_from_another_client_is_never_used(patient: str, client: str) -> None:
    memory = VisitMemory(MEGABYTE)
    ours = [_read(memory, {"problems": PROBLEMS}).prefetch["problems"] for _ in range(2)]
    theirs = [_read(memory, {"problems": PROBLEMS}, patient, client).prefetch["problems"] for _ in range(2)]
    assert not {id(value) for value in ours} & {id(value) for value in theirs}


def test_a_patient_whose_prefetch_changes_at_each_call_pushes_nobody_out() -> None:
    memory = VisitMemory(MEGABYTE)
    first = [_read(memory, {"problems": PROBLEMS}, "p2") for _ in range(3)][-1]
    for number in range(20):
        _read(memory, {"problems": PROBLEMS, "own": f"{number:02}" + "x" * 100_000})
    assert _read(memory, {"problems": PROBLEMS}, "p2").prefetch["problems"] is first.prefetch["problems"]


_PATIENT, _PROBLEMS = orjson.dumps(PATIENT), orjson.dumps(PROBLEMS)
KEPT = b'{"patient":' + _PATIENT + b',"problems":' + _PROBLEMS + b"}"
_PARTS = (
    b"{", b"}", b",", b":", b" ", b"\n", b"\t", b"null", b"nullx", b"1", b'"', b"\\", b"\x01", b"[]", b"{}",
    b'"patient":', b'"problems":', b'"pati\\u0065nt" :', b'"labs":', b'"patient" : ', _PATIENT, _PROBLEMS,
    b'{"resourceType":"Patient","id":"p1","id":"p1"}', b'{"resourceType":"Patient","gender":1}',
)  # fmt: skip
_BROKEN = (b'{"resourceType":"Patient","id":"p1","id":"p1"}', b'{"resourceType":"Patient","id":"p1","gender":1}', b"5")
_PAIRS = st.sampled_from(
    [
        name + value
        for name in (b'"patient":', b'"problems": ', b'"pati\\u0065nt":', b'"labs" :')
        for value in (b"null", b" null ", _PATIENT, _PROBLEMS, *_BROKEN)
    ]
)


def _outcome(body: bytes, recall: Recall | None) -> tuple[str, Any]:
    try:
        request = read_request(body, HOOKS, recall=recall)
    except HookError as error:
        return "refused", (type(error), error.text, error.expression)
    return "read", (msgspec.json.encode(request.prefetch, order="sorted"), request.refusals)


@given(
    st.one_of(
        st.lists(st.sampled_from(_PARTS), max_size=12).map(b"".join),
        st.lists(_PAIRS, max_size=5).map(lambda pairs: b"{" + b",".join(pairs) + b"}"),
        st.lists(_PAIRS, max_size=5).map(lambda pairs: b"{" + b",".join(pairs) + b",}"),
        st.tuples(st.integers(0, len(KEPT)), st.sampled_from(_PARTS)).map(
            lambda cut: KEPT[: cut[0]] + cut[1] + KEPT[cut[0] :]
        ),
    )
)
@example(KEPT[:-1] + b',"patient":null}')
@example(KEPT[:-1] + b',"labs":null,"pati\\u0065nt" :null}')
@example(KEPT.replace(b"1950", b"1951"))
@example(KEPT[:-1] + b",}")
@example(KEPT[:-1])
@example(KEPT + b",")
@example(KEPT + b" ")
@example(b'{"labs":{"resourceType":"Bundle","type":"a","type":"b","entry":[{"fullUrl":"x"}]}}')
def test_what_is_read_or_refused_is_the_same_with_the_memory_and_without_it(prefetch: bytes) -> None:
    memory = VisitMemory(MEGABYTE)
    for _ in range(2):
        read_request(_body(KEPT), HOOKS, recall=_recall(memory))
    body = _body(prefetch)
    assert _outcome(body, _recall(memory)) == _outcome(body, None)
