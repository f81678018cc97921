"""Factors are marked by their share of all contributions."""

from models_onnx.serving.runtime import marks
from tests.each import for_rows


@for_rows(("share", "count"), [(0.30, 3), (0.299, 2), (0.15, 2), (0.149, 1), (0.05, 1), (0.049, 0)])
def test_marks_follow_the_share(share: float, count: int) -> None:
    assert marks(share, 1.0) == marks(-share, 1.0) == count


# What an explanation names, in which order and with how many marks, on shares that are worked out by hand.


@for_rows(
    ("part", "count"),
    [(0.0, 0), (4.99, 0), (5.0, 1), (14.9, 1), (15.0, 2), (29.9, 2), (30.0, 3), (100.0, 3), (-30.0, 3), (-5.0, 1)],
)
def test_marks_begin_at_a_twentieth_three_twentieths_and_three_tenths(part: float, count: int) -> None:
    assert marks(part, 100.0) == count
    assert marks(0.0, 0.0) == 0
