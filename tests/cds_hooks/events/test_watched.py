"""The watch learns and says what was reviewed (`python -m tests.cds_hooks.events.watched --write`)."""

import pytest

from tests.cds_hooks.events.watched import PINNED, text


@pytest.mark.slow
def test_what_is_learned_of_a_feed_and_how_it_departs_is_what_was_reviewed() -> None:
    assert text() == PINNED.read_text(encoding="utf-8")
