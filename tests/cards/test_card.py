"""The card on the wire, and the cards that the specification forbids."""

from typing import Any

import msgspec
import pytest

from cards.card import (
    Action,
    Card,
    CardError,
    Coding,
    Link,
    Source,
    Suggestion,
    check_card,
)
from tests.each import for_rows

DELETE = Action(type="delete", description="Remove it", resource_id="MedicationRequest/1")


def card(**changes: Any) -> Card:
    whole: dict[str, Any] = {"uuid": "u", "summary": "s", "indicator": "info", "source": Source(label="Label")}
    return Card(**(whole | changes))


def suggestion(**changes: Any) -> Suggestion:
    whole: dict[str, Any] = {"label": "Do it", "uuid": "s1", "actions": (DELETE,)}
    return Suggestion(**(whole | changes))


def test_the_wire_is_camel_case() -> None:
    whole = card(
        detail="d",
        suggestions=(suggestion(is_recommended=True),),
        selection_behavior="at-most-one",
        override_reasons=(Coding(system="http://x.test/s", code="c", display="d"),),
        links=(Link(label="l", url="https://x.test", type="smart", app_context="{}"),),
        extension={"org.cds-hooks-onnx": {}},
    )
    wire = msgspec.json.decode(msgspec.json.encode(check_card(whole)))
    assert wire["selectionBehavior"] == "at-most-one"
    assert wire["overrideReasons"] == [{"system": "http://x.test/s", "code": "c", "display": "d"}]
    assert wire["links"][0]["appContext"] == "{}"
    assert wire["suggestions"][0]["isRecommended"] is True
    assert wire["suggestions"][0]["actions"][0]["resourceId"] == "MedicationRequest/1"


def test_a_summary_of_139_code_points_passes_and_of_140_does_not() -> None:
    check_card(card(summary="🫀" * 139))
    with pytest.raises(CardError, match="CARD-03"):
        check_card(card(summary="🫀" * 140))


RESOURCE = {"resourceType": "MedicationRequest"}
FORBIDDEN: list[tuple[str, dict[str, Any]]] = [
    ("CARD-01", {"uuid": " "}),
    ("CARD-03", {"summary": " \n"}),
    ("CARD-04", {"detail": " "}),
    ("CARD-08", {"indicator": "success"}),
    ("CARD-13", {"suggestions": (suggestion(),)}),
    ("CARD-14", {"suggestions": (suggestion(),), "selection_behavior": "all"}),
    ("CARD-17", {"override_reasons": (Coding(system="s", code="c"),)}),
    ("COD", {"override_reasons": (Coding(system="", code="c", display="d"),)}),
    ("COD", {"source": Source(label="l", topic=Coding(system="s", code=" "))}),
    ("SRC-01", {"source": Source(label="")}),
    ("SRC", {"source": Source(label="l", url="/relative")}),
    ("SRC", {"source": Source(label="l", icon="data:image/png;base64,AA")}),
    ("LINK-01", {"links": (Link(label="", url="https://x.test", type="absolute"),)}),
    ("LINK-02", {"links": (Link(label="l", url="javascript:alert(1)", type="absolute"),)}),
    ("LINK-02", {"links": (Link(label="l", url="https://[", type="absolute"),)}),
    ("LINK-02", {"links": (Link(label="l", url="https:///path", type="absolute"),)}),
    ("LINK-03", {"links": (Link(label="l", url="https://x.test", type="page"),)}),  # type: ignore[arg-type] # on purpose
    ("LINK-06", {"links": (Link(label="l", url="https://x.test", type="absolute", app_context="c"),)}),
]
FORBIDDEN_SUGGESTIONS: list[tuple[str, tuple[Suggestion, ...]]] = [
    ("SUG-01", (suggestion(label=" "),)),
    ("SUG-02", (suggestion(uuid=""),)),
    ("SUG-02", (suggestion(), suggestion())),
    ("SUG-04", (suggestion(is_recommended=True), suggestion(uuid="s2", is_recommended=True))),
    ("ACT-01", (suggestion(actions=(Action(type="Create", description="d", resource=RESOURCE),)),)),  # type: ignore[arg-type] # on purpose
    ("ACT-02", (suggestion(actions=(Action(type="create", description="", resource=RESOURCE),)),)),
    ("ACT-03", (suggestion(actions=(Action(type="create", description="d"),)),)),
    ("ACT-03", (suggestion(actions=(Action(type="update", description="d", resource={}),)),)),
    ("ACT-05", (suggestion(actions=(Action(type="delete", description="d"),)),)),
    ("ACT-05", (suggestion(actions=(Action(type="delete", description="d", resource_id="https://x.test/A/1"),)),)),
    ("ACT-08", (suggestion(actions=(Action(type="delete", description="d", resource_id="A/1", resource=RESOURCE),)),)),
    ("ACT-08", (suggestion(actions=(Action(type="create", description="d", resource_id="A/1", resource=RESOURCE),)),)),
]


@for_rows(("fault", "changes"), FORBIDDEN)
def test_a_card_that_the_specification_forbids_is_refused(fault: str, changes: dict[str, Any]) -> None:
    with pytest.raises(CardError, match=fault):
        check_card(card(**changes))


@for_rows(("fault", "suggestions"), FORBIDDEN_SUGGESTIONS)
def test_a_suggestion_that_the_specification_forbids_is_refused(
    fault: str, suggestions: tuple[Suggestion, ...]
) -> None:
    with pytest.raises(CardError, match=fault):
        check_card(card(suggestions=suggestions, selection_behavior="at-most-one"))
