"""The line on a card that says what it was computed without."""

import pytest

from cards.card import Card, Source
from cds_hooks.prefetch.state import with_prefetch_note
from tests.cds_hooks.prefetch.test_template import _brought
from tests.fhir_charts import PATIENT


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (None, "{note}"),
        ("one\ntwo", "one\ntwo\n\n{note}"),
        ("1\n2\n3\n4\n5", "1\n2\n3\n4\n5 {note}"),  # a sixth line is more than an order's card may have
    ],
)
def test_the_note_is_the_last_of_the_detail_and_no_sixth_line(detail: str | None, said: str) -> None:
    state = _brought(patient=PATIENT, labs=None, body=None)
    card = Card(uuid="u", summary="s", detail=detail, indicator="info", source=Source(label="l"))
    (with_note,) = with_prefetch_note([card], state)
    assert state.note is not None
    assert with_note.detail == said.format(note=state.note)


def test_a_card_says_only_what_could_have_changed_it() -> None:
    state = _brought(patient=PATIENT, labs=None, body=None)
    cards = [Card(uuid=name, summary="s", indicator="info", source=Source(label="l")) for name in ("u", "v", "w")]
    reads = {"u": frozenset({"AllergyIntolerance"}), "v": frozenset({"Condition"})}
    of_allergies, of_problems, of_everything = (card.detail for card in with_prefetch_note(cards, state, reads))
    assert of_everything == state.note
    assert of_problems == "**Checked without** problems (not sent by the EHR)."
    assert of_allergies is None


@pytest.mark.parametrize("key", ["medication", "conditions", "unknown key"])
def test_a_key_that_the_service_does_not_declare_as_required_cannot_be_required(key: str) -> None:
    """A misspelt key would never be asked for."""
    with pytest.raises(LookupError, match="is not declared as required by the service; declared: patient, labs"):
        _brought(patient=PATIENT).require(key)
