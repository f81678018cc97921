"""The answers corpus: what is compared is what a client sees, and what differs from run to run is left out."""

import json

from msgspec.structs import replace

from benchmarks.answers.comparison import compare
from benchmarks.answers.damage import damaged_prefetches
from benchmarks.answers.exchange import Answer, normalised
from tests.fhir.builders import bundle

SENT = "0a0a0a0a-1111-2222-3333-444444444444"
MADE = "9b9b9b9b-1111-2222-3333-444444444444"
ANSWER = Answer("sample: one", "sample", "order-safety", [200], [{"cards": [{"summary": "A dose is too high"}]}])


def test_a_normalised_answer_keeps_the_ids_of_the_request_and_loses_those_that_the_server_made() -> None:
    answer = {
        "cards": [{"uuid": MADE, "summary": f"Encounter/{SENT}", "links": [{"url": f"http://here:1/explain/{MADE}"}]}],
        "extension": {"org.cds-hooks-onnx": {"decision": MADE, "timings": {"decode": 0.1}}},
    }
    assert normalised(answer, json.dumps({"encounter": SENT}), "http://here:1") == {
        "cards": [{"uuid": "<id>", "summary": f"Encounter/{SENT}", "links": [{"url": "<server>/explain/<id>"}]}],
        "extension": {"org.cds-hooks-onnx": {"decision": "<id>"}},
    }


def test_equal_answers_have_no_difference() -> None:
    assert _compared([ANSWER], [ANSWER]) == ["1 calls compared, 0 answered differently."]


def test_a_changed_word_is_shown_with_its_place_and_the_words_around_it() -> None:
    *_, change = _compared([ANSWER], [_saying("A dose is too low")])
    assert change.splitlines()[2:] == ['  - cards[].summary: too high"', '  + cards[].summary: too low"']


def test_a_status_and_a_card_more_are_differences() -> None:
    changed = replace(_saying("A dose is too high", "Another"), statuses=[412])
    *_, status, card = _compared([ANSWER], [changed])
    assert status.splitlines()[2:] == ["  - status: [200]", "  + status: [412]"]
    assert card.splitlines()[2:] == ['  + cards[].summary: "Another"']


def test_like_changes_are_counted_once_and_name_their_calls() -> None:
    old = [ANSWER, replace(ANSWER, id="sample: two")]
    new = [replace(_saying("A dose is too low"), id=answer.id) for answer in old]
    count, kind, change = _compared(old, new)
    assert count == "2 calls compared, 2 answered differently."
    assert kind.split() == ["2", "sample"]
    assert change.startswith("\n== order-safety, 2 times: sample: one; sample: two\n")


def test_a_call_that_only_one_side_answered_is_named_and_not_compared() -> None:
    lines = _compared([ANSWER, replace(ANSWER, id="sample: two")], [ANSWER])
    assert lines[1:] == ["1 calls stand in one file only, such as 'sample: two'."]


def test_damage_leaves_the_request_itself_as_it_was() -> None:
    lab = {"resourceType": "Observation", "status": "final", "valueQuantity": {"value": 1.2, "unit": "mg/dL"}}
    prefetch = {"patient": {"resourceType": "Patient"}, "labs": bundle(lab, type=None)}
    before = json.dumps(prefetch)
    damaged = dict(damaged_prefetches(prefetch))
    assert json.dumps(prefetch) == before
    assert len({json.dumps(each) for each in damaged.values()}) > len(damaged) / 2
    assert damaged["labs null"]["labs"] is None


def _saying(*summaries: str) -> Answer:
    return replace(ANSWER, bodies=[{"cards": [{"summary": summary} for summary in summaries]}])


def _compared(old: list[Answer], new: list[Answer]) -> list[str]:
    return list(compare(old, new, examples=5))
