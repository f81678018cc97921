"""The cards of five samples in every dialect, letter by letter.

After a wanted change: `python -m tests.cds_hooks.dialects.sent`, and read the difference.
"""

import pytest

from cds_hooks.dialects import find_dialects
from tests.cds_hooks.dialects.sent import DIALECTS, FOLDER, snapshot


def test_every_dialect_has_a_snapshot() -> None:
    assert set(find_dialects()) == set(DIALECTS) == {file.stem for file in FOLDER.iterdir()}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_cards_are_those_of_the_snapshot(dialect: str) -> None:
    assert snapshot(dialect) == (FOLDER / f"{dialect}.json").read_text(encoding="utf-8")
