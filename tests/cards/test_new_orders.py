"""The orders that a suggestion creates, and whether a test is ordered already."""

from datetime import UTC, datetime
from typing import Any

from cards.new_orders import (
    LIPIDS,
    is_ordered,
    orderable_test_for,
)
from tests.cards.rules.patients import record_of
from tests.each import for_rows
from tests.fhir.builders import service_request

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


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
