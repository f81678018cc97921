"""Words of charts and orders are read as reviewed: doses, drugs, problems, genes, allergies, studies and vaccines."""

import pytest

from tests.fhir.readings import CONFIRM, READERS, changes


@pytest.mark.parametrize("group", READERS)
def test_words_are_read_as_reviewed(group: str) -> None:
    differ = list(changes(group))
    shown = "\n".join(f"{before}\n   now: {now}" for before, now in differ[:5])
    assert not differ, f"{len(differ)} texts of {group} are read otherwise; {CONFIRM}\n{shown}"
