"""What a card of each service says, whole: a change of a word, a figure or a source is a change of a reviewed text."""

from tests.cds_hooks.services.pinned import CHARTS, FOLDER, texts

CONFIRM = "review the text, then: .venv/bin/python -m tests.cds_hooks.services.pinned --write"


def test_each_service_says_what_was_reviewed() -> None:
    current = texts()
    reviewed = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.txt")}
    assert set(CHARTS) <= current.keys()
    assert current.keys() == reviewed.keys(), CONFIRM
    for service, text in current.items():
        assert text.splitlines() == reviewed[service].splitlines(), f"{service}: {CONFIRM}"
