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


@for_rows(
    ("age", "weights", "judged"),
    [
        (3, [(14.2, 3)], (14.2, None, None)),
        (3, [(140, 3)], (None, 140, None)),
        (3, [(140, 3), (14, 20)], (14, 140, None)),
        (3, [(1.4, 3)], (None, 1.4, None)),
        (2, [(9, 420)], (None, None, 9)),
        (3, [(7.2, 0)], (7.2, None, None)),  # the least of the table
        (3, [(7.1, 0)], (None, 7.1, None)),
        (17, [(198.2, 0)], (198.2, None, None)),  # the most
        (17, [(198.3, 0)], (None, 198.3, None)),
        (0, [(3.5, 500)], (None, None, 3.5)),  # dated before the birth
        (16, [(170, 3)], (170, None, None)),
        (14, [(150, 3), (50, 30)], (50, 150, None)),
        (14, [(50, 3), (150, 30)], (50, None, None)),
        (14, [(90, 3), (50, 80)], (90, None, None)),
        (40, [(180, 900)], (180, None, None)),
        (40, [(8, 3), (80, 30)], (80, 8, None)),
        (40, [(240, 3), (80, 30)], (80, 240, None)),
        (40, [(240, 3), (80, 300)], (240, None, None)),
        (40, [(240, 0), (80, 90)], (80, 240, None)),
        (40, [(240, 0), (80, 91)], (240, None, None)),
    ],
)
def test_a_weight_is_used_where_it_can_be_right(
    age: int, weights: list[tuple[float, int]], judged: tuple[Any, ...]
) -> None:
    assert _judged(age, *weights) == judged
