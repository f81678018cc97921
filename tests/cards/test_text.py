"""Chart text on a card: whatever was charted, it stays text."""

import doctest
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from cards import text as markdown
from cards.text import LIMIT, escape, first_few, format_dose, format_number, plain, unit, with_unit_signs
from tests.each import for_rows


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(markdown).failed == 0


@for_rows(
    ("charted", "shown"),
    [
        ("<script>alert(1)</script>", "‹script›alert(1)‹/script›"),
        ("a\u202eb\u2066c\u200bd\x00e", "abcde"),
        ("two\r\nlines\t here", "two lines here"),
        ("x" * 81, "x" * 79 + "…"),
        ("x" * 80, "x" * 80),
        ("", ""),
    ],
)
def test_plain_text_is_one_line_without_html_or_hidden_characters(charted: str, shown: str) -> None:
    assert plain(charted) == shown


@for_rows("charted", ["https://x.test/a", "www.x.test", "WWW.x.test", "a@b.test"])
def test_an_address_in_the_chart_does_not_become_a_link(charted: str) -> None:
    assert "\\" in escape(charted)
    assert "://" not in escape(charted)
    assert "www." not in escape(charted).lower()


@given(st.text(max_size=300))
def test_no_chart_text_breaks_out_of_its_line(charted: str) -> None:
    for shown in (plain(charted), escape(charted)):
        assert "<" not in shown
        assert ">" not in shown
        assert not any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for sign in shown)
    assert len(plain(charted)) <= LIMIT


@for_rows(
    ("value", "limits", "decimals", "shown"),
    [
        (28.0, (), 1, "28"), (28.04, (), 1, "28"), (28.05, (), 1, "28.1"), (28.26, (), 2, "28.26"), (0.5, (), 0, "0"),
        (29.96, (30,), 1, "29.96"), (30.0, (30,), 1, "30"), (30.04, (30,), 1, "30.04"), (30.06, (30,), 1, "30.1"),
        (29.96, (20, 30), 1, "29.96"), (29.96, (20,), 1, "30"), (29.96, (30, 20), 1, "29.96"),
        (30.00001, (30,), 1, "30.00001"), (30.000001, (30,), 1, "30.000001"), (30.0000001, (30,), 1, "30"),
        (1234.5, (), 1, "1,234.5"), (1000000, (), 1, "1,000,000"), (100, (), 0, "100"),
    ],
)  # fmt: skip
def test_a_number_keeps_its_side_of_every_limit(
    value: float, limits: tuple[float, ...], decimals: int, shown: str
) -> None:
    assert format_number(value, limits, decimals) == shown


@for_rows(
    ("milligrams", "shown"),
    [
        (0.0625, "0.0625"),
        (0.99999, "1"),
        (0.12345, "0.1235"),
        (1.0, "1"),
        (1.04, "1.04"),
        (1.25, "1.25"),
        (33.333333, "33.3"),
        (2500, "2,500"),
    ],
)
def test_a_part_of_a_milligram_has_four_decimals(milligrams: float, shown: str) -> None:
    assert format_dose(milligrams) == shown


def test_the_first_names_and_how_many_more() -> None:
    names = ["a", "b", "c"]
    assert [first_few(names, most) for most in (1, 2, 3, 4)] == [
        "a and 2 more", "a, b and 1 more", "a, b, c", "a, b, c",
    ]  # fmt: skip
    assert first_few([], 2) == ""


@for_rows(
    ("text", "shown"),
    [
        ("148 mm[Hg]", "148 mmHg"),
        ("148mm[Hg]", "148 mmHg"),
        ("2.5 {INR}", "2.5"),
        ("12 10*3/uL; 4 10*6/uL", "12 ×10³/µL; 4 ×10⁶/µL"),
        ("5 [IU]/L and 5 m[IU]/L", "5 IU/L and 5 mIU/L"),
        ("27 kg/m2x", "27 kg/m2x"),
        ("27 kg/m2/d", "27 kg/m2/d"),
        ("mm[Hg]", "mm[Hg]"),
        ("98 [degF], 37 Cel", "98 °F, 37 °C"),
        ("5 mg/dL", "5 mg/dL"),
    ],
)
def test_units_behind_numbers_are_written_as_clinicians_write_them(text: str, shown: str) -> None:
    assert with_unit_signs(text) == shown
    assert (unit("mm[Hg]"), unit("mg/dL"), unit("{score}")) == ("mmHg", "mg/dL", "")
