"""Markdown of cards: what it may become, and that nothing else becomes HTML."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.text import escape
from cds_hooks.web.markdown import render_markdown

_ALLOWED = {"p", "ul", "ol", "li", "strong", "em", "a", "br"}


class _Reader(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_bold_lists_and_links_are_rendered() -> None:
    html = render_markdown("**Raises**\n- one **two**\n- three\n\n[How **this** works](https://example.org/a?b=1&c=2)")
    assert html == (
        "<p><strong>Raises</strong></p>\n<ul>\n<li>one <strong>two</strong></li>\n<li>three</li>\n</ul>\n"
        '<p><a href="https://example.org/a?b=1&amp;c=2" rel="noreferrer">How <strong>this</strong> works</a></p>'
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>)",
        '[x](https://a.test/"onclick="alert(1))',
        "[<b onclick=1>](https://a.test/)",
        "**<svg/onload=alert(1)>**",
        "![x](https://a.test/x.png)",
    ],
)
def test_nothing_in_the_text_can_run(text: str) -> None:
    for tag, attributes in _Reader(render_markdown(text)).tags:
        assert tag in _ALLOWED
        assert set(attributes) <= {"href", "rel", "start"}
        assert (attributes.get("href") or "https://").startswith("https://")


@given(st.text(alphabet=st.sampled_from("ab*[]()\\<>\"'&!-_ \n:/#h"), max_size=80))
def test_any_text_becomes_only_what_a_card_may_have(text: str) -> None:
    assert {tag for tag, _ in _Reader(render_markdown(text)).tags} <= _ALLOWED


@given(st.text(max_size=60))
def test_chart_text_that_was_escaped_for_a_card_is_read_back_as_it_was_shown(text: str) -> None:
    shown = _Reader(render_markdown(f"Takes {escape(text)} daily"))
    assert {tag for tag, _ in shown.tags} <= {"p"}
    assert "\\" not in shown.text or "\\" in text
