"""The lines of a card about a drafted order: facts, citations, and which suggestions stay beside the headline."""

from typing import Any

import pytest
from msgspec.structs import replace

from cards.card import Action, Suggestion
from cards.compose.orders import (
    MOST_LINES,
    MOST_SUGGESTIONS,
    _as_beside_headline,
    _by_line,
    _citation,
    _distinct,
    _facts_line,
    _not_in_headline,
    _takes_draft_away,
)
from cards.extension import Fact
from tests.cards.compose.test_medications import GUIDE, LABEL, finding

DELETE = Action(type="delete", description="d", resource_id="MedicationRequest/a")


def update(status: str) -> Action:
    return Action(type="update", description="d", resource={"resourceType": "MedicationRequest", "status": status})


def create(kind: str) -> Action:
    return Action(type="create", description="d", resource={"resourceType": kind, "id": kind})


def suggestion(label: str, *actions: Action, is_recommended: bool = True) -> Suggestion:
    return Suggestion(label=label, uuid=label, is_recommended=is_recommended, actions=actions)


@pytest.mark.parametrize(
    ("actions", "takes_away"),
    [
        ((), False),
        ((DELETE,), True),
        ((update("active"),), False),
        ((update("on-hold"),), True),
        ((update("stopped"),), True),
        ((update("revoked"),), True),
        ((DELETE, create("ServiceRequest")), True),
        ((DELETE, create("MedicationRequest")), False),
        ((create("ServiceRequest"),), False),
    ],
)
def test_beside_the_headline_only_what_takes_the_draft_away_stays_advised(
    actions: tuple[Action, ...], takes_away: bool
) -> None:
    offer = suggestion("x", *actions)
    assert _takes_draft_away(offer) is takes_away
    headline, other = finding("a"), finding("b")
    assert _as_beside_headline(offer, other, headline) == replace(offer, is_recommended=takes_away)
    milder = finding("b", indicator="info")
    assert _as_beside_headline(offer, milder, headline).is_recommended is False


def test_each_label_and_each_thing_that_is_done_stands_once_with_one_advised() -> None:
    same_but_for_id = Action(type="create", description="d", resource={"resourceType": "ServiceRequest", "id": "other"})
    first = suggestion("Cancel", DELETE)
    offers = [
        first, suggestion("Cancel", update("active")), suggestion("Remove it", DELETE),
        suggestion("Test", create("ServiceRequest")), suggestion("Test too", same_but_for_id),
        suggestion("Hold", update("on-hold"), is_recommended=False),
    ]  # fmt: skip
    assert _distinct(offers) == [first, replace(offers[3], is_recommended=False), offers[5]]
    many = [suggestion(str(number), update(str(number))) for number in range(MOST_SUGGESTIONS + 2)]
    assert [offer.label for offer in _distinct(many)] == [str(number) for number in range(MOST_SUGGESTIONS)]


def test_a_finding_cites_two_documents_and_several_findings_one_each() -> None:
    third = replace(GUIDE, label="Third")
    assert _citation([finding("a", evidence=(GUIDE, LABEL, third))]) == "Guide 2026; Label 2025"
    both = [finding("a", evidence=(GUIDE, LABEL)), finding("b", evidence=(third, GUIDE)), finding("c")]
    assert _citation(both) == "Guide 2026; Third"


def test_the_facts_that_the_detail_does_not_say_follow_it() -> None:
    facts = (
        Fact("draft", "the draft"),
        Fact("egfr", "eGFR 25", effective="2026-11-01T08:00:00Z", source="Observation/e"),
        Fact("egfr", "eGFR 25 mL/min", effective="2026-11-01T08:00:00Z", source="Observation/e"),
        Fact("fall", "a fall on 2026-10-03", effective="2026-10-03"),
        Fact("age", "70 years"),
        Fact("age", "70 years"),
        Fact("said", "Detail of a"),
        Fact("none", ""),
        Fact("sex", "fe*male"),
    )
    line = ": eGFR 25 mL/min (2026-11-01); a fall on 2026-10-03; 70 years; fe\\*male."
    assert _facts_line([finding("a", facts=facts[:4]), finding("b", facts=facts[4:])]) == line
    assert _facts_line([finding("a", facts=facts[:1])]) == ""


def test_findings_have_lines_of_their_own_while_there_is_room() -> None:
    room = MOST_LINES - 2
    few = [finding(str(number), group="g") for number in range(room)]
    assert _by_line(few) == ([[entry] for entry in few], [])
    grouped = [*few, finding("other", group="h")]
    assert _by_line(grouped) == ([few, [grouped[-1]]], [])
    apart = [finding(str(number), group=str(number)) for number in range(room + 2)]
    assert _by_line(apart) == ([[entry] for entry in apart[:room]], apart[room:])


def test_a_first_sentence_that_the_headline_has_is_left_out() -> None:
    more: dict[str, Any] = {"summary": "Avoid metformin: eGFR 25 is below 30."}
    assert _not_in_headline(finding("a", detail="Metformin, eGFR 25. Stop it.", **more)) == "Stop it."
    other = "EGFR 25, metformin. Stop it."
    assert _not_in_headline(finding("a", detail=other, **more)) == other
