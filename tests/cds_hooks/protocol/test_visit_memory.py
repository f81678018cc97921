"""What the calls of a visit repeat is read once, and what is read is what would have been read without it."""

import asyncio
import random
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cds_hooks.errors import HookError
from cds_hooks.protocol import visit_memory
from cds_hooks.protocol.body import SCANS_IN_C
from cds_hooks.protocol.hooks import LIBRARY
from cds_hooks.protocol.request import CDSRequest, Recall, read_request
from cds_hooks.protocol.visit_memory import KeptChart, PatientValues, SentChart, VisitMemory
from cds_hooks.storage.decision import StoredChart
from fhir.record.lean_chart import ChartsBefore
from fhir.record.record import PatientRecord, read_record, read_resources
from tests.cds_hooks.calls import client
from tests.contracts.contracts import AS_OF, requests_of

Json = dict[str, Any]

HOOKS = {"patient-view": LIBRARY["patient-view"]}
MEGABYTE = 1 << 20
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-02-03"}
GOUT = {"resourceType": "Condition", "id": "c", "code": {"text": "Gout  of the foot"}}
PROBLEMS = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": GOUT}]}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _body(prefetch: bytes, patient: str = "p1") -> bytes:
    head = {"hook": "patient-view", "hookInstance": "d1577c69", "context": {"userId": "Practitioner/1"}}
    head["context"] |= {"patientId": patient}  # type: ignore[operator]
    return orjson.dumps(head)[:-1] + b',"prefetch":' + prefetch + b"}"


def _recall(memory: VisitMemory, client: str = "ehr") -> Recall:
    return partial(memory.of_patient, client)


def _read(memory: VisitMemory, prefetch: dict[str, Any], patient: str = "p1", client: str = "ehr") -> CDSRequest:
    return read_request(_body(orjson.dumps(prefetch), patient), HOOKS, recall=_recall(memory, client))


def test_a_value_that_changed_is_read_and_the_values_around_it_are_not() -> None:
    memory = VisitMemory(MEGABYTE)
    for _ in range(2):
        before = _read(memory, {"patient": PATIENT, "problems": PROBLEMS, "flags": None}).prefetch
    changed = {**PROBLEMS, "entry": [{"resource": {**GOUT, "code": {"text": "Gout, of the hand"}}}]}
    after = _read(memory, {"flags": None, "problems": changed, "patient": PATIENT}).prefetch
    assert after["patient"] is before["patient"]
    assert after["problems"].entry[0].resource.code.text == "Gout, of the hand"
    assert after["flags"] is None


@pytest.mark.parametrize(("patient", "client"), [("p2", "ehr"), ("p1", "other-ehr")])
def test_what_came_about_another_patient_or_from_another_client_is_never_used(patient: str, client: str) -> None:
    memory = VisitMemory(MEGABYTE)
    ours = [_read(memory, {"problems": PROBLEMS}).prefetch["problems"] for _ in range(2)]
    theirs = [_read(memory, {"problems": PROBLEMS}, patient, client).prefetch["problems"] for _ in range(2)]
    assert not {id(value) for value in ours} & {id(value) for value in theirs}


def test_nothing_is_kept_longer_than_five_minutes_or_beyond_the_bytes_that_the_site_sets() -> None:
    clock = Clock()
    memory = VisitMemory(20_000, clock)
    for number in range(200):
        for _ in range(2):
            _read(memory, {"problems": PROBLEMS}, f"p{number}")
        assert memory.size <= 20_000
    assert memory.size > 10_000
    newest = [_read(memory, {"problems": PROBLEMS}, "p199").prefetch["problems"] for _ in range(2)]
    assert newest[0] is newest[1]
    clock.now = 299
    memory.forget_old()
    assert memory.size
    clock.now = 300
    assert memory.of_patient("ehr", "p199") is None
    memory.forget_old()
    assert memory.size == 1_000  # the note of this call alone


def test_of_one_key_only_a_few_values_are_kept() -> None:
    memory = VisitMemory(MEGABYTE)
    for number in range(100):
        _read(memory, {"problems": {**PROBLEMS, "total": number}})
    size = memory.size
    _read(memory, {"problems": {**PROBLEMS, "total": 100}})
    assert memory.size == size < 30_000


def test_a_value_for_which_there_is_no_room_is_not_kept_and_the_last_byte_is_used() -> None:
    memory = VisitMemory(1_000)
    values = [_read(memory, {"problems": PROBLEMS}).prefetch["problems"] for _ in range(3)]
    assert len(set(map(id, values))) == 3
    assert memory.of_patient("ehr", "p1") is not None
    assert memory.size == 1_000


def test_what_is_read_after_a_patient_was_forgotten_is_not_counted() -> None:
    clock = Clock()
    memory = VisitMemory(MEGABYTE, clock)
    kept, _ = _patient_values(memory)
    clock.now = 300
    memory.forget_old()
    kept.read(b'{"labs":%b}' % _sent([_result(1)]))
    assert memory.size == 0


@pytest.mark.parametrize(
    ("charts", "places", "count", "goes_on"), [(15, 2, 3, True), (15, 2, 2, False), (16, 2, 3, False)]
)
def test_a_chart_goes_on_from_the_largest_of_sixteen(charts: int, places: int, count: int, goes_on: bool) -> None:
    kept, _ = _patient_values(VisitMemory(MEGABYTE))
    before, after = (ChartsBefore(b"", charts, dict.fromkeys(range(places), 0), (), (), {}, 0) for _ in range(2))
    kept.go_on_from(0, lambda: before)
    kept.go_on_from(count, lambda: after)
    assert kept.charts is (after if goes_on else before)


async def test_the_memory_is_swept_where_nobody_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit_memory, "_SWEEP_SECONDS", 0.001)
    clock = Clock()
    memory = VisitMemory(MEGABYTE, clock)
    _read(memory, {"problems": PROBLEMS})
    clock.now = 1_000
    task = asyncio.create_task(memory.keep_sweeping())
    async with asyncio.timeout(5):
        while memory.size:
            await asyncio.sleep(0.001)
    task.cancel()


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


def _made(values: dict[str, Any], content: bytes = b"x" * 100) -> SentChart:
    return SentChart(read_resources(values, "p1"), (), KeptChart(b"", StoredChart(b"", content)))


def _patient_values(memory: VisitMemory) -> tuple[PatientValues, dict[str, Any]]:
    """What is kept of a patient, and the values of the second call of a visit."""
    _read(memory, {"patient": PATIENT, "problems": PROBLEMS})
    values = _read(memory, {"patient": PATIENT, "problems": PROBLEMS, "none": None}).prefetch
    kept = memory.of_patient("ehr", "p1")
    assert kept is not None
    return kept, values


def test_what_was_made_of_values_is_found_by_these_very_values_only() -> None:
    memory = VisitMemory(MEGABYTE)
    kept, values = _patient_values(memory)
    assert kept.chart(values) is None
    chart, size = _made(values), memory.size
    kept.keep_chart(values, chart)
    assert kept.chart(dict(values)) is chart
    assert memory.size > size + 100
    assert kept.chart({"patient": values["patient"]}) is None
    assert kept.chart({**values, "problems": msgspec.structs.replace(values["problems"])}) is None
    assert kept.chart({"problems": values["problems"], "patient": values["patient"], "none": None}) is None


def test_of_values_that_are_not_kept_and_beyond_the_bytes_of_the_site_nothing_is_kept() -> None:
    memory = VisitMemory(20_000)
    kept, values = _patient_values(memory)
    fetched = {**values, "labs": msgspec.structs.replace(values["problems"])}
    kept.keep_chart(fetched, _made(fetched))
    assert kept.chart(fetched) is None
    kept.keep_chart(values, _made(values, b"x" * 20_000))
    assert kept.chart(values) is None
    for number in range(2 * visit_memory._MOST_CHARTS):
        some = {"patient": values["patient"], f"none{number}": None}
        kept.keep_chart(some, _made(some, b""))
    assert len(kept._charts) == visit_memory._MOST_CHARTS


def test_a_value_that_came_under_another_key_is_not_read_again() -> None:
    memory = VisitMemory(MEGABYTE)
    kept, values = _patient_values(memory)
    size = memory.size
    read = _read(memory, {"named": PROBLEMS, "problems": PROBLEMS}).prefetch
    assert read["named"] is read["problems"] is values["problems"]
    assert memory.size == size
    assert kept.chart(read) is None
    other = _read(memory, {"named": {**PROBLEMS, "total": 7}}).prefetch
    assert other["named"] == msgspec.structs.replace(values["problems"], total=7)


IDS = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CALLS = (
    ("order-safety", "order-select"), ("order-safety", "order-sign"), ("order-safety-dispatch", "order-dispatch"),
    ("medication-review", "patient-view"), ("discharge-medications", "encounter-discharge"),
    ("anticoagulation-discussion", "patient-view"), ("genes-and-medications", "patient-view"),
    ("liver-assessment", "patient-view"), ("nephrology-referral", "patient-view"),
    ("planning-conversation", "patient-view"), ("preventive-services", "patient-view"),
    ("statin-discussion", "patient-view"), ("vaccines-due", "patient-view"),
    ("discharge-follow-up", "encounter-discharge"), ("readmission-follow-up", "encounter-discharge"),
)  # fmt: skip


def _with_unreadable_result(request: Json) -> Json:
    """The request with a number of which no code is known here, as hospitals send many."""
    changed: Json = orjson.loads(orjson.dumps(request))
    result = {"resourceType": "Observation", "id": "local", "status": "final", "valueQuantity": {"value": 3.1}}
    result |= {"code": {"coding": [{"system": "urn:local", "code": "52008"}]}, "effectiveDateTime": "2026-11-01"}
    result["subject"] = {"reference": f"Patient/{changed['context']['patientId']}"}
    labs = changed["prefetch"].get("labs") or {"resourceType": "Bundle", "type": "searchset"}
    changed["prefetch"]["labs"] = labs | {"entry": [*labs.get("entry", ()), {"resource": result}]}
    return changed


def _with_old_order(request: Json) -> Json:
    """The request with an order of over ten years ago without an end, as Synthea leaves many."""
    changed: Json = orjson.loads(orjson.dumps(request))
    order: Json = {"resourceType": "MedicationRequest", "id": "old", "status": "active", "intent": "order"}
    order |= {"medicationCodeableConcept": {"text": "lisinopril 10 MG Oral Tablet"}, "authoredOn": "2001-03-04"}
    order["subject"] = {"reference": f"Patient/{changed['context']['patientId']}"}
    list_of = changed["prefetch"].get("medications") or {"resourceType": "Bundle", "type": "searchset"}
    changed["prefetch"]["medications"] = list_of | {"entry": [*list_of.get("entry", ()), {"resource": order}]}
    return changed


def _with_numbered_ids(answer: bytes) -> bytes:
    numbers: dict[bytes, bytes] = {}
    return IDS.sub(lambda match: numbers.setdefault(match[0], b"id-%d" % len(numbers)), answer)


async def _answers(folder: Path, calls: Sequence[tuple[str, Json]], **settings: Any) -> tuple[list[bytes], int]:
    """The answers, with the ids that are new in every call numbered, and how many records were taken again."""
    taken = 0

    def take(self: PatientValues, *arguments: Any) -> PatientRecord | None:
        nonlocal taken
        record = take_record(self, *arguments)
        taken += record is not None
        return record

    take_record = PatientValues.take_record
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PatientValues, "take_record", take)
        async with client(folder, as_of=AS_OF, **settings) as server:
            sent = [await server.post(f"/cds-services/{service}", json=request) for service, request in calls]
    return [_with_numbered_ids(answer.content) for answer in sent], taken


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 5))])
async def test_calls_of_a_visit_are_answered_to_the_byte_as_without_the_memory(tmp_path: Path, seed: int) -> None:
    order = random.Random(seed)
    for folder in ("kept", "alone"):
        (tmp_path / folder).mkdir()
    requests = [(service, request) for service, hook in CALLS for request in requests_of(service, hook)[::12]]
    changes = (_with_unreadable_result, requests[::3]), (_with_old_order, requests[::2])
    calls = requests + [(service, change(request)) for change, some in changes for service, request in some]
    calls = [call for call in calls for _ in range(4)]
    order.shuffle(calls)
    kept, taken = await _answers(tmp_path / "kept", calls)
    alone, none = await _answers(tmp_path / "alone", calls, visit_memory_bytes=0)
    assert kept == alone
    assert (taken > len(calls) / 4, none) == (True, 0)


def test_no_record_stays_with_a_chart_that_no_other_call_can_find() -> None:
    """Its judgements hold the chart and the chart would hold the record: forgetting the patient would free neither."""
    memory = VisitMemory(10_000_000)
    memory.of_patient("ehr", "p")
    values = memory.of_patient("ehr", "p")
    assert values is not None
    record = read_record({}, "p", AS_OF)
    record.resources.judgements = object()
    chart = SentChart(record.resources, (), KeptChart(b"", None))
    values.keep_record(chart, ("",), record)
    assert (chart.records, record.resources.judgements) == ({}, None)
    values.keep_chart({}, chart)
    values.keep_record(chart, ("",), record)
    assert list(chart.records.values()) == [record]
    small = VisitMemory(100_000)
    values, _ = _patient_values(small)
    chart = SentChart(record.resources, (), KeptChart(b"", None))
    values.keep_chart({}, chart)
    values.keep_record(chart, ("",), record)
    assert chart.records == {}


def _sent(entries: Sequence[Json], **more: Any) -> bytes:
    return orjson.dumps({"resourceType": "Bundle", "type": "searchset", **more, "entry": entries})


def _result(number: int, **more: Any) -> Json:
    coding = [{"system": "http://loinc.org", "code": f"{number}-1", "display": f"Result {' ' * (number % 2)}{number}"}]
    resource = {"resourceType": "Observation", "id": f"r{number}", "status": "final", "code": {"coding": coding}}
    return {"fullUrl": f"https://ehr.example/fhir/Observation/r{number}", "resource": {**resource, **more}}


@pytest.mark.skipif(not SCANS_IN_C, reason="what is not cleared by the pass in C is read as a whole")
def test_an_entry_that_came_in_another_list_is_the_same_resource() -> None:
    values = PatientValues(lambda _values, _size: True)
    results = [_result(number) for number in range(8)] + [_result(8, valueQuantity={"value": "much"})]
    first = values.read(b'{"labs":%b}' % _sent(results[1:6]))[0]["labs"]
    read, refusals = values.read(b'{"labs":%b}' % _sent([results[7], *results[3:6], results[8], results[1]], total=6))
    other = read["labs"]
    assert [entry.resource.id for entry in other.entry] == ["r7", "r3", "r4", "r5", "r8", "r1"]
    assert list(map(id, other.entry[1:4])) == list(map(id, first.entry[2:5]))
    assert other.total == 6
    sent = b'{"patient":%b,"labs":%b, "more":%b}' % (_PATIENT, _sent(results[2:4]), _sent(results[4:]))
    together, again = values.read(sent)
    assert ([refusal.subject for refusal in refusals], again) == (["Observation/r8"], refusals)
    assert together["more"].entry[4] is other.entry[4]
    assert together["labs"].entry == first.entry[1:3]
    assert [entry.resource.id for entry in together["more"].entry] == ["r4", "r5", "r6", "r7", "r8"]
    assert together["more"].entry[0] is first.entry[3]
    assert other.entry[0].resource.code.coding[0].display == "Result 7"


_NESTED = b'{"resourceType":"Bundle","x":{"y":"}","entry":[%b]}}' % orjson.dumps(_result(1))
_ENTRIES = st.lists(st.sampled_from([orjson.dumps(_result(number)) for number in range(4)]), max_size=5)
_SPOILED = st.sampled_from(
    [b"null", b"1", b" ", b"{}", b'{"resource":{"resourceType":"Patient","id":"p1","id":"p1"}}', b'{"a":[', b"]}", b"",
     orjson.dumps(_result(2, valueQuantity={"value": "much"})), orjson.dumps(_result(3, id=3))]
)  # fmt: skip
_LISTS = st.builds(
    lambda entries, spoiled, place, tail: b",".join((*entries[:place], *spoiled, *entries[place:])) + tail,
    _ENTRIES,
    st.lists(_SPOILED, max_size=3),
    st.integers(0, 5),
    st.sampled_from(
        [b"]}", b"]}", b'],"total":3}', b'],"entry":[]}', b" ]}", b'],"link":[{"url":"x"}]}', b"]", b"}]}"]
    ),
)
_AGED = b'{"resourceType":"Bundle","meta":{"lastUpdated":"2026-11-01"},"entry":['
_HEADS = st.sampled_from(
    [_AGED, b'{"resourceType":"Bundle","entry":[', b'{"resourceType":"List","entry":[', b'{"entry":[']
)


@example(lists=[_AGED + orjson.dumps(_result(1)) + end for end in (b"]", b"]]}", b'],"id":1}', b"]}")])
@example(lists=[b'{"resourceType":"%b","entry":[%b]}' % (kind, b"{}") for kind in (b"List", b"Bundle", b"Patient")])
@example(lists=[_AGED + orjson.dumps(_result(1)) * 2 + b"]}"])
@example(lists=[_AGED + orjson.dumps(_result(1, valueQuantity={"value": n})) + b"]}" for n in (1, 2)])
@given(lists=st.lists(st.one_of(st.builds(bytes.__add__, _HEADS, _LISTS), st.just(_NESTED)), min_size=1, max_size=4))
def test_lists_of_which_entries_came_before_are_read_as_without_the_memory(lists: list[bytes]) -> None:
    memory = VisitMemory(MEGABYTE)
    _read(memory, {})
    for number, sent in enumerate(lists):
        body = _body(b'{"%b":%b,"other%d":null}' % (b"labs" if number % 3 else b"vitals", sent, number))
        assert _outcome(body, _recall(memory)) == _outcome(body, None)
