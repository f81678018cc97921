"""White space and hidden signs of chart text, worked out by hand: what may hold a run, and what is left of it."""

from typing import Any

from fhir.record.datatypes import (
    LIMIT,
    LONGEST_TEXT,
    collapse_runs,
    map_texts,
    may_hold_runs,
    plain,
    quoted,
    without_hidden,
)
from tests.each import for_rows


def test_a_text_has_at_most_two_thousand_signs_and_a_shown_one_eighty() -> None:
    assert (LONGEST_TEXT, LIMIT) == (2000, 80)


@for_rows(
    ("raw", "may"),
    [
        (b'{"a":"one two"}', False),
        (b'{"a":"one  two"}', True),
        # Indented JSON: the blanks before a line are no text.
        (b'{\n  "a": "one two"\n}', False),
        (b'{\n  "a": "one  two"\n}', True),
        (b'{\n  "a": "one two"  \n}', False),
        (b'{\n\t"a":  "b"\n}', True),
        (b'{\n\t"a": "b"  \n}', False),
        (b'{\n\t"a": "b"\n}', False),
        # Lines without indentation are looked through as a whole.
        (b'{\n"a": "b"  \n}', True),
        (b'{\n"a": "b"\n}', False),
        # White space as an escape.
        (b'{"a":"one\\ntwo"}', False),
        (b'{"a":"one\\n two"}', True),
        (b'{"a":"one \\ntwo"}', True),
        (b'{"a":"one\\n\\ttwo"}', True),
        (b'{"a":"one\\r\\ntwo"}', True),
        (b'{"a":"one\\f two"}', True),
        (b'{"a":"one\\t\\ftwo"}', True),
        (b'{"a":"one \\\\two"}', False),
        (b'{"a":"one\\\\ two"}', False),
        (b'{"a":"one\\"two\\n"}', False),
        (b'{"a":"one\\\\n two"}', False),
        (b'{"a":"one\\n\\"two"}', False),
        (b'{"a":"one\\/two\\n three"}', True),
        (b'{"a":"one\\u0020two"}', True),
        (b"\\n\\n", True),
        (b"\\n ", True),
        (b'"\\\\"', False),
        # White space beyond ASCII, and other signs that begin with the same bytes.
        ('{"a":"one\u00a0two"}'.encode(), True),
        ('{"a":"one\u0085two"}'.encode(), True),
        ('{"a":"one\u1680two"}'.encode(), True),
        ('{"a":"one\u2003two"}'.encode(), True),
        ('{"a":"one\u205ftwo"}'.encode(), True),
        ('{"a":"one\u3000two"}'.encode(), True),
        ('{"a":"Ödem 5 µg"}'.encode(), False),
        ('{"a":"≥ 3"}'.encode(), False),
        ('{"a":"\u3042"}'.encode(), False),
        ('{"a":"\u1e9e"}'.encode(), False),
    ],
)
def test_what_may_hold_white_space_beside_white_space(raw: bytes, may: bool) -> None:
    assert may_hold_runs(raw) is may


def test_from_a_thousand_and_one_escapes_on_pairs_are_looked_for() -> None:
    # An escaped backslash before an n is no line break: looking at each escape tells them apart, looking for pairs not.
    no_break = b"\\\\n "
    assert may_hold_runs(b"\\/" * 998 + no_break) is False
    assert may_hold_runs(b"\\/" * 999 + no_break) is True


@for_rows(
    ("text", "expected"),
    [
        ("one two", "one two"),
        ("one  two", "one two"),
        ("one\ttwo", "one\ttwo"),
        ("one\t two", "one two"),
        ("one \n\n two", "one\ntwo"),
        ("one \r two", "one\ntwo"),
        ("one\r\ntwo", "one\ntwo"),
        ("one\ntwo", "one\ntwo"),
        ("one\u00a0\u2003two", "one two"),
        ("  one  ", " one "),
    ],
)
def test_a_run_of_white_space_becomes_a_blank_or_a_line_break(text: str, expected: str) -> None:
    assert collapse_runs(text) == expected


def test_every_text_of_a_value_is_changed_and_no_name_and_no_number() -> None:
    value: dict[str, Any] = {"a  b": ["x  y", 1, None, {"c": "d \n e"}], "t": True, "f": 1.5}
    assert collapse_runs(value) == {"a  b": ["x y", 1, None, {"c": "d\ne"}], "t": True, "f": 1.5}
    assert map_texts(str.upper, ["a", {"b": "c"}, 2]) == ["A", {"b": "C"}, 2]


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


def test_a_shorter_limit_counts_the_ellipsis() -> None:
    assert plain("abcdef", 6) == "abcdef"
    assert plain("abcdef", 5) == "abcd…"
    assert quoted("x" * 20) == f"'{'x' * 20}'"
    assert quoted("x" * 21) == f"'{'x' * 19}…'"
    assert quoted("abcdef", 5) == "'abcd…'"
    assert quoted("a\\b<c>") == "'a\\b‹c›'"


@for_rows(
    ("text", "expected"),
    [
        ("a  <b>", "a  <b>"),
        ("a\u202eb\nc\td", "ab\nc\td"),
        ("a\u2028b\u2029c", "abc"),
        ("a\rb\x07c", "abc"),
        ("a\u00a0b", "a\u00a0b"),
        ("a\u200b\u00adb", "ab"),
    ],
)
def test_signs_that_nobody_sees_are_taken_out_and_line_breaks_stay(text: str, expected: str) -> None:
    assert without_hidden(text) == expected
