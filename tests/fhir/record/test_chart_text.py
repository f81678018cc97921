"""White space and hidden signs of chart text, worked out by hand: what may hold a run, and what is left of it."""

from fhir.record.datatypes import (
    LIMIT,
    LONGEST_TEXT,
    collapse_runs,
    plain,
    without_hidden,
)
from tests.each import for_rows, rows_of


def test_a_text_has_at_most_two_thousand_signs_and_a_shown_one_eighty() -> None:
    assert (LONGEST_TEXT, LIMIT) == (2000, 80)


@for_rows(
    ("text", "expected"),
    rows_of(__file__, "a_run_of_white_space_becomes_a_blank_or_a_line_break"),
)
def test_a_run_of_white_space_becomes_a_blank_or_a_line_break(text: str, expected: str) -> None:
    assert collapse_runs(text) == expected


@for_rows(
    ("text", "expected"),
    [
        ("a  b ", "a b"),
        ("a<b", "a‹b"),
        ("a>b", "a›b"),
        ("a\nb", "a b"),
        ("a\u200bb", "ab"),
        ("a\u00a0b", "a b"),
        ("a\u202e\u2066<i>", "a‹i›"),
        ("a\ue000b\x00c", "abc"),
        ("a\ud800b", "ab"),
        ("a\u0378b", "a\u0378b"),  # not assigned, so not printable, but a sign that somebody may see
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("x" * 80 + "<", "x" * 79 + "…"),
        ("<" + "x" * 79, "‹" + "x" * 79),
        (" " * 10 + "x" * 80, "x" * 80),
        ("x" * 76 + " ,;: yyyyy", "x" * 76 + "…"),
    ],
)
def test_a_text_is_shown_on_one_line(text: str, expected: str) -> None:
    assert plain(text) == expected


@for_rows(
    ("text", "expected"),
    rows_of(__file__, "signs_that_nobody_sees_are_taken_out_and_line_breaks_stay"),
)
def test_signs_that_nobody_sees_are_taken_out_and_line_breaks_stay(text: str, expected: str) -> None:
    assert without_hidden(text) == expected
