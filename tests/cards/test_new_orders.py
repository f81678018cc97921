"""The orders that a suggestion creates, and whether a test is ordered already."""

from datetime import UTC, datetime
from typing import Any

from cards.new_orders import (
    LIPIDS,
    TESTS,
    is_ordered,
    lab_order,
    orderable_test_for,
    repeat,
)
from cards.rules.language.rule import LabOrder, Sig
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import service_request

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@for_rows(
    ("sig", "often"),
    [
        (Sig("x", once=True, every_hours=6), {"count": 1}),
        (Sig("x", every_hours=8, times_per_day=2), {"frequency": 1, "period": 8, "periodUnit": "h"}),
        (Sig("x", times_per_week=3), {"frequency": 3, "period": 1, "periodUnit": "wk"}),
        (
            Sig("x", times_per_week=1, weekday="mon"),
            {"frequency": 1, "period": 1, "periodUnit": "wk", "dayOfWeek": ["mon"]},
        ),
        (Sig("x", times_per_day=1, when="HS"), {"frequency": 1, "period": 1, "periodUnit": "d", "when": ["HS"]}),
    ],
)
def test_how_often_it_is_taken(sig: Sig, often: Json) -> None:
    assert repeat(sig) == often


def test_a_test_that_is_due_later_has_the_day() -> None:
    (draft,) = drafts_of(draft_of({"drug": "aspirin"}))
    now = lab_order(LabOrder("57698-3", "Lipid panel"), draft, "case", "new-1", AS_OF)
    assert now == {
        "resourceType": "ServiceRequest", "id": "new-1", "status": "draft", "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "57698-3", "display": "Lipid panel"}],
                 "text": "Lipid panel"},
        "subject": {"reference": "Patient/case"}, "authoredOn": "2026-11-20",
        "requester": {"reference": "Practitioner/p"},
    }  # fmt: skip
    later = lab_order(LabOrder("57698-3", "Lipid panel", in_days=7), draft, "case", "new-1", AS_OF)
    assert later == {**now, "occurrenceDateTime": "2026-11-27"}


def test_a_test_that_a_review_adds_to_an_order_of_another_day_is_of_today() -> None:
    (draft,) = drafts_of(draft_of({"drug": "aspirin"}))
    draft.resource.update(status="active", authoredOn="2026-01-02", encounter={"reference": "Encounter/old"})
    order = lab_order(LabOrder("57698-3", "Lipid panel"), draft, "case", "new-1", AS_OF)
    assert (order["authoredOn"], "encounter" in order, "requester" in order) == ("2026-11-20", False, False)


@for_rows(
    ("lacking", "name"),
    [
        ((), None), (("hdl_cholesterol",), "lipid panel"), (("creatinine", "sodium"), "basic metabolic panel"),
        (("uacr",), "albumin/creatinine ratio in urine"), (("ast", "albumin"), "hepatic function panel"),
        (("platelets",), "complete blood count"), (("ast", "platelets"), None), (("age",), None),
    ],
)  # fmt: skip
def test_one_test_answers_everything_that_is_lacking(lacking: tuple[str, ...], name: str | None) -> None:
    test = orderable_test_for(lacking)
    assert (test.words if test is not None else None) == name


@for_rows(
    ("more", "ordered"),
    [
        ({}, True), ({"status": "draft"}, True), ({"status": "on-hold"}, True), ({"status": "completed"}, False),
        ({"doNotPerform": True}, False), ({"intent": "proposal"}, False), ({"code": None}, False),
        ({"authoredOn": None}, True), ({"authoredOn": "2026-08-22"}, True), ({"authoredOn": "2026-08-21"}, False),
        ({"code": {"coding": [{"code": "2093-3"}]}}, False), ({"code": {"text": "Fasting LIPIDS"}}, True),
        ({"code": {"coding": [{"code": "x", "display": "Lipid profile"}]}}, True),
    ],
)  # fmt: skip
def test_a_test_is_ordered_by_an_open_order_of_the_last_90_days(more: Json, ordered: bool) -> None:
    request: Json = (
        service_request({"coding": [{"code": "57698-3"}]}, patient="case", id="s", authoredOn="2026-11-01") | more
    )
    chart = {name: value for name, value in request.items() if value is not None}
    assert is_ordered(record_of({"more": [chart]}, AS_OF), LIPIDS) is ordered


@for_rows(
    ("words", "names"),
    [
        ("CMP", {"Basic metabolic panel", "Hepatic function panel"}), ("BMP", {"Basic metabolic panel"}),
        ("LFTs", {"Hepatic function panel"}), ("urine ACR", {"Albumin/creatinine ratio in urine"}),
        ("CBC with differential", {"Complete blood count"}), ("Troponin", set()),
    ],
)  # fmt: skip
def test_a_panel_is_known_by_what_hospitals_call_it(words: str, names: set[str]) -> None:
    assert {test.name for test in TESTS if test.called.search(words)} == names
