"""The card of preventive services: its headline, its lines, its orders and what the extension keeps."""

from datetime import date
from typing import Any

from msgspec.structs import replace

from cards.card import Card, CardIdentity
from cards.compose.preventive import preventive_card, preventive_states
from cards.extension import Fact, PreventiveState, PreventiveStates
from cards.preventive.chart import Done
from cards.preventive.judgement import Judgement
from cards.preventive.knowledge import PREVENTIVE, Order
from fhir.record.datatypes import parse_time

IDENTITY = CardIdentity("card", lambda number: f"suggestion-{number}", "https://example.org/why")
KNOWLEDGE = replace(PREVENTIVE, as_of="2026-11-01")


def judged(name: str, state: str = "due", because: str = "never-seen", **more: Any) -> Judgement:
    """An answer for a recommendation of this name, of grade B and of 2021."""
    service = replace(PREVENTIVE.services[0], id=name, name=f"{name} screening", short=name, grade="B", year=2021)
    words: dict[str, Any] = {"service": service, "state": state, "because": because, "text": f"no {name} on record"}
    return Judgement(**(words | more))


def card_of(*judgements: Judgement, not_sent: tuple[str, ...] = ()) -> Card:
    states = preventive_states(judgements, KNOWLEDGE, "2026-11-20")
    return preventive_card(judgements, states, IDENTITY, "p", not_sent)


def lines_of(card: Card) -> list[str]:
    assert card.detail is not None
    return card.detail.split("\n")


STOOL = Done("fit", parse_time("2026-01-02"), "Observation/fit", "FIT", True)
COLONOSCOPY = judged(
    "colon", because="interval-over", text="FIT too long ago", last=STOOL, order=Order("Colonoscopy"),
    facts=(Fact("fit", "FIT", effective="2026-01-02", source="Observation/fit"),),
)  # fmt: skip


def test_six_services_have_a_line_and_the_others_share_one() -> None:
    order = Order("Lipid panel", ())
    lines = lines_of(
        card_of(*(judged(name, order=order) for name in "abcdef"), judged("g_1"), judged("h", order=order))
    )
    assert lines[5:7] == [
        "- **f screening** (USPSTF B, 2021): no f on record.",
        r"- **g_1 screening** (USPSTF B, 2021): no g\_1 on record; **h screening** (USPSTF B, 2021): no h on record.",
    ]


def test_the_extension_keeps_every_answer_and_the_facts_of_what_is_due() -> None:
    done = judged("d", "not due", "done", last=STOOL, next_due=date(2027, 1, 2), facts=(Fact("x", "not on the card"),))
    undated = judged("u", "not known", "not-charted", last=replace(STOOL, time=None))
    card = card_of(COLONOSCOPY, COLONOSCOPY, done, undated)
    assert card.own_extension.facts == COLONOSCOPY.facts
    state: dict[str, Any] = {"grade": "B", "year": 2021}
    overdue = PreventiveState(
        service="colon", state="due", because="interval-over", text="FIT too long ago", last="2026-01-02",
        source="Observation/fit", **state,
    )  # fmt: skip
    assert card.own_extension.preventive == PreventiveStates(
        knowledge="2026-11-01",
        as_of="2026-11-20",
        services=(
            overdue,
            overdue,
            PreventiveState(service="d", state="not due", because="done", text="no d on record", last="2026-01-02",
                            source="Observation/fit", next_due="2027-01-02", **state),
            PreventiveState(service="u", state="not known", because="not-charted", text="no u on record",
                            source="Observation/fit", **state),
        ),
    )  # fmt: skip
