"""Calls of a visit share one record: each is answered to the byte as if it were the first, in any order."""

from collections.abc import Sequence
from itertools import count

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cards.orders import OrderOutcome, check_orders
from cards.rules.patient.orders import read_drafts
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import all_cases
from tests.cards.rules.large_call import AS_OF, Json, build_call
from tests.cards.rules.patients import draft_of, record_of

CASES = [case for _, case in all_cases()]
Calls = list[tuple[list[Json], bool]]
"""For each call its drafts, of which the last one is selected, or all are signed."""


def _drafts_of(case: Json) -> list[Json]:
    return [draft_of(draft) for draft in (case["draft"], *case.get("beside", ()))]


def _numbered(drafts: list[Json]) -> list[Json]:
    return [{**draft, "id": f"d{number}"} for number, draft in enumerate(drafts)]


def _check(record: PatientRecord, drafts: list[Json], signing: bool) -> OrderOutcome:
    read = read_drafts([{"resource": orjson.loads(orjson.dumps(draft))} for draft in drafts])
    numbers = count(1)
    judged = None if signing else [read[-1].name]
    return check_orders(record, read, judged, lambda: f"uuid-{next(numbers)}", signing=signing)


def _bytes(outcome: OrderOutcome) -> bytes:
    return msgspec.json.encode((outcome.cards, outcome.silences))


def _compare(case: Json, calls: Calls) -> None:
    visit = record_of(case["patient"], AS_OF)
    for drafts, signing in calls:
        alone = _check(record_of(case["patient"], AS_OF), drafts, signing)
        assert _bytes(_check(visit, drafts, signing)) == _bytes(alone)


def _visits() -> st.SearchStrategy[tuple[Json, Calls]]:
    def of_case(case: Json) -> st.SearchStrategy[tuple[Json, Calls]]:
        others = st.lists(st.sampled_from(CASES), max_size=4)
        pools = others.map(lambda cases: _numbered([draft for one in (case, *cases) for draft in _drafts_of(one)]))
        return pools.flatmap(lambda pool: st.tuples(st.just(case), st.lists(_call(pool), min_size=2, max_size=5)))

    return st.sampled_from(CASES).flatmap(of_case)


def _call(pool: list[Json]) -> st.SearchStrategy[tuple[list[Json], bool]]:
    chosen = st.lists(st.sampled_from(pool), min_size=1, unique_by=lambda draft: str(draft["id"]))
    return st.tuples(chosen, st.booleans())


@settings(max_examples=60)
@given(_visits())
def test_the_calls_of_a_visit_are_answered_as_if_each_were_the_first(visit: tuple[Json, Calls]) -> None:
    _compare(*visit)


@pytest.mark.slow
@settings(max_examples=700)
@given(_visits())
def test_many_visits_are_answered_as_if_each_call_were_the_first(visit: tuple[Json, Calls]) -> None:
    _compare(*visit)


@pytest.mark.parametrize("order", [range(10), range(9, -1, -1), (3, 9, 0, 7, 1, 5, 2, 8, 6, 4)])
def test_a_signature_after_ten_selections_says_the_same(order: Sequence[int]) -> None:
    call = build_call()
    chart, entries = decoder.decode(call.prefetch), orjson.loads(call.drafts)["entry"]
    drafts = [entries[position]["resource"] for position in order]
    visit = read_record({"chart": chart}, "case", AS_OF)
    selections = [(drafts[: number + 1], False) for number in range(10)]
    for of_call, signing in (*selections, (drafts, True), (drafts[:-1], True)):
        alone = _check(read_record({"chart": chart}, "case", AS_OF), of_call, signing)
        assert _bytes(_check(visit, of_call, signing)) == _bytes(alone)


def test_a_draft_whose_medication_came_beside_it_is_not_taken_for_another_one() -> None:
    case = next(case for case in CASES if case["draft"].get("drug") == "861007")
    draft, medication = draft_of(case["draft"]), {"resourceType": "Medication", "id": "m1", "code": {"text": "Gout"}}
    _compare(case, [([draft], False), ([medication, draft], True), ([draft, medication], True), ([draft], True)])
