"""Weights that can be right for the age and beside the others, and the largest one of an age."""

from datetime import UTC, datetime
from typing import Any

from fhir.mapping.weights import judged_weight
from tests.cards.rules.patients import record_of
from tests.each import for_rows

AS_OF = datetime(2026, 11, 20, 9, tzinfo=UTC)


def _judged(age: int, *weights: tuple[float, int]) -> tuple[float | None, float | None, float | None]:
    record = record_of({"age": age, "labs": [["body_weight", kg, days] for kg, days in weights]}, AS_OF)
    judged = judged_weight(record)
    shown = (judged.used, judged.implausible, judged.too_old)
    used, implausible, too_old = (weight.value if weight is not None else None for weight in shown)
    return used, implausible, too_old


@for_rows(("age", "weights", "judged"))
def test_a_weight_is_used_where_it_can_be_right(age: int, weights: list[tuple[float, int]], judged: list[Any]) -> None:
    assert list(_judged(age, *weights)) == judged
