"""Details with less Markdown: the same sentences, nothing that was escaped becomes markup."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.text import escape, plain
from cds_hooks.dialects._shape import simplify_markdown, without_links

DETAIL = "**metformin 500 MG**: eGFR 20.\n- Avoid \\_now\\_ (label). [Why this](https://x.example/explain/1)"


def test_basic_keeps_bold_lists_and_escapes_and_writes_links_out() -> None:
    assert simplify_markdown(DETAIL, "basic") == (
        "**metformin 500 MG**: eGFR 20.\n- Avoid \\_now\\_ (label). Why this: https://x.example/explain/1"
    )


def test_plain_keeps_the_words_and_the_lines() -> None:
    assert simplify_markdown(DETAIL, "plain") == (
        "metformin 500 MG: eGFR 20.\n- Avoid _now_ (label). Why this: https://x.example/explain/1"
    )


def test_links_that_are_not_allowed_keep_their_words() -> None:
    detail = "[A](https://a.example/x) and [B \\[2\\]](https://b.example/y) and \\[no\\](link)"
    assert without_links(detail, lambda url: "a.example" in url) == (
        "[A](https://a.example/x) and B \\[2\\] and \\[no\\](link)"
    )


@given(st.text(max_size=60))
def test_what_was_escaped_is_the_text_again(text: str) -> None:
    assert simplify_markdown(escape(text, 100), "plain") == plain(text, 100)


@given(st.text(max_size=60))
def test_chart_text_can_put_no_link_into_a_detail(text: str) -> None:
    detail = f"**{escape(text, 100)}** [Why](https://x.example)"
    assert without_links(detail, lambda _: True) == detail
    assert simplify_markdown(detail, "basic").endswith("Why: https://x.example")


@pytest.mark.parametrize("markdown", ["basic", "plain"])
def test_a_label_with_brackets_is_one_label(markdown: str) -> None:
    said = simplify_markdown("[see \\[1\\]](https://x.example/a)", markdown)  # type: ignore[arg-type] # both are forms of it
    assert said in ("see \\[1\\]: https://x.example/a", "see [1]: https://x.example/a")
