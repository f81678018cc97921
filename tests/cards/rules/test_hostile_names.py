"""Names and notes of a chart that carry Markdown, links and HTML: no rule lets one through to a card."""

import re
from datetime import datetime
from itertools import count
from typing import Any

import orjson

from cards.casebook.patients import PATIENT_ID
from cards.compose.orders import check_orders
from cards.rules.engine.rule_book import rule_book
from fhir.record.reading import read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import JUDGED, Case, every_case
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of

EVIL = " [x](http://e.vil) **evil** <img src=x>"
# Markdown that is live: a link, emphasis or HTML whose signs no backslash stands before.
LIVE = re.compile(r"(?<!\\)\[x|(?<!\\)\*\*evil|<img|http://e\.vil")


def _hostile(value: Any) -> Any:
    """The same resources with markup behind every text that is charted."""
    if isinstance(value, list):
        return [_hostile(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: f"{each}{EVIL}" if key in ("text", "display", "description") and isinstance(each, str) else _hostile(each)
        for key, each in value.items()
    }


@every_case("fires")
def test_no_name_or_note_of_a_chart_becomes_a_link_or_markup_on_a_card(rule: str, case: Case, as_of: datetime) -> None:
    bundle = _hostile(bundle_of(case["patient"], as_of))
    record = read_record({"all": decoder.decode(orjson.dumps(bundle))}, PATIENT_ID, as_of)
    drafts = drafts_of(_hostile(draft_of(case["draft"])))
    originals = {
        f"{one['resourceType']}/{one.get('id')}": one for one in (entry["resource"] for entry in bundle["entry"])
    }
    names = (f"uuid-{number}" for number in count(1))
    outcome = check_orders(record, drafts, JUDGED, names.__next__, rule_book(), originals.get, signing=True)
    for card in outcome.cards:
        assert LIVE.search(card.detail or "") is None, (rule, card.detail)
        # Not Markdown: HTML alone could be live there.
        assert "<img" not in card.summary
