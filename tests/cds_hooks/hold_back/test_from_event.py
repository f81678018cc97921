"""A card that an event made goes to the worklist with the test or the sentence that it is about."""

import asyncio

from cards.card import TOPICS, Card, CardIdentity, OrderSuggestion, Source
from cards.compose.equation import EquationCardContent, missing_card
from cards.extension import WorklistEntry
from cards.new_orders import order_of_test, orderable_test_for
from cds_hooks.hold_back.checks import FROM_EVENT, CheckedCall, check_event
from cds_hooks.hold_back.patient_finding import Caller
from models_onnx.equations.declaration import get_equation

CALLER = Caller("ehr", "p1", "nephrology-referral", "patient-view")
NAMING = CardIdentity("uuid", lambda number: f"suggestion-{number}", "https://cds.example/1", "https://cds.example/e")


def _entry(card: Card, **more: object) -> WorklistEntry:
    call = CheckedCall(CALLER, 0.0, from_event=True, **more)  # type: ignore[arg-type] # test input
    reason = asyncio.run(check_event(card, call))
    assert reason is not None
    assert reason.reason == FROM_EVENT
    assert card.summary in reason.text
    (entry,) = call.worklist
    assert entry.because == FROM_EVENT
    return entry


def test_a_card_that_asks_for_a_test_becomes_that_test() -> None:
    equation = get_equation("kfre_4")
    test = orderable_test_for(["uacr"])
    assert test is not None
    offer = OrderSuggestion("Order it", "Draft", order_of_test(test, "p1", "2026-11-20"), is_recommended=True)
    content = EquationCardContent(
        summary="Albumin is missing.", opening="It is.", topic=TOPICS["statin"], offers=(offer,)
    )
    entry = _entry(missing_card(equation, content, NAMING, ["uacr"]))
    assert (entry.code, entry.purpose) == ("9318-7", "kfre_4")


def test_another_card_becomes_its_reminder_or_its_own_sentence() -> None:
    card = Card(uuid="1", summary="See a nephrologist.", indicator="info", source=Source(label="A guideline"))
    assert _entry(card).test == "See a nephrologist."
    reminder = WorklistEntry(test="Albumin in urine", code="9318-7", purpose="kidney", because="another")
    assert _entry(card, reminders={"1": reminder}).test == "Albumin in urine"
    assert _entry(card, reminders={"2": reminder}).test == "See a nephrologist."


def test_a_call_of_a_client_is_left_alone() -> None:
    card = Card(uuid="1", summary="See a nephrologist.", indicator="info", source=Source(label="A guideline"))
    call = CheckedCall(CALLER, 0.0)
    assert (asyncio.run(check_event(card, call)), call.worklist) == (None, [])
