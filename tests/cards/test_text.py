"""Chart text on a card: whatever was charted, it stays text."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from cards.text import LIMIT, escape, plain
from tests.each import for_rows


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
