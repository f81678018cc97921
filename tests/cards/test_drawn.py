"""Drawn charts are read as reviewed: every feature, estimate, list, judgement and forecast."""

from tests.cards.drawn import CONFIRM, current, reviewed
from tests.cards.rules.outcomes import assert_reviewed


def test_every_reader_makes_of_the_drawn_charts_what_was_reviewed() -> None:
    before, now = reviewed(), current()
    assert before.keys() == now.keys(), CONFIRM
    differ = {
        reader: [10 * column for column, digest in enumerate(now[reader]) if digest != digests[column]]
        for reader, digests in before.items()
        if digests != now[reader]
    }
    assert not differ, f"otherwise read, from the first chart of each ten: {differ}; {CONFIRM}"


def test_drawn_orders_before_drawn_charts_are_answered_as_reviewed() -> None:
    assert_reviewed("drawn")
