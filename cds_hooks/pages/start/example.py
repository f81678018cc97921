"""The card of a sample patient that the start page and /try show before anything is sent."""

from functools import cache
from importlib.resources import files

import msgspec

from cds_hooks.decision_history import Card
from cds_hooks.web.markdown import render_markdown


@cache
def example_card() -> dict[str, object]:
    """Return the card as the server answers it (tests/cds_hooks/pages/test_start.py), and its detail as HTML."""
    card = msgspec.json.decode((files("cds_hooks.pages.start") / "example.json").read_bytes(), type=Card)
    return {"card": card, "detail": render_markdown(card.detail)}
