"""The lines of a card about a drafted order: facts, citations, and which suggestions stay beside the headline."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from cards.card import TOPICS, Action, Card, Coding, Source, Suggestion
from cards.compose.orders import (
    MOST_LINES,
    MOST_SUGGESTIONS,
    _as_beside_headline,
    _by_line,
    _card,
    _citation,
    _distinct,
    _facts_line,
    _not_in_headline,
    _rank,
    _summary,
    _takes_draft_away,
)
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference
from cards.rules.patient.session import PatientSession
from tests.cards.compose.test_medications import GUIDE, LABEL, REASON, finding
from tests.cards.rules.patients import draft_of, drafts_of, record_of

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


def test_a_headline_of_139_characters_stays_and_a_longer_one_is_cut() -> None:
    assert _summary(finding("a", summary="x" * 139)) == "x" * 139
    assert _summary(finding("a", summary="x" * 140)) == "x" * 138 + "…"


def test_findings_are_ranked_by_harm_then_certainty_then_priority() -> None:
    ranked = [
        finding("a", indicator="critical", priority=0, is_certain=False),
        finding("b", priority=20),
        finding("c", priority=10),
        finding("d", priority=30, is_certain=False),
        finding("e", indicator="info", priority=99),
    ]
    backwards = ranked[::-1]
    assert sorted(backwards, key=_rank) == ranked


def _session_card(*findings: Any, suggestions: tuple[Suggestion, ...] = ()) -> Card:
    as_of = datetime(2026, 11, 20, 9, tzinfo=UTC)
    session = PatientSession(record_of({}, as_of), drafts_of(draft_of({"drug": "metformin *XR*"})))
    return _card("uuid", findings, suggestions, session.drafted[0])


def test_the_whole_card_of_an_order() -> None:
    other = Coding(system="s", code="other", display="o")
    first = finding("a", facts=(Fact("egfr", "eGFR 25"),), detail="A speaks. Stop it.", notes=("Old value.",))
    second = finding("b", indicator="info", evidence=(LABEL,), override_reasons=(other, REASON), notes=("Old value.",))
    card = _session_card(first, second, suggestions=(suggestion("Cancel", DELETE),))
    assert card == Card(
        uuid="uuid",
        summary="a speaks.",
        indicator="warning",
        detail="\n".join(
            [
                r"**metformin \*XR\***: eGFR 25.",
                "- Stop it. (Guide 2026)",
                "- **b speaks.** Detail of b. (Label 2025)",
                "- Old value.",
            ]
        ),
        source=Source(label="Guide 2026", url="https://example.org/g", topic=TOPICS["orders"]),
        suggestions=(suggestion("Cancel", DELETE),),
        selection_behavior="at-most-one",
        override_reasons=(REASON, other),
        extension={
            EXTENSION_KEY: CardExtension(
                findings=(FindingReference("a", "band"), FindingReference("b", "band")),
                facts=(Fact("egfr", "eGFR 25"),),
            )
        },
    )
    bare = _session_card(finding("a"))
    assert (bare.suggestions, bare.selection_behavior) == ((), None)
    assert str(bare.detail) == "**metformin \\*XR\\***\n- Detail of a. (Guide 2026)"


def test_findings_of_one_group_share_a_line_and_what_has_no_line_is_named_in_the_last() -> None:
    room = MOST_LINES - 2
    shared = [finding("a", group="g"), finding("b", group="g"), finding("c", group="h"), finding("d", group="i")]
    assert str(_session_card(*shared).detail).split("\n")[1:] == [
        "- Detail of a. Also: **b speaks.** (Guide 2026)",
        "- **c speaks.** Detail of c. (Guide 2026)",
        "- **d speaks.** Detail of d. (Guide 2026)",
    ]
    apart = [finding(str(number), group=str(number), notes=("Note.",)) for number in range(room + 2)]
    assert str(_session_card(*apart).detail).split("\n")[-1] == (
        f"- Also: {room} speaks. Also: {room + 1} speaks. Note."
    )
