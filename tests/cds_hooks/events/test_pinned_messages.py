"""HL7 v2 messages bring what was reviewed (`python -m tests.cds_hooks.events.pinned --write`)."""

from tests.cds_hooks.events.pinned import PINNED, text


def test_each_message_brings_what_was_reviewed() -> None:
    assert text() == PINNED.read_text(encoding="utf-8")
