"""Why an order is not checked, and what of the medication list was not counted: whole sentences."""

from datetime import datetime
from typing import Any

import pytest

from cards.compose.orders import MOST_LINES, MOST_SUGGESTIONS, shown_findings
from cards.rules.engine.finding import Finding, Silence
from tests.cards.rules.cases import check
from tests.cards.rules.patients import draft_of, drafts_of, record_of

Json = dict[str, Any]


def order(**fields: Any) -> Json:
    return {"resourceType": "MedicationRequest", "id": "a", "status": "draft", "intent": "order"} | fields


def study(**fields: Any) -> Json:
    return order(resourceType="ServiceRequest", **fields)


NAME = "MedicationRequest/a"


@pytest.mark.parametrize(
    ("resource", "silence"),
    [
        (
            order(medicationCodeableConcept={"text": "Zaubertrank"}),
            Silence(NAME, "not-recognised", "Not recognised, so not checked: Zaubertrank."),
        ),
        (order(), Silence(NAME, "not-recognised", "Not recognised, so not checked: the drafted medication.")),
        (
            order(dispenseRequest=7),
            Silence(
                NAME,
                "draft-unreadable",
                f"{NAME} cannot be read (Expected object | null, got int - at dispenseRequest): not checked.",
            ),
        ),
        (
            order(doNotPerform=True),
            Silence(NAME, "not-to-be-given", f"{NAME} is not to be given (its status or doNotPerform): not checked."),
        ),
        (
            study(code={"text": "Walk *daily*"}),
            Silence(
                "ServiceRequest/a",
                "not-recognised",
                "Not recognised as an order of imaging or a test that a rule is about, so not checked: Walk *daily*.",
            ),
        ),
        (
            study(),
            Silence(
                "ServiceRequest/a",
                "not-recognised",
                "Not recognised as an order of imaging or a test that a rule is about, so not checked: "
                "ServiceRequest/a.",
            ),
        ),
        (
            study(status="revoked", code={"text": "CT"}),
            Silence(
                "ServiceRequest/a",
                "not-to-be-given",
                "ServiceRequest/a is not to be done (its status or doNotPerform): not checked.",
            ),
        ),
        (
            order(resourceType="NutritionOrder"),
            Silence(
                "NutritionOrder/a",
                "not-a-medication",
                "NutritionOrder/a is a NutritionOrder and not a medication order: not checked.",
            ),
        ),
        (
            {"resourceType": ""},
            Silence(
                "draftOrders.entry[0]",
                "not-a-medication",
                "draftOrders.entry[0] is a resource without a type and not a medication order: not checked.",
            ),
        ),
        (
            order(medicationCodeableConcept={"text": "psyllium powder"}),
            Silence(NAME, "no-rule", "No rule here is about psyllium."),
        ),
    ],
)
def test_what_is_not_checked_is_said_in_a_sentence(resource: Json, silence: Silence, as_of: datetime) -> None:
    outcome = check(record_of({}, as_of), drafts_of(resource))
    assert outcome.cards == ()
    assert [one for one in outcome.silences if one.reason != "scope"] == [silence]


def test_a_medication_among_the_drafts_is_part_of_an_order(as_of: datetime) -> None:
    outcome = check(record_of({}, as_of), drafts_of({"resourceType": "Medication", "id": "m"}))
    assert (outcome.cards, outcome.silences) == ((), ())


def on_list(as_of: datetime, *active: Json | str) -> list[str]:
    """What is said of the medication list beside a draft that nothing is found about."""
    outcome = check(record_of({"active": list(active)}, as_of), drafts_of(draft_of({"drug": "psyllium powder"})))
    return [one.text for one in outcome.silences if one.subject == "medications"]


def strange(number: int) -> Json:
    return {"drug": f"potion {number}"}


UNKNOWN = "On the medication list, not recognised, so nothing was checked against it: "


def test_what_is_taken_and_not_recognised_is_named_five_at_most(as_of: datetime) -> None:
    assert on_list(as_of) == on_list(as_of, "ibuprofen 400 MG Oral Tablet") == []
    assert on_list(as_of, strange(2), strange(1), strange(2)) == [f"{UNKNOWN}potion 1; potion 2."]
    five = "; ".join(f"potion {number}" for number in range(5))
    assert on_list(as_of, *map(strange, range(5))) == [f"{UNKNOWN}{five}."]
    assert on_list(as_of, *map(strange, range(7))) == [f"{UNKNOWN}{five} and 2 more."]
    assert on_list(as_of, {"drug": ""}) == [f"{UNKNOWN}a medication without a name."]
    assert on_list(as_of, {"drug": ""}, strange(1)) == [f"{UNKNOWN}potion 1 and 1 more."]


HELD = ("ibuprofen", "metformin", "lisinopril", "atorvastatin", "sertraline", "warfarin", "digoxin")


def test_what_is_on_hold_is_named_five_at_most(as_of: datetime) -> None:
    held = [{"drug": name, "status": "on-hold"} for name in HELD]
    assert on_list(as_of, *held[:1]) == ["On hold, so not counted as taken: ibuprofen."]
    five = "ibuprofen; metformin; lisinopril; atorvastatin; sertraline"
    assert on_list(as_of, *held[:5]) == [f"On hold, so not counted as taken: {five}."]
    assert on_list(as_of, *held) == [f"On hold, so not counted as taken: {five} and 2 more."]


def test_a_finding_that_is_suppressed_leaves_its_reason() -> None:
    first, second = (
        Finding(rule, "band", "info", True, "", "", 0, (), (), (), (), (), ()) for rule in ("first", "second")
    )
    silences = [Silence("before", "x", "")]
    why = Silence("second", "suppressed", "It was overridden.")
    shown = shown_findings([first, second], lambda finding: why if finding is second else None, silences)
    assert (shown, silences) == ((first,), [Silence("before", "x", ""), why])


def test_a_card_of_orders_has_five_lines_and_four_suggestions() -> None:
    assert (MOST_LINES, MOST_SUGGESTIONS) == (5, 4)
