"""What is evaluated again for a suggestion: only the rules that read what it changes, with the same result as all."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

import orjson
import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder, read_draft, read_drafts
from cards.rules.patient.session import PatientSession
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import all_cases
from tests.cards.rules.large_call import AS_OF, build_call
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of, record_of


def _changes(
    drafts: Sequence[DraftOrder], taken: Sequence[DraftOrder], other: DraftOrder
) -> Iterator[list[DraftOrder]]:
    """Each draft taken away, each order that is taken stopped, another drug drafted beside them or in place of one."""
    for draft in drafts:
        yield [one for one in drafts if one is not draft]
        yield [other if one is draft else one for one in drafts]
    yield from ([*drafts, one] for one in taken)
    yield [*drafts, other]


def _compare(record: PatientRecord, drafts: list[DraftOrder], stopped: list[DraftOrder], other: DraftOrder) -> int:
    """How many evaluations of a draft beside changed drafts were the same as with all rules in a session of its own."""
    book = rule_book()
    session = PatientSession(record, drafts, signing=True)
    now = {id(one.draft): book.evaluate(session, one) for one in session.drafted}
    compared = 0
    for changed in _changes(drafts, stopped, other):
        after = session.with_drafts(changed)
        alone = PatientSession(record, changed, signing=True)
        for again, anew in zip(after.drafted, alone.drafted, strict=True):
            before = now.get(id(again.draft))
            known = before.finding_keys if before is not None else frozenset()
            expected = min(book.evaluate(alone, anew).finding_keys - known, default=None)
            assert book.first_new(after, again, known) == expected, again.medication.name
            compared += 1
    return compared


def _orders(entries: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    resources = [one["resource"] for one in entries]
    return [one for one in resources if isinstance(one, dict) and one["resourceType"] == "MedicationRequest"]


def _compare_cases(step: int, as_of: datetime) -> int:
    compared = 0
    cases = [case for _, case in all_cases()][::step]
    for case, next_case in pairwise(cases):
        beside = [draft_of(one, f"beside-{place}") for place, one in enumerate(case.get("beside", ()))]
        drafts = drafts_of(draft_of(case["draft"]), *beside)
        orders = _orders(bundle_of(case["patient"], as_of)["entry"])
        stopped = [read_draft({**one, "status": "stopped"}) for one in orders]
        other = read_draft(draft_of(next_case["draft"], "other"))
        compared += _compare(record_of(case["patient"], as_of), drafts, stopped, other)
    return compared


def test_only_the_rules_that_read_a_change_are_evaluated_and_find_what_all_of_them_find(as_of: datetime) -> None:
    assert _compare_cases(12, as_of) > 100


@pytest.mark.slow
def test_the_same_for_every_case_of_every_rule(as_of: datetime) -> None:
    assert _compare_cases(1, as_of) > 3000


def test_the_same_for_ten_drafts_that_meet_one_another() -> None:
    call = build_call(trouble=True)
    entries = orjson.loads(call.prefetch)["entry"]
    stopped = [read_draft({**one, "status": "stopped"}) for one in _orders(entries)]
    drafts = read_drafts(orjson.loads(call.drafts)["entry"])
    record = read_record({"all": decoder.decode(call.prefetch)}, "case", AS_OF)
    assert _compare(record, drafts, stopped[:6], read_draft(draft_of({"drug": "warfarin 5 MG Oral Tablet"}, "o"))) > 100


def test_another_drug_under_the_id_of_an_order_does_not_take_the_place_of_that_order(as_of: datetime) -> None:
    patient = {"active": ["861007"]}  # metformin
    (order,) = _orders(bundle_of(patient, as_of)["entry"])
    again = read_draft({**draft_of({"drug": "metformin 500 MG Oral Tablet"}), "id": order["id"]})
    other = read_draft({**draft_of({"drug": "warfarin 5 MG Oral Tablet"}), "id": order["id"]})
    session = PatientSession(record_of(patient, as_of), [again])
    assert session.active == ()
    assert [one.medication.name for one in session.with_drafts([other]).active] == ["metformin"]
