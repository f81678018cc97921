"""The pages of a short day say what was reviewed (`python -m tests.cds_hooks.pages.pinned --write`)."""

from tests.cds_hooks.pages.pinned import PINNED, text


def test_each_page_of_a_short_day_says_what_was_reviewed() -> None:
    assert text() == PINNED.read_text(encoding="utf-8")
